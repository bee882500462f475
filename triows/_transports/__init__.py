"""
MESSAGES <-> A PEER. The only rooms that wait for a peer.

Enters: messages, an acceptance or a refusal, a close. Leaves: the peer's messages, and
how the connection ended. One interface (``interface.py``) and its implementations: a
connection of our own (``stream.py``, on ``wire``, ``reactor``, ``inbox``, ``outbox``, ``pinger``),
any ASGI ``receive``/``send`` pair, and memory, for tests. May import base and ``_protocol``.
"""
