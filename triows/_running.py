"""
An application between start-up and shutdown: its resources, entered and exited in order.

The lifespan is entered first, and then each factory with ``scope="app"``. Each runs in a task of
its own, for the same reasons as a connection's resources.
"""

from __future__ import annotations

import functools
import inspect
import logging
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import trio
from attrs import define, field

from ._errors import combined, without_cancelled
from ._injection.call import make_arguments, make_value
from ._injection.factories import Factory, FactoryKind, factory_kind
from ._injection.hosts import Host, ResourceStack
from ._injection.kinds import APP
from ._injection.yields import unmanageable
from ._loop import note_loop
from ._managers import asynccontextmanager, contextmanager
from ._reasons import Reason
from ._where import name_of, where
from .exceptions import RouteSetupError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator

    from ._injection.plan import Plan

logger = logging.getLogger("triows")

__all__ = ["STARTING", "AppResources", "ConnectionState", "check_lifespan"]

#: Seconds that the lifespan, or a resource of the application, may take to start before a warning
#: names it. It has no limit: a migration may take minutes. A connection to a database takes less
#: than a second, and clients give up on one after 10 s.
STARTING = 10.0


def check_lifespan(lifespan: Any) -> None:
    """
    Refuse a lifespan that can't work.

    Raises:
        RouteSetupError: It can't work. The error has the file and line of the user's function.
    """
    at = where(lifespan) if callable(lifespan) else None
    if (called := _called(lifespan)) is not None:
        raise RouteSetupError(
            f"lifespan= got what a call of {called} returned, and triows calls it with the "
            f"application: leave the parentheses out, and write lifespan={called}"
        )
    if not callable(lifespan):
        raise RouteSetupError(
            f"lifespan= takes a function of the application, not {lifespan!r}: write {_EXAMPLE}"
        )
    if (problem := unmanageable(lifespan)) is not None:
        raise RouteSetupError(f"the lifespan {name_of(lifespan)} {problem}", at)
    kind = factory_kind(lifespan)
    if not kind.hosted:
        what = "an async function" if kind is FactoryKind.COROUTINE else "a function"
        raise RouteSetupError(
            f"lifespan= takes a function that yields once, and {name_of(lifespan)} is {what} "
            f"without a yield: write {_EXAMPLE}",
            at,
        )
    try:
        signature = inspect.signature(lifespan)
    except (TypeError, ValueError):
        return  # some built-ins don't tell their signature
    try:
        signature.bind(None)
    except TypeError as exc:
        raise RouteSetupError(
            f"lifespan= is called with the application and nothing else, and {name_of(lifespan)} "
            f"can't be called that way ({exc}): write {_EXAMPLE}",
            at,
        ) from None


def _called(lifespan: Any) -> str | None:
    """Return the name of a lifespan that was called by mistake."""
    # Those of contextlib have the generator, and can be called, as decorators.
    made = getattr(lifespan, "gen", lifespan)
    if inspect.iscoroutine(made):
        made.close()  # or Python warns that it was never awaited
    elif not (inspect.isgenerator(made) or inspect.isasyncgen(made)):
        return None
    return str(made.__qualname__)


_EXAMPLE = "`@asynccontextmanager` over `async def lifespan(app): ...; yield; ...`"


class ConnectionState(dict[str, Any]):
    """
    The state of a connection: what the lifespan yielded, and what middlewares add.

    Some middlewares copy the whole scope, such as Hypercorn's ``ProxyFixMiddleware``. A copy has
    the same objects, because a pool of database connections can't be copied.
    """

    def __deepcopy__(self, memo: object) -> ConnectionState:
        """Copy the names, and keep the objects."""
        return ConnectionState(self)


def _checked_state(state: object, lifespan: Any) -> dict[str, Any]:
    """Return the state that a lifespan yielded. Refuse it if it isn't a mapping."""
    if state is None:
        return {}
    if not isinstance(state, Mapping):
        raise TypeError(
            f"the lifespan {name_of(lifespan)} yielded a {type(state).__name__}: yield a dict, "
            f"which each connection finds in its state, or nothing\n  at {where(lifespan)}"
        )
    return dict(state)


async def _raised_by(leave: Callable[[], Awaitable[object]]) -> list[BaseException]:
    """Call it, and return its error: the resources have to exit in any case."""
    try:
        await leave()
    except Exception as exc:  # noqa: BLE001 - returned
        return [exc]
    return []


@contextmanager
def _beside(nursery: trio.Nursery, function: Callable[[], Awaitable[None]]) -> Iterator[None]:
    """Run a function in a task until the end of the block, whatever is cancelled."""
    scope = trio.CancelScope(shield=True)

    async def run() -> None:
        with scope:
            await function()

    nursery.start_soon(run, name="<overseer>")
    try:
        yield
    finally:
        scope.cancel()


@define
class AppResources:
    """
    The resources that live from start-up to shutdown.

    Args:
        app: The application. The lifespan gets it, and each factory that asks for it.
        lifespan: The user's lifespan, or ``None``.
        teardown: How many seconds all exits together may take.
    """

    app: Any
    lifespan: Callable[..., Any] | None
    teardown: float
    #: What the lifespan yielded. It is copied into each connection's ``state``.
    state: Mapping[str, Any] = field(factory=dict, init=False)
    #: The values of the factories with ``scope="app"``, by the user's function.
    shared: dict[Callable[..., Any], Any] = field(factory=dict, init=False)
    #: The factories of the resources that the start-up enters. ``None`` while it is not running.
    planned: Collection[Callable[..., Any]] | None = field(default=None, init=False)
    #: The entered resources, while the application runs.
    stack: ResourceStack | None = field(default=None, init=False)
    #: The task of the start-up, while it lasts.
    task: trio.lowlevel.Task | None = field(default=None, init=False)
    #: By when what happens now has to be over, on Trio's clock: the making of one resource, or
    #: all exits.
    ends_by: float = field(default=math.inf, init=False)
    #: The value of :attr:`ends_by` of which a warning was written.
    told: float = field(default=math.inf, init=False)

    @asynccontextmanager
    async def entered(
        self,
        plans: Mapping[Callable[..., Any], tuple[Factory, Plan]],
        leave: Callable[[], Awaitable[object]],
        beside: Callable[[], Awaitable[None]],
        give_up: Callable[[], None],
    ) -> AsyncIterator[None]:
        """
        Enter all resources, and exit them at the end of the block, even if it was cancelled.

        If a resource fails while it is in use, the block is cancelled and the error is raised.

        Args:
            plans: What to enter, in order.
            leave: Awaited before the exits, in a shield. It makes sure that nobody uses the
                resources any more, and has a deadline of its own.
            beside: Runs all the time, in a shield, and never raises. It is cancelled when all is
                closed.
            give_up: Called if a resource fails while it is in use. It cancels whoever uses the
                resources, and says why.

        Raises:
            BaseException: What a factory, the block or an exit raised, as one exception.
        """
        error: BaseException | None = None
        body = trio.CancelScope()

        def expired(host: Host) -> None:
            logger.error("%s failed, so the application ends now", host.factory.name)
            give_up()
            body.cancel()

        self.planned = plans.keys()
        try:
            async with trio.open_nursery() as nursery:
                with _beside(nursery, beside):
                    stack = self.stack = ResourceStack(nursery, expired, "the application")
                    try:
                        with body:
                            await self._enter(plans, stack)
                            yield
                    except BaseException as exc:  # noqa: BLE001 - raised when all is closed
                        error = exc
                    real = None if error is None else without_cancelled(error)
                    cancelled = None if error is None or real is not None else Reason.CANCELLED
                    if body.cancelled_caught:
                        cancelled = Reason.RESOURCE_FAILED
                    # The shield can't last forever: leave() and the exits have their own deadlines.
                    with trio.CancelScope(shield=True):
                        errors = await _raised_by(leave)
                        # An exit that takes longer than it may is cancelled in between.
                        self.ends_by = trio.current_time() + 2 * self.teardown
                        errors += await stack.aclose(
                            seconds=self.teardown, error=real, cancelled=cancelled
                        )
                    self.shared.clear()
                    self.state = {}
                    self.stack = None
                    self.ends_by = self.told = math.inf
        finally:
            self.planned = None
        found = [exc for exc in (real, *errors) if exc is not None]
        failure = combined("errors in the application's resources", found) if found else error
        if failure is not None:
            note_loop(failure)
            raise failure

    @property
    def exiting(self) -> str | None:
        """The name of the resource that exits at the moment."""
        hosts = [] if self.stack is None else self.stack.hosts
        return hosts[-1].factory.name if hosts and hosts[-1].released else None

    def due(self, _now: float) -> float:
        """Return by when what happens now has to be over; ``inf`` if nothing has to."""
        return self.ends_by

    async def _enter(
        self, plans: Mapping[Callable[..., Any], tuple[Factory, Plan]], stack: ResourceStack
    ) -> None:
        self.task = trio.lowlevel.current_task()
        try:
            if self.lifespan is not None:
                factory = Factory.of(functools.partial(self.lifespan, self.app))
                self.ends_by = trio.current_time() + STARTING
                state = await make_value(factory, {}, stack, patience=self.teardown)
                self.state = _checked_state(state, self.lifespan)
            for original, (factory, plan) in plans.items():
                self.ends_by = trio.current_time() + STARTING
                values = plan.head.values((), {APP: self.app}, self.shared)
                arguments = await make_arguments(plan.body, values, stack, patience=self.teardown)
                self.shared[original] = await make_value(
                    factory, arguments or {}, stack, patience=self.teardown
                )
        finally:
            self.task, self.ends_by = None, math.inf
