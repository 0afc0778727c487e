"""What makes the chapters live: pictures, curves, explorers, exercises, and files that are kept."""

from lenet_course import speed as speed  # before torch is loaded, whichever module comes first
