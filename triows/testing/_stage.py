"""
An application that runs for a test: its start-up, its server, its shutdown.

The application runs in tasks of its own, beside the test; what goes wrong there is kept and
raised where the test can see it. All that the application starts is marked, so that what it
leaves behind is known.
"""

from __future__ import annotations

import math
from contextvars import ContextVar
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import outcome
import trio
from attrs import evolve

from triows._errors import combined, is_a, leaves, without_cancelled
from triows._managers import contextmanager
from triows._server.config import Config
from triows._server.http import Peers
from triows._server.serve import run_server, serve
from triows._server.server import Accepted, Server
from triows._transports.memory import MemoryLink, MemoryReactor
from triows._watch import Watch
from triows.inspect import look_at_task, tree

from ._blocked import LoopBlocked
from ._ends import SocketEnd
from ._tasks import all_tasks

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Awaitable, Callable, Iterator

    from triows import Triows
    from triows._connection.lifetime import Lifetime
    from triows.types import Receive, Scope, Send

    from ._ends import End

__all__ = ["MARK", "Call", "Loopback", "Memory", "Stage", "current_stage"]

T = TypeVar("T")

#: Set in all tasks of an application that runs for a test.
_STAGE: ContextVar[Stage | None] = ContextVar("triows test", default=None)

#: Set in the tasks of one connection, where that is known.
_CALL: ContextVar[Call | None] = ContextVar("triows test connection", default=None)

#: The header that plain requests over sockets are known by. The application does not see it.
MARK = b"x-triows-test-request"

#: Connections that a picture shows: who looks for one among more needs another tool.
_SHOWN = 20

#: Seconds beside those that the settings add up to, for what takes no time on paper.
_SLACK = 1.0

#: What clients in memory seem to come from: the dynamic ports (RFC 6335 section 6), from a number
#: on that Starlette's client has, too.
_PORTS = range(50000, 65536)

#: Seconds for what is cancelled, and ends as it should.
_MOMENT = 0.5

#: Seconds to wait where the settings set no limit.
_UNLIMITED = 60.0


def _limited(seconds: float) -> float:
    return seconds if seconds < math.inf else _UNLIMITED


def current_stage(context: contextvars.Context) -> Stage | None:
    """Whose application a task belongs to, by its context."""
    return context.get(_STAGE)


class Call:
    """
    One connection, or plain request over sockets, seen from the application's side.

    Args:
        url: For people.
        secure: Whether it is to look like one under TLS.
    """

    def __init__(self, url: str, *, secure: bool) -> None:
        self.url = url
        self.secure = secure
        #: What the application sees as its peer; ``None`` until it is known.
        self.address: tuple[str, int] | None = None
        #: Whether :attr:`over` will be set: where there is a server's process in between, only
        #: if the application is called.
        self.tells_end = False
        #: Whether nobody waits for it any more, who would raise its error.
        self.is_left = False
        #: What nobody handled.
        self.error: BaseException | None = None
        #: Set when everything of the connection is over.
        self.over = trio.Event()


class Backend(Protocol):
    """How a client reaches the application."""

    #: Where, once it is served; empty if any address will do.
    url: str
    #: Where the application is mounted.
    root_path: str

    async def serve(
        self, trigger: Callable[[], Awaitable[object]], task_status: trio.TaskStatus[None]
    ) -> None:
        """
        Start the application and serve it; shut it down when *trigger* returns.

        Raises:
            BaseException: what the start-up or the shutdown raised.
        """

    async def connect(self, call: Call, buffer: int) -> End:
        """
        Open a connection.

        Args:
            call: Its :attr:`Call.address` may be set, and is set here if it is not.
            buffer: Bytes that each direction holds.

        Raises:
            OSError: nobody listens any more.
        """


class Memory:
    """
    Connections in memory.

    Args:
        app: The application.
        root_path: Where it is mounted.
    """

    url = ""

    def __init__(self, app: Triows, root_path: str) -> None:
        self.root_path = root_path
        self._app = app
        self._reactor = MemoryReactor()
        # Sockets of this machine are not listened at, so all other defaults will do.
        config = Config()
        config.root_path = root_path
        self._server = Server(app, config, None, [], self._reactor)
        self._context: contextvars.Context
        self._numbers = count()

    async def serve(
        self, trigger: Callable[[], Awaitable[object]], task_status: trio.TaskStatus[None]
    ) -> None:
        async with self._app.running():
            self._context = trio.lowlevel.current_task().context
            async with trio.open_nursery() as nursery:
                await nursery.start(self._run, trigger)
                task_status.started()

    async def _run(
        self, trigger: Callable[[], Awaitable[object]], task_status: trio.TaskStatus[object]
    ) -> None:
        await run_server(self._server, trigger, task_status, refusing=True)

    async def connect(self, call: Call, buffer: int) -> End:
        if call.address is None:
            call.address = ("testclient", _PORTS[next(self._numbers) % len(_PORTS)])
        link = MemoryLink(buffer, self._reactor)
        peers = Peers(call.address, ("testserver", 443 if call.secure else 80), call.secure)
        accepted = Accepted(link.stream, link.wire, peers)

        def close() -> None:
            link.wire.close(abort=False)
            call.over.set()

        def start() -> None:
            _CALL.set(call)
            call.tells_end = True
            self._server.start(lambda: accepted, close)

        await trio.lowlevel.checkpoint()
        try:
            # As a server's task would: with what the application's start-up has set.
            self._context.copy().run(start)
        except RuntimeError:
            raise ConnectionRefusedError("the application has been shut down") from None
        return link.client


class Loopback:
    """
    Sockets of this machine.

    Args:
        app: The application.
        config: Hypercorn's.
    """

    def __init__(self, app: Triows, config: Config) -> None:
        self._app = app
        self._config = config
        self.url = ""
        self.root_path = config.root_path

    async def serve(
        self, trigger: Callable[[], Awaitable[object]], task_status: trio.TaskStatus[None]
    ) -> None:
        async with trio.open_nursery() as nursery:
            urls = await nursery.start(self._serve, trigger)
            self.url = urls[0]
            task_status.started()

    async def _serve(
        self, trigger: Callable[[], Awaitable[object]], task_status: trio.TaskStatus[list[str]]
    ) -> None:
        await serve(self._app, self._config, shutdown_trigger=trigger, task_status=task_status)

    async def connect(self, call: Call, buffer: int) -> End:
        if call.address is not None:
            raise ValueError("the client's address is the system's: leave out client=")
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        end = await SocketEnd.connect(host.strip("[]"), int(port), buffer)
        call.address = end.address
        return end


def _call_of(lifetime: Lifetime) -> Call | None:
    return None if lifetime.task is None else lifetime.task.context.get(_CALL)


def _with_mounted(app: Triows) -> Iterator[Triows]:
    yield app
    for mounted in app._mounted.values():
        yield from _with_mounted(mounted)


class Stage(Watch):
    """
    Runs an application beside a test.

    Args:
        app: The application.
        backend: How it is reached.
        patience: Seconds that the end of a connection, or of the application, may take; by
            default what the settings add up to.
        raises: Whether errors that nobody handled are raised in the test, or else logged as by
            any server.
    """

    def __init__(
        self, app: Triows, backend: Backend, patience: float | None, *, raises: bool
    ) -> None:
        self.app = app
        self.raises = raises
        self.backend = backend
        timeouts = list(app._all_timeouts())
        if patience is None:
            # A handler in its grace, then its nursery, its resources, each with a teardown.
            ends = max(one.disconnect_grace + 2 * one.teardown for one in timeouts)
            patience = _limited(ends) + _SLACK
        self.patience = patience
        #: What the handshake of a connection may take.
        self.handshake = max(one.accept for one in timeouts) + patience
        #: What it takes at most until the application notices by itself that a peer is gone.
        self.notice = max(
            _limited(max(one.ping_interval + one.ping_timeout, one.send)) for one in timeouts
        )
        #: What a shutdown may take.
        self.shutdown = _limited(app.drain_budget + app.timeouts.teardown) + patience
        #: What the end of the application's resources may take, with that of connections that
        #: were left.
        self.ending = patience + _limited(app.timeouts.teardown)
        #: Whether something was found that does not end.
        self.has_leaked = False
        #: What requests have left: pictures of tasks that did not end when they were cancelled.
        self.stuck: list[str] = []
        #: Whether its start-up was given up.
        self.never_started = False
        #: Whether something goes on although it was cancelled and has no shield any more.
        self.is_unending = False
        #: Why the test was ended, if its loop was blocked; and whether it has been raised.
        self.blocked: LoopBlocked | None = None
        self.blocked_is_told = False
        self.errors: list[BaseException] = []
        self.calls: set[Call] = set()
        #: Plain requests over sockets, by the value of :data:`MARK`.
        self.requests: dict[bytes, Call] = {}
        #: Set when the application runs, or has failed to.
        self.started = trio.Event()
        self.done = trio.Event()
        #: Whether it ended, or was told to.
        self.is_ending = False
        self.body = trio.CancelScope()
        #: Where all of it runs; given before anything does.
        self.nursery: trio.Nursery
        self._trigger = trio.Event()

    async def run(self) -> None:
        """Run the application until :meth:`end`; errors are kept."""
        _STAGE.set(self)
        try:
            with self.app.watched(self):
                async with trio.open_nursery() as nursery:
                    await nursery.start(self.backend.serve, self._trigger.wait)
                    self.started.set()
        except BaseException as exc:
            error = without_cancelled(exc)
            if error is not None and any(is_a(one, KeyboardInterrupt) for one in leaves(exc)):
                raise
            if error is not None:
                found = list(leaves(error))
                self.errors.append(found[0] if len(found) == 1 else error)
            if error is not exc:
                raise
        finally:
            # An application that gave way takes the test with it.
            if not self._trigger.is_set():
                self.body.cancel()
            self.is_ending = True
            self.started.set()
            self.done.set()

    def end(self) -> None:
        """Let the application shut down, as a server does."""
        self.is_ending = True
        self._trigger.set()

    @property
    def error(self) -> BaseException | None:
        """All that went wrong in the application, beside its connections."""
        return combined("errors in the application", self.errors)

    def note_raised(self, *errors: BaseException | None) -> None:
        """Don't raise :attr:`blocked` a second time if it is among what is raised now."""
        found = [leaf for error in errors if error is not None for leaf in leaves(error)]
        if any(is_a(leaf, LoopBlocked) for leaf in found):
            self.blocked_is_told = True

    def open(self) -> int:
        """How many connections have not been closed, by whichever side."""
        unbound = [one for one in self.live() if _call_of(one) not in self.calls]
        return len(self.calls) + sum(one.transport.ended is None for one in unbound)

    def live(self) -> list[Lifetime]:
        """The connections that it has, with those of applications that are mounted in it."""
        return [lifetime for app in _with_mounted(self.app) for lifetime in app._connections]

    def picture(self, call: Call | None = None) -> str:
        """What of the application is alive, for people; of a crowd, that of *call* first."""
        seen = tree(self.app)
        shown = seen.connections
        if len(shown) > _SHOWN:
            own = "" if call is None or call.address is None else "{}:{}".format(*call.address)
            shown = tuple(sorted(shown, key=lambda one: one.peer != own)[:_SHOWN])
        text = f"what is alive of the application:\n{evolve(seen, connections=shown)}"
        if more := len(seen.connections) - len(shown):
            text += f"\n(and {more} more connections)"
        if call is not None and not call.over.is_set() and not self._lifetimes(call):
            # Another framework's, of which only the task is known.
            tasks = [task for task in all_tasks() if task.context.get(_CALL) is call]
            text += "".join(f"\n{look_at_task(task)}" for task in tasks[:1])
        return text

    def _lifetimes(self, call: Call) -> list[Lifetime]:
        return [one for one in self.live() if _call_of(one) is call]

    def cancel(self, call: Call) -> None:
        """
        Cancel the handler of a connection.

        Raises:
            RuntimeError: it is another framework's.
        """
        lifetimes = self._lifetimes(call)
        if not lifetimes and not call.over.is_set():
            raise RuntimeError(
                "this connection is served by an application of another framework, whose "
                "handlers can't be cancelled from here"
            )
        for lifetime in lifetimes:
            lifetime.cancel("cancelled")

    async def wait_no_connections(self, seconds: float) -> bool:
        """Wait until all connections are over, whatever is cancelled; whether they are in time."""
        with trio.move_on_after(seconds, shield=True):
            for app in _with_mounted(self.app):
                await app._connections.wait_empty()
        return not self.live()

    async def serve_http(
        self, request: Callable[[], Awaitable[T]], seconds: float
    ) -> tuple[T | None, str]:
        """
        Let a request be served, in a task of the application's.

        Args:
            request: Calls :meth:`handle_http`, and gives the response.
            seconds: That it may take.

        Returns:
            The response, or ``None`` and a picture of what was alive when the time was over.

        Raises:
            BaseException: what *request* raised.
        """
        results: list[outcome.Outcome[T]] = []
        over = trio.Event()
        scope = trio.CancelScope()
        task: trio.lowlevel.Task | None = None

        async def run() -> None:
            nonlocal task
            task = trio.lowlevel.current_task()
            _STAGE.set(self)
            try:
                with scope:
                    results.append(outcome.Value(await request()))
            except (Exception, LoopBlocked) as exc:  # noqa: BLE001 - raised where it was sent
                results.append(outcome.Error(exc))
                self.note_raised(exc)
            finally:
                over.set()

        def picture() -> str:
            shown = "" if task is None or over.is_set() else f"\n{look_at_task(task)}"
            return f"{self.picture()}{shown}"

        self.nursery.start_soon(run, name="<request>")
        shown = ""
        try:
            with trio.move_on_after(seconds) as limit:
                await over.wait()
            if limit.cancelled_caught:
                shown = picture()
        finally:
            if not over.is_set():
                scope.cancel()
                with trio.move_on_after(_MOMENT, shield=True):
                    await over.wait()
                if not over.is_set():
                    self.stuck.append(picture())
        return (results[0].unwrap(), "") if results else (None, shown)

    async def handle_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a plain request."""
        await (self.app.handle if self.raises else self.app)(scope, receive, send)

    @contextmanager
    def calling(self, call: Call) -> Iterator[None]:
        """Know a connection for the length of a block."""
        self.calls.add(call)
        try:
            yield
        finally:
            self.calls.discard(call)

    # Told by the application, in the task that serves the connection.

    def began(self, scope: Scope) -> None:
        call = _CALL.get()
        if call is None and scope["type"] == "websocket":
            # On a socket it is known by its address: here, where no middleware has changed it.
            client: Any = scope.get("client")
            address = tuple(client) if client else None
            call = next((one for one in self.calls if one.address == address), None)
            _CALL.set(call)
        elif call is None:
            call = self._request_of(scope)
            _CALL.set(call)
        if call is not None:
            call.tells_end = True

    def _request_of(self, scope: Scope) -> Call | None:
        """Find out which request of the test's this is, and hide what it is known by."""
        headers = list(scope["headers"])
        scope["headers"] = [pair for pair in headers if pair[0].lower() != MARK]
        marks = [value for name, value in headers if name.lower() == MARK]
        return self.requests.get(marks[0]) if marks else None

    def failed(self, scope: Scope, exc: BaseException) -> None:
        if not self.raises:
            super().failed(scope, exc)
            return
        call = _CALL.get()
        if call is None or call.is_left:
            self.errors.append(exc)
        else:
            call.error = exc

    def over(self, scope: Scope) -> None:
        if (call := _CALL.get()) is not None:
            call.over.set()
