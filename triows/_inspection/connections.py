"""Describes live WebSocket connections."""

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
from .tasks import TaskNode, look_at_task
from .text import Line, Outlined, Part

if TYPE_CHECKING:
    from collections.abc import Iterator

    from triows._exchange.registry import Exchange
    from triows._transports.interface import Transport
    from triows._websocket.line import WebSocketLine

__all__ = ["ConnectionNode", "look_at_connection"]

State: TypeAlias = Literal["handshake", "open", "closing", "refused"]


@frozen
class ConnectionNode(Outlined):
    """A live connection. It begins when its parameters are valid, and ends with its exits."""

    #: The route's template. For a mounted application, its path comes first.
    route: str
    #: The request's path. Characters that can't be printed are escaped.
    path: str
    #: ``host:port`` of the peer, or ``?`` if the server doesn't know it.
    peer: str
    #: ``file:line (name)`` of the handler.
    handler: str
    #: How many seconds ago the request came.
    age: float
    #: What is happening: ``"arguments"`` while they are made, ``"handler"`` while it runs, and
    #: ``"end"`` during the close frame, the exits and the closing handshake.
    stage: LifetimeStage
    #: ``"handshake"`` before accept, then ``"open"``, and ``"closing"`` when a close frame has been
    #: sent or the peer is gone; or ``"refused"``.
    state: State
    #: The close code if the connection is closing, or the HTTP status if it was refused.
    code: int | None
    #: The reason that came with the code. Characters that can't be printed are escaped.
    reason: str
    #: Why the connection ends, while its handler may still finish: ``"peer gone"`` or
    #: ``"shutdown"``.
    ending: str | None
    #: How many seconds the handler has left to finish.
    grace: float | None
    #: Why the handler was cancelled, if it was: ``"peer gone"``, ``"shutdown"``, ``"timeout"`` (of
    #: the handshake), ``"task failed"`` (in its nursery), ``"resource failed"``,
    #: ``"application failed"`` (a resource of the application), or ``"cancelled"`` (from outside).
    cancelled: str | None
    #: How many seconds the last ping took, or ``None``.
    latency: float | None
    #: How many received messages wait for the handler.
    inbox_messages: int
    #: How many bytes of them wait.
    inbox_bytes: int
    #: Whether the server has stopped reading until the handler takes some messages.
    inbox_full: bool
    #: How many bytes that were sent wait for the peer.
    outbox_bytes: int
    messages_received: int
    bytes_received: int
    messages_sent: int
    bytes_sent: int
    #: The resources that have to be exited, in the order in which they were entered.
    resources: tuple[ResourceNode, ...]
    #: First comes the task that runs the handler, under its name. Then come the others: the tasks
    #: in the connection's nursery are below ``<connection nursery>``, and the transport's tasks
    #: have names of that kind, too. Tasks that hold resources are part of the resources.
    tasks: tuple[TaskNode, ...]

    def outline(self) -> Line:
        """Describe it in lines, as ``str()`` and ``rich.print`` show it."""
        return _outline(self)


def look_at_connection(
    prefix: str, exchange: Exchange, line: WebSocketLine, now: float
) -> ConnectionNode:
    """
    Describe a connection.

    Args:
        prefix: Where its application is mounted.
        exchange: The connection.
        line: Its line.
        now: The time, on Trio's clock.
    """
    lifetime, route, scope = exchange.lifetime, exchange.served, exchange.scope
    transport, traffic = line.transport, line.transport.traffic
    ended, grace = transport.ended, lifetime.grace
    inbox_messages, inbox_bytes, outbox_bytes = transport.backlog()
    limits = route.settings.limits
    return ConnectionNode(
        route=prefix + route.path,
        path=printable(scope.get("path", "")),
        peer=printable(peer_of(scope)),
        handler=place_of(route.handler),
        age=now - lifetime.started,
        stage=lifetime.stage,
        state=_state_of(transport),
        code=None if ended is None else ended.status or ended.code,
        reason="" if ended is None else printable(ended.reason),
        ending=None if grace is None else str(grace[1]),
        grace=None if grace is None else max(0.0, grace[0] - now),
        cancelled=None if lifetime.cancelled is None else str(lifetime.cancelled),
        latency=transport.latency,
        inbox_messages=inbox_messages,
        inbox_bytes=inbox_bytes,
        inbox_full=inbox_messages >= limits.inbox or inbox_bytes >= limits.inbox_size,
        outbox_bytes=outbox_bytes,
        messages_received=traffic.messages_received,
        bytes_received=traffic.bytes_received,
        messages_sent=traffic.messages_sent,
        bytes_sent=traffic.bytes_sent,
        resources=look_at_resources(lifetime.hosts),
        tasks=(
            *look_at_own(lifetime, name_of(route.handler)),
            *(() if transport.writer is None else (look_at_task(transport.writer),)),
        ),
    )


def _state_of(transport: Transport) -> State:
    if transport.ended is not None:
        return "closing" if transport.ended.status is None else "refused"
    return "open" if transport.accepted else "handshake"


# As text.


def _outline(seen: ConnectionNode) -> Line:
    return Line.of(
        (seen.route, "title"),
        ("" if seen.path == seen.route else seen.path, ""),
        (seen.peer, ""),
        *_state_parts(seen),
        (f"{seen.age:.1f} s", ""),
        below=[
            Line.of(("handler", "aside"), (relative(seen.handler), "place")),
            Line.of(*_queue_parts(seen)),
            *(
                Line.of(("resource", "aside"), *line.parts, below=line.children)
                for line in (resource.outline() for resource in seen.resources)
            ),
            *(
                Line.of(("task", "aside"), *line.parts, below=line.children)
                for line in (task.outline() for task in seen.tasks)
            ),
        ],
    )


def _state_parts(seen: ConnectionNode) -> Iterator[Part]:
    if seen.code is None:
        yield seen.state, "good" if seen.state == "open" else "busy"
    else:
        yield f"{seen.state} {seen.code}", "busy"
    if seen.reason:
        yield f"({seen.reason})", "aside"
    if seen.cancelled is not None:
        why = "" if seen.cancelled == "cancelled" else f": {seen.cancelled}"
        yield f"cancelled{why}", "bad"
    elif seen.ending is not None and seen.stage != "end":
        yield f"{seen.ending}, {seen.grace or 0:.1f} s left", "busy"
    if seen.stage != "handler":
        yield {"arguments": "making arguments", "end": "ending"}[seen.stage], "busy"


def _queue_parts(seen: ConnectionNode) -> Iterator[Part]:
    inbox = f"inbox {counted(seen.inbox_messages, 'message')} ({counted(seen.inbox_bytes, 'byte')})"
    yield inbox, "bad" if seen.inbox_full else ""
    if seen.inbox_full:
        yield "full", "bad"
    yield f"outbox {counted(seen.outbox_bytes, 'byte')}", ""
    yield f"received {seen.messages_received} ({counted(seen.bytes_received, 'byte')})", "aside"
    yield f"sent {seen.messages_sent} ({counted(seen.bytes_sent, 'byte')})", "aside"
    if seen.latency is not None:
        yield f"ping {seen.latency * 1000:.1f} ms", "aside"
