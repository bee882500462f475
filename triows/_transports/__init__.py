"""
MESSAGES <-> A PEER. The only rooms that wait for a peer.

Enters: messages, an acceptance or a refusal, a close. Leaves: the peer's messages, and
how the connection ended. One interface (``interface.py``) and its implementations: a
connection of our own (``stream.py``, on ``wire``, ``reactor``, ``inbox``, ``outbox``, ``pinger``)
and any ASGI ``receive``/``send`` pair. ``memory.py`` has a wire and a reactor without sockets,
for tests; what stands on them is the same. May import base and ``_protocol``.
"""
