"""
BYTES <-> REQUESTS, RESPONSES AND MESSAGES, without I/O: no trio, no ``async def``, no clock.

What comes in: the bytes of a connection, and what is to be sent. What goes out: requests and their
bodies, or why they are refused; the bytes of responses; the answer to a handshake, messages and
frames; and how the peer ended the connection. May import base.
"""
