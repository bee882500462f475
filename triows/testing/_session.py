"""A connection in a test: what the client sends, what it expects, and how it misbehaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, TypeVar, overload

import msgspec
import trio
from starlette.datastructures import Headers

from triows._checkpoints import checkpointed
from triows._closing import NORMAL_CODES, check_close
from triows.exceptions import WebSocketDisconnect

from ._conversation import Conversation, ReceiveTimeout, SendTimeout
from ._frames import frame
from ._peer import Peer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from websockets.http11 import Response


__all__ = ["WebSocketDenialResponse", "WebSocketSession"]

T = TypeVar("T")

_CONTINUATION, _TEXT, _BINARY = 0, 1, 2


class WebSocketDenialResponse(WebSocketDisconnect):
    """
    The application refused the connection.

    As in Starlette, it is a :exc:`~triows.WebSocketDisconnect`. If the application called
    ``close()`` or raised :exc:`~triows.WebSocketClose` before it accepted, the code is the one
    that it gave, which is in the response's body. Otherwise the code is 1006, which is what a
    browser sees of any refusal.

    Attributes:
        status_code: The HTTP status.
        headers: The response's headers.
        content: The response's body.
    """

    def __init__(self, response: Response) -> None:
        self.status_code = response.status_code
        raw = [(name.lower(), value) for name, value in response.headers.raw_items()]
        self.headers = Headers(raw=[(n.encode("latin-1"), v.encode("latin-1")) for n, v in raw])
        self.content = bytes(response.body or b"")
        problem = self._problem()
        if "close_code" in problem:
            super().__init__(problem["close_code"], problem.get("detail", ""))
        else:
            super().__init__(1006, f"refused with {self.status_code}: {self.text}")

    def _problem(self) -> dict[str, Any]:
        if self.headers.get("content-type") != "application/problem+json":
            return {}
        try:
            return msgspec.json.decode(self.content, type=dict[str, Any])
        except msgspec.DecodeError:
            return {}

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode(errors="replace")

    def json(self) -> Any:
        """Read the body as JSON."""
        return msgspec.json.decode(self.content)


class WebSocketSession(Conversation[Peer]):
    """
    The client's side of a connection that was accepted.

    Like a browser, it answers pings and closes by itself. It reads ahead of the test, up to the
    limits given to :meth:`AppClient.websocket_connect`. Then it stops reading.

    Every receive and send fails if nothing moves for *timeout* seconds on Trio's clock. In virtual
    time that takes no time at all.
    """

    @property
    def accepted_subprotocol(self) -> str | None:
        """The subprotocol that the application chose."""
        return self._peer.subprotocol

    @property
    def headers(self) -> Headers:
        """The headers of the handshake's response."""
        response = self._peer.response
        pairs = response.headers.raw_items() if response is not None else ()
        return Headers(raw=[(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in pairs])

    @property
    def extra_headers(self) -> Sequence[tuple[bytes, bytes]]:
        """The headers that the application, or the server, added to a plain handshake response."""
        return [pair for pair in self.headers.raw if pair[0] not in _HANDSHAKE]

    @property
    def close_code(self) -> int | None:
        """The code with which the connection ended. ``None`` while it is open."""
        ended = self._peer.inbox.ended
        return None if ended is None else ended.code

    @property
    def close_reason(self) -> str | None:
        """The reason that came with :attr:`close_code`."""
        ended = self._peer.inbox.ended
        return None if ended is None else ended.reason

    # Sending.

    @checkpointed
    async def send(self, message: str | bytes) -> None:
        """
        Send a message. It waits while the connection's buffers have no room.

        Raises:
            SendTimeout: The application did not read in time. The connection is then cut.
            WebSocketDisconnect: The connection is over.
            TypeError: The message isn't str or bytes.
        """
        _check(message, str, bytes, bytearray, memoryview)
        await self._send(self._peer.send, message)

    @checkpointed
    async def send_text(self, data: str) -> None:
        """Send text. See :meth:`send`."""
        _check(data, str)
        await self.send(data)

    @checkpointed
    async def send_bytes(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes. See :meth:`send`."""
        _check(data, bytes, bytearray, memoryview)
        await self.send(bytes(data))

    @checkpointed
    async def send_json(self, data: Any, mode: Literal["text", "binary"] = "text") -> None:
        """Send JSON, as text or as bytes. See :meth:`send`."""
        encoded = msgspec.json.encode(data)
        await self.send(encoded.decode() if mode == "text" else encoded)

    @checkpointed
    async def send_fragments(self, pieces: Iterable[str | bytes]) -> None:
        """
        Send one message, with a frame for each of *pieces*. All pieces are text, or all are bytes.

        See :meth:`send`.
        """
        first, *rest = [*pieces] or [""]
        opcode = _TEXT if isinstance(first, str) else _BINARY
        for number, piece in enumerate((first, *rest)):
            payload = piece.encode() if isinstance(piece, str) else piece
            fin = number == len(rest)
            await self.send_frame(_CONTINUATION if number else opcode, payload, fin=fin)

    @checkpointed
    async def send_frame(self, opcode: int, payload: bytes = b"", *, fin: bool = True) -> None:
        """
        Send one frame.

        See :meth:`send`. For illegal frames, use :func:`frame` and :meth:`send_raw`.

        Args:
            opcode: 0 for a continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong.
            payload: The payload before masking.
            fin: Whether it is the last frame of its message.
        """
        await self.send_raw(frame(opcode, payload, fin=fin))

    @checkpointed
    async def send_raw(self, data: bytes) -> None:
        """Send bytes as they are. See :meth:`send`."""
        await self._send(self._peer.write, data, f"sent raw {data[:60]!r}")

    @checkpointed
    async def flood(self, message: str | bytes, count: int) -> int:
        """
        Send *message* that many times, as fast as the application takes it.

        Returns:
            How many messages were handed over before the connection ended, or before the
            application took nothing for the session's timeout. Messages that don't fit are not an
            error here.
        """
        for number in range(count):
            try:
                await self.send(message)
            except (WebSocketDisconnect, SendTimeout):
                return number
        return count

    @checkpointed
    async def ping(self, data: bytes = b"") -> float:
        """
        Send a ping, and wait for its pong.

        Returns:
            The round trip in seconds.

        Raises:
            ReceiveTimeout: The pong did not come in time.
            WebSocketDisconnect: The connection is over.
        """
        started = trio.current_time()
        with trio.move_on_after(self._timeout):
            await self._peer.ping(data)
            return trio.current_time() - started
        what = f"no pong came for {self._timeout:g} s"
        raise self._missed(ReceiveTimeout, what)

    # Receiving.

    @checkpointed
    async def receive(self, timeout: float | None = None) -> str | bytes:
        """
        Wait for a message. Cancelling this loses no message.

        Args:
            timeout: How many seconds to wait, if not as many as the session says.

        Raises:
            WebSocketDisconnect: The application closed the connection, with this code and reason.
            ReceiveTimeout: Nothing came in time.
        """
        seconds = self._timeout if timeout is None else timeout
        with trio.move_on_after(seconds):
            return await self._peer.inbox.receive()
        what = f"the application sent nothing for {seconds:g} s"
        raise self._missed(ReceiveTimeout, what)

    @checkpointed
    async def receive_text(self, timeout: float | None = None) -> str:
        """Wait for a text message. See :meth:`receive`."""
        message = await self.receive(timeout)
        if not isinstance(message, str):
            raise self._missed(AssertionError, f"expected text, got {message!r}")
        return message

    @checkpointed
    async def receive_bytes(self, timeout: float | None = None) -> bytes:
        """Wait for a binary message. See :meth:`receive`."""
        message = await self.receive(timeout)
        if not isinstance(message, bytes):
            what = f"expected bytes, got {message!r}"
            raise self._missed(AssertionError, what)
        return message

    @overload
    async def receive_json(self, *, timeout: float | None = None) -> Any: ...
    @overload
    async def receive_json(self, type: type[T], timeout: float | None = None) -> T: ...
    @overload
    async def receive_json(self, type: Any, timeout: float | None = None) -> Any: ...
    @checkpointed
    async def receive_json(self, type: Any = Any, timeout: float | None = None) -> Any:
        """Wait for a message, and convert it from JSON to *type*. See :meth:`receive`."""
        message = await self.receive(timeout)
        try:
            return msgspec.json.decode(message, type=type)
        except (msgspec.MsgspecError, UnicodeError) as exc:
            what = f"expected JSON{_of(type)}, got {message!r} ({exc})"
            raise self._missed(AssertionError, what) from None

    # A `for` without `async` looks for it. Type checkers report that themselves, as long as they
    # don't see the method.
    if not TYPE_CHECKING:

        def __iter__(self) -> NoReturn:
            raise TypeError("to receive messages, write `async for message in ws`")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str | bytes:
        """
        Take the next message. The loop ends when the application closes with 1000 or 1001.

        It raises the same errors as :meth:`receive`. Any other close raises, too.
        """
        try:
            return await self.receive()
        except WebSocketDisconnect as exc:
            if exc.code in NORMAL_CODES:
                raise StopAsyncIteration from None
            raise

    # Expecting.

    @checkpointed
    async def expect_close(
        self, code: int | None = None, reason: str | None = None, timeout: float | None = None
    ) -> None:
        """
        Wait until the application closes the connection. Fail the test if something else comes.

        Args:
            code: The code that it must have. By default, any.
            reason: The reason that it must have. By default, any.
            timeout: How many seconds to wait, if not as many as the session says.

        Raises:
            AssertionError: A message came instead, or the code or the reason is different.
            ReceiveTimeout: Nothing came in time.
        """
        try:
            message = await self.receive(timeout)
        except WebSocketDisconnect as exc:
            wrong = [
                f"{name} {seen!r} came, {wanted!r} was expected"
                for name, wanted, seen in (("code", code, exc.code), ("reason", reason, exc.reason))
                if wanted is not None and wanted != seen
            ]
            if wrong:
                what = "the close is different: " + ", ".join(wrong)
                raise self._missed(AssertionError, what) from None
        else:
            what = f"a close was expected, and {message!r} came"
            raise self._missed(AssertionError, what)

    @checkpointed
    async def expect_nothing(self, seconds: float) -> None:
        """
        Wait that long on Trio's clock. Fail the test if a message comes, or the close.

        Raises:
            AssertionError: Something came.
        """
        what = None
        with trio.move_on_after(seconds):
            try:
                what = f"{await self._peer.inbox.receive()!r}"
            except WebSocketDisconnect as exc:
                what = f"a close with {exc.code} {exc.reason!r}"
        if what is not None:
            what = f"nothing was expected for {seconds:g} s, and {what} came"
            raise self._missed(AssertionError, what)

    # The end.

    @checkpointed
    async def close(self, code: int = 1000, reason: str = "") -> None:
        """
        Send a close frame. It has no effect once the connection is over.

        Raises:
            ValueError: The code or the reason can't be sent.
            SendTimeout: The application did not read in time.
        """
        check_close(code, reason)
        await self._send(self._peer.close, code, reason)

    def cancel_handler(self) -> None:
        """
        Cancel the connection's handler on the application's side, as a cancel scope would.

        The peer sees 1001, and resources see :exc:`~triows.HandlerCancelled`. It has no effect
        once the handler has ended.

        Raises:
            RuntimeError: The handler belongs to a mounted application of another framework.
        """
        self._stage.alive.cancel(self._call)


def _check(message: object, *types: type) -> None:
    """Refuse a message of another type. Type checkers find it too, but not everybody runs one."""
    if not isinstance(message, types):
        expected = " or ".join(one.__name__ for one in types)
        raise TypeError(
            f"a message of {expected} is expected, not {message!r}: send_json() sends other things"
        )


def _of(type_: Any) -> str:
    return "" if type_ is Any else f" of {getattr(type_, '__qualname__', type_)}"


# Headers that every response to a handshake has (RFC 6455 section 4.2.2), and those of servers.
_HANDSHAKE = {
    b"upgrade",
    b"connection",
    b"sec-websocket-accept",
    b"sec-websocket-protocol",
    b"sec-websocket-extensions",
    b"date",
    b"server",
}
