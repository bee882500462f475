"""
The frames of one connection, from the server's side: bytes to messages, and back.

There are two lanes. The *fast lane* reads what nearly all peers send: uncompressed frames, each of
which is a whole message, and the close frame at the end. All others go to the library, websockets'
sans-I/O ``Protocol``: fragments, compressed frames, pings and pongs, and everything that breaks a
rule. A property test checks that the two lanes give the same results.

Both lanes use one loop, which reads the headers and so knows where each frame ends. The library
leaves some checks to its users. They are done here: whether texts are valid UTF-8, how many
fragments a message has, whether a length is written in more bytes than it needs, and whether a
control frame is too long.
"""

from __future__ import annotations

import codecs
import logging
import zlib
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from websockets.frames import Frame, Opcode
from websockets.protocol import SERVER, Protocol, State

from triows._closing import may_close

from .frames import BINARY, SHORT, TEXT, plain_frame

try:
    from websockets.speedups import apply_mask
except ImportError:  # no compiled extension for this platform
    from websockets.utils import apply_mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from websockets.extensions.permessage_deflate import PerMessageDeflate

    from .frames import Prepared

__all__ = ["Codec", "EndOfFrames", "Received"]

#: A message, and how many bytes it has on the wire without its frame's head.
Received = tuple[str | bytes, int]

# The library logs the end of each connection at INFO. We do so ourselves, and once is enough. To
# see the frames, set this logger to DEBUG.
logger = logging.getLogger("triows.frames")
logger.setLevel(logging.WARNING)

# First bytes of frames (RFC 6455 section 5.2): FIN and an opcode, without a reserved bit.
_CLOSE = 0x88
_PLAIN = frozenset({TEXT, BINARY})
# The parts of the first byte: the opcode, and its bit that only control frames have. Then the
# opcodes that are not reserved (section 11.8).
_OPCODE, _CONTROL = 0x0F, 0x08
_OPCODES = frozenset(Opcode)
# Bits of the second byte: MASK, and the length or the number of bytes in which it follows.
_MASK, _LENGTH = 0x80, 0x7F

# How long a masked frame is at least, and how long a header is at most before its masking key.
_LEAST, _LONGEST = 6, 10

# The code of a close frame that has none (section 7.1.5).
_NO_CODE = 1005

# How many frames the library reads in one call of receive(). Each takes about 15 us, so other
# connections wait for 2 ms at most.
_TURN = 128

_utf8 = codecs.getincrementaldecoder("utf-8")


class EndOfFrames(Struct, frozen=True, gc=False):
    """Why nothing more is read: the peer's close frame, or the rule that it broke."""

    code: int
    reason: str
    #: Whether it was the peer's close frame. Otherwise the peer broke a rule.
    by_peer: bool


class Codec:
    """
    Reads and writes the frames of one connection. It does no I/O and has no clock.

    After each call of :meth:`receive`, :attr:`noticed` tells whether :attr:`pongs`,
    :attr:`replies` or :attr:`end` have something new.

    Args:
        message_size: How many bytes a received message may have, decompressed. A longer one ends
            the connection with 1009.
        fragments: How many frames a received message may have. One with more ends the connection
            with 1009.
        extensions: The extensions that were negotiated: none, or permessage-deflate.
    """

    __slots__ = (
        "_closed_with",
        "_data",
        "_decoder",
        "_extensions",
        "_fragments",
        "_has_lost_track",
        "_max_fragments",
        "_message_size",
        "_missing",
        "_owed",
        "_parts",
        "_piece_of",
        "_pieces",
        "_position",
        "_protocol",
        "_short",
        "_size",
        "end",
        "noticed",
        "pending",
        "pongs",
        "replies",
        "room",
    )

    def __init__(
        self, *, message_size: int, fragments: int, extensions: Sequence[PerMessageDeflate] = ()
    ) -> None:
        #: Whether one of the attributes below has something new.
        self.noticed = False
        #: The payloads of the pongs that arrived.
        self.pongs: list[bytes] = []
        #: The frames that answer what arrived: pongs, and then perhaps a close frame.
        self.replies: list[bytes] = []
        #: Set when nothing more will be read.
        self.end: EndOfFrames | None = None
        #: Whether bytes wait that could be read now, if there were room for their messages or this
        #: call hadn't already read enough.
        self.pending = False
        #: For how many bytes of messages there is room after what was read.
        self.room = 0
        self._message_size = message_size
        # The greatest length that is short, and isn't too long for a message.
        self._short = min(SHORT, message_size)
        self._max_fragments = fragments
        self._extensions = list(extensions)
        # Whether the peer has got a compressed message that our compressor doesn't know.
        self._has_lost_track = False
        self._protocol: Protocol | None = None
        # The code and the reason of our close frame, if the library doesn't know of it.
        self._closed_with: tuple[int, str] | None = None
        # The bytes from this position on are not read yet.
        self._data = b""
        self._position = 0
        # For a plain frame that arrives in pieces: the pieces, its first byte and masking key, and
        # how many bytes are missing.
        self._pieces: list[bytes] = []
        self._piece_of = (0, b"")
        self._missing = 0
        # How many bytes of its current frame the library hasn't got yet.
        self._owed = 0
        # For the current fragmented message.
        self._fragments = 0
        self._parts: list[Any] = []
        self._size = 0
        self._decoder: codecs.IncrementalDecoder | None = None

    @property
    def _library(self) -> Protocol:
        """The library's protocol. Most connections don't need it, and it takes long to make."""
        protocol = self._protocol
        if protocol is None:
            protocol = Protocol(SERVER, max_size=self._message_size, logger=logger)
            protocol.extensions = [*self._extensions]
            if self._closed_with is not None:
                protocol.send_close(*self._closed_with)
                protocol.data_to_send()
            self._protocol = protocol
        return protocol

    # Reading.

    def receive(self, data: bytes, count: int, size: int) -> list[Received]:
        """
        Read the bytes that arrived, as long as there is room for messages.

        The next call reads the rest. Its *data* may be empty. :attr:`pending` tells whether there
        is a rest that can be read. Control frames need no room.

        Args:
            data: The next bytes of the stream, cut at any place.
            count: For how many messages there is room. A message whose frame began while there
                was room is returned in any case.
            size: For how many bytes of messages there is room. The last message may exceed it.

        Returns:
            The messages that are complete, in order.
        """
        found: list[Received] = []
        self.pending = False
        if self.end is not None:
            return found  # after a close, or a violation (RFC 6455 section 7.1.7)
        if self._data:
            data = self._data[self._position :] + data
        self.room = size
        if self._missing:
            data = self._gather(data, found)
        position = self._read_plain(data, 0, found, count)
        if position == len(data):
            self._data = b""
            return found
        position = self._read(data, position, found, count)
        if self.pending:
            # Keep the whole and remember the position: the rest may be read in many small turns,
            # and cutting it each time would copy it each time.
            self._data, self._position = data, position
        else:
            self._data, self._position = data[position:], 0
        return found

    def _read(self, data: bytes, position: int, found: list[Received], count: int) -> int:
        """Read on frame by frame. Return the position from which nothing could be read yet."""
        for _ in range(_TURN):
            if self.end is not None:
                return len(data)
            step = self._read_other(data, position, found, count) if position < len(data) else 0
            if not step:
                return position
            position = self._read_plain(data, position + step, found, count)
        self.pending = position < len(data) and self.end is None
        return position

    def _read_plain(self, data: bytes, position: int, found: list[Received], count: int) -> int:
        """
        Read whole, plain data frames as long as there are some. This is the fast lane.

        There are none while a frame or a message is incomplete, or after the end.

        Returns:
            The position from which on the library has to read.
        """
        if self._owed or self._fragments or self.end is not None:
            return position
        end, room, short = len(data), self.room, self._short
        while position + _LEAST <= end and room > 0 and len(found) < count:
            first = data[position]
            length = data[position + 1] - _MASK
            start = position + _LEAST
            if not 0 <= length <= short:
                if length <= SHORT or first not in _PLAIN:
                    break
                least = SHORT if length == SHORT + 1 else 0xFFFF
                start += 2 if least == SHORT else 8
                length = int.from_bytes(data[position + 2 : start - 4], "big")
                if not least < length <= self._message_size or start > end:
                    break
            stop = start + length
            mask = data[start - 4 : start]
            if stop > end:
                if first not in _PLAIN:
                    break
                self._pieces, self._missing = [data[start:]], stop - end
                self._piece_of = (first, mask)
                position = end
                break
            if first == TEXT:
                try:
                    message = apply_mask(data[start:stop], mask).decode()
                except UnicodeDecodeError as exc:
                    self._fail_decoding(exc)
                    break
                found.append((message, length))
            elif first == BINARY:
                found.append((apply_mask(data[start:stop], mask), length))
            else:
                break
            room -= length
            position = stop
        self.room = room
        return position

    def _gather(self, data: bytes, found: list[Received]) -> bytes:
        """Read on in a plain frame that arrives in pieces. Return the bytes after the frame."""
        missing = self._missing
        self._missing -= min(missing, len(data))
        self._pieces.append(data[:missing])
        if self._missing:
            return b""
        first, mask = self._piece_of
        payload = apply_mask(b"".join(self._pieces), mask)
        self._pieces = []
        self.room -= len(payload)
        try:
            message = payload if first == BINARY else payload.decode()
        except UnicodeDecodeError as exc:
            self._fail_decoding(exc)
        else:
            found.append((message, len(payload)))
        return data[missing:]

    def _read_other(self, data: bytes, position: int, found: list[Received], count: int) -> int:
        """
        Let the library read one frame of any kind, or the part of it that has arrived.

        Returns:
            How many bytes that were. It is 0 if the frame's header isn't complete, if there is no
            room for a message, or if the header breaks a rule.
        """
        if not self._owed:
            if not data[position] & _CONTROL and (len(found) >= count or self.room <= 0):
                self.pending = True
                return 0
            if self._protocol is None and (length := self._read_close(data, position)):
                return length
            self._begin(data, position)
        piece = data[position : position + self._owed]
        if piece:
            self._owed -= len(piece)
            self._feed(piece, found)
        return len(piece)

    def _read_close(self, data: bytes, position: int) -> int:
        """
        Read a close frame that is whole and valid, and answer it with the same (section 5.5.1).

        Returns:
            How many bytes that were. It is 0 if the library has to look at this frame.
        """
        second = data[position + 1] if len(data) > position + 1 else 0
        length = second & _LENGTH
        start = position + _LEAST
        stop = start + length
        whole = length != 1 and length <= SHORT and stop <= len(data)
        if data[position] != _CLOSE or not second & _MASK or not whole:
            return 0
        payload = apply_mask(data[start:stop], data[start - 4 : start])
        code, reason = _NO_CODE, ""
        if payload:
            code = int.from_bytes(payload[:2], "big")
            try:
                reason = payload[2:].decode()
            except UnicodeDecodeError:
                return 0
            if not may_close(code):
                return 0
        self.end = EndOfFrames(code, reason, by_peer=True)
        self.noticed = True
        if self._closed_with is None:
            self._closed_with = code, reason
            self.replies.append(bytes((_CLOSE, length)) + payload)
        return _LEAST + length

    def _begin(self, data: bytes, position: int) -> None:
        """Read the header of the next frame, if it is complete, to learn where the frame ends."""
        header = data[position : position + _LONGEST]
        if len(header) < 2:
            return
        first, second = header[0], header[1]
        if not second & _MASK or first & _OPCODE not in _OPCODES:
            self._owed = 2  # the library refuses the frame when it sees these two bytes
            return
        length = second & _LENGTH
        width = 0 if length <= SHORT else 2 if length == SHORT + 1 else 8
        if len(header) < 2 + width:
            return
        if width:
            length = int.from_bytes(header[2 : 2 + width], "big")
            if self._refuse_length(first, length, width):
                return
        if first == _CLOSE:
            # A close frame may come between the fragments of a message (section 5.4), which is
            # then given up. The library would take that for a violation.
            self._library.current_size = None
        self._owed = 2 + width + 4 + length

    def _refuse_length(self, first: int, length: int, width: int) -> bool:
        """Fail if the length must not be written in this many bytes. Return whether it failed."""
        if first & _CONTROL:
            self.fail(1002, "control frame too long")  # RFC 6455 section 5.5
        elif length <= (SHORT if width == 2 else 0xFFFF):
            self.fail(1002, "length not minimal")  # section 5.2, Payload length
        elif length >= 2**63:
            self.fail(1002, "length with its highest bit set")  # section 5.2, too
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
            protocol.parser_exc = None  # it and the parser are a reference cycle
            sent = protocol.close_sent
            assert sent is not None
            self.end = EndOfFrames(sent.code, sent.reason, by_peer=False)
            self.noticed = True

    def _collect(self, protocol: Protocol) -> None:
        """Take the frames that the library wants to send. We end the stream ourselves."""
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
            self.end = EndOfFrames(close.code, close.reason, by_peer=True)
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
                # Decode each fragment as it comes, so that a mistake is noticed early.
                self._parts.append(self._decoder.decode(data, frame.fin))
            except UnicodeDecodeError as exc:
                self._fail_decoding(exc)
                return
        if frame.fin:
            message = (b"" if self._decoder is None else "").join(self._parts)
            found.append((message, self._size))
            self.room -= self._size
            self._parts, self._decoder, self._fragments = [], None, 0

    def _fail_decoding(self, exc: UnicodeDecodeError) -> None:
        self.fail(1007, f"text that is not valid UTF-8: {exc.reason}")

    # Writing.

    def data_frame(self, payload: bytes, *, text: bool) -> bytes:
        """Return a whole message as one frame, compressed if that was negotiated."""
        if not self._extensions:
            return plain_frame(payload, text=text)
        if self._has_lost_track:
            self._begin_compressing_anew()
        # Don't let the library's protocol do this: it may already have failed, while the handler
        # still answers messages that came before.
        frame = Frame(Opcode.TEXT if text else Opcode.BINARY, payload)
        return frame.serialize(mask=False, extensions=self._extensions)

    def shared_frame(self, prepared: Prepared) -> bytes:
        """Return a message that goes to other connections, too, as one frame."""
        if not self._extensions:
            return prepared.plain
        (deflate,) = self._extensions
        self._has_lost_track = True
        return prepared.compressed_as(deflate)

    def _begin_compressing_anew(self) -> None:
        """
        Refer to none of the messages so far.

        The peer counts a shared message among those to which a later one may refer (RFC 7692
        section 7.2.3.2), and our compressor has never seen it.
        """
        self._has_lost_track = False
        (deflate,) = self._extensions
        if not deflate.local_no_context_takeover:
            bits = deflate.local_max_window_bits
            deflate.encoder = zlib.compressobj(wbits=-bits, **deflate.compress_settings)

    def ping_frame(self, payload: bytes) -> bytes:
        """Return a ping with *payload*, which has 125 bytes at most."""
        return Frame(Opcode.PING, payload).serialize(mask=False)

    def close_frame(self, code: int, reason: str) -> bytes:
        """Return the close frame, or ``b""`` if one was sent before or is among the replies."""
        protocol = self._protocol
        if protocol is None:
            if self._closed_with is not None:
                return b""
            self._closed_with = code, reason
            return self.other_close_frame(code, reason)
        if protocol.state is not State.OPEN:
            return b""
        protocol.send_close(code, reason)
        return b"".join(protocol.data_to_send())

    @staticmethod
    def other_close_frame(code: int, reason: str) -> bytes:
        """Return a close frame to send instead of :meth:`close_frame`'s, if that hasn't begun."""
        payload = code.to_bytes(2, "big") + reason.encode()
        return bytes((_CLOSE, len(payload))) + payload

    def close(self) -> None:
        """Free what this holds. Nobody uses it any more."""
        self._data = b""
        if self._protocol is not None:
            self._protocol.parser.close()  # the parser and the protocol are a reference cycle
            self._protocol = None

    def fail(self, code: int, reason: str) -> None:
        """
        Read nothing more, and add a close frame to the replies, unless one was sent before.

        Args:
            code: A close code that may be sent.
            reason: At most 123 bytes of UTF-8. The peer sees it.
        """
        if self.end is not None:
            return
        protocol = self._library
        protocol.fail(code, reason)
        self._collect(protocol)
        self.end = EndOfFrames(code, reason, by_peer=False)
        self.noticed = True
