"""
One connection as long as it speaks HTTP: it reads requests, and answers them in their order.

The reactor calls it when bytes have come. When the head of a request is complete, a task of the
pool runs the application. The next request begins when the response is complete. So there is no
task while nothing happens, and each request has one.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from triows._protocol.http11 import BadRequest, RequestReader
from triows._protocol.responses import ResponseWriter, whole_response
from triows._protocol.upgrade import asks_for_websocket
from triows._reply import problem
from triows._request.transport import INCOMPLETE, nobody
from triows._transports.wire import CHUNK, FIN, READS
from triows.exceptions import ClientDisconnect

from .body import BodyWatch
from .deadline import NEVER, Deadline
from .log_lines import log_closed, log_cut, log_other_host, log_refused
from .newcomers import LINGER
from .output import CANCELLED, Output
from .request import StreamRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextvars import Context

    from triows._protocol.http11 import Request
    from triows._reply import Reply
    from triows._transports.pinger import Pinger
    from triows._transports.wire import Sink, Wire

    from .arrival import Addresses, Preface
    from .pool import Worker
    from .services import HTTPServices

__all__ = ["HTTPConnection"]

#: How many bytes may wait that nobody has asked for: the rest of a body, or further requests.
_MOST = READS * CHUNK

#: How many bytes of a body that the application hasn't read are read and dropped, so that the
#: connection can go on. For more than that, a new connection is cheaper.
_MOST_DROPPED = CHUNK

#: How many requests of a connection may run at a time: one that isn't answered, and those that do
#: something after their response. Otherwise a client could start any number of tasks.
_MOST_RUNNING = 16


class HTTPConnection:
    """
    One connection. It is the :class:`~triows._transports.wire.Sink` of its wire.

    Args:
        services: The server's.
        wire: The connection. This object owns it until a WebSocket takes it over.
        addresses: Its two ends.
        context: The context of the application's calls.
    """

    __slots__ = (
        "_body",
        "_context",
        "_current",
        "_deadline",
        "_ends",
        "_has_eof",
        "_has_little_time",
        "_is_closed",
        "_is_idle",
        "_is_last",
        "_is_lingering",
        "_is_paused",
        "_is_upgraded",
        "_more_time",
        "_path",
        "_preface",
        "_reader",
        "_requests",
        "_running",
        "_services",
        "_to_drop",
        "_upgrading",
        "_websocket",
        "addresses",
        "on_asked",
        "on_over",
        "output",
        "own_lines",
        "turn",
        "wire",
    )

    def __init__(
        self,
        services: HTTPServices,
        wire: Wire,
        addresses: Addresses,
        context: Context,
    ) -> None:
        self.wire = wire
        #: Between whom the last request was. Proxies may say something else for each of them.
        self.addresses = addresses
        self._ends = addresses
        # Exists until a proxy has introduced its client.
        self._preface: Preface | None = None
        self.turn = services.turn
        self.own_lines = services.own_lines
        self._services = services
        self._context = context
        #: Called when the first request is being served, or nothing will come. Whoever serves
        #: WebSockets calls it for them.
        self.on_asked: Callable[[], None] = nobody
        #: Called once, when the connection is closed.
        self.on_over: Callable[[], None] = nobody
        self._is_closed = False
        self._reader = RequestReader(head_size=services.head_size)
        # How many requests there were, and the path of the last one, for the log.
        self._requests = 0
        self._path = b""
        # How many of them are running.
        self._running = 0
        # The request whose response isn't complete.
        self._current: StreamRequest | None = None
        # How many bytes of the last request's body may still be dropped. ``None`` if it was read.
        self._to_drop: int | None = None
        # Whether a request has asked for a WebSocket, and what reads for that.
        self._is_upgraded = False
        # The head of that request, while it has to wait for the responses before it.
        self._upgrading: Request | None = None
        self._websocket: Sink | None = None
        # Whether the client has closed its side, and whether it has sent nothing of a next request.
        self._has_eof = False
        self._is_idle = False
        # Whether there is no request after this one, and whether the last response is out.
        self._is_last = self._is_lingering = False
        # Whether a shutdown has set the deadline, so that nothing else moves it.
        self._has_little_time = False
        self._is_paused = False
        # When the next request, or the client's end, has to be there.
        self._deadline = Deadline(services.pinger, services.now, self._end_waiting)
        # How many seconds of that the first head has after the handshake of TLS.
        self._more_time = 0.0
        #: Writes the responses.
        self.output = Output(self, wire, services, context)
        # Exists while the application waits for a body.
        self._body: BodyWatch | None = None

    def start(self, preface: Preface | None = None) -> None:
        """
        Begin to read.

        Args:
            preface: What has to be read first. It has a part of the same time.
        """
        patience = self._services.head_timeout
        if self.addresses.secure and self._services.tls_timeout < patience:
            self._more_time = patience - self._services.tls_timeout
            patience = self._services.tls_timeout
        self._deadline.move(patience)
        self._preface = preface
        if preface is None:
            self.wire.start(self._services.tasks, self)
        else:
            preface.start(self._introduce, self.close)

    def _introduce(self, ends: Addresses) -> None:
        """Begin to read for the client that a proxy has introduced."""
        self._preface = None
        self.addresses = self._ends = ends
        self.wire.start(self._services.tasks, self)

    def answer_last(self) -> None:
        """Let the response to this request, or to the next one, be the last. It says so."""
        if self._current is not None:
            self._current.writer.keep_alive = False
        self._is_last = True

    def shut_down(self, idle: float) -> None:
        """
        End soon: after the response, or if no request comes.

        A client that has just connected has :data:`.LINGER` seconds to make its request.

        Args:
            idle: How many seconds any other client has to make another request.
        """
        self.answer_last()
        if self._to_drop is not None:
            self._linger()  # the rest of the body must not destroy the response
        elif self.waits:
            self._has_little_time = True
            self._more_time = 0.0
            seconds = idle if self._requests else LINGER
            if not seconds:
                self._end_waiting()
            elif self._deadline.at > self._services.now() + seconds:
                self._deadline.move(seconds)

    @property
    def waits(self) -> bool:
        """Whether it waits for a request."""
        return self._current is None and not (
            self._is_upgraded or self._is_lingering or self._is_closed
        )

    def close_idle(self) -> None:
        """Close at once, unless a task serves a request, which ends by itself."""
        if self._preface is not None:
            self._preface.end()
        elif self._current is None and not (self._is_upgraded or self._is_lingering):
            self.output.send_held()
            self.close()

    def close(self, *, abort: bool = False) -> None:
        """
        Close the connection. A second call has no effect.

        Args:
            abort: Let the client see that something is missing, and the system keep nothing.
        """
        if self._is_closed:
            return
        self._is_closed = self._is_last = True
        self._preface = None  # it refers to this object
        self._stop_watching_body()
        if self._current is not None:
            self._current.note_left(gone=True)
            self._current = None
        if self._websocket is None:
            self.output.close()
            self._deadline.close()
        self.wire.close(abort=abort)
        self.on_asked()
        self.on_over()
        self.on_asked = self.on_over = nobody  # they refer to this object

    # Reading: called by the wire.

    def data_received(self, data: bytes) -> None:
        if (
            self._current is None
            and self._to_drop is None
            and self._running < _MOST_RUNNING
            and not (self._is_upgraded or self._is_lingering)
        ):
            try:
                head = self._reader.receive_request(data)
            except BadRequest as exc:
                self._refuse(exc)
            else:
                self._begin(head)
        elif self._websocket is not None:
            self._websocket.data_received(data)
        elif not self._is_lingering:
            self._reader.receive(data)
            if self._body is not None:
                self._body.received += len(data)
            self._look()

    def _look(self) -> None:
        """Do what the bytes that have come ask for."""
        if self._current is not None:
            if self._current.has_more:
                self._current.note_change()
            self._hold()
        elif self._is_upgraded:
            self._hold()
        elif self._to_drop is not None:
            self._drop_rest()
        else:
            self._serve_next()

    def _hold(self) -> None:
        """Read nothing more for now if there is enough."""
        if not self._is_paused and self._reader.buffered > _MOST:
            self._is_paused = True
            self.wire.pause()

    def _release(self) -> None:
        if self._is_paused and self._reader.buffered <= _MOST:
            self._is_paused = False
            self.wire.resume()

    def eof_received(self) -> None:
        if self._is_upgraded:
            return  # the wire tells the WebSocket again when it begins to read
        self._has_eof = True
        if self._current is not None:
            # A client may close its side after its request, and wait for the answer.
            self._current.note_left(gone=False)
        elif self._running >= _MOST_RUNNING and self._to_drop is None and self._reader.unread:
            return  # there may be further requests, which are served when one of these is over
        elif not self.output.is_empty:
            self._linger()
        else:
            self.close()

    def hung_up(self) -> None:
        if self._current is not None:
            self._current.note_hung_up()

    def on_turn(self) -> None:
        """Do nothing: nobody asks for it."""

    # Requests.

    def _serve_next(self) -> None:
        """Serve the next request, if its head is there."""
        if self._running >= _MOST_RUNNING:
            self._is_idle = False
            if not self._has_little_time:
                self._deadline.at = NEVER  # the client waits for us
            self._hold()
            return
        try:
            head = self._reader.next_request()
        except BadRequest as exc:
            self._refuse(exc)
        else:
            self._begin(head)

    def _begin(self, head: Request | None) -> None:
        """Serve the request whose head was read, if it is there."""
        if head is None:
            self._wait_for_head()
            return
        services = self._services
        if services.forwarding is not None:
            self.addresses = services.forwarding.read(head, self._ends)
        if services.serves is not None and not services.serves(head):
            log_other_host(self.addresses, 404, head)
            self._answer_last(problem(404, "this server is not here"), head)
            return
        upgrades = head.upgrade and asks_for_websocket(head.headers)
        if upgrades and self._has_little_time and self._requests:
            # Only proxies keep a connection for a handshake. If it is closed without an answer, a
            # proxy repeats the handshake, maybe at another server, because it may repeat any GET
            # (RFC 9110, section 9.2.2). It would pass a 503 on to its client.
            self.close()
            return
        self._deadline.at = NEVER
        self._is_idle = False
        self._requests += 1
        self._path = head.path
        if services.note_request is not None:
            services.note_request()
        if upgrades:
            self._begin_upgrade(head)
            return
        request = StreamRequest(self, head, self.new_writer(head))
        self._current = request
        self._running += 1
        self.output.has_begun = True
        if self._has_eof:
            request.note_left(gone=False)
        services.pool.start(partial(request.serve, services, self.addresses), self._context)
        if self._requests == 1:
            self.on_asked()

    def _wait_for_head(self) -> None:
        if self._has_eof:
            self._linger()
        elif self._has_little_time:
            return
        elif not self._reader.unread:
            if self._requests and not self._is_idle:
                self._is_idle = True
                self._deadline.move(self._services.idle_timeout)
        elif self._is_idle or self._deadline.at == NEVER:
            self._is_idle = False
            self._deadline.move(self._services.head_timeout)

    def _begin_upgrade(self, head: Request) -> None:
        self._deadline.close()
        self._is_upgraded = True
        self.output.send_held()
        if self.output.is_writing:
            self._upgrading = head  # a slow client has to take the last responses first
        else:
            self._upgrade_soon(head)

    def misses_much(self, request: StreamRequest) -> bool:
        """
        Say whether so much of a request's body is to come that it won't be dropped.

        A client should be told that the connection ends (:rfc:`9112#section-9.6`). Of a body in
        chunks, nobody knows how long it is.
        """
        missing = request.head.content_length - request.received - self._reader.buffered
        return missing > _MOST_DROPPED

    def new_writer(self, head: Request) -> ResponseWriter:
        """Make the writer of the response to a request."""
        writer = ResponseWriter(head, self.own_lines.fresh or self.own_lines())
        if self._is_last or self._requests >= self._services.keep_alive_requests:
            writer.keep_alive = False
        return writer

    @property
    def timer(self) -> Pinger:
        return self._services.pinger

    def note_returned(self, request: StreamRequest, *, returned: bool) -> None:
        """Note that an application does nothing more for a request."""
        self._running -= 1
        if request is self._current:
            self._end_request(request, returned=returned)
        elif self._running == _MOST_RUNNING - 1 and not (self._is_closed or self._is_lingering):
            self._look()
            self._release()

    def _end_request(self, request: StreamRequest, *, returned: bool) -> None:
        """End what the application has left open."""
        if returned:
            self.cut_off(request)
        else:
            self._drop(request)

    def cut_off(self, request: StreamRequest) -> None:
        """
        Let nothing more be sent for a request. The client sees that something is missing.

        If it has nothing yet, it gets 500.
        """
        if request is not self._current:
            return
        if request.writer.begun or request.left:
            self._drop(request)
            return
        self._current = None
        request.note_left(gone=True)  # a task that the application has left can't answer either
        request.summary = {"status": 500, "headers": []}
        log_refused(self.addresses, 500, "the application has not answered", request.head)
        self._answer_last(problem(500), request.head)

    def _drop(self, request: StreamRequest) -> None:
        if request.writer.ends_by_close:
            self.cut("the application has left it incomplete")
        else:
            request.note_left(gone=True)
            self._current = None
            self._linger()

    def note_complete(self, request: StreamRequest) -> None:
        """Note that the whole response of a request was handed over."""
        assert request is self._current
        self._current = None
        if self._body is not None:
            self._stop_watching_body()
        if self._is_last or not request.writer.keep_alive:
            self._linger()
        elif request.has_more:
            self._to_drop = _MOST_DROPPED
            self._drop_rest()
        elif self._reader.unread or self._has_eof:
            self._go_on()
        else:
            self._is_idle = True
            self._deadline.move(self._services.idle_timeout)

    def _go_on(self) -> None:
        if self._reader.unread:
            self._serve_next()
            self._release()
        else:
            self._wait_for_head()

    def _drop_rest(self) -> None:
        """Drop the rest of a body that nobody has read, and go on, unless it is too much."""
        assert self._to_drop is not None
        try:
            while part := self._reader.next_body():
                self._to_drop -= len(part)
        except BadRequest:
            self._linger()  # the response is out
            return
        self._release()
        if self._reader.body_ended:
            self._to_drop = None
            self._go_on()
        elif self._to_drop <= 0 or self._has_eof:
            self._linger()
        elif self._deadline.at == NEVER:
            self._deadline.move(self._services.keep_alive_timeout)

    # What a request needs.

    def take_body(self, request: StreamRequest) -> bytes:
        """Return what has come of a request's body. It may be nothing."""
        if request is not self._current:
            return b""
        try:
            part = self._reader.next_body()
        except BadRequest as exc:
            self._fail(request, exc)
            return b""
        request.has_more = not self._reader.body_ended
        if not request.has_more:
            self._stop_watching_body()
        self._release()
        return part

    def _fail(self, request: StreamRequest, exc: BadRequest) -> None:
        """Answer a request whose body breaks a rule. A response that has begun goes on."""
        self._is_last = True
        self._stop_watching_body()
        begun = request.writer.begun
        # The line of the request says it.
        request.why_left = exc.detail
        if not begun:
            self._current = None
            request.refused_with = exc.status
            request.summary = {"status": exc.status, "headers": []}
            self._answer_last(problem(exc.status, exc.detail), request.head)
        request.note_left(gone=not begun)

    def watch_body(self, request: StreamRequest) -> BodyWatch:
        """Watch whether the client sends the body of a request, until it is over."""
        if self._body is None:
            patience = self._services.body_timeout(request.receive_timeout)
            too_slow = partial(self._fail, request, _SLOW_BODY)
            self._body = BodyWatch(self._services.pinger, patience, too_slow)
        return self._body

    def _stop_watching_body(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None  # it refers to this object

    def cut(self, why: str) -> None:
        """End a response that can't be completed, so that the client sees that."""
        if self._current is not None:
            # Its line says it. What has cancelled it is said there anyway.
            self._current.why_left = INCOMPLETE if why == CANCELLED else f"response cut: {why}"
        else:
            # The application has ended, and its line is written.
            log_cut(self.addresses, self._path.decode("ascii"), why)
        self.close(abort=True)

    def _refuse(self, bad: BadRequest) -> None:
        """Refuse a request that can't be read. This ends the connection."""
        log_refused(self._ends, bad.status, bad.detail)
        self._answer_last(problem(bad.status, bad.detail), None)

    def _answer_last(self, reply: Reply, head: Request | None) -> None:
        """
        Answer without waiting, and end the connection.

        Args:
            reply: The answer.
            head: The request, if it could be read.
        """
        try:
            is_sent = self.output.write_last(whole_response(reply, self.own_lines(), head))
        except ClientDisconnect:
            return
        if is_sent:
            self._linger()
        else:  # a task still writes "100 Continue"
            self.cut("the client took nothing before")

    # What the output asks and tells.

    @property
    def expects_response(self) -> bool:
        """Whether a response to a further request may follow soon."""
        return bool(self._reader.unread) and not self._is_last

    def note_written(self) -> None:
        """Go on with what has waited for that: an upgrade, or letting go of the client."""
        if self._upgrading is not None:
            self._upgrade_soon(self._upgrading)
            self._upgrading = None
        elif self._is_lingering:
            self._let_go()

    def note_taken(self) -> None:
        """Begin to wait for the client's end when it has taken everything."""
        if self._is_lingering and self.wire.unacknowledged() <= FIN:
            self._deadline.move(self._services.timeouts.close)
            self.output.stop_watching()

    # The end.

    def _linger(self) -> None:
        """
        Let the client read the last response before the connection is closed.

        Unread bytes would make the system send a reset, which could arrive before the response. A
        client that reads steadily gets everything. Then it has ``Timeouts.close`` to close its
        side.
        """
        self.output.send_held()
        self._is_last = self._is_lingering = True
        self._to_drop = None
        self._stop_watching_body()
        self.on_asked()
        self._reader.take_rest()
        if self.output.is_writing:
            self._deadline.at = NEVER
        else:
            self._let_go()

    def _let_go(self) -> None:
        """Tell the client that this was all, and wait until it has read it."""
        if self._has_eof:
            self.close()
            return
        self.wire.send_eof()
        if self._is_paused:
            self._is_paused = False
            self.wire.resume()
        if self.wire.unacknowledged() <= FIN:
            self._deadline.move(self._services.timeouts.close)
        else:
            self._deadline.at = NEVER
            self.output.watch()

    def _end_waiting(self) -> None:
        """Called when the deadline has passed."""
        if self._preface is not None:
            if self._is_last:
                self._preface.end()
            else:
                self._preface.fail("the PROXY header is missing, or comes too slowly")
        elif self._more_time and not self._requests and self.wire.secured:
            # The handshake was in time, and the head has the rest.
            more, self._more_time = self._more_time, 0.0
            self._deadline.move(more)
        elif self.output.is_empty:
            if self._reader.unread:
                log_closed(self._ends, "the head of its request has not come in time")
            self.close()
        else:
            self._linger()  # the client doesn't have all responses yet

    # A WebSocket takes the connection over.

    def _upgrade_soon(self, head: Request) -> None:
        # It is asked when the application decides whether it takes another connection.
        self._services.pool.start(partial(self._upgrade, head), self._context)

    def _upgrade(self, head: Request, worker: Worker) -> Awaitable[None]:
        # A plain function, because a coroutine would keep the head.
        return self._serve_websocket(self._services.serve_websocket(self, head, worker.scope))

    async def _serve_websocket(self, serving: Awaitable[None]) -> None:
        try:
            await serving
        finally:
            self.close()

    def take_over(self, sink: Sink) -> None:
        """Hand everything that comes from now on to a WebSocket, which starts the wire again."""
        self._websocket = sink
        # An idle WebSocket keeps nothing that it doesn't need.
        self.output.close()
        del self.output, self._reader, self._deadline

    def take_rest(self) -> bytes:
        """Return what has come after the request for a WebSocket."""
        return self._reader.take_rest()


_SLOW_BODY: Final = BadRequest(408, "the body comes too slowly")
