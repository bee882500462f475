"""
What `make fuzz` and `make soak` share: peers that can't be trusted, and the server they meet.

=================  ===========================================================
``frames``         frames as bytes, right or wrong
``handshakes``     opening handshakes as bytes
``peer``           a blocking socket that speaks them
``server``         ``triows run`` as a process: its tasks, sockets and memory
``statistics``     the route by which the process tells of itself
``settings``       what is asked of the application where it exists
=================  ===========================================================

Linux only: a process is watched through ``/proc``.
"""

from __future__ import annotations
