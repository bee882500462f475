"""What belongs to an exchange, in a task that may be anybody's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triows._exchange.lifetime import Lifetime

from .tasks import TaskNode, frames_in, look_at, look_at_nurseries

if TYPE_CHECKING:
    from collections.abc import Iterator

    import trio

    from triows._stacks import RawFrame

__all__ = ["inner_nurseries", "look_at_own", "own_frames"]

# A server's task or a test's task may run an exchange. Only the frames and nurseries inside of
# Lifetime.run() belong to the exchange.


def own_frames(lifetime: Lifetime) -> list[RawFrame]:
    """The frames of an exchange's task that belong to the exchange."""
    return [] if lifetime.task is None else frames_in(lifetime.task, Lifetime.run)


def inner_nurseries(lifetime: Lifetime) -> list[trio.Nursery]:
    """The nurseries that an exchange's handler has opened."""
    if lifetime.task is None:
        return []
    own = lifetime.outer_nurseries + (lifetime.tasks is not None)
    return list(lifetime.task.child_nurseries[own:])


def look_at_own(lifetime: Lifetime, name: str) -> Iterator[TaskNode]:
    """Describe the tasks of an exchange. Its own comes first, under this *name*."""
    if lifetime.task is None:
        return
    yield look_at(lifetime.task, own_frames(lifetime), inner_nurseries(lifetime), name=name)
    own = [] if lifetime.tasks is None else [lifetime.tasks]
    for nursery in look_at_nurseries(own, but={host.task for host in lifetime.hosts}):
        yield from nursery.tasks
