"""
ROUTE + CONNECTION -> ARGUMENTS.

In: at registration, a handler's signature and the factories that it asks for; at run time, what
a handshake carries. Out: a :class:`.plan.Plan`, the arguments that it makes, and resources that
exit. It may import the base modules. It sees no transport and no route.
"""
