"""
What `make fuzz` and `make soak` share: hostile peers, and a server that is watched.

=================  ===========================================================
``frames``         frames as bytes, valid or not
``handshakes``     opening handshakes as bytes
``peer``           a blocking socket that sends and reads them
``server``         ``triows run`` as a process: its tasks, sockets and memory
``statistics``     the route on which the process reports about itself
=================  ===========================================================

This needs Linux, because it watches the process through ``/proc``.
"""

from __future__ import annotations
