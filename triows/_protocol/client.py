"""
The frames of one connection, from the client's side: bytes to messages, and back.

It is websockets' sans-I/O client, with what the library leaves to its users: it joins the fragments
of a message, and checks that texts are valid UTF-8. There is no fast lane as in ``codec``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "Answer",
    "BadText",
    "Broken",
    "ClientCodec",
    "Close",
    "Event",
    "Message",
    "Ping",
    "Pong",
]

#: The library needs a URI for its request. We write the request ourselves.
_URI = WebSocketURI(secure=False, host="unknown", port=80, path="/", query="")


@frozen
class Answer:
    """
    The server's answer to the handshake.

    Args:
        response: The answer.
        accepted: Whether the connection is open.
        mistake: The rule of the handshake that the answer breaks, or ``None``. A refusal breaks
            none.
    """

    response: Response
    accepted: bool
    mistake: Exception | None


@frozen
class Message:
    """A whole message, and how many bytes it has."""

    content: str | bytes
    size: int


@frozen
class BadText:
    """A message of text that isn't valid UTF-8. The library doesn't check that, and reads on."""

    mistake: UnicodeDecodeError


@frozen
class Ping:
    """A ping. The codec has answered it."""

    data: bytes


@frozen
class Pong:
    """A pong."""

    data: bytes


@frozen
class Close:
    """The server's close frame. Without a code, it counts as 1005."""

    code: int
    reason: str


@frozen
class Broken:
    """
    The server has broken a rule. Nothing is read after that.

    To end the connection without a close frame breaks a rule, too.
    """

    mistake: Exception


Event = Answer | Message | BadText | Ping | Pong | Close | Broken


class ClientCodec:
    """
    Reads and writes the frames of one connection. It does no I/O and has no clock.

    After :meth:`receive`, :meth:`answers` has what has to be sent.

    Args:
        subprotocols: The subprotocols to offer.
        compression: Whether to offer permessage-deflate.
    """

    def __init__(self, *, subprotocols: Sequence[str] = (), compression: bool = False) -> None:
        self._protocol = ClientProtocol(
            _URI,
            subprotocols=[Subprotocol(one) for one in subprotocols] or None,
            extensions=[ClientPerMessageDeflateFactory()] if compression else None,
            max_size=None,
        )
        self._is_broken = False
        # For a message that isn't complete: whether it is text, and the fragments so far.
        self._is_text = False
        self._parts: list[bytes] = []

    @property
    def handshake(self) -> list[tuple[str, str]]:
        """The headers that the request needs for RFC 6455, except ``Host``."""
        return [
            (name, value)
            for name, value in self._protocol.connect().headers.raw_items()
            if name != "Host"
        ]

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server chose."""
        return self._protocol.subprotocol

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent: the server has accepted, and nobody has closed."""
        return self._protocol.state is State.OPEN

    @property
    def close_received(self) -> Close | None:
        """The server's close frame, if it has come."""
        received = self._protocol.close_rcvd
        return None if received is None else Close(received.code, received.reason)

    @property
    def has_sent_close(self) -> bool:
        """Whether a close frame was made, by :meth:`close` or as an answer."""
        return self._protocol.close_sent is not None

    # Reading.

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes from the server, or the end of the connection if *data* is empty."""
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        return [*self._received(), *self._mistakes()]

    def _received(self) -> Iterator[Event]:
        for event in self._protocol.events_received():
            if isinstance(event, Response):
                yield self._answer(event)
            elif isinstance(event, Frame):
                yield from self._take_frame(event)

    def _answer(self, response: Response) -> Answer:
        error = self._protocol.handshake_exc
        mistake = None if isinstance(error, InvalidStatus) else error
        self._is_broken = mistake is not None
        return Answer(response, error is None, mistake)

    def _take_frame(self, frame: Frame) -> Iterator[Event]:
        data = bytes(frame.data)
        match frame.opcode:
            case Opcode.PING:
                yield Ping(data)
            case Opcode.PONG:
                yield Pong(data)
            case Opcode.CLOSE:
                yield self.close_received or Close(1005, "")
            case opcode:
                if opcode is not Opcode.CONT:
                    self._is_text = opcode is Opcode.TEXT
                self._parts.append(data)
                if frame.fin:
                    yield self._message()

    def _message(self) -> Message | BadText:
        whole = b"".join(self._parts)
        self._parts.clear()
        if not self._is_text:
            return Message(whole, len(whole))
        try:
            return Message(whole.decode(), len(whole))
        except UnicodeDecodeError as exc:
            self._is_broken = True
            return BadText(exc)

    def _mistakes(self) -> Iterator[Event]:
        mistake = self._protocol.parser_exc
        if mistake is not None and not self._is_broken:
            self._is_broken = True
            yield Broken(mistake)

    # Writing.

    def answers(self) -> list[bytes]:
        """
        Return what RFC 6455 requires in answer to what was received: pongs, and a close frame.

        ``b""`` among them means to close the client's side of the connection.
        """
        return self._protocol.data_to_send()

    def message(self, message: str | bytes) -> bytes:
        """Make the frame of a message."""
        if isinstance(message, str):
            self._protocol.send_text(message.encode())
        else:
            self._protocol.send_binary(message)
        return self._made()

    def ping(self, data: bytes) -> bytes:
        """Make a ping."""
        self._protocol.send_ping(data)
        return self._made()

    def close(self, code: int, reason: str) -> bytes:
        """Make a close frame."""
        self._protocol.send_close(code, reason)
        return self._made()

    def _made(self) -> bytes:
        return b"".join(self._protocol.data_to_send())

    def release(self) -> None:
        """
        Break the cycle of the library's objects, so that they don't wait for a garbage collection.

        Nothing can be received after that.
        """
        self._protocol.parser.close()
