"""
BYTES <-> MESSAGES, without I/O: no trio, no ``async def``, no clock.

What comes in: a handshake's method and headers, and the bytes after it. What goes out: the answer
to the handshake, or why it is refused; messages and frames; and how the peer ended the connection.
May import base.
"""
