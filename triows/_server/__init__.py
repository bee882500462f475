"""
HYPERCORN. The only room that knows it.

Enters: an application and Hypercorn's configuration. Leaves: connections, handed to the
application as ASGI scopes. May import ``_app`` and all below it.
"""
