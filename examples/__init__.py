"""
Programs to read and to run, each with a docstring that says what it shows.

The suite runs them all, from ``tests/examples``.
"""
