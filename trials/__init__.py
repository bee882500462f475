"""
What is tried outside of the tests, because it takes minutes.

==============  ==============================================================
``compliance``  the cases of Autobahn|Testsuite
``fuzz``        garbage of six kinds
``soak``        what a server gives back: memory, sockets, tasks
==============  ==============================================================

All of them start ``triows run`` as a process. They share these modules:

==============  ==============================================================
``server``      the process, watched from outside: its tasks, sockets, memory
``statistics``  the route on which the process reports about itself
``signals``     what a signal does to a trial
==============  ==============================================================

The bytes of bad peers are made by ``tests/raw.py``, and sent by the peer of the server's tests.

``fuzz`` and ``soak`` need Linux, because they watch the process through ``/proc``.
"""

from __future__ import annotations
