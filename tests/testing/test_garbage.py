"""A connection that has ended is freed at once, and doesn't wait for the garbage collector."""

import gc

import pytest
import trio

from tests.testing.watching import HEARTBEAT, echo, listen, watched
from triows import Compression
from triows.testing import WebSocketSession, open_app


@pytest.fixture
def no_collector():
    """
    Switch the garbage collector off, so that reference cycles stay.

    What is there already counts as permanent meanwhile. Looking through a million objects of other
    tests would take most of the time.
    """
    gc.collect()
    gc.disable()
    gc.freeze()
    yield
    gc.unfreeze()
    gc.enable()


async def talk(ws: WebSocketSession) -> None:
    await ws.send("hello")
    assert await ws.receive() == "hello"
    await ws.ping()


async def close(ws: WebSocketSession) -> None:
    await ws.close(4001, "enough")


async def reset(ws: WebSocketSession) -> None:
    ws.reset()


async def vanish(ws: WebSocketSession) -> None:
    ws.vanish()
    await ws.wait_over()


async def be_far_away(ws: WebSocketSession) -> None:
    ws.delay(0.05)
    await talk(ws)


async def break_a_rule(ws: WebSocketSession) -> None:
    await ws.send_raw(b"no frame")
    await ws.expect_close(1002)


async def cancel(ws: WebSocketSession) -> None:
    ws.cancel_handler()
    await ws.expect_close(1001)


ENDS = [talk, close, reset, vanish, be_far_away, break_a_rule, cancel]


@pytest.mark.unmeasured
@pytest.mark.parametrize("compression", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("end", ENDS)
async def test_connections_that_have_ended_leave_nothing(
    no_collector, autojump_clock, end, compression
):
    app, _ = watched(
        echo if end in {talk, be_far_away} else listen,
        timeouts=HEARTBEAT,
        options={"compression": Compression()},
    )

    async def visit(number: int) -> None:
        for _ in range(number):
            async with client.websocket_connect("/ws", compression=compression) as ws:
                await end(ws)
        await trio.testing.wait_all_tasks_blocked()

    async with open_app(app) as client:
        await visit(5)  # make the objects that are made only once
        gc.collect()
        freed = []
        for _ in range(3):
            await visit(20)
            # The collector frees only reference cycles. (Its own count leaves out those that a
            # generator was part of.)
            held = len(gc.get_objects())
            gc.collect()
            freed.append(held - len(gc.get_objects()))
        # Threads of the test runner may leave some meanwhile.
        assert min(freed) < 20
