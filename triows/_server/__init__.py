"""
HYPERCORN, and the server on it. Only this folder imports Hypercorn.

In: an application and Hypercorn's configuration. Out: plain requests, as ASGI; requests for a
WebSocket, as a scope with a connection of our own behind it (``websocket.py``); an exit code. It
may import ``_app`` and everything below that.
"""
