"""
Garbage against ``triows run``, of eight kinds, and against our parser of requests.

    make fuzz
    make fuzz ARGS="handshakes --seconds 10"
    make fuzz ARGS="--replay trials/fuzz/seeds/frames-123.json"

One connection is an *attempt*. The category and a number decide what it sends, so it can be sent
again. If an attempt finds something, it is kept in ``trials/fuzz/seeds/``, byte for byte, and sent
first the next time.

The category ``parsers`` needs no server: it reads streams of requests with three parsers, and finds
where they disagree.
"""

from __future__ import annotations
