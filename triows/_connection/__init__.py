"""
ONE CONNECTION, from the matched route to its log line.

Enters: a compiled route and a transport. Leaves: nothing; what went wrong is raised once
everything is closed. May import base, ``_protocol``, ``_transports``, ``_injection`` and
``websocket``.
"""
