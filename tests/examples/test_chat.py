from __future__ import annotations

from contextlib import suppress

import httpx
import pytest
import trio

from examples.chat import BACKLOG, Rooms, Said, app
from tests.connecting import connect, opened
from triows import WebSocketDisconnect
from triows.testing import WebSocketDenialResponse, WebSocketSession


def here(*names: str) -> dict[str, object]:
    return {"type": "here", "names": list(names)}


def said(name: str, text: str) -> dict[str, str]:
    return {"type": "said", "name": name, "text": text}


@pytest.fixture
async def running():
    async with opened(app):
        yield


async def test_everybody_sees_who_joins_and_who_leaves(running, autojump_clock):
    async with connect(app, "/rooms/lobby?name=Ada") as ada:
        assert await ada.receive_json() == here("Ada")
        async with connect(app, "/rooms/lobby?name=Grace") as grace:
            assert await grace.receive_json() == here("Ada", "Grace")
            assert await ada.receive_json() == here("Ada", "Grace")
        assert await ada.receive_json() == here("Ada")


async def test_two_people_of_one_name_are_two_people(running, autojump_clock):
    async with connect(app, "/rooms/lobby?name=Ada") as first:
        assert await first.receive_json() == here("Ada")
        async with connect(app, "/rooms/lobby?name=Ada"):
            assert await first.receive_json() == here("Ada", "Ada")
        assert await first.receive_json() == here("Ada")


async def test_a_message_reaches_all_in_the_room_and_nobody_elsewhere(running, autojump_clock):
    async with (
        connect(app, "/rooms/lobby?name=Ada") as ada,
        connect(app, "/rooms/lobby?name=Grace") as grace,
        connect(app, "/rooms/attic?name=Alan") as alan,
    ):
        assert await ada.receive_json() == here("Ada")
        assert await ada.receive_json() == here("Ada", "Grace")
        assert await grace.receive_json() == here("Ada", "Grace")
        assert await alan.receive_json() == here("Alan")
        await ada.send("hello")
        await alan.send("nobody here")
        assert await ada.receive_json() == said("Ada", "hello")
        assert await grace.receive_json() == said("Ada", "hello")
        assert await alan.receive_json() == said("Alan", "nobody here")


async def test_a_blank_message_is_not_passed_on(running, autojump_clock):
    async with connect(app, "/rooms/lobby?name=Ada") as ada:
        assert await ada.receive_json() == here("Ada")
        await ada.send(" \n")
        await ada.send("hello")
        assert await ada.receive_json() == said("Ada", "hello")


@pytest.mark.parametrize("how", [WebSocketSession.reset, WebSocketSession.vanish])
async def test_a_member_whose_connection_breaks_leaves_the_room(running, autojump_clock, how):
    async with connect(app, "/rooms/lobby?name=Ada", timeout=60) as ada:
        assert await ada.receive_json() == here("Ada")
        async with connect(app, "/rooms/lobby?name=Grace") as grace:
            assert await ada.receive_json() == here("Ada", "Grace")
            how(grace)
            assert await ada.receive_json() == here("Ada")


async def test_a_member_who_does_not_read_is_disconnected_and_nobody_waits_for_it(
    running, autojump_clock
):
    async with (
        connect(app, "/rooms/lobby?name=Ada") as ada,
        connect(app, "/rooms/lobby?name=Snail", buffer=1000) as snail,
    ):
        assert await ada.receive_json() == here("Ada")
        assert await ada.receive_json() == here("Ada", "Snail")
        snail.stop_reading()
        started = trio.current_time()
        # At most, these wait: what the outbox holds, one in send(), and BACKLOG in the queue.
        size = 4000
        for number in range(app.limits.outbox // size + 1 + BACKLOG):
            event = said("Ada", f"{number} ".ljust(size))
            await ada.send(event["text"])
            if (received := await ada.receive_json()) == here("Ada"):
                assert await ada.receive_json() == event
                break
            assert received == event
        else:
            pytest.fail("the snail is still in the room")
        assert number > BACKLOG
        assert trio.current_time() == started
        snail.resume_reading()
        while snail.close_code is None:
            with suppress(WebSocketDisconnect):
                await snail.receive()
        assert (snail.close_code, snail.close_reason) == (1008, "too slow")


async def test_a_burst_that_fits_the_queue_disconnects_nobody(running, autojump_clock):
    async with (
        connect(app, "/rooms/lobby?name=Ada") as ada,
        connect(app, "/rooms/lobby?name=Grace", buffer=1) as grace,
    ):
        assert await grace.receive_json() == here("Ada", "Grace")
        for number in range(BACKLOG):
            await ada.send(str(number))
            while await ada.receive_json() != said("Ada", str(number)):
                pass
        for number in range(BACKLOG):
            assert await grace.receive_json() == said("Ada", str(number))


async def test_a_message_too_big_closes_with_1009(running, autojump_clock):
    async with connect(app, "/rooms/lobby?name=Ada") as ada:
        assert await ada.receive_json() == here("Ada")
        await ada.send("x" * 4097)
        with pytest.raises(WebSocketDisconnect) as closed:
            await ada.receive()
    assert closed.value.code == 1009


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("/rooms/lobby", "name"),
        ("/rooms/lobby?name=", "name"),
        ("/rooms/lobby?name=" + "x" * 41, "name"),
        ("/rooms/two%20words?name=Ada", "room"),
        ("/rooms/" + "x" * 41 + "?name=Ada", "room"),
    ],
)
async def test_a_name_or_room_that_does_not_fit_is_refused(running, autojump_clock, url, wrong):
    with pytest.raises(WebSocketDenialResponse) as refused:
        async with connect(app, url):
            pass
    assert refused.value.status_code == 422
    assert [error["name"] for error in refused.value.json()["errors"]] == [wrong]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"),
        ("/chat.js", "text/javascript"),
        ("/chat.css", "text/css"),
        ("/icon.svg", "image/svg+xml"),
    ],
)
async def test_the_page_and_what_it_needs_are_served(path, kind):
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        response = await client.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith(kind)


async def test_an_empty_room_is_not_kept(autojump_clock):
    rooms = Rooms()
    with app.override(Rooms, lambda: rooms):
        async with connect(app, "/rooms/lobby?name=Ada"):
            assert set(rooms._members) == {"lobby"}
    rooms.tell("lobby", Said("Ada", "hello"))  # nobody is there
    assert rooms._members == {}
