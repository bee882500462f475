"""
BYTES <-> MESSAGES, without I/O: no trio, no ``async def``, no clock.

Enters: a handshake's method and headers, and the bytes behind it. Leaves: the answer to it, or
why there is none; messages, frames, and how the peer ended. May import base.
"""
