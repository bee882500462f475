"""How the tests of this folder connect, and find the lines that they mark."""

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
    """Run *app* and connect to it, for the length of a block."""
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
    """Give a marked line as the tree names it, up to the function in it."""
    return f"{Path(inspect.getfile(inspect.unwrap(function))).resolve()}:{line_of(function, mark)}"


def named(nodes: tuple[Any, ...], end: str) -> Any:
    """Find the only node whose name ends so."""
    (found,) = [node for node in nodes if node.name.endswith(end)]
    return found


def only(tree: Any) -> ConnectionNode:
    """Take the only connection."""
    (connection,) = tree.connections
    return connection


def tasks_below(task: TaskNode) -> list[TaskNode]:
    """All tasks in the nurseries of one."""
    return [one for nursery in task.nurseries for one in nursery.tasks]
