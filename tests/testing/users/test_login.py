"""HTTP and WebSockets of one application."""

import pytest

from tests.testing.users.on_triows.login import app
from triows.testing import TestClient, WebSocketDenialResponse

ADA = {"user": "ada", "password": "lovelace"}


@pytest.fixture
def client():
    with TestClient(app) as client:
        yield client


@pytest.fixture
def logged_in(client):
    response = client.post("/login", json=ADA)
    assert response.status_code == 200
    assert response.json() == {"user": "ada"}
    return client


def test_nobody_is_logged_in_at_first(client):
    assert client.get("/me").status_code == 401
    with pytest.raises(WebSocketDenialResponse) as exc_info, client.websocket_connect("/news"):
        pass  # pragma: no cover
    assert exc_info.value.status_code == 401
    assert exc_info.value.json()["detail"] == "log in first"


def test_a_wrong_password_sets_no_cookie(client):
    response = client.post("/login", json={"user": "ada", "password": "byron"})
    assert response.status_code == 401
    assert "set-cookie" not in response.headers
    assert not client.cookies


def test_logging_in_redirects(client):
    response = client.post("/login", json=ADA, follow_redirects=False)
    assert response.status_code == 303
    assert response.headers["location"] == "/me"
    assert response.cookies["session"] == client.cookies["session"]


def test_the_cookie_goes_with_the_websocket(logged_in):
    with logged_in.websocket_connect("/news") as websocket:
        assert websocket.receive_text() == "hello ada"


def test_what_is_published_by_http_comes_by_websocket(logged_in):
    with logged_in.websocket_connect("/news") as one, logged_in.websocket_connect("/news") as two:
        assert one.receive_text() == two.receive_text() == "hello ada"
        response = logged_in.post("/publish", content="extra! extra!")
        assert response.json() == {"listeners": 2}
        assert one.receive_text() == "extra! extra!"
        assert two.receive_text() == "extra! extra!"


def test_after_logging_out_there_is_no_more_news(logged_in):
    assert logged_in.post("/logout").status_code == 204
    assert "session" not in logged_in.cookies
    with pytest.raises(WebSocketDenialResponse), logged_in.websocket_connect("/news"):
        pass  # pragma: no cover


def test_clients_have_cookies_of_their_own(logged_in):
    assert TestClient(app).get("/me").status_code == 401
    same = TestClient(app, cookies={"session": logged_in.cookies["session"]})
    assert same.get("/me").json() == {"user": "ada"}


def test_other_methods_and_pages(client):
    assert client.get("/login").status_code == 405
    assert client.get("/nowhere").status_code == 404
    assert client.head("/me").content == b""
    assert client.options("/login").status_code == 405


def test_a_broken_page_fails_the_test(client):
    with pytest.raises(ValueError, match="the page is broken"):
        client.get("/crash")


def test_or_is_a_500_if_wished():
    client = TestClient(app, raise_server_exceptions=False)
    response = client.get("/crash")
    assert response.status_code == 500
    assert "broken" not in response.text
