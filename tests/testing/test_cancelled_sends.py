"""A send that is cancelled before its first byte sends nothing, and doesn't affect later ones."""

import pytest
import trio

from tests.testing.watching import closed, echo, sit, told, watched
from triows import Compression
from triows.testing import ReceiveTimeout, open_app

#: With and without compression, because a compressed message depends on those before it.
KINDS = pytest.mark.parametrize("compression", [False, True], ids=["plain", "compressed"])


def compressing():
    return watched(echo, options={"compression": Compression()})


@KINDS
async def test_a_send_that_is_cancelled_at_once_sends_nothing(autojump_clock, compression):
    app, seen = compressing()
    async with (
        open_app(app) as client,
        client.websocket_connect("/ws", compression=compression) as ws,
    ):
        await ws.send("hello, hello, hello")
        assert await ws.receive() == "hello, hello, hello"
        with trio.move_on_after(0):
            await ws.send("world, hello, world")
        with trio.move_on_after(0):
            await ws.send_fragments(["wor", "ld"])
        with trio.move_on_after(0):
            await ws.send_raw(b"no frame")
        await ws.expect_nothing(1)
        assert "world" not in ws.events
        assert "no frame" not in ws.events
        await ws.send("hello, world, hello")
        assert await ws.receive() == "hello, world, hello"
        await ws.close(4001, "enough")
        await ws.wait_over()
        assert closed(ws) == (4001, "enough")
    assert seen.messages == ["hello, hello, hello", "hello, world, hello"]
    assert seen.end == told(4001, "enough")


@KINDS
async def test_a_close_that_is_cancelled_at_once_closes_nothing(autojump_clock, compression):
    app, seen = compressing()
    async with (
        open_app(app) as client,
        client.websocket_connect("/ws", compression=compression) as ws,
    ):
        with trio.move_on_after(0):
            await ws.close(4001, "too early")
        assert closed(ws) == (None, None)
        await ws.send("still here")
        assert await ws.receive() == "still here"
        await ws.close(4002, "enough")
        await ws.wait_over()
        assert closed(ws) == (4002, "enough")
    assert seen.end == told(4002, "enough")


async def test_a_ping_that_is_cancelled_at_once_is_none(autojump_clock):
    app, seen = compressing()
    async with open_app(app) as client, client.websocket_connect("/ws") as ws:
        with trio.move_on_after(0):
            await ws.ping(b"early")
        assert "early" not in ws.events
        assert await ws.ping() == 0
        await ws.close()
        await ws.wait_over()
        assert closed(ws) == (1000, "")
    assert seen.end == ("returned", None, 1)


@KINDS
async def test_a_send_that_waits_for_its_turn_is_not_begun_when_it_is_cancelled(
    autojump_clock, compression
):
    async def first() -> None:
        with trio.move_on_after(10):
            await ws.send(bytes(range(256)) * 2**9)

    app, seen = watched(sit, inbox=1, options={"compression": Compression()})
    async with (
        open_app(app) as client,
        client.websocket_connect("/ws", buffer=100, compression=compression, timeout=20) as ws,
    ):
        await ws.send("in the inbox")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first)
            await trio.sleep(1)
            with trio.move_on_after(1) as scope:
                await ws.send("second")
            assert scope.cancelled_caught
            # The first send goes on. If it were cut short, nothing could follow it.
            assert closed(ws) == (None, None)
        assert closed(ws) == (1006, "")
        assert "second" not in ws.events
        await ws.wait_over()
    assert seen.end == ("Cancelled", "peer gone", 1)


async def test_a_receive_that_is_cancelled_loses_no_message(autojump_clock):
    app, seen = compressing()
    async with open_app(app) as client, client.websocket_connect("/ws") as ws:
        await ws.send("hello")
        with trio.move_on_after(0):
            await ws.receive()
        with pytest.raises(ReceiveTimeout):
            await ws.receive(timeout=0)
        assert await ws.receive() == "hello"
        await ws.close(4001, "enough")
        await ws.wait_over()
    assert seen.end == told(4001, "enough")
