"""The tests. It is a package because :mod:`tests.server` is one."""
