"""
HYPERCORN, and the server that uses it. Only this folder imports Hypercorn.

What comes in: an application and Hypercorn's configuration. What goes out: plain requests, as
ASGI; requests for a WebSocket, as a scope and a connection of our own (``upgraded.py``); and an
exit code. May import ``_app`` and everything below that.
"""
