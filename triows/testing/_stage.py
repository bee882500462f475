"""
Runs an application for a test: its start-up, its server, and its shutdown.

The application runs in tasks of its own, at the same time as the test. Its errors are kept, and
raised where the test sees them. Every task that the application starts is marked, so we know what
it leaves behind.
"""

from __future__ import annotations

import math
from contextvars import ContextVar
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

import trio
from attrs import evolve

from _triows_schedules.schedule import current_loop
from triows._counted import counted
from triows._errors import combined, is_a, leaves, without_cancelled
from triows._inspection.inside import live, with_mounted
from triows._managers import contextmanager
from triows._reasons import Reason
from triows._server.arrival import Addresses, Arrival
from triows._server.config import Config
from triows._server.serve import run_server, serve
from triows._server.server import Server, open_server
from triows._watch import Watch
from triows.inspect import look_at_task, tree

from ._blocked import LoopBlocked
from ._ends import SocketEnd
from ._memory import MemoryLink, MemoryReactor, pair
from ._tasks import scope_of
from ._turns import follow_schedule

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Awaitable, Callable, Iterator

    from triows import Triows
    from triows._exchange.lifetime import Lifetime
    from triows.types import Scope

    from ._ends import End
    from ._network import Transit

__all__ = ["Call", "Loopback", "Memory", "Stage", "current_stage"]

#: Set in all tasks of an application that runs for a test.
_STAGE: ContextVar[Stage | None] = ContextVar("triows test", default=None)

#: Set in the tasks of one connection, if we know which one it is.
_CALL: ContextVar[Call | None] = ContextVar("triows test connection", default=None)

#: The timeouts of the application that wait for bytes of a peer that was accepted.
_SLOW = ("ping_timeout", "send", "close")

#: How many connections a picture shows. Nobody finds one among more of them.
_SHOWN = 20

#: Spare seconds in addition to those of the settings, because everything takes some time.
_SLACK = 1.0

#: The ports from which clients in memory seem to come. These are dynamic ports (RFC 6335 section
#: 6). Starlette's client begins with the same number.
_PORTS = range(50000, 65536)

#: How many seconds a cancelled task gets to end.
_MOMENT = 0.5

#: How many seconds to wait if the settings have no limit.
_UNLIMITED = 60.0


def _limited(seconds: float) -> float:
    return seconds if seconds < math.inf else _UNLIMITED


def current_stage(context: contextvars.Context) -> Stage | None:
    """Return the stage whose application started a task with this context, if any."""
    return context.get(_STAGE)


class Call:
    """
    One connection, or one plain request, seen from the application's side.

    Args:
        url: The URL, for messages.
        secure: Whether it should look like a connection with TLS.
    """

    def __init__(self, url: str, *, secure: bool) -> None:
        self.url = url
        self.secure = secure
        #: The peer's address that the application sees. ``None`` until it is known.
        self.address: tuple[str, int] | None = None
        #: Whether :attr:`over` will be set. Over sockets, it is set only if the server has called
        #: the application.
        self.tells_end = False
        #: The application's task, and the scope around it, while the application works on it.
        self.task: trio.lowlevel.Task | None = None
        self.scope: trio.CancelScope | None = None
        #: Whether nobody waits for it any more, so that nobody would raise its error.
        self.is_left = False
        #: The error that nobody handled.
        self.error: BaseException | None = None
        #: Set when everything of the connection is over.
        self.over = trio.Event()

    @property
    def is_going(self) -> bool:
        """Whether the application is working on it."""
        return self.task is not None

    def note_closed(self) -> None:
        """Note that its connection is closed. It isn't over as long as the application goes on."""
        if self.task is None:
            self.over.set()


class Backend(Protocol):
    """How a client reaches the application."""

    #: The application's URL once it is served. Empty if any host will do.
    url: str
    #: The path at which the application is mounted.
    root_path: str
    #: How many seconds an answer is on its way at most.
    round_trip: float

    async def serve(
        self, trigger: Callable[[], Awaitable[object]], task_status: trio.TaskStatus[None]
    ) -> None:
        """
        Start the application and serve it. Shut it down when *trigger* returns.

        Raises:
            BaseException: The start-up or the shutdown raised this.
        """

    async def connect(self, call: Call, buffer: int) -> End:
        """
        Open a connection.

        Args:
            call: The connection. If its :attr:`Call.address` isn't set, this sets it.
            buffer: How many bytes each direction holds.

        Raises:
            OSError: Nobody listens any more.
        """


class Memory:
    """
    Connections in memory.

    Args:
        app: The application.
        root_path: The path at which it is mounted.
        transit: The network. Without it, everything arrives at once.
    """

    url = ""

    def __init__(self, app: Triows, root_path: str, transit: Transit | None = None) -> None:
        self.root_path = root_path
        self._app = app
        self._reactor = MemoryReactor()
        self.round_trip = 0.0 if transit is None else transit.round_trip
        self._transit = transit
        # This server doesn't listen on sockets, so all other defaults will do.
        self._config = Config()
        self._config.root_path = root_path
        self._server: Server
        self._numbers = count()

    async def serve(
        self, trigger: Callable[[], Awaitable[object]], task_status: trio.TaskStatus[None]
    ) -> None:
        async with trio.open_nursery() as nursery:
            if self._transit is not None:
                await nursery.start(self._transit.run, name="<network>")
            await self._serve(trigger, task_status)
            nursery.cancel_scope.cancel()

    async def _serve(
        self, trigger: Callable[[], Awaitable[object]], task_status: trio.TaskStatus[None]
    ) -> None:
        async with self._app.running():
            opened = open_server(self._app, self._config, reactor=self._reactor)
            async with opened as self._server, trio.open_nursery() as nursery:
                await nursery.start(self._run, trigger)
                task_status.started()

    async def _run(
        self, trigger: Callable[[], Awaitable[object]], task_status: trio.TaskStatus[object]
    ) -> None:
        await run_server(self._server, trigger, task_status, refusing=True)

    async def connect(self, call: Call, buffer: int) -> End:
        if call.address is None:
            call.address = ("testclient", _PORTS[next(self._numbers) % len(_PORTS)])
        pipes = pair if self._transit is None else self._transit.pipes
        link = MemoryLink(buffer, self._reactor, pipes)
        server = ("testserver", 443 if call.secure else 80)
        arrival = Arrival(link.stream, link.wire, Addresses(call.address, server, call.secure))

        def close() -> None:
            link.wire.close(abort=False)
            call.note_closed()

        def opening() -> Arrival:
            _CALL.set(call)
            return arrival

        await trio.lowlevel.checkpoint()
        try:
            self._server.start(opening, close)
            call.tells_end = True
        except RuntimeError:
            raise ConnectionRefusedError("the application has been shut down") from None
        return link.client


class Loopback:
    """
    Sockets of this machine.

    Args:
        app: The application.
        config: Hypercorn's configuration.
    """

    def __init__(self, app: Triows, config: Config) -> None:
        self._app = app
        self._config = config
        self.url = ""
        self.root_path = config.root_path
        self.round_trip = 0.0

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
    Runs an application at the same time as a test.

    Args:
        app: The application.
        backend: How the client reaches it.
        patience: How many seconds the end of a connection, or of the application, may take. By
            default, what the settings add up to.
        raises: Whether errors that nobody handled are raised in the test. If not, they are logged,
            as by any server.
    """

    def __init__(
        self, app: Triows, backend: Backend, patience: float | None, *, raises: bool
    ) -> None:
        self.app = app
        self.raises = raises
        self.backend = backend
        timeouts = list(app._all_timeouts())
        if patience is None:
            # First the handler's grace, and then a teardown each for its nursery and its resources.
            ends = max(one.disconnect_grace + 2 * one.teardown for one in timeouts)
            patience = _limited(ends) + backend.round_trip + _SLACK
        self.patience = patience
        #: How many seconds the handshake of a connection may take.
        self.handshake = max(one.accept for one in timeouts) + backend.round_trip + patience
        #: How many seconds it takes at most until the application notices by itself that a peer is
        #: gone.
        self.notice = max(
            _limited(max(one.ping_interval + one.ping_timeout, one.send)) for one in timeouts
        )
        #: How many seconds a shutdown may take.
        self.shutdown = _limited(app.drain_budget + app.timeouts.teardown) + patience
        #: How many seconds the end of the application's resources may take, with the end of
        #: connections that were left.
        self.ending = patience + _limited(app.timeouts.teardown)
        #: Whether something was found that does not end.
        self.has_leaked = False
        #: Requests that did not end when they were cancelled, and what they looked like then.
        self.stuck: dict[Call, str] = {}
        #: Whether the start-up was given up.
        self.never_started = False
        #: Whether something goes on although it was cancelled and has no shield any more.
        self.is_unending = False
        #: The error that ended the test, if its loop was blocked, and whether it was raised.
        self.blocked: LoopBlocked | None = None
        self.blocked_is_told = False
        self.errors: list[BaseException] = []
        self.calls: set[Call] = set()
        #: Plain requests that have not ended.
        self.requests: set[Call] = set()
        #: Set when the application runs, or has failed to.
        self.started = trio.Event()
        self.done = trio.Event()
        #: Whether the application ended, or was told to end.
        self.is_ending = False
        self.body = trio.CancelScope()
        #: The nursery in which everything runs. It is set before anything starts.
        self.nursery: trio.Nursery
        self._trigger = trio.Event()

    async def run(self) -> None:
        """Run the application until :meth:`end`. Keep its errors."""
        _STAGE.set(self)
        follow_schedule()
        loop = current_loop()
        if loop is not None:
            loop.pictures.append(self.picture)
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
            if loop is not None:
                loop.pictures.remove(self.picture)
            # If the application failed, the test ends, too.
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
    def slowness(self) -> str:
        """Why the server may cut a connection: its network is slow. Empty if it is fast enough."""
        round_trip, timeouts = self.backend.round_trip, list(self.app._all_timeouts())
        least = {name: min(getattr(one, name) for one in timeouts) for name in _SLOW}
        shorter = [
            f"Timeouts.{name} ({seconds:g} s)"
            for name, seconds in least.items()
            if seconds < round_trip
        ]
        if not shorter:
            return ""
        return (
            "the server cut the connection, maybe because a timeout had passed: a round trip of "
            f"the test's network takes up to {round_trip:g} s, which is longer than "
            f"{', '.join(shorter)}"
        )

    @property
    def lateness(self) -> str:
        """Why a request may never have arrived: its network is slow. Empty if it isn't."""
        if not (round_trip := self.backend.round_trip):
            return ""
        return (
            f"the server waits {self.app.timeouts.handshake:g} s for a request "
            f"(Timeouts.handshake), and the test's network takes up to {round_trip / 2:g} s"
        )

    @property
    def error(self) -> BaseException | None:
        """Everything that went wrong in the application, except in its connections."""
        return combined("errors in the application", self.errors)

    def note_raised(self, *errors: BaseException | None) -> None:
        """Don't raise :attr:`blocked` a second time if it is among what is raised now."""
        found = [leaf for error in errors if error is not None for leaf in leaves(error)]
        if any(is_a(leaf, LoopBlocked) for leaf in found):
            self.blocked_is_told = True

    def open(self) -> int:
        """Count the connections that neither side has closed."""
        unbound = [one for one in self.live() if _call_of(one) not in self.calls]
        return len(self.calls) + sum(not one.line.ended for one in unbound)

    def live(self) -> list[Lifetime]:
        """List its connections, with those of applications that are mounted in it."""
        return [one.lifetime for one in live(self.app) if one.is_connection]

    def picture(self, call: Call | None = None) -> str:
        """Describe what is alive in the application. If it is much, show *call* first."""
        seen = tree(self.app)
        shown = seen.connections
        if len(shown) > _SHOWN:
            own = "" if call is None or call.address is None else "{}:{}".format(*call.address)
            shown = tuple(sorted(shown, key=lambda one: one.peer != own)[:_SHOWN])
        text = f"what is alive in the application:\n{evolve(seen, connections=shown)}"
        if more := len(seen.connections) - len(shown):
            text += f"\n(and {counted(more, 'more connection')})"
        if call is not None and not call.over.is_set() and not self._lifetimes(call):
            # It belongs to another framework's application, so we know only its task.
            text += "" if call.task is None else f"\n{look_at_task(call.task)}"
        return text

    def _lifetimes(self, call: Call) -> list[Lifetime]:
        found = [exchange.lifetime for exchange in live(self.app)]
        return [one for one in found if _call_of(one) is call]

    def cancel(self, call: Call) -> None:
        """
        Cancel the handler of a connection or of a request.

        Raises:
            RuntimeError: The handler belongs to an application of another framework.
        """
        lifetimes = self._lifetimes(call)
        if not lifetimes and call in self.requests:  # a middleware answers
            if call.scope is not None:
                call.scope.cancel()
        elif not lifetimes and not call.over.is_set():
            raise RuntimeError(
                "this connection is served by an application of another framework, whose "
                "handlers can't be cancelled from here"
            )
        for lifetime in lifetimes:
            lifetime.cancel(Reason.CANCELLED)

    async def wait_no_connections(self, seconds: float) -> bool:
        """Wait until all connections are over, even if cancelled. Return whether they are."""
        with trio.move_on_after(seconds, shield=True):
            for _, inside in with_mounted("", self.app._inside()):
                await inside.exchanges.wait_empty()
        return not self.live()

    def leave_request(self, call: Call) -> None:
        """Note that the test has left a request. Its errors count as errors of the application."""
        call.is_left = True
        if call.error is not None:
            self.errors.append(call.error)
            call.error = None
        if not call.is_going:
            self.requests.discard(call)

    async def cancel_requests(self, *calls: Call) -> None:
        """Cancel the application's work on requests, and note which of them don't end."""
        going = [call for call in calls if call.is_going]
        for call in going:
            if call.scope is not None:
                call.scope.cancel()
        with trio.move_on_after(_MOMENT, shield=True):
            for call in going:
                await call.over.wait()
        self.stuck |= {call: self.picture(call) for call in going if call.is_going}

    @contextmanager
    def calling(self, call: Call) -> Iterator[None]:
        """Remember a connection during a block."""
        self.calls.add(call)
        try:
            yield
        finally:
            self.calls.discard(call)

    # Called by the application, in the task that serves the connection.

    def began(self, scope: Scope) -> None:
        call = _CALL.get()
        if call is None:
            # On a socket, we recognise it by its address. No middleware has changed that yet.
            client: Any = scope.get("client")
            address = tuple(client) if client else None
            calls = (*self.calls, *self.requests)
            call = next((one for one in calls if one.address == address), None)
            _CALL.set(call)
        if call is not None:
            call.tells_end = True
            call.task = trio.lowlevel.current_task()
            call.scope = scope_of(call.task)

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
            call.task = call.scope = None  # the task's context refers to the call
            if call.is_left:
                self.requests.discard(call)
