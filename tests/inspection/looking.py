"""Helps the tests of this folder to connect, and to find the lines that they mark."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.connecting import connect
from triows import Triows, WebSocketRoute

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from triows.inspect import ConnectionNode, TaskNode
    from triows.testing import WebSocketSession

__all__ = ["connected", "line_of", "named", "only", "place_of", "serving", "tasks_below"]


def connected(
    app: Triows, url: str = "/", **options: Any
) -> AbstractAsyncContextManager[WebSocketSession]:
    """Run *app*, and connect to it, during a block."""
    return connect(app, url, **options)


def serving(handler: Any, path: str = "", **settings: Any) -> Triows:
    route = WebSocketRoute(path)
    route.endpoint(handler)
    return Triows(route, **settings)


def line_of(function: Any, mark: str) -> int:
    """Find the line of a test's source that ends with the comment ``# mark``."""
    lines, first = inspect.getsourcelines(inspect.unwrap(function))
    (found,) = [number for number, line in enumerate(lines) if line.rstrip().endswith(f"# {mark}")]
    return first + found


def place_of(function: Any, mark: str) -> str:
    """Return a marked line as the tree shows it, except the name of the function."""
    return f"{Path(inspect.getfile(inspect.unwrap(function))).resolve()}:{line_of(function, mark)}"


def named(nodes: tuple[Any, ...], end: str) -> Any:
    """Find the only node whose name ends with *end*."""
    (found,) = [node for node in nodes if node.name.endswith(end)]
    return found


def only(tree: Any) -> ConnectionNode:
    """Return the only connection."""
    (connection,) = tree.connections
    return connection


def tasks_below(task: TaskNode) -> list[TaskNode]:
    """List all tasks in the nurseries of a task."""
    return [one for nursery in task.nurseries for one in nursery.tasks]
