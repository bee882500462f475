"""
THE SERVER: sockets, connections as long as they speak HTTP, and processes.

What comes in: an application and Hypercorn's configuration. What goes out: plain requests, as
ASGI over a request of our own (``request.py``); requests for a WebSocket, as a scope and a
connection of our own (``upgraded.py``); and an exit code. Only this folder imports Hypercorn. May
import ``_app`` and everything below that.
"""
