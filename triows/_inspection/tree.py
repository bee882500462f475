"""Describes an application as it is at this moment."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING

import trio
from attrs import evolve, frozen

from triows._counted import counted
from triows._request.exchange import RequestExchange
from triows._request.line import RequestLine
from triows._websocket.line import WebSocketLine

from .connections import ConnectionNode, look_at_connection
from .inside import with_mounted
from .requests import RequestNode, look_at_request
from .resources import ResourceNode, look_at_shared
from .text import Line, Outlined

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from triows._exchange.registry import Exchange

    from .inside import Inside, Inspected

__all__ = ["Tree", "glance", "tree"]


@frozen
class Tree(Outlined):
    """Everything that is alive in an application, and in triows applications mounted in it."""

    #: The id of the process.
    pid: int
    #: Whether the start-up has begun and the shutdown is not over.
    running: bool
    #: Whether a shutdown has begun.
    draining: bool
    #: The lifespan, and the resources with ``scope="app"``, in the order of their entry.
    resources: tuple[ResourceNode, ...]
    #: The connections, the oldest first.
    connections: tuple[ConnectionNode, ...]
    #: The plain requests, the oldest first.
    requests: tuple[RequestNode, ...]

    def outline(self) -> Line:
        """Describe it in lines, as ``str()`` and ``rich.print`` show it."""
        return _outline(self, len(self.connections), len(self.requests))


# Looking.


def tree(app: Inspected) -> Tree:
    """
    Look at a running application: connections, requests, resources and tasks, at this moment.

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
    inside = app._inside()
    parts = list(with_mounted("", inside))
    return _tree(inside, parts, _look_at_all(parts, trio.current_time()))


def glance(app: Inspected, most: int) -> Line:
    """
    Describe an application in lines for its log: little of a crowd, and nothing from peers.

    Args:
        app: The application.
        most: How many connections and requests to show.
    """
    now = trio.current_time()
    inside = app._inside()
    parts = list(with_mounted("", inside))
    # The path has the arguments of the handler in it, and the reason may be the peer's.
    nodes = [
        evolve(node, path=node.route, reason="")
        if isinstance(node, ConnectionNode)
        else evolve(node, path=node.route)
        for node in islice(_look_at_all(parts, now), most)
    ]
    exchanges = [one.exchanges for _, one in parts]
    return _outline(
        _tree(inside, parts, nodes),
        sum(one.connections for one in exchanges),
        sum(one.requests for one in exchanges),
    )


def _look_at_all(
    parts: Iterable[tuple[str, Inside]], now: float
) -> Iterator[ConnectionNode | RequestNode]:
    for prefix, one in parts:
        for exchange in one.exchanges:
            yield _look(prefix, exchange, now)


def _look(prefix: str, exchange: Exchange, now: float) -> ConnectionNode | RequestNode:
    line = exchange.lifetime.line
    if isinstance(line, WebSocketLine):
        return look_at_connection(prefix, exchange, line, now)
    assert isinstance(exchange, RequestExchange)
    assert isinstance(line, RequestLine)
    return look_at_request(prefix, exchange, line, now)


def _tree(
    inside: Inside,
    parts: Iterable[tuple[str, Inside]],
    nodes: Iterable[ConnectionNode | RequestNode],
) -> Tree:
    oldest_first = sorted(nodes, key=lambda node: -node.age)
    return Tree(
        pid=os.getpid(),
        running=inside.running,
        draining=inside.exchanges.ending,
        resources=tuple(node for _, one in parts for node in look_at_shared(one.resources)),
        connections=tuple(one for one in oldest_first if isinstance(one, ConnectionNode)),
        requests=tuple(one for one in oldest_first if isinstance(one, RequestNode)),
    )


# As text.


def _outline(seen: Tree, connections: int, requests: int) -> Line:
    """
    Describe a tree.

    Args:
        seen: The tree. It may show only some of what there is.
        connections: How many connections there are.
        requests: How many requests there are.
    """
    below = []
    if seen.resources:
        lines = [resource.outline() for resource in seen.resources]
        below.append(Line.of(("application", "title"), below=lines))
    shown = (*seen.connections, *seen.requests)
    below.extend(node.outline() for node in shown)
    if more := connections + requests - len(shown):
        below.append(Line.of((f"(and {more} more)", "aside")))
    return Line.of(
        (f"process {seen.pid}:", "title"),
        (counted(connections, "connection"), "title"),
        (counted(requests, "request") if requests else "", "title"),
        ("" if seen.running else "(not running)", "busy"),
        ("(shutting down)" if seen.draining else "", "busy"),
        below=below,
    )
