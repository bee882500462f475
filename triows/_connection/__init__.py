"""
ONE CONNECTION, from the matched route to its log line.

In: a compiled route and a transport. Out: nothing; what went wrong is raised when everything is
closed. It may import the base modules, ``_protocol``, ``_transports``, ``_injection`` and
``websocket``.
"""
