"""Frames of a client, valid or not (:rfc:`6455#section-5.2`)."""

from __future__ import annotations

__all__ = ["frame"]

#: Any four bytes will do. Masks protect proxies between real peers, and here there are none.
_MASK = b"\x25\xaf\x01\x7e"


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    reserved: int = 0,
    mask: bytes | None = _MASK,
    width: int | None = None,
    length: int | None = None,
) -> bytes:
    """
    Make a client's frame, legal or not, for :meth:`WebSocketSession.send_raw`.

    Args:
        opcode: 0 for a continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong. The others, up to
            15, are reserved.
        payload: The payload before masking.
        fin: Whether it is the last frame of its message.
        reserved: The three reserved bits, as a number from 0 to 7.
        mask: Four bytes, or ``None`` for a frame without a mask, which no client may send.
        width: How many bytes the length takes: 1, 2 or 8. By default, as few as possible.
        length: The length that the header claims, if it isn't the payload's length.
    """
    claimed = len(payload) if length is None else length
    if width is None:
        width = 1 if claimed < 126 else 2 if claimed < 2**16 else 8
    second = {1: claimed, 2: 126, 8: 127}[width]
    head = bytes([fin << 7 | reserved << 4 | opcode, (mask is not None) << 7 | second])
    if width > 1:
        head += claimed.to_bytes(width, "big")
    return head + (payload if mask is None else mask + _masked(payload, mask))


def _masked(payload: bytes, mask: bytes) -> bytes:
    """Mask a payload (section 5.3). It uses big numbers, because single bytes would take long."""
    pattern = (mask * (len(payload) // 4 + 1))[: len(payload)]
    both = int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")
    return both.to_bytes(len(payload), "big")
