"""One WebSocket connection, as a handler sees it."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, NoReturn, Self, TypeVar, overload
from urllib.parse import quote

import trio
from attrs import evolve, frozen
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocketState

from ._checkpoints import checkpointed
from ._closing import NORMAL_CODES, check_close
from ._cookies import parse_cookies
from ._elsewhere import WEBSOCKET, pointing
from ._headers import HeadersLike, encode_headers
from ._json import decoder_of, encoded
from ._protocol.handshake import check_subprotocol
from ._reply import problem
from ._transports.interface import disconnect
from ._transports.turn import STRETCH, current_turn
from ._where import known_as
from .exceptions import WebSocketDisconnect, WebSocketStateError, WrongDataType

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterator,
        Awaitable,
        Callable,
        Coroutine,
        Iterator,
        Mapping,
        Sequence,
    )

    from starlette.datastructures import URL, URLPath

    from ._reply import Reply
    from ._transports.interface import Transport
    from .types import Scope

__all__ = ["WebSocket", "WebSocketState", "WebSocketStatistics"]

T = TypeVar("T")


@frozen
class WebSocketStatistics:
    """A snapshot of the messages of a connection: how many have passed, and how many wait."""

    messages_received: int
    bytes_received: int
    messages_sent: int
    bytes_sent: int
    #: Received messages, and their bytes, that the handler has not taken yet.
    inbox_messages: int
    inbox_bytes: int
    #: Bytes handed over by ``send`` that the peer has not taken yet.
    outbox_bytes: int


async def _wrong_type(message: object, method: str, expected: str) -> TypeError:
    """Make the error for a wrong type. Type checkers find it too, but not everybody runs one."""
    await trio.lowlevel.checkpoint()
    if inspect.iscoroutine(message):
        message.close()  # Python would warn of it, too
        return TypeError(f"{method}() takes {expected}, not a coroutine: `await` that first")
    if isinstance(message, str | bytes | bytearray | memoryview):
        other = "send_text() takes str" if isinstance(message, str) else "send_bytes() takes bytes"
    else:
        other = "send_json() takes anything that JSON can express"
    return TypeError(f"{method}() takes {expected}, not {type(message).__name__}: {other}")


@frozen
class _Messages(Generic[T]):
    """
    What ``async for`` takes messages from, one call of a ``receive`` method each.

    It isn't an async generator: a loop may be left by ``break`` or an error, and Trio warns
    about a generator that was left before its end.
    """

    _receive: Callable[[], Awaitable[T]]
    #: How a person writes it.
    _written: str

    def __aiter__(self) -> Self:
        return self

    # A `for` without `async` looks for the first, and an `await` for the second. Type checkers
    # report these themselves, as long as they don't see the methods.
    if not TYPE_CHECKING:

        def __iter__(self) -> NoReturn:
            raise TypeError(f"to receive messages, write `async for message in {self._written}`")

        def __await__(self) -> NoReturn:
            raise TypeError(
                f"to receive messages, write `async for message in {self._written}`, without await"
            )

    async def __anext__(self) -> T:
        try:
            return await self._receive()
        except WebSocketDisconnect as exc:
            if exc.code in NORMAL_CODES:
                raise StopAsyncIteration from None
            raise


# Starlette's class gives url, headers, cookies, query_params, path_params, client, app and
# state, under the names that ASGI middleware and its users know.
@pointing(WEBSOCKET)
class WebSocket(HTTPConnection):
    """
    A WebSocket connection.

    triows makes it. A handler or factory gets it if a parameter has this type. triows closes it
    when the handler has ended, in whatever way.

    Only one task at a time may receive. Several tasks may send: messages go out whole, in the
    order in which ``send`` was called.

    In a thread, write ``trio.from_thread.run(ws.send, message)``. With ``trio.run``, a call that
    has to wait raises RuntimeError.
    """

    # Two connections are equal only if they are the same one, though each is a Mapping.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __init__(
        self,
        scope: Scope,
        transport: Transport,
        *,
        on_answer: Callable[[], None],
    ) -> None:
        super().__init__(scope)
        self._transport = transport
        self._on_answer = on_answer
        # Set when the handler has decided; the transport knows what was handed over.
        self._accepting = False
        self._refused = False
        self._subprotocol: str | None = None
        # Until the acceptance it refuses; from then on it is the transport's own.
        self._send: Callable[[Any], Coroutine[Any, Any, None]] = self._send_unaccepted

    @property
    def cookies(self) -> dict[str, str]:
        """The request's cookies, by name. If two have the same name, the last one counts."""
        return parse_cookies("; ".join(self.headers.getlist("cookie")))

    def url_for(self, name: str, /, **path_params: Any) -> URL:
        """
        Make the URL of a route from its name. See :meth:`.Triows.url_path_for`.

        The URL has the host of this connection's request (the ``Host`` header, which the peer
        chooses), and the scheme ``ws`` or ``wss``. Its path begins with ``root_path``.

        Raises:
            starlette.routing.NoMatchFound: As in :meth:`.Triows.url_path_for`.
        """
        path: URLPath = self.scope["app"].url_path_for(name, **path_params)
        root = quote(self.scope.get("root_path", "").rstrip("/"), safe="/!$&'()*+,;=:@")
        return path.make_absolute_url(self.base_url.replace(path=f"{root}/"))

    # The handshake.

    # Not wrapped, because that takes another coroutine: the transport's accept() is a checkpoint.
    async def accept(self, subprotocol: str | None = None, headers: HeadersLike = ()) -> None:
        """
        Accept the connection. Before that, you can't send or receive anything.

        Args:
            subprotocol: One that the client offered (``scope["subprotocols"]``).
            headers: Further response headers, as str or bytes.

        Raises:
            ValueError: The client did not offer the subprotocol, or a header is not allowed in a
                response. Nothing has been sent then.
            WebSocketStateError: The connection was accepted or refused before.
            WebSocketDisconnect: The peer has left.
        """
        encoded: Sequence[tuple[bytes, bytes]] = ()
        if self._accepting or self._refused or subprotocol is not None or headers:
            encoded = await self._checked(subprotocol, headers)
        self._accepting = True
        try:
            await self._transport.accept(subprotocol, encoded)
        finally:
            # If it was cancelled before it was handed over, it has not happened.
            self._accepting = self._transport.accepted
            if self._accepting:
                # From now on a message goes through nothing but the transport's own function.
                self.receive = self._transport.receive  # type: ignore[method-assign]
                self._send = self._transport.send
        self._subprotocol = subprotocol
        self._on_answer()

    @checkpointed
    async def _checked(
        self, subprotocol: str | None, headers: HeadersLike
    ) -> list[tuple[bytes, bytes]]:
        """Return the headers for :meth:`accept`, encoded, or raise why it can't be called."""
        if self._accepting or self._refused:
            raise WebSocketStateError(
                "accept() was called before: call it once, in the handler or in one factory"
                if self._accepting
                else "this connection was refused: it can't be accepted any more"
            )
        if subprotocol is not None:
            check_subprotocol(subprotocol, self.scope.get("subprotocols") or ())
        return encode_headers(headers)

    @checkpointed
    async def reject(
        self, status: int = 403, detail: Any = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """
        Refuse the connection with an HTTP response.

        Raising :exc:`~triows.HTTPException` does the same, from anywhere before accept.

        Args:
            status: An HTTP status from 300 to 599, but not 304.
            detail: A sentence for the peer, or anything that JSON can express. It is ``detail`` in
                the body (:rfc:`9457`).
            headers: Further response headers.

        Raises:
            WebSocketStateError: The connection was accepted or refused before.
            ValueError: The status or a header can't be sent.
            TypeError: JSON can't express the detail.
        """
        if self._accepting or self._refused or self._transport.accepted:
            raise WebSocketStateError(
                "reject() refuses a handshake, and this one is over: use close()"
                if not self._refused
                else "this connection was refused before: call reject() once"
            )
        await self._refuse(problem(status, detail, headers), "reject()")

    async def _refuse(self, refusal: Reply, method: str) -> None:
        """Hand over a refusal. If it gives no reason, the log says which *method* refused."""
        refusal = refusal if refusal.why else evolve(refusal, why=method)
        await self._transport.reject(refusal)
        self._refused = True
        self._on_answer()
        await trio.lowlevel.checkpoint()

    # Receiving.

    # receive() and send() are functions that return what is to be awaited, so that a message
    # goes through no coroutine but the transport's.
    def receive(self) -> Coroutine[Any, Any, str | bytes]:
        """
        Wait for the next message: str for text, bytes for binary.

        Cancelling this loses no message.

        Raises:
            WebSocketDisconnect: The connection is over, and every message was delivered.
            trio.BusyResourceError: Another task is receiving.
            WebSocketStateError: The connection is not accepted yet.
        """
        return self._receive_unaccepted()  # accept() replaces this

    @known_as("WebSocket.receive")
    async def _receive_unaccepted(self) -> str | bytes:
        raise await self._unaccepted("receive")

    async def receive_text(self) -> str:
        """
        Wait for the next message, which has to be text. See :meth:`receive`.

        Raises:
            WrongDataType: The message is binary. If you don't catch this, the connection closes
                with 1003.
        """
        message = await self.receive()
        if not isinstance(message, str):
            await trio.lowlevel.cancel_shielded_checkpoint()
            raise WrongDataType("expected a text message")
        return message

    async def receive_bytes(self) -> bytes:
        """
        Wait for the next message, which has to be binary. See :meth:`receive`.

        Raises:
            WrongDataType: The message is text. If you don't catch this, the connection closes with
                1003.
        """
        message = await self.receive()
        if isinstance(message, str):
            await trio.lowlevel.cancel_shielded_checkpoint()
            raise WrongDataType("expected a binary message")
        return message

    @overload
    async def receive_json(self) -> Any: ...
    @overload
    async def receive_json(self, type: type[T]) -> T: ...
    @overload
    async def receive_json(self, type: Any) -> Any: ...
    async def receive_json(self, type: Any = Any) -> Any:
        """
        Wait for the next message, text or binary, and convert it from JSON.

        Args:
            type: The type to convert to: anything that msgspec knows, such as a Struct, a dataclass
                or ``list[int]``, and pydantic's models. Metadata in ``Annotated`` that belongs to
                neither of them is ignored.

        Raises:
            InvalidMessage: The message isn't JSON, or isn't of that type. If you don't catch this,
                the connection closes with 1007.
            TypeError: No message can have that type, for example a class that neither msgspec nor
                pydantic knows. No message is taken then.
        """
        try:
            decode = decoder_of(type)
        except TypeError:
            await trio.lowlevel.checkpoint()
            raise
        message = await self.receive()
        try:
            return decode(message)
        except Exception:
            await trio.lowlevel.cancel_shielded_checkpoint()
            raise

    def __iter__(self) -> Iterator[str]:
        # Starlette's class is a Mapping of the scope, which nobody means by a loop over it.
        raise TypeError("to receive messages, write `async for message in ws`")

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Receive messages until the peer closes with 1000 or 1001. See :meth:`receive`."""
        return _Messages(self.receive, "ws")

    def iter_text(self) -> AsyncIterator[str]:
        """Receive text messages in an ``async for``. See :meth:`receive_text`."""
        return _Messages(self.receive_text, "ws.iter_text()")

    def iter_bytes(self) -> AsyncIterator[bytes]:
        """Receive binary messages in an ``async for``. See :meth:`receive_bytes`."""
        return _Messages(self.receive_bytes, "ws.iter_bytes()")

    @overload
    def iter_json(self) -> AsyncIterator[Any]: ...
    @overload
    def iter_json(self, type: type[T]) -> AsyncIterator[T]: ...
    @overload
    def iter_json(self, type: Any) -> AsyncIterator[Any]: ...
    def iter_json(self, type: Any = Any) -> AsyncIterator[Any]:
        """Receive JSON messages in an ``async for``. See :meth:`receive_json`."""
        return _Messages(partial(self.receive_json, type), "ws.iter_json()")

    # Sending.

    def send(self, message: str | bytes | bytearray | memoryview) -> Coroutine[Any, Any, None]:
        """
        Send a message: str as text, bytes as binary.

        It returns when the system or the bounded outbox has the message. If the peer doesn't read,
        it waits, until the peer has taken nothing for ``Timeouts.send``. If you cancel it while it
        waits, nothing is sent. A message that has begun is completed.

        Raises:
            WebSocketDisconnect: The connection is over, maybe because the peer took too long to
                read (1008).
            TypeError: The message isn't str or bytes.
            ValueError: UTF-8 can't express the text (it has a lone surrogate).
            WebSocketStateError: The connection is not accepted yet.
        """
        if type(message) is not str and type(message) is not bytes:
            return self._send_other(message)
        return self._send(message)

    @known_as("WebSocket.send")
    async def _send_other(self, message: str | bytes | bytearray | memoryview) -> None:
        """Send what is not exactly str or bytes."""
        if isinstance(message, bytearray | memoryview):
            # A copy, since the caller may change the original meanwhile.
            message = bytes(message)
        elif not isinstance(message, str | bytes):
            raise await _wrong_type(message, "send", "str or bytes")
        await self._send(message)

    @known_as("WebSocket.send")
    async def _send_unaccepted(self, _message: str | bytes) -> None:
        raise await self._unaccepted("send")

    async def send_text(self, data: str) -> None:
        """Send a text message. See :meth:`send`."""
        if not isinstance(data, str):
            raise await _wrong_type(data, "send_text", "str")
        await self._send(data)

    async def send_bytes(self, data: bytes | bytearray | memoryview) -> None:
        """Send a binary message. See :meth:`send`."""
        if not isinstance(data, bytes | bytearray | memoryview):
            raise await _wrong_type(data, "send_bytes", "bytes")
        await self.send(data)

    async def send_json(self, data: Any, mode: Literal["text", "binary"] = "text") -> None:
        """
        Send *data* as compact JSON. See :meth:`send`.

        Args:
            data: Anything that msgspec can encode, and pydantic's models.
            mode: The kind of message.

        Raises:
            TypeError: JSON can't express something in it.
            ValueError: There is no such mode.
        """
        try:
            if mode not in ("text", "binary"):
                raise ValueError(f"send_json() takes mode='text' or mode='binary', not {mode!r}")
            message = encoded(data)
        except Exception:
            await trio.lowlevel.checkpoint()
            raise
        await self._send(message.decode() if mode == "text" else message)

    # The end.

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """
        Close the connection.

        It has no effect once the connection is over, so it can't hide the real code.

        Before :meth:`accept`, it refuses the handshake with 403. The body then has the code and
        the reason, if you gave them.

        It does not wait for the peer. The close frame goes out after what you sent before, as fast
        as the peer reads. The closing handshake is finished after the handler.

        Args:
            code: 1000-1003, 1007-1014 or 3000-4999.
            reason: At most 123 bytes of UTF-8.

        Raises:
            ValueError: The code or the reason can't be sent.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            check_close(code, reason)
            if not (self._refused or self._transport.ended is not None):
                await self._close(code, reason)
        except Exception:
            await trio.lowlevel.cancel_shielded_checkpoint()
            raise
        # Like a message that is sent without waiting: nothing is to be waited for here, either.
        turn = current_turn()
        turn.calls += 1
        if turn.calls >= STRETCH:
            await turn.end()

    async def _close(self, code: int, reason: str) -> None:
        if self._transport.accepted:
            await self._transport.close(code, reason)
            return
        told = None if code == 1000 else code
        refusal = problem(403, reason, close_code=told)
        await self._refuse(refusal, "close() before accept()")

    @checkpointed
    async def ping(self) -> float:
        """
        Send a ping, and wait for the pong (:rfc:`6455#section-5.5.2`).

        Returns:
            The round trip in seconds. :attr:`latency` keeps it, too.

        Raises:
            WebSocketDisconnect: The connection is over.
            WebSocketStateError: The connection is not accepted yet, or the server doesn't let
                applications send pings. ASGI has no pings, so this doesn't work on other servers,
                or behind a middleware that wraps ``receive`` or ``send``.
        """
        if not self._transport.accepted:
            raise await self._unaccepted("ping")
        if not self._transport.can_ping:
            raise WebSocketStateError(
                "this server does not let applications send pings: ping() needs the server of "
                "triows, and no ASGI middleware that wraps receive or send"
            )
        if (ended := self._transport.ended) is not None:
            raise disconnect(self._transport, ended)
        return await self._transport.ping()

    async def _unaccepted(self, method: str) -> WebSocketStateError:
        await trio.lowlevel.checkpoint()
        return WebSocketStateError(
            f"{method}() before accept(): call `await ws.accept()` first"
            if not self._refused
            else f"{method}() was called on a connection that was refused"
        )

    # What is known of it.

    @property
    def client_state(self) -> WebSocketState:
        """``CONNECTING`` before accept, ``DISCONNECTED`` once the connection is over."""
        if self._transport.ended is not None:
            return WebSocketState.DISCONNECTED
        return WebSocketState.CONNECTED if self._transport.accepted else WebSocketState.CONNECTING

    @property
    def application_state(self) -> WebSocketState:
        """The same as :attr:`client_state`, because a connection has only one state here."""
        return self.client_state

    @property
    def close_code(self) -> int | None:
        """The code with which the connection ended. ``None`` while it is open."""
        ended = self._transport.ended
        return None if ended is None else ended.code

    @property
    def close_reason(self) -> str | None:
        """The reason that came with :attr:`close_code`."""
        ended = self._transport.ended
        return None if ended is None else ended.reason

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that you gave to :meth:`accept`."""
        return self._subprotocol

    @property
    def latency(self) -> float | None:
        """Seconds that the last ping or keepalive ping took. ``None`` before the first."""
        return self._transport.latency

    def statistics(self) -> WebSocketStatistics:
        """Count the messages and bytes that have passed, and those that wait."""
        traffic = self._transport.traffic
        messages, size, outbox = self._transport.backlog()
        return WebSocketStatistics(
            messages_received=traffic.messages_received,
            bytes_received=traffic.bytes_received,
            messages_sent=traffic.messages_sent,
            bytes_sent=traffic.bytes_sent,
            inbox_messages=messages,
            inbox_bytes=size,
            outbox_bytes=outbox,
        )
