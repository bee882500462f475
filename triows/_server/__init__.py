"""
HYPERCORN, and the server on it. The only room that knows it.

Enters: an application and Hypercorn's configuration. Leaves: plain requests, as ASGI; requests
for a WebSocket, as a scope with a connection of our own behind it (``websocket.py``); an exit
code. May import ``_app`` and all below it.
"""
