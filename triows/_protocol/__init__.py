"""
BYTES <-> MESSAGES, without I/O: no trio, no ``async def``, no clock.

Enters: what stands in a handshake. Leaves: whether it may stand there. May import base.
"""
