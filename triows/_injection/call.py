"""Carrying out a plan: from a connection to the arguments of its handler."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .plan import Plan
    from .resources import ResourceStack

__all__ = ["make_arguments"]


async def make_arguments(
    plan: Plan, values: list[Any], stack: ResourceStack | None, *, patience: float
) -> dict[str, Any]:
    """
    Call a plan's factories in order and return the arguments.

    Cancelling it leaves the resources entered so far in *stack*, to be exited there.

    Args:
        plan: What to make.
        values: The plan's first values: parameters, givens and shared ones. The factories'
            results are added to it.
        stack: Where resources are entered; ``None`` if the plan has none that must be.
        patience: Seconds that a factory's own cleanup may take if it is cancelled.

    Raises:
        BaseException: what a factory raised.
    """
    for step in plan.steps:
        arguments = {name: values[place] for name, place in step.arguments}
        if step.factory.kind.hosted:
            assert stack is not None
            value = await stack.enter(step.factory, arguments, patience)
        else:
            value = step.factory.open(**arguments)
            if inspect.isawaitable(value):
                value = await value
        values.append(value)
    return {name: values[place] for name, place in plan.arguments}
