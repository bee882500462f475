"""A chat room."""

import pytest

from tests.testing.users.on_triows.chat import app
from triows import WebSocketDisconnect
from triows.testing import TestClient


@pytest.fixture
def client():
    with TestClient(app) as client:
        yield client


def test_who_joins_is_told_so(client):
    with client.websocket_connect("/rooms/lobby?name=ada") as ada:
        assert ada.receive_text() == "ada joined"


def test_everybody_in_the_room_hears_a_message(client):
    with (
        client.websocket_connect("/rooms/lobby?name=ada") as ada,
        client.websocket_connect("/rooms/lobby?name=bob") as bob,
    ):
        assert ada.receive_text() == "ada joined"
        assert ada.receive_text() == "bob joined"
        assert bob.receive_text() == "bob joined"
        bob.send_text("hello")
        assert ada.receive_text() == "bob: hello"
        assert bob.receive_text() == "bob: hello"


def test_the_others_are_told_who_left(client):
    with client.websocket_connect("/rooms/lobby?name=ada") as ada:
        assert ada.receive_text() == "ada joined"
        with client.websocket_connect("/rooms/lobby?name=bob") as bob:
            assert ada.receive_text() == "bob joined"
            bob.close()
            assert ada.receive_text() == "bob left"
        assert client.get("/members/lobby").json() == ["ada"]


def test_rooms_are_apart(client):
    with (
        client.websocket_connect("/rooms/red?name=ada") as ada,
        client.websocket_connect("/rooms/blue?name=bob") as bob,
    ):
        assert ada.receive_text() == "ada joined"
        assert bob.receive_text() == "bob joined"
        bob.send_text("anybody?")
        assert bob.receive_text() == "bob: anybody?"
        ada.send_text("me")
        assert ada.receive_text() == "ada: me"


def test_members_can_be_listed(client):
    assert client.get("/members/lobby").json() == []
    with client.websocket_connect("/rooms/lobby?name=bob") as bob:
        bob.receive_text()
        with client.websocket_connect("/rooms/lobby", params={"name": "ada"}) as ada:
            ada.receive_text()
            assert client.get("/members/lobby").json() == ["ada", "bob"]


def test_a_name_that_is_taken_is_refused(client):
    with client.websocket_connect("/rooms/lobby?name=ada") as ada:
        ada.receive_text()
        with pytest.raises(WebSocketDisconnect) as exc_info:
            with client.websocket_connect("/rooms/lobby?name=ada"):
                pass  # pragma: no cover
        assert exc_info.value.code == 1008
        assert exc_info.value.reason == "this name is taken"


def test_a_hundred_messages_come_in_their_order(client):
    with client.websocket_connect("/rooms/lobby?name=ada") as ada:
        ada.receive_text()
        for number in range(100):
            ada.send_text(str(number))
        assert [ada.receive_text() for _ in range(100)] == [f"ada: {n}" for n in range(100)]
