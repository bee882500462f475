"""
THE EXCHANGE OF A PLAIN REQUEST, from the matched path to its log line.

What comes in: a mounted application, and ASGI's scope, ``receive`` and ``send``. What goes out: a
response, and the errors, as one exception, when everything is closed. The body of a request goes
through ``body`` to ``decoding``, ``forms`` or ``upload``. May import the base modules,
``_injection`` and ``_exchange``.
"""
