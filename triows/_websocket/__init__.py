"""
THE EXCHANGE OF A WEBSOCKET, from the matched route to its log line.

What comes in: a compiled route and a transport. Nothing goes out. If something went wrong, it is
raised when everything is closed. Here it is decided what the peer is told: ``verdict.py`` has the
close codes and the refusals. May import the base modules, ``_protocol``, ``_transports``,
``_injection``, ``_exchange`` and ``websocket``.
"""
