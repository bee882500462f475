"""Describes an application as it is at this moment."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import trio
from attrs import evolve, frozen

from triows._connection.lifetime import Lifetime
from triows._counted import counted
from triows._log import peer_of
from triows._printable import printable
from triows._stacks import RawFrame, relative
from triows._where import name_of

from .places import where
from .resources import ResourceNode, look_at_resources, look_at_shared
from .tasks import TaskNode, frames_in, look_at, look_at_nurseries
from .text import Line, Outlined, Part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from triows._connection.registry import Connections, Served
    from triows._running import AppResources
    from triows._settings import Timeouts
    from triows.types import Scope

__all__ = [
    "ConnectionNode",
    "Inside",
    "Inspected",
    "Tree",
    "glance",
    "inner_nurseries",
    "own_frames",
    "tree",
    "with_mounted",
]

Stage: TypeAlias = Literal["arguments", "handler", "end"]
State: TypeAlias = Literal["handshake", "open", "closing", "refused"]


@frozen(eq=False)
class Inside:
    """What an application shows to inspection."""

    running: bool
    connections: Connections
    resources: AppResources
    #: Applications of ours that are mounted in it, by their paths.
    mounted: Mapping[str, Inspected]
    #: Yields the timeouts of all its routes, and of applications that are mounted in it.
    timeouts: Callable[[], Iterable[Timeouts]]


class Inspected(Protocol):
    """An application that :func:`tree` can look at: :class:`~triows.Triows`."""

    def _inside(self) -> Inside:
        """Return its connections, its resources, and the applications mounted in it."""


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
    stage: Stage
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
        """See :class:`Outlined`."""
        return _outline_of_connection(self)


@frozen
class Tree(Outlined):
    """Everything that is alive in an application, and in triows applications mounted in it."""

    #: The id of the process.
    pid: int
    #: Whether the start-up has begun and the shutdown is not over.
    running: bool
    #: Whether the application shuts down, and so refuses new connections.
    draining: bool
    #: The lifespan, and the resources with ``scope="app"``, in the order of their entry.
    resources: tuple[ResourceNode, ...]
    #: The connections, the oldest first.
    connections: tuple[ConnectionNode, ...]

    def outline(self) -> Line:
        """See :class:`Outlined`."""
        return _outline_of_tree(self)


# Looking.


def tree(app: Inspected) -> Tree:
    """
    Look at a running application: every connection, resource and task, at this moment.

    Call it in the application's Trio loop, or from a callback in that thread. It doesn't wait and
    changes nothing, even while things start or end. It takes about 0.1 ms per connection. The
    result is frozen classes with builtins: ``attrs.asdict`` and msgspec take it as it is,
    ``str()`` makes plain text of it, and ``rich.print`` adds colours.

    Args:
        app: The application, a :class:`~triows.Triows`. The result includes triows applications
            that are mounted in it.

    Raises:
        RuntimeError: It was called outside of Trio.
    """
    now = trio.current_time()
    inside = app._inside()
    resources: list[ResourceNode] = []
    connections: list[ConnectionNode] = []
    for prefix, one in with_mounted("", inside):
        resources.extend(look_at_shared(one.resources))
        connections.extend(
            _look(prefix, *described, now) for described in one.connections.described()
        )
    connections.sort(key=lambda node: -node.age)
    return Tree(
        pid=os.getpid(),
        running=inside.running,
        draining=inside.connections.draining,
        resources=tuple(resources),
        connections=tuple(connections),
    )


def glance(app: Inspected, most: int) -> Line:
    """
    Describe an application in lines for its log: little of a crowd, and nothing from peers.

    Args:
        app: The application.
        most: How many connections to show, the oldest first.
    """
    now = trio.current_time()
    inside = app._inside()
    parts = list(with_mounted("", inside))
    number = sum(len(one.connections) for _, one in parts)
    resources = [node for _, one in parts for node in look_at_shared(one.resources)]
    first = islice(
        ((prefix, *one) for prefix, of in parts for one in of.connections.described()), most
    )
    # The path has the arguments of the handler in it, and the reason may be the peer's.
    nodes = [
        evolve(node, path=node.route, reason="") for node in (_look(*one, now) for one in first)
    ]
    seen = Tree(
        os.getpid(), inside.running, inside.connections.draining, tuple(resources), tuple(nodes)
    )
    return _outline_of_tree(seen, number)


def with_mounted(prefix: str, inside: Inside) -> Iterator[tuple[str, Inside]]:
    """Yield an application and all that are mounted in it, each once, with their paths."""
    waiting, seen = [(prefix, inside)], {id(inside.connections)}
    while waiting:
        path, one = waiting.pop()
        yield path, one
        for below, app in one.mounted.items():
            mounted = app._inside()
            if id(mounted.connections) not in seen:
                seen.add(id(mounted.connections))
                waiting.append((path + below.rstrip("/"), mounted))


def _look(
    prefix: str, lifetime: Lifetime, route: Served, scope: Scope, now: float
) -> ConnectionNode:
    transport, traffic = lifetime.transport, lifetime.transport.traffic
    ended, grace = transport.ended, lifetime.grace
    inbox_messages, inbox_bytes, outbox_bytes = transport.backlog()
    limits = route.settings.limits
    frames = own_frames(lifetime)
    stage: Stage = "arguments" if lifetime.making else "handler"
    return ConnectionNode(
        route=prefix + route.path,
        path=printable(scope.get("path", "")),
        peer=printable(peer_of(scope)),
        handler=where(route.handler),
        age=now - lifetime.started,
        stage="end" if lifetime.is_ending else stage,
        state=_state_of(lifetime),
        code=None if ended is None else ended.status or ended.code,
        reason="" if ended is None else printable(ended.reason),
        ending=None if grace is None else grace[1],
        grace=None if grace is None else max(0.0, grace[0] - now),
        cancelled=lifetime.cancelled,
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
        tasks=tuple(_tasks_of(lifetime, frames, name_of(route.handler))),
    )


def _state_of(lifetime: Lifetime) -> State:
    transport = lifetime.transport
    if transport.ended is not None:
        return "closing" if transport.ended.status is None else "refused"
    return "open" if transport.accepted else "handshake"


# A server's task or a test's task may run a connection. Only the frames and nurseries inside of
# Lifetime.run() belong to the connection.


def own_frames(lifetime: Lifetime) -> list[RawFrame]:
    """The frames of a connection's task that belong to the connection."""
    return [] if lifetime.task is None else frames_in(lifetime.task, Lifetime.run)


def inner_nurseries(lifetime: Lifetime) -> list[trio.Nursery]:
    """The nurseries that a connection's handler has opened."""
    task, own = lifetime.task, lifetime.tasks
    nurseries = [] if task is None else task.child_nurseries
    return nurseries[nurseries.index(own) + 1 :] if own in nurseries else []


def _tasks_of(lifetime: Lifetime, frames: list[RawFrame], name: str) -> Iterator[TaskNode]:
    task, own = lifetime.task, lifetime.tasks
    if task is None or own is None:
        return
    yield look_at(task, frames, inner_nurseries(lifetime), name=name)
    for nursery in look_at_nurseries([own], but={host.task for host in lifetime.hosts}):
        yield from nursery.tasks


# As text.


def _outline_of_tree(seen: Tree, number: int | None = None) -> Line:
    number = len(seen.connections) if number is None else number
    below = []
    if seen.resources:
        lines = [resource.outline() for resource in seen.resources]
        below.append(Line.of(("application", "title"), below=lines))
    below.extend(connection.outline() for connection in seen.connections)
    if more := number - len(seen.connections):
        below.append(Line.of((f"(and {more} more)", "aside")))
    return Line.of(
        (f"process {seen.pid}:", "title"),
        (counted(number, "connection"), "title"),
        ("" if seen.running else "(not running)", "busy"),
        ("(shutting down)" if seen.draining else "", "busy"),
        below=below,
    )


def _outline_of_connection(seen: ConnectionNode) -> Line:
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
