"""What a type checker makes of looking into an application."""

from __future__ import annotations

from typing import Literal, Never, assert_type

import trio

from triows import Triows
from triows.inspect import (
    ConnectionNode,
    Frame,
    NurseryNode,
    ResourceNode,
    TaskNode,
    Tree,
    look_at_task,
    print_on_signal,
    tree,
)


def look(app: Triows, task: trio.lowlevel.Task) -> None:
    seen = tree(app)
    assert_type(seen, Tree)
    assert_type(seen.connections, tuple[ConnectionNode, ...])
    assert_type(seen.resources, tuple[ResourceNode, ...])
    for connection in seen.connections:
        assert_type(connection.tasks, tuple[TaskNode, ...])
        assert_type(connection.state, Literal["handshake", "open", "closing", "refused"])
    node = look_at_task(task)
    assert_type(node.frames, tuple[Frame, ...])
    assert_type(node.nurseries, tuple[NurseryNode, ...])
    node.name = "other"  # type: ignore[misc]
    tree(42)  # type: ignore[arg-type]


async def listen(app: Triows, nursery: trio.Nursery) -> None:
    nursery.start_soon(print_on_signal, app)
    await nursery.start(print_on_signal, app, 10)
    assert_type(await print_on_signal(app), Never)
