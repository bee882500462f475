"""
ROUTE + CONNECTION -> ARGUMENTS.

What comes in: at registration, a handler's signature and the factories that it asks for. At run
time, what a handshake carries. What goes out: a :class:`.plan.Plan`, the arguments that it makes,
and resources that exit. May import the base modules. It sees no transport and no route.
"""
