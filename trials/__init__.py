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
``frames``      frames as bytes, valid or not
``handshakes``  opening handshakes as bytes
``peer``        a blocking socket that sends and reads them
``signals``     what a signal does to a trial
==============  ==============================================================

``fuzz`` and ``soak`` need Linux, because they watch the process through ``/proc``.
"""

from __future__ import annotations
