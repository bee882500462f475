"""Carry out the body of a plan: make the arguments of a handler."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from .plan import Intake

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .factories import Factory
    from .hosts import ResourceStack
    from .plan import Body

__all__ = ["make_arguments", "make_value"]


async def make_arguments(
    body: Body,
    values: list[Any],
    stack: ResourceStack,
    *,
    patience: float,
    is_over: Callable[[], bool] | None = None,
    take_in: Callable[[Intake], Awaitable[list[Any]]] | None = None,
) -> dict[str, Any] | None:
    """
    Call the factories of a plan in order, and return the handler's arguments.

    Return ``None`` if a factory has refused the connection. If this is cancelled, the resources
    entered so far are in *stack*, whose owner exits them.

    Args:
        body: What to make.
        values: The values of the plan's head. The results of the factories are added to this list.
        stack: The stack on which resources are entered that have to be exited.
        patience: How many seconds the cleanup of a factory may take if it is cancelled.
        is_over: Asked after each factory whether it has refused the connection. If so, no other
            factory is called.
        take_in: Makes the values of the intake, if the plan has one.

    Raises:
        BaseException: What a factory raised.
    """
    for step in body.order:
        if isinstance(step, Intake):
            assert take_in is not None
            values += await take_in(step)
            continue
        arguments = {name: values[place] for name, place in step.arguments}
        values.append(await make_value(step.factory, arguments, stack, patience=patience))
        if is_over is not None and is_over():
            return None
    return body.arguments_in(values)


async def make_value(
    factory: Factory, arguments: dict[str, Any], stack: ResourceStack, *, patience: float
) -> Any:
    """Call one factory. Its arguments and errors are those of :func:`make_arguments`."""
    stack.making = factory  # and if it fails or is cancelled, it stays there
    if factory.hosted:
        value = await stack.enter(factory, arguments, patience)
    else:
        value = factory.open(**arguments)
        if inspect.isawaitable(value):
            value = await value
    checked = factory.checked(value)
    stack.making = None
    return checked
