"""Plain HTTP with the synchronous client, and what it shares with WebSockets."""

import importlib
import logging
from contextlib import asynccontextmanager
from email import message_from_bytes
from typing import Annotated

import httpx2
import pytest
import trio
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import (
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from triows import AsyncResource, Ignore, Timeouts, Triows, WebSocket, WebSocketRoute, use
from triows.testing import TestClient, _http, open_app

BOTH = ("httpx2", "httpx")


class Boom(Exception):
    pass


async def describe(request):
    return JSONResponse(
        {
            "method": request.method,
            "url": str(request.url),
            "headers": dict(request.headers),
            "cookies": request.cookies,
            "client": list(request.client),
            "body": (await request.body()).decode(),
        }
    )


async def login(request):
    response = PlainTextResponse("welcome")
    response.set_cookie("session", "ada", secure=request.url.scheme == "https", httponly=True)
    return response


async def upload(request):
    # To read forms, Starlette would need one more package.
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n"
    form = message_from_bytes(head.encode() + await request.body())
    parts = {one.get_param("name", header="content-disposition"): one for one in form.get_payload()}
    file = parts["file"]
    return JSONResponse(
        {
            "file": [file.get_filename(), len(file.get_payload(decode=True))],
            "title": parts["title"].get_payload(),
        }
    )


async def state(request):
    return JSONResponse(request.state.word)


async def stream(request):
    async def pieces():
        for number in range(3):
            yield f"{number}\n"

    return StreamingResponse(pieces())


async def broken_stream(request):
    async def pieces():
        yield "0\n"
        raise Boom

    return StreamingResponse(pieces())


async def fail(request):
    raise Boom


async def hang(request):
    await trio.sleep_forever()


async def in_background(request):
    async def later():
        await trio.lowlevel.checkpoint()
        request.app.state.log = "done"

    return PlainTextResponse("started", background=BackgroundTask(later))


async def redirect(request):
    return RedirectResponse("/http/describe?redirected")


ROUTES = [
    Route("/describe", describe, methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
    Route("/login", login),
    Route("/upload", upload, methods=["POST"]),
    Route("/state", state),
    Route("/stream", stream),
    Route("/broken", broken_stream),
    Route("/fail", fail),
    Route("/hang", hang),
    Route("/background", in_background),
    Route("/redirect", redirect),
    Route("/empty", lambda request: Response(status_code=204)),
]


async def accepted(ws: Ignore[WebSocket]) -> Ignore[AsyncResource[WebSocket]]:
    await ws.accept()
    yield ws


Accepted = Annotated[WebSocket, use(accepted)]


async def describe_ws(ws: Accepted) -> None:
    await ws.send_json(
        {
            "url": str(ws.url),
            "cookies": ws.cookies,
            "headers": dict(ws.headers),
            "host": ws.headers.getlist("host"),
            "client": list(ws.client),
        }
    )


@asynccontextmanager
async def lifespan(app):
    app.state.starts = getattr(app.state, "starts", 0) + 1
    yield {"word": "hello"}


def mixed_app(**options):
    """WebSockets at /ws, Starlette below /http."""
    route = WebSocketRoute("ws")
    route.endpoint(describe_ws)
    app = Triows(route, lifespan=lifespan)
    app.mount("/http", Starlette(routes=ROUTES, **options))
    return app


@pytest.fixture
def hide(monkeypatch):
    """Make libraries look as if they weren't installed."""

    def hide(*names):
        real = importlib.import_module

        def import_module(name, package=None):
            if name in names:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            return real(name, package)

        monkeypatch.setattr(importlib, "import_module", import_module)

    return hide


@pytest.fixture(params=BOTH)
def library(request, hide):
    """Each of the two libraries, while the other one is hidden."""
    hide(*(name for name in BOTH if name != request.param))
    return importlib.import_module(request.param)


@pytest.fixture
def client(library):
    return TestClient(mixed_app())


def connected(client, url="/ws", **options):
    with client.websocket_connect(url, **options) as ws:
        return ws.receive_json()


# The library


def test_responses_are_those_of_the_library_that_is_installed(client, library):
    assert isinstance(client.get("/http/describe"), library.Response)
    assert isinstance(client.http, library.Client)


def test_httpx2_goes_before_httpx():
    assert TestClient(mixed_app()).http.__class__.__module__.startswith("httpx2")


def test_without_a_library_requests_say_what_to_install_and_connections_work(hide):
    hide(*BOTH)
    client = TestClient(mixed_app())
    with pytest.raises(RuntimeError, match=r"made by httpx2: pip install 'triows\[testing\]'"):
        client.get("/http/describe")
    assert connected(client)["cookies"] == {}


async def test_the_native_client_works_with_either_library(library):
    async with open_app(mixed_app()) as client:
        response = await client.get("/http/describe")
        assert isinstance(response, library.Response)
        assert response.json()["method"] == "GET"


async def test_without_a_library_the_native_client_says_what_to_install(hide):
    hide(*BOTH)
    async with open_app(mixed_app()) as client:
        with pytest.raises(RuntimeError, match=r"pip install 'triows\[testing\]'"):
            await client.get("/")


# Requests


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_has_one_of_the_client(client, method):
    assert getattr(client, method.lower())("/http/describe").json()["method"] == method
    assert client.request(method, "/http/describe").json()["method"] == method


def test_a_response_to_head_has_no_body(client):
    response = client.head("/http/describe")
    assert response.status_code == 200
    assert response.content == b""
    assert int(response.headers["content-length"]) > 0


def test_bodies_are_sent(client):
    assert client.post("/http/describe", json={"a": 1}).json()["body"] in ('{"a":1}', '{"a": 1}')
    assert client.post("/http/describe", content=b"raw").json()["body"] == "raw"
    assert client.put("/http/describe", content=iter([b"a", b"b"])).json()["body"] == "ab"
    assert client.post("/http/describe", data={"a": "b c"}).json()["body"] == "a=b+c"


def test_files_are_uploaded(client):
    response = client.post(
        "/http/upload", files={"file": ("a.txt", b"12345")}, data={"title": "five"}
    )
    assert response.json() == {"file": ["a.txt", 5], "title": "five"}


def test_query_parameters_are_sent(client):
    response = client.get("/http/describe", params={"a": "b c"})
    assert response.json()["url"].removeprefix("http://testserver/http/describe?") in (
        "a=b+c",
        "a=b%20c",
    )


def test_a_stream_is_there_when_it_is_whole(client):
    assert client.get("/http/stream").text == "0\n1\n2\n"
    with client.stream("GET", "/http/stream") as response:
        assert list(response.iter_lines()) == ["0", "1", "2"]


def test_a_request_can_be_made_and_sent_apart(client):
    request = client.build_request("POST", "/http/describe", content="body")
    assert client.send(request).json()["body"] == "body"


def test_background_tasks_have_ended_when_the_response_is_there(client):
    assert client.get("/http/background").text == "started"
    assert client.app._router.match(("http", "x")).value.app.state.log == "done"


def test_redirects_are_followed(client):
    response = client.get("/http/redirect")
    assert response.json()["url"] == "http://testserver/http/describe?redirected"
    assert [one.status_code for one in response.history] == [307]


@pytest.mark.parametrize("where", ["client", "attribute", "request"])
def test_redirects_are_not_followed_where_that_is_wished(where):
    client = TestClient(mixed_app(), follow_redirects=where != "client")
    if where == "attribute":
        client.follow_redirects = False
    options = {"follow_redirects": False} if where == "request" else {}
    response = client.get("/http/redirect", **options)
    assert (response.status_code, response.headers["location"]) == (
        307,
        "/http/describe?redirected",
    )


def test_a_websocket_route_asks_http_to_upgrade(client):
    response = client.get("/ws")
    assert (response.status_code, response.headers["upgrade"]) == (426, "websocket")
    assert client.get("/nowhere").status_code == 404


def test_the_state_of_the_lifespan_is_there_for_requests(client):
    assert client.get("/http/state").json() == "hello"
    with client:
        assert client.get("/http/state").json() == "hello"
        assert client.get("/http/state").json() == "hello"
    assert client.app.state.starts == 2


def test_the_application_runs_once_for_a_request_with_redirects(client):
    client.get("/http/redirect")
    assert client.app.state.starts == 1


# What applies to requests and to connections


def test_a_cookie_that_a_response_sets_goes_with_a_connection(client):
    assert client.get("/http/login").text == "welcome"
    assert connected(client)["cookies"] == {"session": "ada"}
    assert client.get("/http/describe").json()["cookies"] == {"session": "ada"}
    client.cookies.clear()
    assert connected(client)["cookies"] == {}


def test_a_secure_cookie_goes_with_a_secure_connection_only():
    client = TestClient(mixed_app(), "https://testserver")
    client.get("/http/login")
    assert connected(client)["cookies"] == {"session": "ada"}
    assert connected(client, "ws://testserver/ws")["cookies"] == {}


def test_cookies_can_be_given_to_the_client_or_set_or_given_to_a_connection(client):
    assert connected(TestClient(client.app, cookies={"a": "b"}))["cookies"] == {"a": "b"}
    assert connected(client, cookies={"a": "c"})["cookies"] == {"a": "c"}
    assert connected(client)["cookies"] == {}
    client.cookies.set("a", "d")
    assert connected(client)["cookies"] == {"a": "d"}
    client.cookies = {"a": "e"}
    assert connected(client)["cookies"] == {"a": "e"}
    assert client.get("/http/describe").json()["cookies"] == {"a": "e"}


def test_headers_can_be_given_to_the_client_or_set(client):
    given = TestClient(client.app, headers={"X-Token": "1"})
    assert connected(given)["headers"]["x-token"] == "1"
    assert given.get("/http/describe").json()["headers"]["x-token"] == "1"
    given.headers["x-token"] = "2"
    assert connected(given)["headers"]["x-token"] == "2"
    given.headers = {"x-token": "3"}
    assert connected(given)["headers"]["x-token"] == "3"
    assert connected(given, headers={"X-TOKEN": "4"})["headers"]["x-token"] == "4"


def test_it_says_who_it_is_with_requests_and_connections(client):
    assert connected(client)["headers"]["user-agent"] == "testclient"
    assert client.get("/http/describe").json()["headers"]["user-agent"] == "testclient"
    assert connected(client)["headers"]["user-agent"] == "testclient"
    named = TestClient(client.app, headers={"User-Agent": "mine"})
    assert connected(named)["headers"]["user-agent"] == "mine"
    assert named.get("/http/describe").json()["headers"]["user-agent"] == "mine"


@pytest.mark.parametrize("headers", [{"x-a": "1"}, [("x-a", "1"), ("x-a", "2")]])
def test_headers_may_be_a_list_in_which_one_name_stands_twice(client, headers):
    seen = [
        connected(TestClient(client.app, headers=headers)),
        connected(client, headers=headers),
        client.get("/http/describe", headers=headers).json(),
    ]
    assert {one["headers"]["x-a"] for one in seen} <= {"1", "2", "1, 2"}


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize(
    ("base_url", "url", "seen"),
    [
        ("http://testserver", "/ws", "ws://testserver/ws"),
        ("http://testserver", "ws", "ws://testserver/ws"),
        ("http://testserver/api/", "/ws", "ws://testserver/ws"),
        ("https://example.org:8443", "/ws?a=b", "wss://example.org:8443/ws?a=b"),
        ("ws://example.org", "/ws", "ws://example.org/ws"),
        ("http://testserver", "wss://example.org/ws", "wss://example.org/ws"),
        ("http://testserver", "http://example.org/ws", "ws://example.org/ws"),
    ],
)
def test_a_connection_goes_to_the_host_of_base_url_or_its_own(base_url, url, seen, used):
    client = TestClient(mixed_app(), base_url)
    if used:
        assert client.http  # from now on, this client prepares connections, too
    found = connected(client, url)
    assert found["url"] == seen
    assert found["host"] == [seen.split("/")[2]]


def test_a_request_goes_below_the_path_of_base_url():
    client = TestClient(mixed_app(), "http://example.org/http")
    assert client.get("/describe").json()["url"] == "http://example.org/http/describe"
    assert str(client.base_url) == "http://example.org/http/"


def test_query_parameters_can_be_given_apart(client):
    assert connected(client, "/ws", params={"a": "1"})["url"] == "ws://testserver/ws?a=1"
    client.params = {"b": "2"}
    assert connected(client)["url"] == "ws://testserver/ws?b=2"


def test_authentication_goes_with_both(client):
    header = "Basic YWRhOnNlY3JldA=="
    assert connected(client, auth=("ada", "secret"))["headers"]["authorization"] == header
    client.auth = ("ada", "secret")
    assert connected(client)["headers"]["authorization"] == header
    assert client.get("/http/describe").json()["headers"]["authorization"] == header


def test_the_peers_address_can_be_chosen(client):
    chosen = TestClient(client.app, client=("10.0.0.1", 1234))
    assert connected(chosen)["client"] == ["10.0.0.1", 1234]
    assert chosen.get("/http/describe").json()["client"] == ["10.0.0.1", 1234]
    assert client.get("/http/describe").json()["client"] == ["testclient", 50000]


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_a_root_path_is_told_and_taken_off(prefix):
    client = TestClient(mixed_app(), root_path="/api")
    assert connected(client, f"{prefix}/ws")["url"] == "ws://testserver/api/ws"
    assert client.get(f"{prefix}/nowhere").status_code == 404
    assert client.get(f"{prefix}/ws").status_code == 426


# Errors


def test_an_error_of_the_application_is_raised_as_itself(client):
    with pytest.raises(Boom):
        client.get("/http/fail")
    with pytest.raises(Boom):
        client.get("/http/broken")
    assert client.get("/http/empty").status_code == 204


def test_an_error_below_a_middleware_with_a_task_group_is_raised_as_itself():
    class Passing(BaseHTTPMiddleware):
        async def dispatch(self, request, call_next):
            return await call_next(request)

    app = Triows()
    app.mount("/", Passing(Starlette(routes=ROUTES)))
    with pytest.raises(Boom):
        TestClient(app).get("/fail")


def test_an_error_can_be_left_to_the_response(library, caplog):
    client = TestClient(mixed_app(), "http://testserver", False)
    with caplog.at_level(logging.CRITICAL, "triows"):
        assert client.get("/http/fail").status_code == 500
        with pytest.raises(library.RemoteProtocolError, match="stopped before"):
            client.get("/http/broken")


def test_a_request_that_is_not_answered_fails_in_time_and_shows_what_is_alive(library):
    client = TestClient(mixed_app(), timeout=0.05)
    with pytest.raises(
        library.ReadTimeout, match=r"GET http://testserver/http/hang for 0.05 s"
    ) as c:
        client.get("/http/hang")
    assert "what is alive in the application" in c.value.__notes__[0]
    assert client.get("/http/describe", timeout=20).status_code == 200


def test_a_request_that_shields_itself_fails_in_time_and_is_a_leak():
    async def shield(scope, receive, send):
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()

    app = Triows(timeouts=Timeouts(disconnect_grace=0.05, teardown=0.05))
    app.mount("/", shield)
    with pytest.raises(httpx2.ReadTimeout, match=r"for 0.05 s") as caught:
        TestClient(app, timeout=0.05).get("/")
    assert "s after it was cancelled" in caught.value.__notes__[1]


def test_a_body_without_end_fails_the_request(monkeypatch):
    async def endless(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"more", "more_body": True})

    monkeypatch.setattr(_http, "BODY", 2**16)
    app = Triows()
    app.mount("/", endless)
    with pytest.raises(httpx2.ReadError, match="the response's body does not end"):
        TestClient(app).get("/")


def test_a_request_may_have_a_timeout_of_its_own(client, library):
    with pytest.raises(library.ReadTimeout, match=r"for 0.02 s"):
        client.get("/http/hang", timeout=0.02)


def test_a_client_that_was_closed_sends_nothing(client):
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.get("/http/describe")
