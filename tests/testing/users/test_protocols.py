"""Subprotocols, close codes and binary messages."""

import pytest

from tests.testing.users.on_triows.protocols import app
from triows import WebSocketDisconnect
from triows.testing import TestClient

client = TestClient(app, base_url="http://example.org", raise_server_exceptions=True)


@pytest.mark.parametrize(
    ("offered", "accepted"),
    [(["v1", "v2"], "v2"), (["v1"], "v1"), (["v0"], None), (None, None)],
)
def test_the_best_subprotocol_is_chosen(offered, accepted):
    with client.websocket_connect("/chosen", subprotocols=offered) as websocket:
        assert websocket.accepted_subprotocol == accepted
        assert websocket.receive_json() == (offered or [])


def test_subprotocols_stand_second():
    with client.websocket_connect("/chosen", ["v1"]) as websocket:
        assert websocket.accepted_subprotocol == "v1"


def test_headers_come_with_the_acceptance():
    with client.websocket_connect("/chosen", subprotocols=["a", "b"]) as websocket:
        assert (b"x-offered", b"2") in websocket.extra_headers


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1001, "going away"), (3000, ""), (4999, "äöü" * 20)]
)
def test_the_application_closes(code, reason):
    with client.websocket_connect("/closing") as websocket:
        websocket.send_json({"code": code, "reason": reason})
        with pytest.raises(WebSocketDisconnect) as exc_info:
            websocket.receive_text()
        assert exc_info.value.code == code
        assert exc_info.value.reason == reason


def test_the_application_closes_as_an_event():
    with client.websocket_connect("/closing") as websocket:
        websocket.send_json({"code": 4000, "reason": "enough"})
        close = websocket.receive()
        assert close["type"] == "websocket.close"
        assert close["code"] == 4000
        assert close["reason"] == "enough"


def test_the_client_closes():
    with TestClient(app) as same_loop:
        with same_loop.websocket_connect("/closing") as websocket:
            websocket.close(code=4001, reason="bored")
        with same_loop.websocket_connect("/closing") as websocket:
            websocket.close(3001)
        with same_loop.websocket_connect("/closing") as websocket:
            websocket.send({"type": "websocket.disconnect", "code": 1001, "reason": "away"})
        assert same_loop.get("/closes").json()[-3:][0] == [4001, "bored"]
        assert [code for code, _ in same_loop.get("/closes").json()[-3:]] == [4001, 3001, 1001]


@pytest.mark.parametrize("data", [b"", b"\x00\xff", bytes(range(256)), b"x" * 100_000])
def test_bytes_go_both_ways(data):
    with client.websocket_connect("/binary") as websocket:
        websocket.send_bytes(data)
        assert websocket.receive_bytes() == data[::-1]


def test_bytes_as_events():
    with client.websocket_connect("/binary") as websocket:
        websocket.send({"type": "websocket.receive", "bytes": b"abc"})
        assert websocket.receive() == {"type": "websocket.send", "bytes": b"cba"}
