from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
import trio

from examples.chat import BACKLOG, Rooms, Said, app
from triows import WebSocketDisconnect
from triows.testing import AppClient, WebSocketDenialResponse, WebSocketSession, open_app


def here(*names: str) -> dict[str, object]:
    return {"type": "here", "names": list(names)}


def said(name: str, text: str) -> dict[str, str]:
    return {"type": "said", "name": name, "text": text}


@pytest.fixture
async def client():
    async with open_app(app) as client:
        yield client


@asynccontextmanager
async def joined(
    client: AppClient, name: str, room: str = "lobby", **options: Any
) -> AsyncIterator[WebSocketSession]:
    """Log in as the page does, and enter a room."""
    assert (await client.post("/login", data={"name": name})).status_code == 204
    async with client.websocket_connect(f"/rooms/{room}", **options) as ws:
        yield ws


async def test_everybody_sees_who_joins_and_who_leaves(client, autojump_clock):
    async with joined(client, "Ada") as ada:
        assert await ada.receive_json() == here("Ada")
        async with joined(client, "Grace") as grace:
            assert await grace.receive_json() == here("Ada", "Grace")
            assert await ada.receive_json() == here("Ada", "Grace")
        assert await ada.receive_json() == here("Ada")


async def test_two_people_of_one_name_are_two_people(client, autojump_clock):
    async with joined(client, "Ada") as first:
        assert await first.receive_json() == here("Ada")
        async with joined(client, "Ada"):
            assert await first.receive_json() == here("Ada", "Ada")
        assert await first.receive_json() == here("Ada")


async def test_a_message_reaches_all_in_the_room_and_nobody_elsewhere(client, autojump_clock):
    async with (
        joined(client, "Ada") as ada,
        joined(client, "Grace") as grace,
        joined(client, "Alan", "attic") as alan,
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


async def test_a_blank_message_is_not_passed_on(client, autojump_clock):
    async with joined(client, "Ada") as ada:
        assert await ada.receive_json() == here("Ada")
        await ada.send(" \n")
        await ada.send("hello")
        assert await ada.receive_json() == said("Ada", "hello")


@pytest.mark.parametrize("how", [WebSocketSession.reset, WebSocketSession.vanish])
async def test_a_member_whose_connection_breaks_leaves_the_room(client, autojump_clock, how):
    async with joined(client, "Ada", timeout=60) as ada:
        assert await ada.receive_json() == here("Ada")
        async with joined(client, "Grace") as grace:
            assert await ada.receive_json() == here("Ada", "Grace")
            how(grace)
            assert await ada.receive_json() == here("Ada")


async def test_a_member_who_does_not_read_is_disconnected_and_nobody_waits_for_it(
    client, autojump_clock
):
    async with (
        joined(client, "Ada") as ada,
        joined(client, "Snail", buffer=1000) as snail,
    ):
        assert await ada.receive_json() == here("Ada")
        assert await ada.receive_json() == here("Ada", "Snail")
        snail.stop_reading()
        started = trio.current_time()
        # At most, these wait: what two outboxes hold, because there is a middleware between the
        # handler and the server, one in each send(), and BACKLOG in the queue.
        size = 4000
        for number in range(2 * app.limits.outbox // size + 2 + BACKLOG):
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


async def test_a_burst_that_fits_the_queue_disconnects_nobody(client, autojump_clock):
    async with (
        joined(client, "Ada") as ada,
        joined(client, "Grace", buffer=1) as grace,
    ):
        assert await grace.receive_json() == here("Ada", "Grace")
        for number in range(BACKLOG):
            await ada.send(str(number))
            while await ada.receive_json() != said("Ada", str(number)):
                pass
        for number in range(BACKLOG):
            assert await grace.receive_json() == said("Ada", str(number))


async def test_a_message_too_big_closes_with_1009(client, autojump_clock):
    async with joined(client, "Ada") as ada:
        assert await ada.receive_json() == here("Ada")
        await ada.send("x" * 4097)
        with pytest.raises(WebSocketDisconnect) as closed:
            await ada.receive()
    assert closed.value.code == 1009


@pytest.mark.parametrize("form", [{}, {"name": ""}, {"name": "x" * 41}])
async def test_a_name_that_does_not_fit_is_not_taken(client, autojump_clock, form):
    response = await client.post("/login", data=form)
    assert response.status_code == 422
    assert [error["name"] for error in response.json()["errors"]] == ["name"]
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize("room", ["two%20words", "x" * 41])
async def test_a_room_that_can_not_be_is_refused(client, autojump_clock, room):
    with pytest.raises(WebSocketDenialResponse) as refused:
        async with joined(client, "Ada", room):
            pass
    assert refused.value.status_code == 422
    assert [error["name"] for error in refused.value.json()["errors"]] == ["room"]


@pytest.mark.parametrize("cookie", ["", "session=eyJuYW1lIjogIkFkYSJ9.forged"])
async def test_nobody_enters_a_room_without_a_session_of_ours(client, autojump_clock, cookie):
    with pytest.raises(WebSocketDenialResponse) as refused:
        async with client.websocket_connect("/rooms/lobby", headers={"cookie": cookie}):
            pass
    assert refused.value.status_code == 401


async def test_a_session_has_one_name_until_the_next_login(client, autojump_clock):
    async with joined(client, "Ada"), joined(client, "Grace") as grace:
        assert await grace.receive_json() == here("Ada", "Grace")
        async with client.websocket_connect("/rooms/lobby"):
            assert await grace.receive_json() == here("Ada", "Grace", "Grace")


async def test_a_program_says_something_in_a_room(client, autojump_clock):
    async with joined(client, "Ada") as ada, joined(client, "Grace") as grace:
        response = await client.post(
            "/rooms/lobby/messages", json={"name": "Build", "text": "It passed"}
        )
        assert (response.status_code, response.json()) == (200, {"members": 2})
        assert await grace.receive_json() == here("Ada", "Grace")
        assert await grace.receive_json() == said("Build", "It passed")
        assert await ada.receive_json() == here("Ada")


async def test_a_program_learns_that_nobody_is_in_a_room(client, autojump_clock):
    response = await client.post(
        "/rooms/cellar/messages", json={"name": "Build", "text": "It passed"}
    )
    assert response.status_code == 404
    assert response.json() == {
        "type": "empty-room",
        "title": "There is nobody in this room.",
        "status": 404,
        "instance": "/rooms/cellar/messages",
    }


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"json": {"name": "Build", "text": ""}}, 422),
        ({"json": {"name": "", "text": "It passed"}}, 422),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 422),
        ({"data": {"name": "Build", "text": "It passed"}}, 415),
        ({"json": {"name": "Build", "text": "x" * 9000}}, 413),
    ],
)
async def test_a_message_that_a_program_can_not_send_is_refused(
    client, autojump_clock, options, status
):
    response = await client.post("/rooms/lobby/messages", **options)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


async def test_whoever_watches_the_server_gets_an_answer(client, autojump_clock):
    response = await client.get("/healthz")
    assert (response.status_code, response.text) == (200, "ok")


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
        async with open_app(app) as client, joined(client, "Ada") as ada:
            assert await ada.receive_json() == here("Ada")
            assert set(rooms._members) == {"lobby"}
    assert rooms.tell("lobby", Said("Ada", "hello")) == 0
    assert rooms._members == {}
