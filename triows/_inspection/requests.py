"""Describes live plain requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from attrs import frozen

from triows._counted import counted
from triows._exchange.lifetime import LifetimeStage  # noqa: TC001 - triows.inspect evaluates it
from triows._log import peer_of
from triows._printable import printable
from triows._stacks import relative
from triows._where import name_of

from .own import look_at_own
from .places import place_of
from .resources import ResourceNode, look_at_resources
from .tasks import TaskNode  # noqa: TC001 - triows.inspect evaluates it
from .text import Line, Outlined, Part

if TYPE_CHECKING:
    from collections.abc import Iterator

    from triows._request.exchange import RequestExchange
    from triows._request.line import RequestLine

__all__ = ["RequestNode", "look_at_request"]

State: TypeAlias = Literal["unanswered", "answering", "answered"]


@frozen
class RequestNode(Outlined):
    """A live plain request, which a handler or a mounted application answers."""

    #: The route's template, or the one at which the application is mounted. For what is in a
    #: mounted application, its path comes first.
    route: str
    method: str
    #: The request's path. Characters that can't be printed are escaped.
    path: str
    #: ``host:port`` of the peer, or ``?`` if the server doesn't know it.
    peer: str
    #: ``file:line (name)`` of the handler, or of the mounted application.
    handler: str
    #: Whether a mounted application answers it.
    is_mounted: bool
    #: How many seconds ago the request came.
    age: float
    #: What is happening: ``"arguments"`` while the body is read and the arguments are made,
    #: ``"handler"`` while it runs, and ``"end"`` during the exits and the end of the response.
    stage: LifetimeStage
    #: ``"unanswered"``, then ``"answering"`` from the response's status on, and ``"answered"`` when
    #: the whole response was handed over.
    state: State
    #: The status of the response, once it has begun.
    status: int | None
    #: Why the request ends, while the application may still finish: ``"peer gone"`` or
    #: ``"shutdown"``. It is ``None`` unless the server shuts down.
    ending: str | None
    #: How many seconds the application has left to finish.
    grace: float | None
    #: Why the handler or the application was cancelled, if it was: ``"peer gone"``,
    #: ``"shutdown"``, ``"timeout"`` (of the arguments), ``"task failed"`` (in its nursery),
    #: ``"resource failed"``, ``"application failed"`` (a resource of the outer application), or
    #: ``"cancelled"`` (from outside).
    cancelled: str | None
    #: How many bytes of the request's body were taken.
    bytes_received: int
    #: How many bytes of the response's body were sent.
    bytes_sent: int
    #: The resources that have to be exited, in the order in which they were entered.
    resources: tuple[ResourceNode, ...]
    #: First comes the task that runs the handler or the application, then what it has started. The
    #: tasks in the request's nursery are below ``<request nursery>``.
    tasks: tuple[TaskNode, ...]

    def outline(self) -> Line:
        """Describe it in lines, as ``str()`` and ``rich.print`` show it."""
        return Line.of(
            (self.method, "title"),
            (self.path, "title"),
            (self.peer, ""),
            *_state_parts(self),
            (f"{self.age:.1f} s", ""),
            below=[
                Line.of(
                    ("application" if self.is_mounted else "handler", "aside"),
                    (relative(self.handler), "place"),
                ),
                Line.of(
                    (f"received {counted(self.bytes_received, 'byte')}", "aside"),
                    (f"sent {counted(self.bytes_sent, 'byte')}", "aside"),
                ),
                *(
                    Line.of((kind, "aside"), *line.parts, below=line.children)
                    for kind, nodes in (("resource", self.resources), ("task", self.tasks))
                    for line in (node.outline() for node in nodes)
                ),
            ],
        )


def look_at_request(
    prefix: str, exchange: RequestExchange, line: RequestLine, now: float
) -> RequestNode:
    """
    Describe a request.

    Args:
        prefix: Where its triows application is mounted.
        exchange: The request.
        line: Its line.
        now: The time, on Trio's clock.
    """
    lifetime, served, scope = exchange.lifetime, exchange.served, exchange.scope
    grace = lifetime.grace
    return RequestNode(
        route=prefix + served.path,
        method=printable(scope.get("method", "")),
        path=printable(scope.get("path", "")),
        peer=printable(peer_of(scope)),
        handler=place_of(served.handler),
        is_mounted=not line.tells_last,
        age=now - lifetime.started,
        stage=exchange.stage,
        state=_state_of(line),
        status=line.transport.status,
        ending=None if grace is None else str(grace[1]),
        grace=None if grace is None else max(0.0, grace[0] - now),
        cancelled=None if lifetime.cancelled is None else str(lifetime.cancelled),
        bytes_received=line.transport.received,
        bytes_sent=line.transport.sent,
        resources=look_at_resources(lifetime.hosts),
        tasks=tuple(look_at_own(lifetime, name_of(served.handler))),
    )


def _state_of(line: RequestLine) -> State:
    if line.is_complete:
        return "answered"
    return "unanswered" if line.transport.status is None else "answering"


def _state_parts(seen: RequestNode) -> Iterator[Part]:
    status = "" if seen.status is None else f" {seen.status}"
    yield f"{seen.state}{status}", "good" if seen.state == "answered" else "busy"
    if seen.cancelled is not None:
        why = "" if seen.cancelled == "cancelled" else f": {seen.cancelled}"
        yield f"cancelled{why}", "bad"
    elif seen.ending is not None:
        yield f"{seen.ending}, {seen.grace or 0:.1f} s left", "busy"
    if seen.stage != "handler" and not seen.is_mounted:
        yield {"arguments": "making arguments", "end": "ending"}[seen.stage], "busy"
