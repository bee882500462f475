"""Carry out a plan: make the arguments of a handler for one connection."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .factories import Factory
    from .plan import Plan
    from .resources import ResourceStack

__all__ = ["make_arguments", "make_value"]


async def make_arguments(
    plan: Plan,
    values: list[Any],
    stack: ResourceStack,
    *,
    patience: float,
    is_over: Callable[[], bool] | None = None,
) -> dict[str, Any] | None:
    """
    Call a plan's factories in order, and return the handler's arguments.

    Return ``None`` if a factory has refused the connection. If this is cancelled, the resources
    entered so far are in *stack*, whose owner exits them.

    Args:
        plan: What to make.
        values: The plan's first values: parameters, givens and shared values. The results of the
            factories are added to this list.
        stack: The stack on which resources are entered that have to be exited.
        patience: How many seconds the cleanup of a factory may take if it is cancelled.
        is_over: Asked after each factory whether it has refused the connection. If so, no other
            factory is called.

    Raises:
        BaseException: What a factory raised.
    """
    for step in plan.steps:
        arguments = {name: values[place] for name, place in step.arguments}
        values.append(await make_value(step.factory, arguments, stack, patience=patience))
        if is_over is not None and is_over():
            return None
    return {name: values[place] for name, place in plan.arguments}


async def make_value(
    factory: Factory, arguments: dict[str, Any], stack: ResourceStack, *, patience: float
) -> Any:
    """Call one factory. Its arguments and errors are those of :func:`make_arguments`."""
    stack.making = factory  # and if it fails or is cancelled, it stays there
    if factory.kind.hosted:
        value = await stack.enter(factory, arguments, patience)
    else:
        value = factory.open(**arguments)
        if inspect.isawaitable(value):
            value = await value
    checked = factory.checked(value)
    stack.making = None
    return checked
