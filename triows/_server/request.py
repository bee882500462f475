"""One request on a connection of ours, and its response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from triows._protocol.responses import Response
from triows._request.transport import nobody
from triows._transports.turn import STRETCH
from triows.exceptions import ClientDisconnect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from triows._protocol.http11 import Request
    from triows._reply import Reply

    from .connection import HTTPConnection
    from .pool import Worker

__all__ = ["StreamRequest"]


class StreamRequest:
    """
    One request. It is an :class:`~triows._request.bridge.EngineRequest`.

    The connection calls ``note_...``. All others are for the application.

    Args:
        connection: Reads and writes.
        head: The request's head.
        keep_alive: Whether the connection may go on after the response.
    """

    __slots__ = (
        "_changed",
        "_connection",
        "_continue_due",
        "_response",
        "complete",
        "has_more",
        "head",
        "is_gone",
        "left",
        "on_left",
        "received",
        "sent",
        "status",
        "summary",
        "worker",
    )

    def __init__(self, connection: HTTPConnection, head: Request, *, keep_alive: bool) -> None:
        self.head = head
        self.on_left: Callable[[], None] = nobody
        self.status: int | None = None
        self.complete = False
        self.left = False
        #: Whether nothing can be sent any more.
        self.is_gone = False
        self.received = self.sent = 0
        #: Whether more of the body will come. The connection sets it.
        self.has_more = False
        #: What the application runs in.
        self.worker: Worker
        #: What the access log gets of the response.
        self.summary: dict[str, Any] | None = None
        self._connection = connection
        self._response = Response(head, keep_alive=keep_alive)
        # Whether the client waits for us before it sends its body.
        self._continue_due = head.expects_continue
        # Made by whoever waits, and set when anything has changed.
        self._changed: trio.Event | None = None

    # Called by the connection.

    def note_change(self) -> None:
        """Wake whoever waits, because something has come or has ended."""
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    def note_left(self, *, gone: bool) -> None:
        """
        Note that the client has closed its side.

        Args:
            gone: Whether it can't be answered either.
        """
        self.is_gone |= gone
        if not self.left and not self.complete:
            self.left = True
            self.on_left()
        self.note_change()

    @property
    def keeps_alive(self) -> bool:
        """Whether the connection goes on after the response, as far as that was told."""
        return self._response.keeps_alive

    def close_after(self) -> None:
        """Let the response be the last one, if its head hasn't been sent."""
        self._response.close_after()

    # The body of the request.

    async def receive(self) -> bytes:
        while self.has_more:
            part = self._connection.take_body(self)
            if part or not self.has_more:
                self.received += len(part)
                await self._give_turns()
                return part
            if self.left or self.complete:
                await trio.lowlevel.checkpoint()
                raise ClientDisconnect("the client has left before the end of its request")
            if self._continue_due and self.status is None:
                self._continue_due = False
                await self._connection.send_continue()
            with self._connection.waiting_for_body():
                await self._wait_change()
        await self._give_turns()
        return b""

    async def wait_over(self) -> None:
        while not (self.left or self.complete):
            await self._wait_change()

    async def _wait_change(self) -> None:
        if self._changed is None:
            self._changed = trio.Event()
        await self._changed.wait()

    async def _give_turns(self) -> None:
        turn = self._connection.turn
        turn.calls += 1
        if turn.calls >= STRETCH:
            await turn.end()

    # The response.

    async def respond(self, reply: Reply) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        self.start(reply.status, reply.headers)
        await self.send(reply.body, more=False)

    def start(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], *, trailers: bool = False
    ) -> None:
        self._check_there()
        if self.status is not None:
            raise RuntimeError("http.response.start came twice")
        self._response.start(status, headers, self._connection.own_headers(), trailers=trailers)
        self.status = status
        self.summary = {"status": status, "headers": headers}

    async def send(self, body: bytes, *, more: bool) -> None:
        self._check_open("http.response.body")
        pieces = self._response.body(body, more=more)
        self.sent += len(body)
        await self._write(pieces)

    async def send_trailers(self, headers: Iterable[tuple[bytes, bytes]], *, more: bool) -> None:
        self._check_open("http.response.trailers")
        await self._write(self._response.trailers(headers, more=more))

    async def _write(self, pieces: list[bytes]) -> None:
        connection = self._connection
        if pieces:
            await connection.write(pieces)
        if self._response.ended:
            self.complete = True
            self.note_change()
            connection.note_complete(self)
        await self._give_turns()

    async def send_file(self, path: str) -> None:
        raise NotImplementedError

    def _check_there(self) -> None:
        if self.is_gone:
            raise ClientDisconnect("the client has gone")

    def _check_open(self, event: str) -> None:
        self._check_there()
        if self.status is None:
            raise RuntimeError(f"{event} came before http.response.start")
        if self.complete:
            raise RuntimeError(f"{event} came after the end of the response")
