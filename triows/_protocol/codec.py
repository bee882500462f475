"""
The frames of one connection, from the server's side: bytes to messages, and back.

There are two lanes. The *fast lane* takes what nearly everybody sends: plain frames, each a
whole message, unfragmented and uncompressed. Everything else, each frame in the order in which
it came, goes to the library, websockets' sans-I/O ``Protocol``: fragments, compressed and
control frames, and all that breaks a rule. A property test holds the two lanes to the same
results.

Both stand on one loop that reads headers and so knows where each frame ends. What the library
leaves to its users is done here: UTF-8 of texts, the number of fragments, lengths that are
longer than need be, and control frames of impossible length.
"""

from __future__ import annotations

import codecs
import logging
from typing import TYPE_CHECKING, Any

from attrs import frozen
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import SERVER, Protocol, State

try:
    from websockets.speedups import apply_mask
except ImportError:  # no compiled extension for this platform
    from websockets.utils import apply_mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from websockets.extensions import Extension

__all__ = ["Codec", "End", "Received"]

#: A message, and the bytes that it took on the wire without its frame.
Received = tuple[str | bytes, int]

# The library tells of every connection's end at INFO; so do we, once. Its frames can be seen by
# setting this logger to DEBUG.
logger = logging.getLogger("triows.frames")
logger.setLevel(logging.WARNING)

# First bytes (RFC 6455 section 5.2): FIN with an opcode, no reserved bit.
_TEXT, _BINARY, _CLOSE = 0x81, 0x82, 0x88
_PLAIN = frozenset({_TEXT, _BINARY})
# Of the first byte: the opcode, its bit that tells control frames from data frames, and the
# opcodes that are not reserved (section 11.8).
_OPCODE, _CONTROL = 0x0F, 0x08
_OPCODES = frozenset(Opcode)
# Bits of the second byte: MASK, and the length or how it is given.
_MASK, _LENGTH = 0x80, 0x7F

#: The longest payload whose length fits into the second byte; also of a control frame (5.5).
_SHORT = 125

# The least bytes of a masked frame, and the most of a header before its masking key.
_LEAST, _LONGEST = 6, 10

# The library's frames in one call of receive(): about 15 us each, so 2 ms without a pause for
# the other connections.
_TURN = 128

_utf8 = codecs.getincrementaldecoder("utf-8")

_TEXT_HEADS = [bytes((_TEXT, length)) for length in range(_SHORT + 1)]
_BINARY_HEADS = [bytes((_BINARY, length)) for length in range(_SHORT + 1)]


@frozen
class End:
    """Why nothing more is read: the peer's close frame, or what it did wrong."""

    code: int
    reason: str
    #: Whether it was the peer's close frame. Otherwise the peer broke a rule.
    by_peer: bool


class Codec:
    """
    Reads and writes the frames of one connection. It does no I/O, and knows no time.

    After each call of :meth:`receive`, :attr:`noticed` tells whether there is more than
    messages to look at: :attr:`pongs`, :attr:`replies`, :attr:`end`.

    Args:
        message_size: Bytes in one received message, decompressed; more is 1009.
        fragments: Frames in one received message; more is 1009.
        extensions: As negotiated.
    """

    __slots__ = (
        "_data",
        "_decoder",
        "_extensions",
        "_fragments",
        "_max_fragments",
        "_message_size",
        "_missing",
        "_owed",
        "_parts",
        "_piece_of",
        "_pieces",
        "_position",
        "_protocol",
        "_room",
        "_size",
        "end",
        "noticed",
        "pending",
        "pongs",
        "replies",
    )

    def __init__(
        self, *, message_size: int, fragments: int, extensions: Sequence[Extension] = ()
    ) -> None:
        #: Whether one of the attributes below has something new.
        self.noticed = False
        #: Payloads of the pongs that came.
        self.pongs: list[bytes] = []
        #: Frames that answer what came: pongs, and then perhaps a close frame.
        self.replies: list[bytes] = []
        #: Set when nothing more will be read.
        self.end: End | None = None
        #: Whether bytes wait that only lack room, or a turn, to be read.
        self.pending = False
        self._message_size = message_size
        self._max_fragments = fragments
        self._extensions = list(extensions)
        self._protocol: Protocol | None = None
        # Bytes that came and were not read, from a position on.
        self._data = b""
        self._position = 0
        # Bytes of messages that there is room for.
        self._room = 0
        # Of a plain frame that comes in pieces: they, its first byte and its masking key, and
        # how many bytes are still to come.
        self._pieces: list[bytes] = []
        self._piece_of = (0, b"")
        self._missing = 0
        # Bytes of the library's present frame that it has not been given yet.
        self._owed = 0
        # Of the present fragmented message.
        self._fragments = 0
        self._parts: list[Any] = []
        self._size = 0
        self._decoder: codecs.IncrementalDecoder | None = None

    @property
    def _library(self) -> Protocol:
        """Made when it is first needed: most connections never need it until they end."""
        protocol = self._protocol
        if protocol is None:
            protocol = Protocol(SERVER, max_size=self._message_size, logger=logger)
            protocol.extensions = self._extensions
            self._protocol = protocol
        return protocol

    # Reading.

    def receive(self, data: bytes, count: int, size: int) -> list[Received]:
        """
        Read what came, as far as there is room for messages.

        What is left is read by the next call, whose *data* may be empty; :attr:`pending` tells
        whether there is something. Control frames need no room.

        Args:
            data: What came; any part of the stream.
            count: How many messages there is room for. One whose frame had begun when there
                was some comes all the same.
            size: How many bytes of them; the last message may go over it.

        Returns:
            The messages that are complete, in order.
        """
        found: list[Received] = []
        self.pending = False
        if self.end is not None:
            return found  # after a close, or a violation (RFC 6455 section 7.1.7)
        if self._position < len(self._data):
            data = self._data[self._position :] + data
        self._room = size
        if self._missing:
            data = self._gather(data, found)
        position = self._read(data, found, count)
        if self.pending:
            # Not cut: it may be asked for in many small turns.
            self._data, self._position = data, position
        else:
            self._data, self._position = data[position:], 0
        return found

    def _read(self, data: bytes, found: list[Received], count: int) -> int:
        """Read frame by frame; the position of what could not be read yet."""
        position = 0
        for _ in range(_TURN):
            if not self._owed and not self._fragments and self.end is None:
                position = self._read_plain(data, position, found, count)
            if self.end is not None:
                return len(data)
            step = self._read_other(data, position, found, count) if position < len(data) else 0
            if not step:
                return position
            position += step
        self.pending = position < len(data) and self.end is None
        return position

    def _read_plain(self, data: bytes, position: int, found: list[Received], count: int) -> int:
        """
        Read whole, plain data frames, as long as there are some: the fast lane.

        Returns:
            The position of what has to go the other way.
        """
        end, limit = len(data), self._message_size
        while end - position >= _LEAST and len(found) < count and self._room > 0:
            first, second = data[position], data[position + 1]
            if first not in _PLAIN or not second & _MASK:
                break
            length = second & _LENGTH
            start = position + _LEAST
            if length > _SHORT:
                least = _SHORT if length == _SHORT + 1 else 0xFFFF
                start += 2 if least == _SHORT else 8
                length = int.from_bytes(data[position + 2 : start - 4], "big")
                if length <= least:
                    break
            if start > end or length > limit:
                break
            stop = start + length
            mask = data[start - 4 : start]
            if stop > end:
                self._pieces, self._missing = [data[start:]], stop - end
                self._piece_of = (first, mask)
                return end
            if not self._finish_plain(first, apply_mask(data[start:stop], mask), found):
                break
            position = stop
        return position

    def _finish_plain(self, first: int, payload: bytes, found: list[Received]) -> bool:
        """Take the message of a plain frame; whether it is one."""
        length = len(payload)
        self._room -= length
        if first == _BINARY:
            found.append((payload, length))
        else:
            try:
                found.append((payload.decode(), length))
            except UnicodeDecodeError as exc:
                self._fail_decoding(exc)
                return False
        return True

    def _gather(self, data: bytes, found: list[Received]) -> bytes:
        """Read on in a plain frame that comes in pieces; what is behind it."""
        missing = self._missing
        self._missing -= min(missing, len(data))
        self._pieces.append(data[:missing])
        if self._missing:
            return b""
        first, mask = self._piece_of
        payload = apply_mask(b"".join(self._pieces), mask)
        self._pieces = []
        self._finish_plain(first, payload, found)
        return data[missing:]

    def _read_other(self, data: bytes, position: int, found: list[Received], count: int) -> int:
        """
        Let the library read one frame of any kind, or the part of it that is there.

        Returns:
            How many bytes that were; none if the frame's header is not complete, or there is
            no room for a message, or the header breaks a rule.
        """
        if not self._owed:
            if not data[position] & _CONTROL and (len(found) >= count or self._room <= 0):
                self.pending = True
                return 0
            self._begin(data, position)
        piece = data[position : position + self._owed]
        if piece:
            self._owed -= len(piece)
            self._feed(piece, found)
        return len(piece)

    def _begin(self, data: bytes, position: int) -> None:
        """Read a header, if it is there, so as to know how much of what follows is the frame's."""
        header = data[position : position + _LONGEST]
        if len(header) < 2:
            return
        first, second = header[0], header[1]
        if not second & _MASK or first & _OPCODE not in _OPCODES:
            self._owed = 2  # it is refused for that
            return
        length = second & _LENGTH
        width = 0 if length <= _SHORT else 2 if length == _SHORT + 1 else 8
        if len(header) < 2 + width:
            return
        if width:
            length = int.from_bytes(header[2 : 2 + width], "big")
            if self._refuse_length(first, length, width):
                return
        if first == _CLOSE:
            # It may stand between fragments (section 5.4). The message is then abandoned,
            # which the library would take for a violation.
            self._library.current_size = None
        self._owed = 2 + width + 4 + length

    def _refuse_length(self, first: int, length: int, width: int) -> bool:
        """Fail for a length that may not be given in so many bytes; whether it was one."""
        if first & _CONTROL:
            self.fail(1002, "control frame too long")  # RFC 6455 section 5.5
        elif length <= (_SHORT if width == 2 else 0xFFFF):
            self.fail(1002, "length not minimal")  # section 5.2, Payload length
        elif length >= 2**63:
            self.fail(1002, "length with its highest bit set")  # the same
        else:
            return False
        return True

    def _feed(self, piece: bytes, found: list[Received]) -> None:
        """Give the library one frame, or a part of one."""
        protocol = self._library
        protocol.receive_data(piece)
        for frame in protocol.events_received():
            if isinstance(frame, Frame):  # no other events come after a handshake
                self._take(frame, found)
        self._collect(protocol)
        if protocol.parser_exc is not None and self.end is None:
            protocol.parser_exc = None  # its traceback knows the parser, which knows it
            sent = protocol.close_sent
            assert sent is not None
            self.end = End(sent.code, sent.reason, by_peer=False)
            self.noticed = True

    def _collect(self, protocol: Protocol) -> None:
        """Take the frames that the library wants to send; its end of stream is our affair."""
        writes = [data for data in protocol.data_to_send() if data]
        if writes:
            self.replies += writes
            self.noticed = True

    def _take(self, frame: Frame, found: list[Received]) -> None:
        opcode = frame.opcode
        if opcode is Opcode.PONG:
            self.pongs.append(bytes(frame.data))
            self.noticed = True
        elif opcode is Opcode.CLOSE:
            close = self._library.close_rcvd
            assert close is not None
            self.end = End(close.code, close.reason, by_peer=True)
            self.noticed = True
        elif opcode is not Opcode.PING:
            self._take_data(frame, found)

    def _take_data(self, frame: Frame, found: list[Received]) -> None:
        data = bytes(frame.data)
        if frame.opcode is not Opcode.CONT:
            self._decoder = _utf8() if frame.opcode is Opcode.TEXT else None
            self._parts, self._size = [], 0
        self._fragments += 1
        self._size += len(data)
        if self._fragments > self._max_fragments:
            self.fail(1009, f"message of more than {self._max_fragments} fragments")
            return
        if self._decoder is None:
            self._parts.append(data)
        else:
            try:
                # As early as it can be known.
                self._parts.append(self._decoder.decode(data, frame.fin))
            except UnicodeDecodeError as exc:
                self._fail_decoding(exc)
                return
        if frame.fin:
            message = (b"" if self._decoder is None else "").join(self._parts)
            found.append((message, self._size))
            self._room -= self._size
            self._parts, self._decoder, self._fragments = [], None, 0

    def _fail_decoding(self, exc: UnicodeDecodeError) -> None:
        self.fail(1007, f"text that is not valid UTF-8: {exc.reason}")

    # Writing.

    @property
    def compresses(self) -> bool:
        """Whether frames are not simply a head and the payload."""
        return bool(self._extensions)

    @staticmethod
    def plain_head(length: int, *, text: bool) -> bytes:
        """What stands before the payload of a whole message that is not compressed."""
        if length <= _SHORT:
            return (_TEXT_HEADS if text else _BINARY_HEADS)[length]
        first = _TEXT if text else _BINARY
        if length <= 0xFFFF:
            return bytes((first, 126)) + length.to_bytes(2, "big")
        return bytes((first, 127)) + length.to_bytes(8, "big")

    def data_frame(self, payload: bytes, *, text: bool) -> bytes:
        """A whole message as one frame, compressed if that was negotiated."""
        if not self._extensions:
            length = len(payload)
            if length <= _SHORT:
                return (_TEXT_HEADS if text else _BINARY_HEADS)[length] + payload
            return self.plain_head(length, text=text) + payload
        # Not by the protocol, which may have failed behind messages that are answered still.
        frame = Frame(Opcode.TEXT if text else Opcode.BINARY, payload)
        return frame.serialize(mask=False, extensions=self._extensions)

    def ping_frame(self, payload: bytes) -> bytes:
        """A ping with *payload*, 125 bytes at most."""
        return Frame(Opcode.PING, payload).serialize(mask=False)

    def close_frame(self, code: int, reason: str) -> bytes:
        """The close frame; nothing if one has been sent, or will be, as one of the replies."""
        protocol = self._library
        if protocol.state is not State.OPEN:
            return b""
        protocol.send_close(code, reason)
        return b"".join(protocol.data_to_send())

    @staticmethod
    def other_close_frame(code: int, reason: str) -> bytes:
        """One to send in place of that of :meth:`close_frame`, as long as that has not begun."""
        payload = Close(code, reason).serialize()
        return Frame(Opcode.CLOSE, payload).serialize(mask=False)

    def close(self) -> None:
        """Let go of what it holds; it is not used any more."""
        self._data = b""
        if self._protocol is not None:
            self._protocol.parser.close()  # it knows the protocol, which knows it
            self._protocol = None

    def fail(self, code: int, reason: str) -> None:
        """
        Read nothing more, and put a close frame among the replies, unless one was sent.

        Args:
            code: One that may be sent.
            reason: At most 123 bytes of UTF-8. The peer sees it.
        """
        if self.end is not None:
            return
        protocol = self._library
        protocol.fail(code, reason)
        self._collect(protocol)
        self.end = End(code, reason, by_peer=False)
        self.noticed = True
