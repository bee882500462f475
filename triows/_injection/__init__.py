"""
ROUTE + REQUEST -> ARGUMENTS.

What comes in: at registration, a handler's signature, the factories that it asks for, and the kind
of its route (:mod:`.kinds`), which says what else it may ask for. At run time, what a request
carries (:mod:`.query`). What goes out: a :class:`.plan.Plan`, the arguments that it makes, and
resources that exit (:mod:`.hosts`). May import the base modules. It sees no transport and no route,
and it knows no kind of route.
"""
