"""
ROUTE + CONNECTION -> ARGUMENTS.

Enters: at registration, a handler's signature and the factories it asks for; at run time, what
a handshake carries. Leaves: a :class:`.plan.Plan`; the arguments that it makes, and resources
that exit. May import base; it sees no transport and no route.
"""
