"""One request on a connection of the server, and its response."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import trio

from triows._protocol.responses import CONTINUE
from triows._request.bridge import RequestBridge
from triows._request.transport import CLIENT_LEFT, nobody
from triows._transports.turn import STRETCH
from triows._transports.wire import CHUNK
from triows.exceptions import ClientDisconnect

from .files import OpenFile
from .scopes import http_scope

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Awaitable, Callable, Iterable

    from triows._headers import SteadyHeaders
    from triows._protocol.http11 import Request
    from triows._protocol.responses import ResponseWriter
    from triows._reply import Reply
    from triows._transports.pinger import Pinger
    from triows._transports.turn import Turn

    from .arrival import Addresses
    from .body import BodyWatch
    from .output import Output
    from .pool import Worker
    from .services import HTTPServices

__all__ = ["RequestOwner", "StreamRequest"]

_NEVER = math.inf


class RequestOwner(Protocol):
    """What a request needs of its connection."""

    output: Output
    turn: Turn

    @property
    def timer(self) -> Pinger:
        """What calls in time whoever was lent a scope."""

    def take_body(self, request: StreamRequest) -> bytes:
        """Return what has come of a request's body. It may be nothing."""

    def watch_body(self, request: StreamRequest) -> BodyWatch:
        """Watch whether the client sends the body of a request, until it is over."""

    def misses_much(self, request: StreamRequest) -> bool:
        """Say whether so much of a request's body is to come that it won't be dropped."""

    def new_writer(self, head: Request) -> ResponseWriter:
        """Make the writer of the response to a request."""

    def note_complete(self, request: StreamRequest) -> None:
        """Note that the whole response of a request was handed over."""

    def note_returned(self, request: StreamRequest, *, returned: bool) -> None:
        """Note that an application does nothing more for a request, and whether it has returned."""

    def cut_off(self, request: StreamRequest) -> None:
        """Let nothing more be sent for a request."""


class StreamRequest(RequestBridge):
    """
    One request. It is an :class:`~triows._request.transport.EngineRequest`.

    The connection owns it, and calls ``note_...``. All other methods are for the application.

    Args:
        connection: Reads and writes.
        head: The request's head.
        writer: Writes the response.
    """

    __slots__ = (
        "_changed",
        "_connection",
        "_continue_due",
        "_has_heard_all",
        "_is_lent",
        "_output",
        "complete",
        "has_more",
        "head",
        "is_gone",
        "left",
        "now",
        "on_complete",
        "on_left",
        "receive_timeout",
        "received",
        "refused_with",
        "status",
        "summary",
        "why_left",
        "worker",
        "writer",
    )

    #: The task that runs the application. It is there when that has started, like the next one.
    worker: Worker
    #: Returns Trio's time.
    now: Callable[[], float]

    def __init__(self, connection: RequestOwner, head: Request, writer: ResponseWriter) -> None:
        self._is_read = self._is_end_told = False
        self.head = head
        self.writer = writer
        self.on_left: Callable[[], None] = nobody
        self.on_complete: Callable[[], None] | None = None
        self.status: int | None = None
        self.refused_with: int | None = None
        self.complete = self.left = self.is_gone = False
        self.why_left = CLIENT_LEFT
        self.received = 0
        self.has_more = head.chunked or head.content_length > 0
        self.receive_timeout: float | None = None
        #: What the access log gets of the response.
        self.summary: dict[str, Any] | None = None
        self._connection = connection
        self._output = connection.output
        # Whether the client waits for us before it sends its body.
        self._continue_due = head.expects_continue
        # Whether no more of the body can come.
        self._has_heard_all = False
        # Whether somebody may cancel the worker.
        self._is_lent = False
        # Made by whoever waits, and set when anything has changed.
        self._changed: trio.Event | None = None

    async def serve(self, services: HTTPServices, addresses: Addresses, worker: Worker) -> None:
        """Let the application answer. A task of the pool runs this."""
        self.worker = worker
        self.now = services.now
        jobs = services.jobs
        jobs.workers[worker] = None
        if jobs.deadline < _NEVER:
            worker.end_at(jobs.deadline)
        began = 0.0 if services.log_access is None else services.now()
        scope = http_scope(self.head, addresses, services.scopes)
        returned = False
        try:
            await services.app(scope, self.asgi_receive, self.asgi_send)
            returned = True
        finally:
            del jobs.workers[worker]
            self._connection.note_returned(self, returned=returned)
        if services.log_access is not None:
            await services.log_access(scope, self.summary, services.now() - began)

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
        self._has_heard_all = True
        self.note_hung_up()

    def note_hung_up(self) -> None:
        """Note that the client has closed its side. There may still be more of the body to read."""
        if not self.left and not self.complete:
            self.left = True
            self.on_left()
        self.note_change()

    @property
    def timer(self) -> Pinger:
        return self._connection.timer

    needs_watch = False

    def watch(self) -> Awaitable[None]:
        """See :class:`~triows._request.transport.RequestTransport`. It isn't needed."""
        return self.wait_over()

    def lend_scope(self) -> trio.CancelScope | None:
        if self._is_lent:
            return None
        self._is_lent = True
        return self.worker.scope

    # The body of the request.

    async def receive(self) -> bytes:
        while self.has_more:
            part = self._connection.take_body(self)
            if part or not self.has_more:
                self._continue_due = False  # the client doesn't wait for it
                self.received += len(part)
                await self._note_call()
                return part
            if self._has_heard_all or self.complete:
                await trio.lowlevel.checkpoint()
                raise ClientDisconnect("the client has left before the end of its request")
            if self._continue_due and not self.writer.begun:
                self._continue_due = False
                await self._output.write(CONTINUE)
                continue  # it may have come, or the client may have left, if that took long
            watch = self._connection.watch_body(self)
            watch.is_waiting = True
            try:
                await self._wait_change()
            finally:
                watch.is_waiting = False
        await self._note_call()
        return b""

    async def wait_over(self) -> None:
        while not (self.left or self.complete):
            await self._wait_change()

    async def _wait_change(self) -> None:
        if self._changed is None:
            self._changed = trio.Event()
        await self._changed.wait()

    async def _note_call(self) -> None:
        turn = self._connection.turn
        turn.calls += 1
        if turn.calls >= STRETCH:
            await turn.end()

    # The response.

    @property
    def begun(self) -> bool:
        return self.writer.begun

    @property
    def sent(self) -> int:
        return self.writer.sent

    def hold_end(self) -> None:
        self.writer.hold_end()

    async def respond(self, reply: Reply) -> None:
        # The application may have begun a response of which nothing was sent.
        self.writer = self._connection.new_writer(self.head)
        self.start(reply.status, reply.headers)
        await self.send(reply.body, more=False)

    def start(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], *, trailers: bool = False
    ) -> None:
        if self.is_gone:
            raise self._disconnect()
        self.writer.start(status, headers, trailers=trailers)
        # If the client waits with its body, some then send it, others the next request: nobody can
        # tell what would come (RFC 9110 section 10.1.1).
        if self.has_more and (self._continue_due or self._connection.misses_much(self)):
            self.writer.keep_alive = False
        self.status = status
        self.summary = {"status": status, "headers": headers}

    async def send(self, body: bytes, *, more: bool) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        rest = self.send_nowait(body, more=more)
        if rest is not None:
            await rest

    def send_nowait(self, body: bytes, *, more: bool) -> Awaitable[None] | None:
        if self.is_gone:
            raise self._disconnect()
        output = self._output
        if not more and (whole := self.writer.whole(body)) is not None:
            return self._send_whole(whole)
        rest = self._send_part(body, more=more)
        if rest or (output.is_writing and not more):  # another task may still send a part
            return self._send_rest(rest, more=more)
        if not more:
            self._note_sent()
        turn = self._connection.turn
        turn.calls += 1
        return turn.end() if turn.calls >= STRETCH else None

    def _send_whole(self, response: bytes) -> Awaitable[None] | None:
        """Send a response in one piece, as :meth:`send_nowait` does."""
        rest = self._output.write_whole(response)
        if rest or self._output.is_writing:
            return self._send_rest(rest, more=False)
        self._note_sent()
        turn = self._connection.turn
        turn.calls += 1
        return turn.end() if turn.calls >= STRETCH else None

    def answer_nowait(
        self, status: int, headers: SteadyHeaders, body: bytes
    ) -> Awaitable[None] | None:
        # If a body is left unread, starting the response has more to decide.
        if (
            self.is_gone
            or self.has_more
            or (whole := self.writer.at_once(status, headers, body)) is None
        ):
            self.start(status, headers)
            return self.send_nowait(body, more=False)
        self.status = status
        self.summary = {"status": status, "headers": headers}
        return self._send_whole(whole)

    def _send_part(self, body: bytes, *, more: bool) -> deque[bytes | memoryview] | None:
        pieces = self.writer.body(body, more=more)
        # Several pieces, or a part, are more than what may wait for another response.
        if len(pieces) == 1 and not more:
            return self._output.write_whole(pieces[0])
        return self._output.write_nowait(pieces) if pieces else None

    async def _send_rest(self, rest: deque[bytes | memoryview] | None, *, more: bool) -> None:
        output = self._output
        if rest:
            await output.write_rest(rest)
        if not more:
            await output.wait_written()
            self._note_sent()
        await self._note_call()

    async def send_trailers(self, headers: Iterable[tuple[bytes, bytes]], *, more: bool) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        if self.is_gone:
            raise self._disconnect()
        await self._output.write(b"".join(self.writer.trailers(headers, more=more)))
        self._note_sent()
        await self._note_call()

    def _note_sent(self) -> None:
        if not self.writer.ended:
            return
        if self.is_gone:  # the connection was cut while this waited for its turn
            raise self._disconnect()
        self.complete = True
        if self.on_complete is not None:
            self.on_complete()
        if self._changed is not None:
            self.note_change()
        self._connection.note_complete(self)

    async def send_file(self, path: str, *, more: bool = False) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        file = await OpenFile.open(path)
        try:
            if file.content is not None:
                await self.send(file.content, more=more)
            else:
                await self._send_large(file, more=more)
        finally:
            file.close()

    async def _send_large(self, file: OpenFile, *, more: bool) -> None:
        if self.is_gone:
            raise self._disconnect()
        writer, output, size = self.writer, self._output, file.size
        if more and writer.keeps(size):
            size -= CHUNK
        before, after = writer.around(size, more=more)
        await output.write(before)
        if writer.has_body:
            await output.write_file(file, size)
        await output.write(after)
        if size < file.size:
            await self.send(await file.read(size, CHUNK), more=True)  # the writer keeps it
        self._note_sent()

    def cut(self) -> None:
        self._connection.cut_off(self)

    def _disconnect(self) -> ClientDisconnect:
        error = ClientDisconnect("the client has gone")
        error.source = self
        return error
