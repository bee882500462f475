"""
One connection of a synchronous test: events as Starlette's client has them, and one block.

``test_sync`` and ``test_sync_threads`` test it together with its client.
"""

from __future__ import annotations

import gc

import pytest

from triows import Triows, WebSocket, WebSocketDisconnect, WebSocketRoute
from triows.testing import TestClient

route = WebSocketRoute("echo")


@route.endpoint
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for message in ws:
        await ws.send(message)


@pytest.fixture
def client():
    with TestClient(Triows(route)) as client:
        yield client


@pytest.fixture
def session(client):
    with client.websocket_connect("/echo") as session:
        yield session


@pytest.mark.parametrize(("key", "message"), [("text", "a"), ("bytes", b"a"), ("text", "")])
def test_a_message_is_an_event_in_both_directions(session, key, message):
    session.send({"type": "websocket.receive", key: message})
    assert session.receive() == {"type": "websocket.send", key: message}


def test_a_disconnect_is_an_event_that_closes(session):
    session.send({"type": "websocket.disconnect", "code": 4001, "reason": "enough"})
    assert session.receive() == {"type": "websocket.close", "code": 4001, "reason": "enough"}


def test_without_a_code_a_disconnect_is_1000(session):
    session.send({"type": "websocket.disconnect"})
    with pytest.raises(WebSocketDisconnect, match="1000"):
        session.receive_text()


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("hello", r"write send_text\(...\) for a text"),
        (b"hello", r"write send_bytes\(...\) for bytes"),
        ({"a": 1}, r"write send_json\(...\) to send that as JSON"),
        ({"type": "websocket.accept"}, "a client sends websocket.receive"),
        ({"type": "websocket.receive"}, "has a message in text= or bytes="),
    ],
)
def test_what_is_no_event_of_a_client_is_refused_with_what_to_write(session, event, said):
    with pytest.raises(ValueError, match=said):
        session.send(event)


def test_json_comes_in_both_modes(session):
    session.send_json({"a": 1})
    assert session.receive_json() == {"a": 1}
    session.send_json({"a": 2}, mode="binary")
    assert session.receive_json(mode="binary") == {"a": 2}


def test_it_is_for_one_block(client):
    session = client.websocket_connect("/echo")
    with session:
        pass
    with pytest.raises(RuntimeError, match="a session is for one block"), session:
        pass


def test_before_its_block_it_says_what_to_write(client):
    session = client.websocket_connect("/echo")
    with pytest.raises(RuntimeError, match=r"write `with client\.websocket_connect"):
        session.send_text("too early")


def test_one_that_nobody_enters_warns(client):
    def forget() -> None:
        client.websocket_connect("/echo")
        gc.collect()

    with pytest.warns(RuntimeWarning, match="was never entered") as caught:
        forget()
    assert caught[0].filename == __file__


def test_what_the_block_raises_comes_out_as_itself(client):
    with pytest.raises(KeyError, match="mine"), client.websocket_connect("/echo"):
        raise KeyError("mine")
