"""If a start-up doesn't end, its test fails in time, and shows the line where it waits."""

from contextlib import asynccontextmanager
from typing import Annotated

import pytest
import trio

from tests.testing.watching import line_of
from triows import Timeouts, Triows, WebSocket, WebSocketRoute, use
from triows.testing import StartTimeout, open_app

TIMEOUTS = Timeouts(teardown=0.1, disconnect_grace=0.1, shutdown_grace=0.1, close=0.1)


async def start(opening, app: Triows, seconds: float) -> str:
    """Open *app*, which doesn't start, and return the text of the error."""
    with pytest.raises(StartTimeout) as caught:
        async with opening(app, startup_timeout=seconds):
            pytest.fail("it has not started")
    return str(caught.value)


async def test_a_start_up_that_does_not_end_fails_its_test_and_shows_where_it_is(
    opening, clock, soon
):
    log: list[str] = []

    @asynccontextmanager
    async def lifespan(app):
        try:
            yield
        finally:
            await trio.sleep(0.01)  # awaits work
            log.append("exited")

    async def resource():
        await trio.sleep_forever()  # the start-up
        yield

    route = WebSocketRoute("ws")

    @route.endpoint
    async def handler(ws: WebSocket, _held: Annotated[None, use(resource, scope="app")]): ...

    app = Triows(route, lifespan=lifespan, timeouts=TIMEOUTS)
    text = await start(opening, app, soon)
    assert text.startswith(f"the application has not started in {soon} s")
    test = test_a_start_up_that_does_not_end_fails_its_test_and_shows_where_it_is
    assert line_of(test, "the start-up") in text
    assert log == ["exited"]
    assert not app.is_running


async def test_a_start_up_that_shields_itself_is_given_up_too(opening, clock, soon):
    @asynccontextmanager
    async def lifespan(app):
        try:
            with trio.CancelScope(shield=True):
                await trio.sleep_forever()  # the start-up
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep_forever()
        yield

    app = Triows(lifespan=lifespan, timeouts=TIMEOUTS)
    text = await start(opening, app, soon)
    assert line_of(test_a_start_up_that_shields_itself_is_given_up_too, "the start-up") in text
    assert not app.is_running


async def test_a_start_up_may_take_as_long_as_its_test_allows(autojump_clock):
    @asynccontextmanager
    async def lifespan(app):
        await trio.sleep(50)
        yield

    async with open_app(Triows(lifespan=lifespan), startup_timeout=60):
        assert trio.current_time() == 50


async def test_a_start_up_is_given_up_when_its_time_is_over(autojump_clock):
    @asynccontextmanager
    async def lifespan(app):
        await trio.sleep_forever()
        yield

    await start(open_app, Triows(lifespan=lifespan, timeouts=TIMEOUTS), 60)
    assert trio.current_time() == 60


async def test_after_a_start_up_that_was_given_up_the_next_one_is_tried(
    autojump_clock,
):
    hangs = True

    @asynccontextmanager
    async def lifespan(app):
        if hangs:
            await trio.sleep_forever()
        yield

    app = Triows(lifespan=lifespan)
    await start(open_app, app, 1)
    hangs = False
    async with open_app(app):
        assert app.is_running
