"""
The synchronous client, for tests without ``async``: Starlette's interface.

The application runs in a Trio loop of its own, in another thread, on the same machinery as
the native client.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import msgspec
import outcome
import trio

from ._native import TIMEOUT, WebSocketSession, connect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from types import TracebackType

    from triows import Triows

__all__ = ["TestClient", "WebSocketTestSession"]

T = TypeVar("T")


class _Loop:
    """A Trio loop in a thread, for the length of a ``with`` block."""

    def __init__(self, app: Triows) -> None:
        self._app = app
        self._started: queue.SimpleQueue[outcome.Outcome[None]] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[outcome.Outcome[None]] = queue.SimpleQueue()
        self._token: trio.lowlevel.TrioToken
        self._stop: trio.Event
        self.nursery: trio.Nursery

    def start(self) -> None:
        """Start the loop and the application; raise what its start-up raised."""
        # A daemon, so that Ctrl-C in a test ends the process even if a handler hangs.
        threading.Thread(target=self._run, name="triows TestClient", daemon=True).start()
        self._started.get().unwrap()

    def stop(self) -> None:
        """End the application and the loop; raise what the shutdown raised."""
        self.call_sync(self._stop.set)
        self._ended.get().unwrap()

    def call(self, fn: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Call an async function in the loop and wait for it."""
        return trio.from_thread.run(fn, *args, trio_token=self._token)

    def call_sync(self, fn: Callable[[], None]) -> None:
        """Call a function in the loop's thread."""
        trio.from_thread.run_sync(fn, trio_token=self._token)

    def _run(self) -> None:
        ended = outcome.capture(trio.run, self._main)
        self._started.put(ended)  # read only if the start-up failed
        self._ended.put(ended)

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._stop = trio.Event()
        async with self._app.running(), trio.open_nursery() as self.nursery:
            self._started.put(outcome.Value(None))
            await self._stop.wait()


class WebSocketTestSession:
    """
    One connection, used as ``with client.websocket_connect(...) as ws``.

    Every receive fails with :exc:`~triows.testing.ReceiveTimeout` after *timeout* seconds.
    """

    def __init__(self, client: TestClient, url: str, **options: Any) -> None:
        self._client = client
        self._url = url
        self._options = options
        self._own_loop: _Loop | None = None
        self._loop: _Loop
        self._session: WebSocketSession
        self._leave: trio.Event
        self._ended: queue.SimpleQueue[outcome.Outcome[None]] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        loop = self._client.loop
        if loop is None:
            loop = self._own_loop = _Loop(self._client.app)
            loop.start()
        self._loop = loop
        try:
            self._session = loop.call(self._open)
        except BaseException:
            self._stop_own_loop()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        try:
            self._loop.call_sync(self._leave.set)
            self._ended.get().unwrap()
        finally:
            self._stop_own_loop()

    def _stop_own_loop(self) -> None:
        if self._own_loop is not None:
            self._own_loop.stop()
            self._own_loop = None

    async def _open(self) -> WebSocketSession:
        session: WebSocketSession = await self._loop.nursery.start(self._hold)
        return session

    async def _hold(self, task_status: trio.TaskStatus[WebSocketSession]) -> None:
        """Be the task that the connection's ``async with`` block runs in."""
        self._leave = trio.Event()
        started = False
        try:
            async with connect(self._client.app, self._url, **self._options) as session:
                started = True
                task_status.started(session)
                await self._leave.wait()
        except Exception as exc:
            if not started:
                raise
            self._ended.put(outcome.Error(exc))
        else:
            self._ended.put(outcome.Value(None))

    @property
    def accepted_subprotocol(self) -> str | None:
        """What the application chose."""
        return self._session.accepted_subprotocol

    @property
    def extra_headers(self) -> Sequence[tuple[bytes, bytes]]:
        """What the application added to the handshake's response."""
        return self._session.extra_headers

    def send_text(self, data: str) -> None:
        """Send text."""
        self._loop.call(self._session.send_text, data)

    def send_bytes(self, data: bytes) -> None:
        """Send bytes."""
        self._loop.call(self._session.send_bytes, data)

    def send_json(self, data: Any, mode: Literal["text", "binary"] = "text") -> None:
        """Send JSON, as text or as bytes."""
        encoded = msgspec.json.encode(data)
        self._loop.call(self._session.send, encoded.decode() if mode == "text" else encoded)

    def receive_text(self) -> str:
        """
        Wait for text.

        Raises:
            WebSocketDisconnect: the application closed.
            ReceiveTimeout: nothing came in time.
        """
        return self._loop.call(self._session.receive_text)

    def receive_bytes(self) -> bytes:
        """Wait for bytes. As :meth:`receive_text`."""
        return self._loop.call(self._session.receive_bytes)

    def receive_json(self, mode: Literal["text", "binary"] = "text") -> Any:
        """Wait for JSON, in text or in bytes. As :meth:`receive_text`."""
        message = self.receive_text() if mode == "text" else self.receive_bytes()
        return msgspec.json.decode(message)

    def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Close the connection."""
        self._loop.call(self._session.close, code, reason or "")


class TestClient:
    """
    A synchronous client for *app*.

    Inside ``with client:`` the application runs; outside it runs for the length of each
    connection.

    Args:
        app: The application.
        headers: For every connection.
        timeout: Seconds that each receive waits.
    """

    __test__ = False  # pytest: this is no test class

    def __init__(
        self,
        app: Triows,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self.app = app
        self.loop: _Loop | None = None
        self._headers = dict(headers or {})
        self._timeout = timeout

    def __enter__(self) -> Self:
        loop = _Loop(self.app)
        loop.start()
        self.loop = loop
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        loop, self.loop = self.loop, None
        if loop is not None:
            loop.stop()

    def websocket_connect(
        self,
        url: str,
        subprotocols: Sequence[str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> WebSocketTestSession:
        """
        Connect; use the result in a ``with`` block.

        Args:
            url: Path and query.
            subprotocols: To offer.
            headers: Further request headers.

        Raises:
            WebSocketDenialResponse: on entering the block, if the application refused.
            BaseException: on leaving it, what the handler raised and nobody handled.
        """
        return WebSocketTestSession(
            self,
            url,
            subprotocols=tuple(subprotocols or ()),
            headers={**self._headers, **(headers or {})},
            timeout=self._timeout,
        )
