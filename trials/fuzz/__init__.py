"""
Garbage against ``triows run``, of six kinds.

    make fuzz
    make fuzz ARGS="handshakes --seconds 10"
    make fuzz ARGS="--replay trials/fuzz/seeds/frames-123.json"

One connection is an *attempt*. The category and a number decide what it sends, so it can be sent
again. If an attempt finds something, it is kept in ``trials/fuzz/seeds/``, byte for byte, and sent
first the next time.
"""

from __future__ import annotations
