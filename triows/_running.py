"""
An application between start-up and shutdown: its resources, entered and exited in order.

The lifespan is entered first, then each factory with ``scope="app"``, each in a task of
its own like a connection's resources, for the same reasons.
"""

from __future__ import annotations

import functools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio
from attrs import define, field

from ._errors import combined
from ._injection.call import make_arguments
from ._injection.factories import Factory
from ._injection.resources import Host, ResourceStack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from ._connection.registry import Connections
    from ._injection.plan import Plan
    from ._settings import Timeouts

__all__ = ["AppResources", "entered"]


@define
class AppResources:
    """What lives from start-up to shutdown."""

    #: What the lifespan yielded: copied into each connection's ``state``.
    state: Mapping[str, Any] = field(factory=dict)
    #: Values of the factories with ``scope="app"``, by the user's function.
    shared: dict[Callable[..., Any], Any] = field(factory=dict)


@asynccontextmanager
async def entered(
    app: Any,
    lifespan: Callable[..., Any] | None,
    plans: Mapping[Callable[..., Any], tuple[Factory, Plan]],
    resources: AppResources,
    connections: Connections,
    *,
    timeouts: Timeouts,
    drain: Callable[[], Any],
) -> AsyncIterator[None]:
    """
    Enter the lifespan and all application resources; exit them at the end.

    If one of them gives way while in use, the body is cancelled and the error raised.
    Before they exit, connections that are left are drained.

    Args:
        app: Given to the lifespan and to factories that ask for it.
        lifespan: The user's, or ``None``.
        plans: What to enter, in order.
        resources: Filled here, emptied at the end.
        connections: Those that may use them.
        timeouts: ``teardown`` bounds the exits.
        drain: Closes the connections that are left.

    Raises:
        BaseException: what a factory, the body, or an exit raised, as one.
    """
    error: BaseException | None = None
    body = trio.CancelScope()

    def expired(_host: Host) -> None:
        body.cancel()

    async with trio.open_nursery() as nursery:
        stack = ResourceStack(nursery, expired)
        try:
            with body:
                await _enter_all(app, lifespan, plans, resources, stack, timeouts.teardown)
                yield
        except BaseException as exc:  # noqa: BLE001 - raised when all is closed
            error = exc
        # Bounded: the drain states its own end, the exits have theirs.
        with trio.CancelScope(shield=True):
            if len(connections):
                await drain()
            cancelled = "cancelled" if isinstance(error, trio.Cancelled) else None
            if body.cancelled_caught:
                cancelled = "resource failed"
            errors = await stack.aclose(
                seconds=timeouts.teardown,
                error=None if cancelled else error,
                cancelled=cancelled,
            )
        resources.shared.clear()
        resources.state = {}
    found = [exc for exc in (error, *errors) if exc is not None]
    real = [exc for exc in found if not isinstance(exc, trio.Cancelled)]
    failure = combined("errors in the application's resources", real) or error
    if failure is not None:
        raise failure


async def _enter_all(
    app: Any,
    lifespan: Callable[..., Any] | None,
    plans: Mapping[Callable[..., Any], tuple[Factory, Plan]],
    resources: AppResources,
    stack: ResourceStack,
    patience: float,
) -> None:
    if lifespan is not None:
        factory = Factory.of(functools.partial(lifespan, app))
        state = await stack.enter(factory, {}, patience)
        resources.state = dict(state or {})
    for original, (factory, plan) in plans.items():
        values = [*(app for _ in plan.givens), *(resources.shared[key] for key in plan.shared)]
        arguments = await make_arguments(plan, values, stack, patience=patience)
        if factory.kind.hosted:
            value = await stack.enter(factory, arguments, patience)
        else:
            value = factory.open(**arguments)
            if hasattr(value, "__await__"):
                value = await value
        resources.shared[original] = value
