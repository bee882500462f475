"""Many connections in one test."""

import gc
import resource
import sys

import pytest
import trio

from tests.scale import SCALE
from triows import Triows, WebSocket, WebSocketRoute
from triows.testing import open_app

#: How many connections there are, and how many of them are open at a time.
ALL, AT_ONCE = 2_000 * SCALE, 500

#: How many come before these, until what is used again has reached its size.
BEFORE = 2 * AT_ONCE


def rss() -> float:
    """How many MiB the process has at this moment."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return pages * resource.getpagesize() / 2**20


@pytest.fixture
def alone():
    """Switch the garbage collector off."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.unmeasured
@pytest.mark.timeout(300)  # it does a lot of work, and doesn't wait long
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read as Linux tells it")
async def test_thousands_of_connections_come_and_go_and_leave_nothing(alone, autojump_clock):
    route = WebSocketRoute("echo/{number}")

    @route.endpoint
    async def echo(ws: WebSocket, number: int):
        await ws.accept()
        async for message in ws:
            await ws.send(f"{number} {message}")

    async def visit(number: int) -> None:
        nonlocal visited
        async with client.websocket_connect(f"/echo/{number}") as ws:
            await gate.wait()
            await ws.send("hello")
            assert await ws.receive() == f"{number} hello"
            visited += 1

    visited = 0
    levels: list[float] = []
    blocks: list[int] = []
    async with open_app(Triows(route)) as client:
        for first in range(0, BEFORE + ALL, AT_ONCE):
            gate = trio.Event()
            async with trio.open_nursery() as nursery:
                for number in range(first, first + AT_ONCE):
                    nursery.start_soon(visit, number)
                await trio.testing.wait_all_tasks_blocked()
                assert first or len(client.tree().connections) == AT_ONCE
                gate.set()
            if first >= BEFORE:
                levels.append(rss())
                blocks.append(sys.getallocatedblocks())
    assert visited == BEFORE + ALL
    half = len(blocks) // 2
    # Thousands of connections leave no block of Python's memory behind, without help from the
    # garbage collector. One block for every tenth connection would be too much.
    assert max(blocks[half:]) - max(blocks[:half]) < ALL / 20
    # The process holds as much as before. The MiB go up and down a little, because the system
    # gives and takes memory in large pieces.
    assert max(levels[half:]) - max(levels[:half]) < 8
