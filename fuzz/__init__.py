"""
Garbage against ``triows run``, of six kinds.

    make fuzz
    make fuzz ARGS="handshakes --seconds 10"
    make fuzz ARGS="--replay fuzz/seeds/frames-123.json"

What is sent in one connection, an attempt, follows from the category and a number, so it
can be sent again. What found something is kept in ``fuzz/seeds/``, byte for byte, and is
sent first the next time.
"""

from __future__ import annotations
