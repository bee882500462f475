"""Whole messages as frames, from the server's side: for one connection, and for many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["BINARY", "HEADS", "SHORT", "TEXT", "Prepared", "plain_frame", "plain_head"]

#: First bytes of whole, uncompressed messages (:rfc:`6455#section-5.2`): FIN and an opcode.
TEXT, BINARY = 0x81, 0x82

#: The greatest length that fits into the second byte. A control frame can't be longer (5.5).
SHORT = 125

#: The heads of short messages, by their length: of binary ones, and of texts.
HEADS: Final = tuple(
    tuple(bytes((first, length)) for length in range(SHORT + 1)) for first in (BINARY, TEXT)
)


def plain_head(length: int, *, text: bool) -> bytes:
    """Return the head that comes before the payload of a whole, uncompressed message."""
    if length <= SHORT:
        return HEADS[text][length]
    first = TEXT if text else BINARY
    if length <= 0xFFFF:
        return bytes((first, 126)) + length.to_bytes(2, "big")
    return bytes((first, 127)) + length.to_bytes(8, "big")


def plain_frame(payload: bytes, *, text: bool) -> bytes:
    """Return a whole, uncompressed message as one frame."""
    return plain_head(len(payload), text=text) + payload


class Prepared:
    """
    A message, and its frames for all kinds of connections.

    Uncompressed connections share one frame. Compressed ones share a frame for each way to
    compress, because compressing takes much longer than writing: 100 us for each kilobyte. Such a
    frame refers to no earlier message, since each connection had other ones. All peers can read
    it, whatever was negotiated about that (:rfc:`7692#section-7.2.3`).

    Args:
        message: The message.

    Raises:
        UnicodeEncodeError: The text has a lone surrogate, which UTF-8 can't express.
    """

    __slots__ = ("_compressed", "message", "payload", "plain", "size")

    def __init__(self, message: str | bytes) -> None:
        self.message = message
        #: The message's bytes.
        self.payload = message.encode() if isinstance(message, str) else message
        #: How many bytes these are.
        self.size = len(self.payload)
        #: The whole message as one frame, for connections without compression.
        self.plain = plain_frame(self.payload, text=isinstance(message, str))
        # By what makes them different.
        self._compressed: dict[Hashable, bytes] = {}

    def compressed_as(self, extension: PerMessageDeflate) -> bytes:
        """Return the frame for connections that negotiated *extension*, or one just like it."""
        bits, settings = extension.local_max_window_bits, extension.compress_settings
        key = (bits, *settings.items())
        frame = self._compressed.get(key)
        if frame is None:
            opcode = Opcode.TEXT if isinstance(self.message, str) else Opcode.BINARY
            alone = PerMessageDeflate(True, True, bits, bits, settings)
            whole = Frame(opcode, self.payload)
            frame = self._compressed[key] = whole.serialize(mask=False, extensions=[alone])
        return frame
