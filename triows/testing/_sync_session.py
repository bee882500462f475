"""A connection of the synchronous client: a :class:`WebSocketSession` in another thread."""

from __future__ import annotations

import json
import queue
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeVar

import msgspec
import trio

from triows._managers import place_of, warn_unentered
from triows.exceptions import WebSocketDisconnect

from ._blocked import LoopBlocked
from ._loop import LoopOver, interruptible

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from types import TracebackType

    from ._loop import Loop
    from ._session import WebSocketSession

__all__ = ["WebSocketTestSession"]

T = TypeVar("T")


class Holder(Protocol):
    """The client of a session, which holds the loop."""

    #: How many blocks of its own are open.
    _blocks: int

    def _acquire(self, *, holds: bool) -> Loop: ...
    def _release(self, *, holds: bool) -> None: ...


class WebSocketTestSession:
    """
    One connection of a :class:`TestClient`: ``with client.websocket_connect(...) as ws``.

    Every receive fails with :exc:`~triows.testing.ReceiveTimeout` after *timeout* seconds.
    """

    def __init__(self, test_client: Holder, url: str, **options: Any) -> None:
        self._client = test_client
        self._url = url
        self._options = options
        self._loop: Loop | None = None
        # Whether it was entered, or whoever did not enter it knows of that.
        self._entered = False
        self._place = place_of(sys._getframe(2))  # who has called websocket_connect()
        self._holds_loop = False
        self._opened: WebSocketSession | None = None
        self._leave = trio.Event()
        # What the block raised.
        self._failure: Exception | None = None
        # First comes None when it is open, and then how it ended. If it was never open, only how
        # it ended comes.
        self._progress: queue.SimpleQueue[Exception | LoopBlocked | None] = queue.SimpleQueue()

    def __del__(self) -> None:
        if not self._entered:
            warn_unentered("TestClient.websocket_connect(...)", "with", self._place)

    def __enter__(self) -> Self:
        self._entered = True
        if self._loop is not None:
            raise RuntimeError("a session is for one block: call websocket_connect() again")
        # Inside the client's block, the block holds the loop.
        self._holds_loop = not self._client._blocks
        self._loop = loop = self._client._acquire(holds=self._holds_loop)
        try:
            loop.start_soon(self._hold)
            failure = loop.wait(self._progress)
            if self._opened is None:
                raise failure or LoopOver
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
        with interruptible(exc):
            try:
                self._failure = exc if isinstance(exc, Exception) else None
                # If the loop has failed, leaving the client's block raises the reason.
                with suppress(LoopOver):
                    self._loop.call_sync(self._leave.set)
                ended = self._loop.wait(self._progress)
                if ended is not None and ended is not exc:
                    raise ended
            finally:
                self._client._release(holds=self._holds_loop)

    async def _hold(self) -> None:
        """Run the connection's ``async with`` block, in a task of the loop."""
        ended: Exception | LoopBlocked | None = None
        try:
            assert self._loop is not None
            client = self._loop.client
            async with client.websocket_connect(self._url, **self._options) as session:
                self._opened = session
                self._progress.put(None)
                await self._leave.wait()
                # Raise it inside the block, so that both clients report errors in the same way.
                if self._failure is not None:
                    raise self._failure
        except (Exception, LoopBlocked) as exc:  # noqa: BLE001 - raised in the other thread
            ended = exc
        finally:
            self._progress.put(ended)

    @property
    def _session(self) -> WebSocketSession:
        if self._opened is None:
            self._entered = True
            raise RuntimeError(
                "not connected yet: write `with client.websocket_connect(...) as ws:`"
            )
        return self._opened

    def _call(self, fn: Callable[..., Awaitable[T]], *args: Any) -> T:
        assert self._loop is not None
        return self._loop.call(fn, *args)

    @property
    def accepted_subprotocol(self) -> str | None:
        """The subprotocol that the application chose."""
        return self._session.accepted_subprotocol

    @property
    def extra_headers(self) -> Sequence[tuple[bytes, bytes]]:
        """The headers that the application added to the handshake's response."""
        return self._session.extra_headers

    # Sending.

    def send(self, message: Mapping[str, Any]) -> None:
        """
        Send an ASGI event: ``websocket.receive`` with text or bytes, or ``websocket.disconnect``.

        Raises:
            ValueError: It is another event, or none.
            TypeError: The text isn't a str, or the bytes aren't bytes.
            SendTimeout: The application did not read in time.
            WebSocketDisconnect: The connection is over.
        """
        given: object = message  # type checkers see a mistake, but not everybody runs one
        kind = given.get("type") if isinstance(given, Mapping) else None
        if kind == "websocket.disconnect":
            self.close(message.get("code") or 1000, message.get("reason"))
            return
        if kind != "websocket.receive":
            raise ValueError(_not_an_event(message))
        text, data = message.get("text"), message.get("bytes")
        if text is not None:
            self.send_text(text)
        elif data is not None:
            self.send_bytes(data)
        else:
            raise ValueError(f"websocket.receive has a message in text= or bytes=: {message!r}")

    def send_text(self, data: str) -> None:
        """Send text. See :meth:`send`."""
        self._call(self._session.send_text, data)

    def send_bytes(self, data: bytes) -> None:
        """Send bytes. See :meth:`send`."""
        self._call(self._session.send_bytes, data)

    def send_json(self, data: Any, mode: Literal["text", "binary"] = "text") -> None:
        """Send JSON, as text or as bytes. See :meth:`send`."""
        encoded = msgspec.json.encode(data)
        self._call(self._session.send, encoded.decode() if mode == "text" else encoded)

    # Receiving.

    def receive(self) -> dict[str, Any]:
        """
        Wait for a message or the close, and return it as an ASGI event.

        Raises:
            ReceiveTimeout: Nothing came in time.
        """
        try:
            message = self._call(self._session.receive)
        except WebSocketDisconnect as exc:
            return {"type": "websocket.close", "code": exc.code, "reason": exc.reason}
        key = "text" if isinstance(message, str) else "bytes"
        return {"type": "websocket.send", key: message}

    def receive_text(self) -> str:
        """
        Wait for a text message.

        Raises:
            WebSocketDisconnect: The application closed the connection.
            ReceiveTimeout: Nothing came in time.
            AssertionError: A binary message came.
        """
        return self._call(self._session.receive_text)

    def receive_bytes(self) -> bytes:
        """Wait for a binary message. See :meth:`receive_text`."""
        return self._call(self._session.receive_bytes)

    def receive_json(self, mode: Literal["text", "binary"] = "text") -> Any:
        """
        Wait for JSON, in a text or a binary message. See :meth:`receive_text`.

        Raises:
            json.JSONDecodeError: The message is not JSON.
        """
        # Use the standard library, because its error is the one that Starlette's client raises.
        return json.loads(self.receive_text() if mode == "text" else self.receive_bytes())

    # The end.

    def close(self, code: int = 1000, reason: str | None = None) -> None:
        """
        Close the connection. It has no effect once the connection is over.

        Args:
            code: The close code. With 1006, which a close frame can't have, the connection is cut.
            reason: At most 123 bytes of UTF-8.

        Raises:
            ValueError: The code or the reason can't be sent.
        """
        session = self._session
        assert self._loop is not None
        if code == 1006:
            self._loop.call_sync(session.reset)
        else:
            self._call(session.close, code, reason or "")


def _not_an_event(message: object) -> str:
    if isinstance(message, str):
        return "send() takes an event, as Starlette's does: write send_text(...) for a text"
    if isinstance(message, bytes | bytearray | memoryview):
        return "send() takes an event, as Starlette's does: write send_bytes(...) for bytes"
    return (
        "a client sends websocket.receive, with text or bytes, and websocket.disconnect, not "
        f"{message!r}: write send_json(...) to send that as JSON"
    )
