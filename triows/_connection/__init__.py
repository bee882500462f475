"""
ONE CONNECTION, from the matched route to its log line.

What comes in: a compiled route and a transport. Nothing goes out. If something went wrong, it is
raised when everything is closed. May import the base modules, ``_protocol``, ``_transports``,
``_injection`` and ``websocket``.
"""
