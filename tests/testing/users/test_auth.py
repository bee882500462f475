"""Who may connect, and who may not."""

import pytest

from tests.testing.users.on_triows.auth import app
from triows import WebSocketDisconnect
from triows.testing import TestClient, WebSocketDenialResponse

client = TestClient(app)


def test_a_token_in_the_query():
    with client.websocket_connect("/query?token=secret-ada") as websocket:
        assert websocket.receive_json() == {"user": "ada"}


@pytest.mark.parametrize("url", ["/query", "/query?token=", "/query?token=wrong"])
def test_without_a_token_in_the_query(url):
    with pytest.raises(WebSocketDisconnect) as exc_info:
        with client.websocket_connect(url) as websocket:
            websocket.receive_json()
    assert exc_info.value.code == 1008
    assert exc_info.value.reason == "invalid token"


def test_a_token_in_a_header():
    headers = {"Authorization": "Bearer secret-bob"}
    with client.websocket_connect("/header", headers=headers) as websocket:
        assert websocket.receive_json() == {"user": "bob"}


def test_a_token_in_a_header_of_the_client():
    authorized = TestClient(app, headers={"Authorization": "Bearer secret-bob"})
    with authorized.websocket_connect("/header") as websocket:
        assert websocket.receive_json() == {"user": "bob"}
    authorized.headers["authorization"] = "Bearer secret-ada"
    with authorized.websocket_connect("/header") as websocket:
        assert websocket.receive_json() == {"user": "ada"}


def test_without_a_token_in_a_header():
    with pytest.raises(WebSocketDenialResponse) as exc_info:
        with client.websocket_connect("/header"):
            pass  # pragma: no cover
    assert exc_info.value.status_code == 401
    assert exc_info.value.headers["www-authenticate"] == "Bearer"
    assert exc_info.value.json()["detail"] == "who are you?"


def test_with_a_wrong_token_in_a_header():
    # Who knows of no denial responses sees a disconnect.
    with pytest.raises(WebSocketDisconnect) as exc_info:
        with client.websocket_connect("/header", headers={"Authorization": "Bearer wrong"}):
            pass  # pragma: no cover
    denial = exc_info.value
    assert isinstance(denial, WebSocketDenialResponse)
    assert denial.status_code == 403
    assert "not with this token" in denial.text


def test_a_token_in_a_cookie():
    with TestClient(app, cookies={"session": "secret-ada"}) as with_cookie:
        with with_cookie.websocket_connect("/cookie") as websocket:
            assert websocket.receive_json() == {"user": "ada"}


def test_a_cookie_that_is_set_and_taken_away():
    client.cookies.set("session", "secret-bob")
    with client.websocket_connect("/cookie") as websocket:
        assert websocket.receive_json() == {"user": "bob"}
    client.cookies.clear()
    with pytest.raises(WebSocketDisconnect) as exc_info, client.websocket_connect("/cookie"):
        pass  # pragma: no cover
    assert (exc_info.value.code, exc_info.value.reason) == (3000, "log in first")


def test_what_one_may_do_and_another_may_not():
    with client.websocket_connect("/query?token=secret-ada") as websocket:
        websocket.receive_json()
        websocket.send_text("delete")
        assert websocket.receive_text() == "done"
    with client.websocket_connect("/query?token=secret-bob") as websocket:
        websocket.receive_json()
        websocket.send_text("delete")
        with pytest.raises(WebSocketDisconnect) as exc_info:
            websocket.receive_text()
    assert exc_info.value.code == 1008
    assert exc_info.value.reason == "only ada may"
