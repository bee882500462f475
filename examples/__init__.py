"""
Programs to read and to run. Each has a docstring that says what it shows.

The tests in ``tests/examples`` run them all.
"""
