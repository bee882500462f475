"""
MESSAGES <-> A PEER. Only the modules here wait for a peer.

What comes in: messages to send, an acceptance or a refusal, a close. What goes out: the peer's
messages, and how the connection ended. ``interface.py`` has the interface. It has two
implementations: a connection of our own server (``stream.py``) and any ASGI ``receive``/``send``
pair (``asgi.py``). The first has a state for each side (``state.py``), reads through ``reactor``,
``wire`` or ``tls``, and ``inbox``, writes through ``outbox`` and ``cork``, and looks after its peer
with ``keepalive``, ``delivery`` and ``progress``, whose clock is the ``pinger``. ``fan_out`` writes
one message to many of them. Plain requests use the wires, the ``reactor``, the ``cork``,
``progress`` and the ``pinger``, too.
Tests have a wire and a reactor without sockets (``testing/_memory.py``). The code above the wire is
the same for both. May import base and ``_protocol``.
"""
