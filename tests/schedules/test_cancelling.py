"""A story is cancelled at each of its steps."""

from contextlib import suppress
from typing import Annotated

import pytest
import trio

from triows import Triows, WebSocket, WebSocketDisconnect, WebSocketRoute, use
from triows.testing import Interruption, LeakError, explore_cancellation, open_app


def test_a_cleanup_that_awaits_is_found_with_the_step_that_repeats_it():
    rooms: set[str] = set()

    async def story():
        rooms.discard("ada")
        await trio.lowlevel.checkpoint()
        rooms.add("ada")
        try:
            await trio.sleep(1)
        finally:
            await trio.lowlevel.checkpoint()  # tells the others
            rooms.remove("ada")

    def check():
        assert "ada" not in rooms

    with pytest.raises(AssertionError) as told:
        explore_cancellation(story, check=check)
    note = told.value.__notes__[-1]
    assert "the story was interrupted\n  after step 3: <story>, test_cancelling.py:" in note
    assert "repeat it with at=(3,)" in note
    with pytest.raises(AssertionError):
        explore_cancellation(story, check=check, at=(3,))


def test_a_story_that_ends_well_is_run_once_for_each_step():
    runs = []

    async def story():
        runs.append(1)
        await trio.sleep(1)
        await trio.lowlevel.checkpoint()

    steps = explore_cancellation(story, pairs=5)
    assert steps == 3
    assert len(runs) == 1 + steps + 5


def test_a_story_that_fails_without_being_interrupted_says_so():
    async def story():
        await trio.lowlevel.checkpoint()
        raise ArithmeticError

    with pytest.raises(ArithmeticError) as told:
        explore_cancellation(story)
    assert told.value.__notes__ == ["it was not interrupted: this was the first run"]


def test_a_story_that_does_not_end_when_it_is_cancelled_fails_and_shows_where_it_is():
    async def story():
        event = trio.Event()
        try:
            await trio.sleep(1)
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await event.wait()
            raise

    with pytest.raises(AssertionError, match=r"does not end\.(?s:.*)<story>, test_cancelling"):
        explore_cancellation(story)


def test_a_story_that_differs_each_time_is_refused():
    runs = []

    async def story():
        runs.append(1)
        for _ in range(10 - len(runs)):
            await trio.lowlevel.checkpoint()

    with pytest.raises(RuntimeError, match="something besides the schedule decides"):
        explore_cancellation(story)


route = WebSocketRoute("ws")
held: list[str] = []


async def resource(ws: WebSocket):
    await ws.accept()
    held.append("resource")
    try:
        yield
    finally:
        await trio.sleep(0.1)
        held.remove("resource")


@route.endpoint
async def echo(ws: WebSocket, _held: Annotated[None, use(resource)]) -> None:
    async for message in ws:
        await ws.send(message)


def nothing_is_held():
    assert not held


def test_a_connection_that_is_cancelled_at_any_step_gives_back_its_resources():
    async def story():
        async with open_app(Triows(route)) as client, client.websocket_connect("/ws") as ws:
            await ws.send("hello")
            assert await ws.receive() == "hello"

    assert explore_cancellation(story, check=nothing_is_held, pairs=20) > 50


def test_a_handler_that_ignores_its_end_is_found_by_the_leak_check():
    route = WebSocketRoute("ws")

    @route.endpoint
    async def stubborn(ws: WebSocket) -> None:
        await ws.accept()
        try:
            await ws.receive()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep_forever()

    async def story(interruption: Interruption):
        async with open_app(Triows(route)) as client, client.websocket_connect("/ws") as ws:
            interruption.by(ws.reset)
            await trio.sleep(1)

    with pytest.raises(LeakError):
        explore_cancellation(story)


@pytest.mark.parametrize("event", ["disconnect", "shutdown"])
def test_a_connection_is_interrupted_at_any_step_by_something_else(event):
    async def story(interruption: Interruption):
        async with (
            open_app(Triows(route)) as client,
            trio.open_nursery() as nursery,
            client.websocket_connect("/ws") as ws,
        ):
            if event == "disconnect":
                interruption.by(ws.reset)
            else:
                interruption.by(lambda: nursery.start_soon(client.shutdown))
            with suppress(WebSocketDisconnect):
                await ws.send("hello")
                await ws.receive()
            interruption.by(None)

    assert explore_cancellation(story, check=nothing_is_held) > 50
