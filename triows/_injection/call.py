"""Carrying out a plan: from a connection to the arguments of its handler."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .factories import Factory
    from .plan import Plan
    from .resources import ResourceStack

__all__ = ["make_arguments", "make_value"]


async def make_arguments(
    plan: Plan, values: list[Any], stack: ResourceStack, *, patience: float
) -> dict[str, Any]:
    """
    Call a plan's factories in order and return the arguments.

    Cancelling it leaves the resources entered so far in *stack*, to be exited there.

    Args:
        plan: What to make.
        values: The plan's first values: parameters, givens and shared ones. The factories'
            results are added to it.
        stack: Where resources are entered that have to be exited.
        patience: Seconds that a factory's own cleanup may take if it is cancelled.

    Raises:
        BaseException: what a factory raised.
    """
    for step in plan.steps:
        arguments = {name: values[place] for name, place in step.arguments}
        values.append(await make_value(step.factory, arguments, stack, patience=patience))
    return {name: values[place] for name, place in plan.arguments}


async def make_value(
    factory: Factory, arguments: dict[str, Any], stack: ResourceStack, *, patience: float
) -> Any:
    """Call one factory; arguments and errors as :func:`make_arguments`."""
    if factory.kind.hosted:
        return factory.checked(await stack.enter(factory, arguments, patience))
    value = factory.open(**arguments)
    return factory.checked(await value if inspect.isawaitable(value) else value)
