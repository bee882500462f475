"""
The synchronous client, for tests without ``async``: Starlette's interface.

The application runs in a Trio loop of its own, in another thread, on the same machinery as
the native client.
"""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
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
        # A daemon, so that Ctrl-C in a test ends the process even if a handler hangs.
        self._thread = threading.Thread(target=self._run, name="triows TestClient", daemon=True)
        self._started: queue.SimpleQueue[outcome.Outcome[None]] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[outcome.Outcome[None]] = queue.SimpleQueue()
        self._token: trio.lowlevel.TrioToken
        self._stop: trio.Event
        self.nursery: trio.Nursery

    def start(self) -> None:
        """Start the loop and the application; raise what its start-up raised."""
        if trio.lowlevel.in_trio_run():
            raise RuntimeError(
                "TestClient would block this Trio loop: in async tests use "
                "`async with triows.testing.connect(app, url) as ws:`"
            )
        self._thread.start()
        started = self._started.get()
        if isinstance(started, outcome.Error):
            self._thread.join()
        started.unwrap()

    def stop(self) -> None:
        """End the application and the loop; raise what went wrong in them."""
        # It may have ended by itself, with an error that is raised below.
        with suppress(trio.RunFinishedError):
            self.call_sync(self._stop.set)
        ended = self._ended.get()
        self._thread.join()
        ended.unwrap()

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
            # A session that nobody left, after Ctrl-C, say, must not hold it.
            self.nursery.cancel_scope.cancel()


class WebSocketTestSession:
    """
    One connection, used as ``with client.websocket_connect(...) as ws``.

    Every receive fails with :exc:`~triows.testing.ReceiveTimeout` after *timeout* seconds.
    """

    def __init__(self, client: TestClient, url: str, **options: Any) -> None:
        self._client = client
        self._url = url
        self._options = options
        self._loop: _Loop | None = None
        self._holds_loop = False
        self._opened: WebSocketSession | None = None
        self._leave = trio.Event()
        # What the block raised.
        self._failure: Exception | None = None
        # First that it is open, then how it ended; only how it ended if it was never open.
        self._progress: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        if self._loop is not None:
            raise RuntimeError("a session is for one block: call websocket_connect() again")
        # Inside the client's block it is that which holds the loop.
        self._holds_loop = not self._client._blocks
        self._loop = loop = self._client._acquire(holds=self._holds_loop)
        try:
            loop.call_sync(lambda: loop.nursery.start_soon(self._hold))
            failure = self._progress.get()
            if self._opened is None:
                raise failure or RuntimeError(
                    "the application broke down before it answered: leaving the client tells why"
                )
        except BaseException:
            self._client._release(holds=self._holds_loop)
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        assert self._loop is not None
        try:
            self._failure = exc if isinstance(exc, Exception) else None
            # If the loop has broken down, leaving the client tells why.
            with suppress(trio.RunFinishedError):
                self._loop.call_sync(self._leave.set)
            ended = self._progress.get()
            # Ctrl-C goes before whatever else went wrong.
            interrupted = exc is not None and self._failure is None
            if ended is not None and ended is not exc and not interrupted:
                raise ended
        finally:
            self._client._release(holds=self._holds_loop)

    async def _hold(self) -> None:
        """Be the task that the connection's ``async with`` block runs in."""
        ended: Exception | None = None
        try:
            async with connect(self._client.app, self._url, **self._options) as session:
                self._opened = session
                self._progress.put(None)
                await self._leave.wait()
                # Raised there, so that both clients tell alike what went wrong.
                if self._failure is not None:
                    raise self._failure
        except Exception as exc:  # noqa: BLE001 - raised in the other thread
            ended = exc
        finally:
            self._progress.put(ended)

    @property
    def _session(self) -> WebSocketSession:
        if self._opened is None:
            raise RuntimeError(
                "not connected yet: write `with client.websocket_connect(...) as ws:`"
            )
        return self._opened

    def _call(self, fn: Callable[..., Awaitable[T]], *args: Any) -> T:
        assert self._loop is not None
        return self._loop.call(fn, *args)

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
        self._call(self._session.send_text, data)

    def send_bytes(self, data: bytes) -> None:
        """Send bytes."""
        self._call(self._session.send_bytes, data)

    def send_json(self, data: Any, mode: Literal["text", "binary"] = "text") -> None:
        """Send JSON, as text or as bytes."""
        encoded = msgspec.json.encode(data)
        self._call(self._session.send, encoded.decode() if mode == "text" else encoded)

    def receive_text(self) -> str:
        """
        Wait for text.

        Raises:
            WebSocketDisconnect: the application closed.
            ReceiveTimeout: nothing came in time.
        """
        return self._call(self._session.receive_text)

    def receive_bytes(self) -> bytes:
        """Wait for bytes. As :meth:`receive_text`."""
        return self._call(self._session.receive_bytes)

    def receive_json(self, mode: Literal["text", "binary"] = "text") -> Any:
        """Wait for JSON, in text or in bytes. As :meth:`receive_text`."""
        message = self.receive_text() if mode == "text" else self.receive_bytes()
        return msgspec.json.decode(message)

    def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Close the connection."""
        self._call(self._session.close, code, reason or "")


class TestClient:
    """
    A synchronous client for *app*.

    Inside ``with client:`` the application runs; outside it runs while there is a connection.

    Args:
        app: The application.
        headers: For every connection.
        timeout: Seconds that each receive waits.

    Raises:
        RuntimeError: on entering a block, it is used inside a Trio loop.
        BaseException: on entering a block, what the application's start-up raised; on
            leaving it, what its shutdown, or one of its resources, raised.
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
        self._headers = dict(headers or {})
        self._timeout = timeout
        self._loop: _Loop | None = None
        # How many blocks hold the loop, and how many of those are the client's own.
        self._holders = 0
        self._blocks = 0

    def __enter__(self) -> Self:
        self._acquire(holds=True)
        self._blocks += 1
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._blocks -= 1
        self._release(holds=True)

    def _acquire(self, *, holds: bool) -> _Loop:
        if self._loop is None:
            loop = _Loop(self.app)
            loop.start()
            self._loop = loop
        self._holders += holds
        return self._loop

    def _release(self, *, holds: bool) -> None:
        self._holders -= holds
        if self._holders == 0 and self._loop is not None:
            loop, self._loop = self._loop, None
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
