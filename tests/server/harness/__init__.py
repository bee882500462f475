"""
How the tests start a server, speak to it and watch it.

====================  ===========================================================================
``process``           a server in a process of its own
``memory``            a server in a thread of the tests, without sockets, on a virtual clock
``choice``            which of the two, and which server: what ``TRIOWS_TEST_SERVER`` means
``carriers``          decides for each test whether it runs in memory, on sockets, or on both
``checked``           a server that is checked after each test: nobody was harmed, nothing is left
``peer``              a client that sends any bytes
``slow_peers``        clients that read at a given speed
``link``              a network that can be cut
``versions``          an application whose file changes while it is served
``serve_with_names``  a script that serves with Hypercorn's ``server_names``
====================  ===========================================================================

What is served is in ``applications``. Clients that aren't ours are in ``clients``.
"""
