"""
Tests of the server.

The folder is a package for fixtures with the scope ``package``: servers that several tests use end
when the last of these tests is over. They would slow down all later tests of the process, write
into the same log, and count as its processor time.
"""
