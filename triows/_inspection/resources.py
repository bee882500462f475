"""Describes resources between their entry and their exit, and the lines that they have reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from attrs import frozen

from triows._injection.call import make_value
from triows._printable import printable
from triows._stacks import Frame, describe, frame_at, innermost, relative

from .places import place_of
from .tasks import NurseryNode, await_frames, frames_in, look_at_nurseries, outline_of_nurseries
from .text import Line, Outlined, Style

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from triows._injection.hosts import Host
    from triows._running import AppResources

__all__ = ["ResourceNode", "State", "look_at_resources", "look_at_shared"]

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
        """See :class:`Outlined`."""
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
    if factory is not None and not factory.kind.hosted and resources.task is not None:
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


def look_at_resources(hosts: Iterable[Host]) -> tuple[ResourceNode, ...]:
    """Describe resources, in the order in which they were entered."""
    return tuple(_look(host) for host in hosts if not host.done)


def _look(host: Host) -> ResourceNode:
    frame = _frame_of(host)
    return ResourceNode(
        name=printable(host.factory.name),
        where=place_of(host.factory.call),
        state=_state_of(host),
        at=frame.where if frame else "",
        source=frame.source if frame else "",
        nurseries=look_at_nurseries(host.task.child_nurseries if host.task else ()),
    )


def _state_of(host: Host) -> State:
    if host.released:
        return "exiting"
    return "held" if host.entered else "entering"


def _frame_of(host: Host) -> Frame | None:
    """Return the frame of the resource itself, if it can be found."""
    if host.task is not None:
        frame = innermost(describe(await_frames(host.task)))
        if frame is not None and frame.owner in ("application", "library"):
            return frame
    # It isn't waiting for anything, so it is a generator at its yield. The context manager around
    # it has the generator as "gen", as contextlib's managers do.
    generator = getattr(host.manager, "gen", None)
    raw = getattr(generator, "ag_frame", None) or getattr(generator, "gi_frame", None)
    return None if raw is None else frame_at(raw.f_code, raw.f_lineno)
