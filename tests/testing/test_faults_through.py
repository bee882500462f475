"""
Faults of a connection that is compressed, goes through middleware, or to a mounted application.

These are the stories of ``test_faults``, and they have to end in the same way.
"""

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest
from attrs import Factory, evolve, frozen

from tests.testing.watching import (
    HEARTBEAT,
    TIMEOUTS,
    closed,
    echo,
    exited,
    in_memory,
    listen,
    listen_late,
    push,
    pushed,
    sit,
    told,
    watched,
)
from triows import Compression, Timeouts, Triows
from triows.testing import ReceiveTimeout, WebSocketSession, frame, open_app, open_server

# What is in between


class Wrapping:
    """Middleware that wraps ``receive`` and ``send``."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def receive_on():
            return await receive()

        async def send_on(message):
            await send(message)

        await self.app(scope, receive_on, send_on)


def compressed(*args: Any, **limits: Any):
    app, seen = watched(*args, options={"compression": Compression()}, **limits)
    return app, seen, "/ws", {"compression": True}


def wrapped(*args: Any, **limits: Any):
    app, seen = watched(*args, options={"middlewares": [Wrapping]}, **limits)
    return app, seen, "/ws", {}


def mounted(*args: Any, **limits: Any):
    app, seen = watched(*args, **limits)
    outer = Triows(timeouts=limits.get("timeouts", TIMEOUTS))
    outer.mount("/inner", app)
    return outer, seen, "/inner/ws", {}


# Stories


@frozen
class Story:
    """What a handler and its client do, and what each side sees of it."""

    handler: Callable[..., Awaitable[None]]
    client: Callable[..., Awaitable[None]]
    end: tuple[object, object, int]
    closed: tuple[int | None, str | None]
    timeouts: Timeouts = TIMEOUTS
    limits: dict[str, int] = Factory(dict)
    buffer: int = 2**16


async def vanish(ws: WebSocketSession, seen, client) -> None:
    await ws.send("before")
    await ws.ping()
    ws.vanish()
    await ws.send("after")


async def reset(ws: WebSocketSession, seen, client) -> None:
    await ws.send("before" * 1000)
    await ws.ping()
    ws.reset()


async def reset_in_send(ws: WebSocketSession, seen, client) -> None:
    ws.stop_reading()
    await pushed(seen)
    ws.reset()


async def close(ws: WebSocketSession, seen, client) -> None:
    await ws.send("before" * 1000)
    await ws.close(4001, "enough")


async def do_not_read(ws: WebSocketSession, seen, client) -> None:
    ws.stop_reading()
    await exited(seen)


async def flood(ws: WebSocketSession, seen, client) -> None:
    noise = Random(1).randbytes(2**17)  # compression doesn't make this smaller
    assert 8 <= await ws.flood(noise, 200) < 200
    seen.go.set()


async def break_a_rule(ws: WebSocketSession, seen, client) -> None:
    await ws.send_raw(frame(3))
    await ws.expect_close(1002, "invalid opcode")


async def cancel(ws: WebSocketSession, seen, client) -> None:
    await ws.send("before" * 1000)
    ws.cancel_handler()
    await ws.expect_close(1001, "")


async def shut_down(ws: WebSocketSession, seen, client) -> None:
    await client.shutdown()
    await ws.expect_close(1001, "")


async def be_far_away(ws: WebSocketSession, seen, client) -> None:
    ws.delay(0.05)
    for number in range(5):
        await ws.send(str(number))
    assert [await ws.receive() for _ in range(5)] == ["0", "1", "2", "3", "4"]
    await ws.close(4001, "enough")


STORIES = {
    "vanish": Story(listen, vanish, told(1011, "ping timeout"), (None, None), HEARTBEAT),
    "vanish deaf": Story(sit, vanish, ("Cancelled", "peer gone", 1), (None, None), HEARTBEAT),
    "reset": Story(listen, reset, told(1006), (1006, "")),
    "reset deaf": Story(sit, reset, ("Cancelled", "peer gone", 1), (1006, "")),
    "reset in send": Story(
        push,
        reset_in_send,
        told(1006),
        (1006, ""),
        evolve(TIMEOUTS, send=5),
        {"outbox": 2**17},
        2**14,
    ),
    "close": Story(listen, close, told(4001, "enough"), (4001, "enough")),
    "close deaf": Story(sit, close, ("Cancelled", "peer gone", 1), (4001, "enough")),
    "no reading": Story(
        push, do_not_read, told(1008, "send timed out"), (None, None), limits={"outbox": 2**17}
    ),
    "flood": Story(listen_late, flood, told(1006), (1006, ""), limits={"inbox": 8}),
    "mistake": Story(listen, break_a_rule, told(1002, "invalid opcode"), (1002, "invalid opcode")),
    "cancelled": Story(listen, cancel, ("Cancelled", "cancelled", 1), (1001, "")),
    "shutdown": Story(listen, shut_down, told(1001), (1001, "")),
    "shutdown deaf": Story(sit, shut_down, ("Cancelled", "shutdown", 1), (1001, "")),
    "far away": Story(echo, be_far_away, told(4001, "enough"), (4001, "enough")),
}


async def check(opening, through, story: Story, soon: float) -> None:
    app, seen, url, options = through(story.handler, timeouts=story.timeouts, **story.limits)
    async with (
        opening(app) as client,
        client.websocket_connect(url, buffer=story.buffer, timeout=soon, **options) as ws,
    ):
        await story.client(ws, seen, client)
        await ws.wait_over(timeout=5)
        assert closed(ws) == story.closed
    assert seen.end == story.end


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("through", [compressed, wrapped, mounted])
async def test_what_is_in_between_changes_nothing(autojump_clock, through, story):
    await check(open_app, through, STORIES[story], 0.15)


# These are only some. Other tests show that memory behaves like sockets.
@pytest.mark.real_socket
@pytest.mark.parametrize(
    ("through", "story"),
    [
        (compressed, "far away"),
        (compressed, "reset in send"),
        (wrapped, "flood"),
        (wrapped, "cancelled"),
        (mounted, "vanish"),
        (mounted, "cancelled"),
    ],
)
async def test_nor_does_it_on_sockets(through, story):
    await check(open_server, through, STORIES[story], 2)


@in_memory
async def test_behind_wrapping_middleware_a_full_inbox_hides_the_end_from_who_does_not_listen(
    opening, clock
):
    # ASGI delivers one event at a time, so nothing behind an unread message is noticed.
    app, seen, url, _ = wrapped(sit, inbox=2)
    async with opening(app) as client, client.websocket_connect(url) as ws:
        for number in range(5):
            await ws.send(str(number))
        ws.reset()
        with pytest.raises(ReceiveTimeout, match="has not ended"):
            await ws.wait_over(timeout=0.25)
        assert closed(ws) == (1006, "")
        ws.cancel_handler()
        await ws.wait_over()
    assert seen.end == ("Cancelled", "cancelled", 1)
