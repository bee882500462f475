"""
ONE EXCHANGE, whatever its kind: a request, or a WebSocket connection.

Something begins, a handler runs with arguments and resources, the peer is told the outcome, and
everything closes in order. The :class:`Lifetime` does that. It knows nothing of the peer. A
:class:`Line` does, and each kind of exchange has one: ``_websocket/line.py``, ``_request/line.py``.

What comes in: a line, and a body, which makes the arguments and calls the handler. What goes out:
the errors, as one exception, when everything is closed. May import the base modules and
``_injection``.
"""
