"""Describes resources between their entry and their exit, and the lines that they have reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from attrs import frozen

from triows._injection.call import make_value
from triows._injection.guests import Guest
from triows._printable import printable
from triows._stacks import Frame, describe, frame_at, innermost, relative

from .places import place_of
from .tasks import NurseryNode, await_frames, frames_in, look_at_nurseries, outline_of_nurseries
from .text import Line, Outlined, Style

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import trio

    from triows._injection.resource import Resource
    from triows._running import AppResources
    from triows._stacks import RawFrame

__all__ = [
    "ResourceNode",
    "State",
    "frames_of",
    "look_at_resources",
    "look_at_shared",
    "nurseries_of",
]

State: TypeAlias = Literal["entering", "held", "exiting"]

_STYLES: dict[State, Style] = {"entering": "busy", "held": "good", "exiting": "busy"}


@frozen
class ResourceNode(Outlined):
    """A resource that was entered, or is about to be, and has to be exited."""

    name: str
    #: ``file:line (name)`` of its factory.
    where: str
    #: ``"entering"``, ``"held"`` or ``"exiting"``.
    state: State
    #: ``file:line in function`` of the line that it has reached. For a generator that is held, this
    #: is its ``yield``. For a context manager that is held, it is ``""``.
    at: str
    #: The text of that line, or ``""``.
    source: str
    #: The nurseries that it holds open, such as one around its ``yield``.
    nurseries: tuple[NurseryNode, ...]

    def outline(self) -> Line:
        """Describe it in lines, as ``str()`` and ``rich.print`` show it."""
        place = self.at or self.where
        return Line.of(
            (self.name, "name"),
            (self.state, _STYLES[self.state]),
            (relative(place), "place"),
            (self.source, "source"),
            below=outline_of_nurseries(self.nurseries),
        )


def look_at_shared(resources: AppResources) -> Iterator[ResourceNode]:
    """Describe the resources of an application, with the one that is being made."""
    if resources.stack is None:
        return
    yield from look_at_resources(tuple(resources.stack.hosts))
    factory = resources.stack.making
    if factory is not None and not factory.hosted and resources.task is not None:
        # A function that only returns something runs in the task of the start-up.
        frame = innermost(describe(frames_in(resources.task, make_value)))
        yield ResourceNode(
            name=printable(factory.name),
            where=place_of(factory.call),
            state="entering",
            at=frame.where if frame else "",
            source=frame.source if frame else "",
            nurseries=(),
        )


def look_at_resources(hosts: Iterable[Resource]) -> tuple[ResourceNode, ...]:
    """Describe resources, in the order in which they were entered."""
    return tuple(_look(host) for host in hosts if not host.done)


def _look(host: Resource) -> ResourceNode:
    frame = _frame_of(host)
    return ResourceNode(
        name=printable(host.factory.name),
        where=place_of(host.factory.call),
        state=_state_of(host),
        at=frame.where if frame else "",
        source=frame.source if frame else "",
        nurseries=look_at_nurseries(nurseries_of(host)),
    )


def frames_of(resource: Resource) -> list[RawFrame]:
    """Return the frames of a resource, if it runs, the outermost first."""
    if resource.task is None:
        return []
    if isinstance(resource, Guest):
        return frames_in(resource.task, Guest.wait_done if resource.released else Guest.enter)
    return await_frames(resource.task)


def nurseries_of(resource: Resource) -> Sequence[trio.Nursery]:
    """Return the nurseries in the resource's own task, if it has one."""
    if resource.task is None or isinstance(resource, Guest):
        return ()
    return resource.task.child_nurseries


def _state_of(host: Resource) -> State:
    if host.released:
        return "exiting"
    return "held" if host.entered else "entering"


def _frame_of(host: Resource) -> Frame | None:
    """Return the frame of the resource itself, if it can be found."""
    if host.task is not None:
        frame = innermost(describe(frames_of(host)))
        if frame is not None and frame.owner in ("application", "library"):
            return frame
    # It isn't waiting for anything, so it is a generator at its yield. The context manager around
    # it has the generator as "gen", as contextlib's managers do.
    generator = getattr(host.manager, "gen", None)
    raw = getattr(generator, "ag_frame", None) or getattr(generator, "gi_frame", None)
    return None if raw is None else frame_at(raw.f_code, raw.f_lineno)
