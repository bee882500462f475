"""A connection in a test: what the client sends, what it expects, and how it misbehaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, overload

import msgspec
import trio
from starlette.datastructures import Headers

from triows._checkpoints import checkpointed
from triows._closing import check_close
from triows.exceptions import WebSocketDisconnect

from ._frames import frame

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from websockets.http11 import Response

    from ._peer import Peer
    from ._stage import Call, Stage

__all__ = [
    "ReceiveTimeout",
    "SendTimeout",
    "WebSocketDenialResponse",
    "WebSocketSession",
    "missed",
]

T = TypeVar("T")
E = TypeVar("E", bound=AssertionError)

_CONTINUATION, _TEXT, _BINARY = 0, 1, 2


class ReceiveTimeout(trio.TooSlowError, AssertionError):
    """The application sent nothing in time; the text has the connection's last events."""


class SendTimeout(trio.TooSlowError, AssertionError):
    """The application did not read in time; the text has the connection's last events."""


class WebSocketDenialResponse(WebSocketDisconnect):
    """
    The application refused the connection.

    A :exc:`~triows.WebSocketDisconnect`, as in Starlette. Its code is the one that the
    application gave to ``close()``, or :exc:`~triows.WebSocketClose`, before it accepted, which
    stands in the response; otherwise 1006, which is what a browser tells of any refusal.

    Attributes:
        status_code: The HTTP status.
        headers: The response's headers.
        content: Its body.
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
        """The body read as JSON."""
        return msgspec.json.decode(self.content)


def missed(kind: type[E], what: str, peer: Peer, call: Call, stage: Stage) -> E:
    """
    An error for what did not come.

    Args:
        kind: Of the error.
        what: A sentence without its end.
        peer: Its last events are told.
        call: The same connection.
        stage: What of the application is alive is told in a note.
    """
    error = kind(f"{what}; the connection's last events:\n{peer.events}")
    error.add_note(stage.picture(call))
    return error


class WebSocketSession:
    """
    The client's side of a connection that was accepted.

    As a browser does, it answers pings and closes by itself. It reads ahead of the test, up to
    the bounds given to :meth:`AppClient.websocket_connect`, and then not at all.

    Every receive and send fails when nothing moves for *timeout* seconds on Trio's clock, so at
    once in virtual time.
    """

    def __init__(self, peer: Peer, call: Call, stage: Stage, timeout: float) -> None:
        self._peer = peer
        self._call = call
        self._stage = stage
        self._timeout = timeout
        self._delay = 0.0

    def _missed(self, kind: type[E], what: str) -> E:
        return missed(kind, what, self._peer, self._call, self._stage)

    @property
    def accepted_subprotocol(self) -> str | None:
        """What the application chose."""
        return self._peer.subprotocol

    @property
    def headers(self) -> Headers:
        """The headers of the handshake's response."""
        response = self._peer.response
        pairs = response.headers.raw_items() if response is not None else ()
        return Headers(raw=[(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in pairs])

    @property
    def extra_headers(self) -> Sequence[tuple[bytes, bytes]]:
        """What the application, or the server, added to those that make a handshake."""
        return [pair for pair in self.headers.raw if pair[0] not in _HANDSHAKE]

    @property
    def close_code(self) -> int | None:
        """The code that the connection ended with; ``None`` while it is open."""
        ended = self._peer.inbox.ended
        return None if ended is None else ended.code

    @property
    def close_reason(self) -> str | None:
        """The reason that came with :attr:`close_code`."""
        ended = self._peer.inbox.ended
        return None if ended is None else ended.reason

    @property
    def events(self) -> str:
        """The connection's last ten events, with seconds, for people."""
        return str(self._peer.events)

    # Sending.

    @checkpointed
    async def send(self, message: str | bytes) -> None:
        """
        Send a message. It waits while nothing more fits into the connection's buffers.

        Raises:
            SendTimeout: the application did not read in time; the connection is then cut.
            WebSocketDisconnect: the connection is over.
        """
        await self._send(self._peer.send, message)

    async def _send(self, send: Callable[..., Awaitable[None]], *args: Any) -> None:
        with trio.move_on_after(self._timeout):
            await send(*args)
            return
        what = f"the application did not read for {self._timeout:g} s"
        raise self._missed(SendTimeout, what)

    @checkpointed
    async def send_text(self, data: str) -> None:
        """Send text. As :meth:`send`."""
        _check(data, str)
        await self.send(data)

    @checkpointed
    async def send_bytes(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes. As :meth:`send`."""
        _check(data, bytes, bytearray, memoryview)
        await self.send(bytes(data))

    @checkpointed
    async def send_json(self, data: Any, mode: Literal["text", "binary"] = "text") -> None:
        """Send JSON as text, or as bytes. As :meth:`send`."""
        encoded = msgspec.json.encode(data)
        await self.send(encoded.decode() if mode == "text" else encoded)

    @checkpointed
    async def send_fragments(self, pieces: Iterable[str | bytes]) -> None:
        """
        Send one message, a frame for each of *pieces*; they are all text or all bytes.

        As :meth:`send`.
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
        Send one frame. As :meth:`send`; for what is illegal there is :func:`frame`.

        Args:
            opcode: 0 continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong.
            payload: Before masking.
            fin: Whether it is the last of its message.
        """
        await self.send_raw(frame(opcode, payload, fin=fin))

    @checkpointed
    async def send_raw(self, data: bytes) -> None:
        """Send bytes as they are. As :meth:`send`."""
        await self._send(self._peer.write, data, f"sent raw {data[:60]!r}")

    @checkpointed
    async def flood(self, message: str | bytes, count: int) -> int:
        """
        Send *message* so many times, as fast as the application takes it.

        Returns:
            How many were handed over before the connection was over, or nothing more was taken
            for the session's timeout; what does not fit is not an error here.
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
        Send a ping and wait for its pong.

        Returns:
            The round trip in seconds.

        Raises:
            ReceiveTimeout: it did not come in time.
            WebSocketDisconnect: the connection is over.
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
        Wait for a message. Cancelling it loses none.

        Args:
            timeout: Seconds, if not those of the session.

        Raises:
            WebSocketDisconnect: the application closed, with its code and reason.
            ReceiveTimeout: nothing came in time.
        """
        seconds = self._timeout if timeout is None else timeout
        with trio.move_on_after(seconds):
            return await self._peer.inbox.receive()
        what = f"the application sent nothing for {seconds:g} s"
        raise self._missed(ReceiveTimeout, what)

    @checkpointed
    async def receive_text(self, timeout: float | None = None) -> str:
        """Wait for a text message. As :meth:`receive`."""
        message = await self.receive(timeout)
        if not isinstance(message, str):
            raise self._missed(AssertionError, f"expected text, got {message!r}")
        return message

    @checkpointed
    async def receive_bytes(self, timeout: float | None = None) -> bytes:
        """Wait for a binary message. As :meth:`receive`."""
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
        """Wait for a message and read it as JSON of *type*. As :meth:`receive`."""
        message = await self.receive(timeout)
        try:
            return msgspec.json.decode(message, type=type)
        except (msgspec.MsgspecError, UnicodeError) as exc:
            what = f"expected JSON{_of(type)}, got {message!r} ({exc})"
            raise self._missed(AssertionError, what) from None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str | bytes:
        """
        Take the next message, up to the application's close with 1000 or 1001.

        Errors as of :meth:`receive`; another close is raised.
        """
        try:
            return await self.receive()
        except WebSocketDisconnect as exc:
            if exc.code in _NORMAL:
                raise StopAsyncIteration from None
            raise

    # Expecting.

    @checkpointed
    async def expect_close(
        self, code: int | None = None, reason: str | None = None, timeout: float | None = None
    ) -> None:
        """
        Wait for the application's close, and fail the test if something else comes.

        Args:
            code: That it has to have; any by default.
            reason: The same.
            timeout: Seconds, if not those of the session.

        Raises:
            AssertionError: a message came instead, or another code or reason.
            ReceiveTimeout: nothing came in time.
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
                what = "the close is another one: " + ", ".join(wrong)
                raise self._missed(AssertionError, what) from None
        else:
            what = f"a close was expected, and {message!r} came"
            raise self._missed(AssertionError, what)

    @checkpointed
    async def expect_nothing(self, seconds: float) -> None:
        """
        Wait so long on Trio's clock, and fail the test if a message comes, or the close.

        Raises:
            AssertionError: something came.
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

    @checkpointed
    async def wait_over(self, timeout: float | None = None) -> None:
        """
        Wait until everything of the connection is over on the application's side.

        Args:
            timeout: Seconds; by default those that the settings give it to end, and, for a
                peer that has vanished or does not read, to notice.

        Raises:
            ReceiveTimeout: it is not.
        """
        seconds = self._stage.patience if timeout is None else timeout
        if timeout is None and self._peer.is_silent:
            seconds += self._stage.notice
        with trio.move_on_after(seconds):
            await self._call.over.wait()
            return
        what = f"the application has not ended the connection for {seconds:g} s"
        raise self._missed(ReceiveTimeout, what)

    # The end, and faults.

    @checkpointed
    async def close(self, code: int = 1000, reason: str = "") -> None:
        """
        Send a close frame; no effect once the connection is over.

        Raises:
            ValueError: a code or reason that can't be sent.
            SendTimeout: the application did not read in time.
        """
        check_close(code, reason)
        await self._send(self._peer.close, code, reason)

    def reset(self) -> None:
        """Cut the connection, as a TCP reset does: both sides see 1006 at once."""
        self._peer.reset()

    def vanish(self) -> None:
        """
        Be gone without a word, as when a cable is pulled: no close frame, no end of the stream.

        Nothing that is sent arrives any more, on either side; pings are not answered. The
        application goes on until a ping, or a send, has waited long enough.
        """
        self._peer.vanish()

    def stop_reading(self) -> None:
        """
        Read nothing more, until :meth:`resume_reading`: what the application sends piles up.

        Pings are not read either, and so not answered; nor is the application's close, so
        :attr:`close_code` stays ``None``. What was read ahead can be received.
        """
        self._peer.stop_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self._peer.resume_reading()

    def delay(self, seconds: float) -> None:
        """
        Let everything take *seconds* more on its way, in each direction, from now on.

        Nothing overtakes; zero for no delay any more. Receives and sends wait so much longer
        for what they would have waited for.
        """
        if seconds < 0:
            raise ValueError(f"nothing arrives before it is sent: {seconds} s")
        self._timeout += 2 * (seconds - self._delay)
        self._delay = seconds
        self._peer.delay(seconds)

    def cancel_handler(self) -> None:
        """
        Cancel the connection's handler on the application's side, as a cancel scope would.

        The peer is told 1001, resources see :exc:`~triows.HandlerCancelled`. No effect once it
        has ended.

        Raises:
            RuntimeError: it is the handler of another framework, which is mounted.
        """
        self._stage.cancel(self._call)


def _check(message: object, *types: type) -> None:
    """Refuse another kind of message; type checkers do so too, but not everybody runs one."""
    if not isinstance(message, types):
        expected = " or ".join(one.__name__ for one in types)
        raise TypeError(f"a message of {expected} is expected, not {message!r}")


def _of(type_: Any) -> str:
    return "" if type_ is Any else f" of {getattr(type_, '__qualname__', type_)}"


# RFC 6455 section 7.4.1: done, and going away; as for the application's own side.
_NORMAL = (1000, 1001)

# What stands in every response to a handshake (RFC 6455 section 4.2.2), and what a server adds.
_HANDSHAKE = {
    b"upgrade",
    b"connection",
    b"sec-websocket-accept",
    b"sec-websocket-protocol",
    b"sec-websocket-extensions",
    b"date",
    b"server",
}
