"""
An application between start-up and shutdown: its resources, entered and exited in order.

The lifespan is entered first, then each factory with ``scope="app"``, each in a task of
its own like a connection's resources, for the same reasons.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import trio
from attrs import define, field

from ._errors import combined, without_cancelled
from ._injection.call import make_arguments, make_value
from ._injection.factories import Factory, FactoryKind, factory_kind
from ._injection.resources import Host, ResourceStack
from ._injection.yields import unmanageable
from ._managers import asynccontextmanager
from ._where import name_of, where
from .exceptions import RouteSetupError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from ._injection.plan import Plan

__all__ = ["AppResources", "check_lifespan"]


def check_lifespan(lifespan: Any) -> None:
    """
    Refuse what can't be run around an application.

    Raises:
        RouteSetupError: with the file and line of the user's function.
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
        return  # of a built-in, it may not be known
    try:
        signature.bind(None)
    except TypeError as exc:
        raise RouteSetupError(
            f"lifespan= is called with the application and nothing else, and {name_of(lifespan)} "
            f"can't be called so ({exc}): write {_EXAMPLE}",
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


def _checked_state(state: object, lifespan: Any) -> dict[str, Any]:
    """Refuse what a lifespan yields in place of a state."""
    if state is None:
        return {}
    if not isinstance(state, Mapping):
        raise TypeError(
            f"the lifespan {name_of(lifespan)} yielded a {type(state).__name__}: yield a dict, "
            f"which each connection finds in its state, or nothing\n  at {where(lifespan)}"
        )
    return dict(state)


async def _raised_by(leave: Callable[[], Awaitable[object]]) -> list[BaseException]:
    """Call it, and return what went wrong: the resources have to exit all the same."""
    try:
        await leave()
    except Exception as exc:  # noqa: BLE001 - returned
        return [exc]
    return []


@define
class AppResources:
    """
    What lives from start-up to shutdown.

    Args:
        app: Given to the lifespan, and to factories that ask for it.
        lifespan: The user's, or ``None``.
        teardown: Seconds for all exits together.
    """

    app: Any
    lifespan: Callable[..., Any] | None
    teardown: float
    #: What the lifespan yielded: copied into each connection's ``state``.
    state: Mapping[str, Any] = field(factory=dict, init=False)
    #: Values of the factories with ``scope="app"``, by the user's function.
    shared: dict[Callable[..., Any], Any] = field(factory=dict, init=False)
    #: What has to be exited, while there is something.
    stack: ResourceStack | None = field(default=None, init=False)

    @asynccontextmanager
    async def entered(
        self,
        plans: Mapping[Callable[..., Any], tuple[Factory, Plan]],
        leave: Callable[[], Awaitable[object]],
    ) -> AsyncIterator[None]:
        """
        Enter everything; exit it at the end of the block, also of one that was cancelled.

        If one of them gives way while in use, the block is cancelled and the error raised.

        Args:
            plans: What to enter, in order.
            leave: Awaited before the exits, shielded: it sees to it that nobody uses the
                resources any more, and bounds itself.

        Raises:
            BaseException: what a factory, the block, or an exit raised, as one.
        """
        error: BaseException | None = None
        body = trio.CancelScope()

        def expired(_host: Host) -> None:
            body.cancel()

        async with trio.open_nursery() as nursery:
            stack = self.stack = ResourceStack(nursery, expired)
            try:
                with body:
                    await self._enter(plans, stack)
                    yield
            except BaseException as exc:  # noqa: BLE001 - raised when all is closed
                error = exc
            real = None if error is None else without_cancelled(error)
            cancelled = None if error is None or real is not None else "cancelled"
            if body.cancelled_caught:
                cancelled = "resource failed"
            # Bounded: leave() bounds itself, and the exits have their deadline.
            with trio.CancelScope(shield=True):
                errors = await _raised_by(leave)
                errors += await stack.aclose(seconds=self.teardown, error=real, cancelled=cancelled)
            self.shared.clear()
            self.state = {}
            self.stack = None
        found = [exc for exc in (real, *errors) if exc is not None]
        failure = combined("errors in the application's resources", found) if found else error
        if failure is not None:
            raise failure

    async def _enter(
        self, plans: Mapping[Callable[..., Any], tuple[Factory, Plan]], stack: ResourceStack
    ) -> None:
        if self.lifespan is not None:
            factory = Factory.of(functools.partial(self.lifespan, self.app))
            state = await make_value(factory, {}, stack, patience=self.teardown)
            self.state = _checked_state(state, self.lifespan)
        for original, (factory, plan) in plans.items():
            values = [*(self.app for _ in plan.givens), *(self.shared[one] for one in plan.shared)]
            arguments = await make_arguments(plan, values, stack, patience=self.teardown) or {}
            self.shared[original] = await make_value(
                factory, arguments, stack, patience=self.teardown
            )
