"""Gives the rules for comparing notebooks to pytest, whichever folder it is to test."""

import signal

pytest_plugins = ["tests.nbval_plugin"]

# A script's background ignores SIGINT, and hands that on: no server of a test would ever end by it.
signal.signal(signal.SIGINT, signal.default_int_handler)
