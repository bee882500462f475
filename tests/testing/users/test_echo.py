"""Messages in JSON, and messages that aren't."""

import pytest

from tests.testing.users.on_triows.echo import app
from triows import WebSocketDisconnect
from triows.testing import TestClient


def test_echo_json():
    client = TestClient(app)
    with client.websocket_connect("/echo") as websocket:
        for value in ({"hello": "world"}, [1, 2.5, None, True], "text", 0, "ünïcödé 🐍"):
            websocket.send_json(value)
            assert websocket.receive_json() == value


def test_echo_json_in_binary():
    client = TestClient(app)
    with client.websocket_connect("/echo?mode=binary") as websocket:
        websocket.send_json({"hello": "world"}, mode="binary")
        assert websocket.receive_json(mode="binary") == {"hello": "world"}
        websocket.send_json({"hello": "world"}, mode="text")
        assert websocket.receive_bytes() == b'{"hello":"world"}'


def test_json_is_compact():
    client = TestClient(app)
    with client.websocket_connect("/echo") as websocket:
        websocket.send_json({"a": [1, 2], "ü": "é"})
        assert websocket.receive_text() == '{"a":[1,2],"ü":"é"}'


def test_several_messages_before_the_answers():
    with TestClient(app).websocket_connect("/strict") as websocket:
        for number in range(5):
            websocket.send_json({"id": number, "add": [number, number]})
        answers = [websocket.receive_json() for _ in range(5)]
    assert answers == [{"id": number, "sum": 2 * number} for number in range(5)]


@pytest.mark.parametrize(
    "text",
    ["no json", "[]", '{"id": 1}', '{"id": "one", "add": []}', '{"id": 1, "add": [], "sub": []}'],
)
def test_what_does_not_fit_the_schema_closes_the_connection(text):
    with TestClient(app).websocket_connect("/strict") as websocket:
        websocket.send_text(text)
        with pytest.raises(WebSocketDisconnect) as exc_info:
            websocket.receive_json()
        assert exc_info.value.code == 1007
        assert exc_info.value.reason == "invalid message"


def test_what_does_not_fit_is_answered_where_the_application_is_patient():
    with TestClient(app).websocket_connect("/lenient") as websocket:
        websocket.send_text("no json")
        assert websocket.receive_json() == {"error": "what?"}
        websocket.send_json({"id": 1, "add": [1, 2, 3]})
        assert websocket.receive_json() == {"id": 1, "sum": 6}


def test_the_close_as_an_event():
    with TestClient(app).websocket_connect("/strict") as websocket:
        websocket.send_json({"id": 1, "add": [1]})
        assert websocket.receive() == {"type": "websocket.send", "text": '{"id":1,"sum":1}'}
        websocket.send_text("no json")
        event = websocket.receive()
        assert event["type"] == "websocket.close"
        assert event["code"] == 1007
