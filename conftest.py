"""Gives the rules for comparing notebooks to pytest, whichever folder it is to test."""

pytest_plugins = ["tests.nbval_plugin"]
