"""The native client: the application and its test in one Trio loop."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar, overload
from urllib.parse import unquote, urlsplit
from weakref import WeakKeyDictionary

import msgspec
import trio
from starlette.datastructures import Headers

from triows._closing import check_close
from triows._errors import combined, leaves
from triows._transports.bridge import Bridge
from triows._transports.memory import MemoryPeer, memory_connection
from triows.exceptions import WebSocketDisconnect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from triows import Triows
    from triows._settings import Settings
    from triows._transports.interface import Refusal, Transport
    from triows.types import Scope

__all__ = ["ReceiveTimeout", "WebSocketDenialResponse", "WebSocketSession", "connect"]

T = TypeVar("T")

#: Seconds that a receive waits, on the clock of the test. Far more than any test should
#: need, and a hang still ends before the test runner's own limit.
TIMEOUT = 5.0


class ReceiveTimeout(trio.TooSlowError, AssertionError):
    """The application sent nothing in time."""


class WebSocketDenialResponse(WebSocketDisconnect):
    """
    The application refused the connection.

    A :exc:`~triows.WebSocketDisconnect`, as in Starlette, with the code 1006 that a browser
    would tell.

    Attributes:
        status_code: The HTTP status.
        headers: The response's headers.
        content: Its body.
    """

    def __init__(self, refusal: Refusal) -> None:
        self.status_code = refusal.status
        self.headers = Headers(raw=list(refusal.headers))
        self.content = refusal.body
        super().__init__(1006, f"refused with {self.status_code}: {self.text}")

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode(errors="replace")

    def json(self) -> Any:
        """The body read as JSON."""
        return msgspec.json.decode(self.content)


class WebSocketSession:
    """
    The client's side of a connection that was accepted.

    Every receive fails with :exc:`ReceiveTimeout` when nothing comes in *timeout* seconds
    (on Trio's clock, so at once in virtual time).
    """

    def __init__(self, peer: MemoryPeer, timeout: float) -> None:
        self._peer = peer
        self._timeout = timeout

    @property
    def accepted_subprotocol(self) -> str | None:
        """What the application chose."""
        return self._peer.subprotocol

    @property
    def extra_headers(self) -> Sequence[tuple[bytes, bytes]]:
        """What the application added to the handshake's response."""
        return self._peer.headers

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

    async def send(self, message: str | bytes) -> None:
        """
        Send a message. It waits while the application's inbox is full.

        Raises:
            WebSocketDisconnect: the connection is over.
        """
        await self._peer.send(message)

    async def send_text(self, data: str) -> None:
        """Send text. As :meth:`send`."""
        await self.send(data)

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes. As :meth:`send`."""
        await self.send(data)

    async def send_json(self, data: Any) -> None:
        """Send JSON as text. As :meth:`send`."""
        await self.send(msgspec.json.encode(data).decode())

    async def receive(self, timeout: float | None = None) -> str | bytes:
        """
        Wait for a message.

        Args:
            timeout: Seconds, if not those given to :func:`connect`.

        Raises:
            WebSocketDisconnect: the application closed, with its code and reason.
            ReceiveTimeout: nothing came in time.
        """
        seconds = self._timeout if timeout is None else timeout
        with trio.move_on_after(seconds):
            return await self._peer.inbox.receive()
        raise ReceiveTimeout(f"the application sent nothing for {seconds:g} s")

    async def receive_text(self, timeout: float | None = None) -> str:
        """Wait for a text message. As :meth:`receive`."""
        message = await self.receive(timeout)
        assert isinstance(message, str), f"expected text, got {message!r}"
        return message

    async def receive_bytes(self, timeout: float | None = None) -> bytes:
        """Wait for a binary message. As :meth:`receive`."""
        message = await self.receive(timeout)
        assert isinstance(message, bytes), f"expected bytes, got {message!r}"
        return message

    @overload
    async def receive_json(self, *, timeout: float | None = None) -> Any: ...
    @overload
    async def receive_json(self, type: type[T], timeout: float | None = None) -> T: ...
    @overload
    async def receive_json(self, type: Any, timeout: float | None = None) -> Any: ...
    async def receive_json(self, type: Any = Any, timeout: float | None = None) -> Any:
        """Wait for a message and read it as JSON of *type*. As :meth:`receive`."""
        return msgspec.json.decode(await self.receive(timeout), type=type)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection; no effect once it is over."""
        check_close(code, reason)
        self._peer.close(code, reason)
        await trio.lowlevel.checkpoint()

    def reset(self) -> None:
        """Cut the connection, as a TCP reset does: both sides see 1006 at once."""
        self._peer.reset()

    def vanish(self) -> None:
        """
        Cut the connection without telling the application, as a pulled cable does.

        It goes on until a ping is not answered or a send times out.
        """
        self._peer.vanish()


def _scope(
    url: str,
    subprotocols: Sequence[str],
    headers: Mapping[str, str] | Sequence[tuple[str, str]],
    client: tuple[str, int],
) -> Scope:
    """The ASGI scope of a handshake."""
    parts = urlsplit(url)
    host = parts.netloc or "testserver"
    pairs = list(headers.items() if hasattr(headers, "items") else headers)
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    own = [
        (b"host", host.encode("idna")),
        (b"connection", b"Upgrade"),
        (b"upgrade", b"websocket"),
        (b"sec-websocket-version", b"13"),
        (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),  # RFC 6455 section 1.3
    ]
    if subprotocols:
        own.append((b"sec-websocket-protocol", ", ".join(subprotocols).encode("latin-1")))
    given = {name for name, _ in raw}
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "wss" if parts.scheme in ("wss", "https") else "ws",
        "path": unquote(parts.path),
        "raw_path": parts.path.encode(),
        "root_path": "",
        "query_string": parts.query.encode(),
        "headers": [*(pair for pair in own if pair[0] not in given), *raw],
        "client": client,
        "server": (parts.hostname or "testserver", parts.port or 80),
        "subprotocols": list(subprotocols),
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }


# What ends the test, not the connection.
_NOT_OURS = (KeyboardInterrupt, trio.Cancelled)


class _Call:
    """One call of the application, in a task of its own."""

    def __init__(self, app: Triows, scope: Scope, messages: int, size: int) -> None:
        self.peer = MemoryPeer(messages, size)
        self.error: BaseException | None = None
        self.done = trio.Event()
        self._app = app
        self._scope = scope

    def _make(self, settings: Settings) -> Transport:
        return memory_connection(self.peer, limits=settings.limits, timeouts=settings.timeouts)

    async def run(self) -> None:
        try:
            async with trio.open_nursery() as nursery:
                bridge = Bridge(self._make, nursery, self._app.settings)
                try:
                    await self._app.handle(self._scope, bridge.receive, bridge.send)
                except BaseException as exc:
                    if any(isinstance(leaf, _NOT_OURS) for leaf in leaves(exc)):
                        raise
                    self.error = exc
                finally:
                    with trio.CancelScope(shield=True):
                        await bridge.aclose()
        finally:
            self.peer.reset()
            self.peer.answered.set()
            self.done.set()


class _Start:
    """A start-up by one block of :func:`connect`, shared with those that come meanwhile."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.users = 0
        self.unused = trio.Event()


_SHARED: WeakKeyDictionary[Triows, _Start] = WeakKeyDictionary()


@asynccontextmanager
async def _started(app: Triows) -> AsyncIterator[None]:
    """Run the application, or join those for whom it runs."""
    start = _SHARED.get(app)
    if start is not None:
        start.users += 1
        try:
            await start.done.wait()
            yield
        finally:
            start.users -= 1
            if not start.users:
                start.unused.set()
        return
    start = _SHARED[app] = _Start()
    try:
        async with app.running():
            start.done.set()
            yield
            # Those who joined go first. It can't be the same task: its blocks are nested.
            while start.users:
                start.unused = trio.Event()
                await start.unused.wait()
    finally:
        # Also after a failed start-up, which those who joined then see for themselves.
        start.done.set()
        del _SHARED[app]


@asynccontextmanager
async def connect(
    app: Triows,
    url: str,
    *,
    subprotocols: Sequence[str] = (),
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    timeout: float = TIMEOUT,
    buffer: int = 16,
    buffer_size: int = 64 * 2**10,
    client: tuple[str, int] = ("testclient", 50000),
) -> AsyncIterator[WebSocketSession]:
    """
    Connect to *app* in the same Trio loop, without sockets.

    If the application is not running yet, it is started for the length of the block. At the
    end of the block the client closes with 1000, and the block is left when the connection
    is over on the application's side, too: its handler ended, its resources exited.

    Several may be open, also in tasks side by side: the application runs until the last
    block is left, and the block that started it waits for that.

    Args:
        app: The application.
        url: Path and query, such as ``"/rooms/1?name=ada"``; a host may stand before it.
        subprotocols: To offer.
        headers: Further request headers.
        timeout: Seconds that each receive waits.
        buffer: Messages that may wait unread on the client's side before the application's
            sends block.
        buffer_size: The same in bytes.
        client: What the application sees as the peer's address.

    Raises:
        WebSocketDenialResponse: the application refused.
        BaseException: at the end of the block, the error that the handler or a resource
            raised and nobody handled, as itself.
    """
    scope = _scope(url, subprotocols, headers, client)
    async with AsyncExitStack() as stack:
        if not app.is_running or app in _SHARED:
            await stack.enter_async_context(_started(app))
        call = _Call(app, scope, buffer, buffer_size)
        body: BaseException | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(call.run, name=f"<connection {url}>")
                try:
                    await call.peer.answered.wait()
                    if call.peer.accepted:
                        yield WebSocketSession(call.peer, timeout)
                except BaseException as exc:  # noqa: BLE001 - raised below
                    body = exc
                # Then the nursery waits; the application's own timeouts bound that, for a
                # handler sees that the peer is gone.
                call.peer.close(1000 if call.peer.accepted else 1006, "")
        except BaseException as exc:
            # Cancelled, or interrupted, while it waited for the connection.
            if body is None or isinstance(body, trio.Cancelled):
                raise
            # Alone, the cancellation would be caught further out, and the error be lost.
            raise BaseExceptionGroup("errors in the test", [body, exc]) from None
        _raise_first(call, body)


def _raise_first(call: _Call, body: BaseException | None) -> None:
    """Raise what the test has to see: the application's error before its consequences."""
    refusal = call.peer.refusal
    if body is None and call.error is None:
        if not call.peer.accepted:
            if refusal is not None:
                raise WebSocketDenialResponse(refusal)
            raise WebSocketDisconnect(1006, "neither accepted nor refused")
        return
    if call.error is not None and (body is None or _is_disconnect(body)):
        raise call.error
    both = [exc for exc in (body, call.error) if exc is not None]
    error = combined("errors in the test and in the application", both)
    assert error is not None
    raise error


def _is_disconnect(error: BaseException) -> bool:
    """Whether the test only noticed that the connection is over."""
    return all(
        isinstance(leaf, WebSocketDisconnect) and not isinstance(leaf, WebSocketDenialResponse)
        for leaf in leaves(error)
    )
