"""Plain HTTP with the async client, in memory and over sockets."""

from contextlib import asynccontextmanager

import httpx
import httpx2
import pytest
import trio
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route

import triows
from triows import Timeouts, Triows
from triows.testing import LeakError, LoopBlocked, _http, open_app, open_server


class Boom(Exception):
    pass


async def fail(request):
    raise Boom


async def fail_later(request):
    async def pieces():
        yield "a piece"
        raise Boom

    return StreamingResponse(pieces())


async def fail_behind(request):
    return PlainTextResponse("all is well", background=BackgroundTask(fail, request))


async def describe(request):
    scope = request.scope
    return JSONResponse(
        {
            "headers": sorted(request.headers),
            "state": scope["state"],
            "extensions": scope["extensions"],
        }
    )


async def hang(request):
    await trio.sleep_forever()


async def go_on_behind(request):
    return PlainTextResponse("wait for it", background=BackgroundTask(trio.sleep_forever))


async def shield(request):
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()


async def nothing(scope, receive, send):
    pass


async def half(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})


async def drip(scope, receive, send):
    """Send a body that never ends, a little at a time."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": b"drop", "more_body": True})
        await trio.lowlevel.checkpoint()


async def endless(scope, receive, send):
    """Send a body that never ends, without an ``await`` that waits."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    body = b"x" * int(scope["query_string"])
    while True:
        await send({"type": "http.response.body", "body": body, "more_body": True})


def made(**options):
    app = Triows(timeouts=Timeouts(shutdown_grace=0, close=0.1), **options)
    functions = (fail, fail_later, fail_behind, describe, hang, go_on_behind, shield)
    app.mount("/", Starlette(routes=[Route(f"/{one.__name__}", one) for one in functions]))
    for one in (nothing, half, drip, endless):
        app.mount(f"/{one.__name__}", one)
    return app


def open_server_that_ends_at_once(app, **options):
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.graceful_timeout = 0
    return open_server(app, config, **options)


@pytest.fixture(
    params=[
        pytest.param(open_app, id="memory"),
        pytest.param(open_server_that_ends_at_once, marks=pytest.mark.real_socket, id="sockets"),
    ]
)
def opened(request):
    return request.param


@pytest.fixture
async def client(opened):
    async with opened(made()) as client:
        yield client


# Errors


@pytest.mark.parametrize("path", ["/fail", "/fail_later", "/fail_behind"])
async def test_an_error_of_the_application_is_raised_by_the_request_alone(client, path):
    for _ in range(2):
        with pytest.raises(Boom):
            await client.get(path)


async def test_an_error_that_ends_loops_is_raised_too():
    route = triows.Route("a")

    @route.get
    async def fail() -> str:
        raise StopAsyncIteration

    async with open_app(Triows(route)) as client:
        with pytest.raises(RuntimeError, match="the application raised StopAsyncIteration") as info:
            await client.get("/a")
        assert isinstance(info.value.__cause__, StopAsyncIteration)


async def test_requests_at_the_same_time_get_each_its_own_error(client):
    answers = []

    async def request(path):
        try:
            answers.append((path, (await client.get(path)).status_code))
        except Boom:
            answers.append((path, Boom))

    async with trio.open_nursery() as nursery:
        for path in ["/fail", "/describe"] * 3:
            nursery.start_soon(request, path)
    assert sorted(answers, key=str) == [("/describe", 200)] * 3 + [("/fail", Boom)] * 3


async def test_errors_that_are_not_to_be_raised_are_what_a_peer_sees(opened, caplog):
    async with opened(made(), raise_app_exceptions=False) as client:
        assert (await client.get("/fail")).status_code == 500
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get("/fail_later")
        assert (await client.get("/fail_behind")).text == "all is well"
    errors = [one.exc_info[0] for one in caplog.records if one.name == "triows" and one.exc_info]
    assert errors == [Boom] * 3


async def test_an_application_that_does_not_answer_is_a_server_error(client):
    response = await client.get("/nothing")
    assert (response.status_code, response.json()["title"]) == (500, "Internal Server Error")
    assert response.headers["content-type"] == "application/problem+json"


async def test_half_a_response_is_a_mistake_of_the_server(client):
    with pytest.raises(httpx2.RemoteProtocolError):
        await client.get("/half")


@pytest.mark.real_socket
async def test_an_error_after_a_stream_was_left_is_raised_at_the_end():
    go_on = trio.Event()

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a piece", "more_body": True})
        await go_on.wait()
        raise Boom

    mounting = Triows()
    mounting.mount("/", app)
    with pytest.raises(Boom):  # noqa: PT012 - the end of the block raises it
        async with open_server(mounting) as client:
            async with client.http.stream("GET", "/") as response:
                assert response.status_code == 200
            go_on.set()


@pytest.mark.real_socket
async def test_a_stream_over_sockets_is_read_while_it_is_sent():
    go_on = trio.Event()

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"second"})

    mounting = Triows()
    mounting.mount("/", app)
    read = []
    async with open_server(mounting) as client, client.http.stream("GET", "/") as response:
        async for piece in response.aiter_text():
            read.append(piece)
            go_on.set()
    assert read == ["first", "second"]


async def test_errors_are_raised_by_requests_of_httpx_as_well(opened, monkeypatch):
    monkeypatch.setattr(_http, "http_library", lambda: httpx)
    async with opened(made()) as client:
        assert isinstance(await client.get("/describe"), httpx.Response)
        for path in ("/fail", "/fail_later"):
            with pytest.raises(Boom):
                await client.get(path)
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/drip", timeout=0.05)


@pytest.mark.parametrize("path", ["/hang", "/drip"])
async def test_a_request_can_be_cancelled_and_another_be_made(client, path):
    with trio.move_on_after(0.05) as limit:
        await client.get(path)
    assert limit.cancelled_caught
    assert (await client.get("/describe")).status_code == 200


# Time and size


@pytest.mark.parametrize("path", ["/hang", "/drip", "/go_on_behind"])
async def test_a_response_that_does_not_end_fails_in_time_and_shows_where_it_is(client, path):
    with pytest.raises(httpx2.ReadTimeout, match=r"has not finished .* for 0.5 s") as caught:
        await client.get(path, timeout=0.5)
    assert "what is alive in the application" in caught.value.__notes__[0]
    assert "  await " in caught.value.__notes__[0].splitlines()[-1]


async def test_a_request_that_shields_itself_fails_in_time_and_leaks(autojump_clock):
    with pytest.raises(ExceptionGroup) as caught:
        async with open_app(made()) as client:
            await client.get("/shield")
    late, leak = caught.value.exceptions
    assert isinstance(late, httpx2.ReadTimeout)
    assert isinstance(leak, LeakError)


@pytest.mark.parametrize("size", [1, 2**16])
async def test_a_body_without_end_fails_the_request(client, size, monkeypatch):
    monkeypatch.setattr(_http, "BODY", 2**20)
    # Few pieces are enough then. A busy machine takes seconds for thousands of them.
    monkeypatch.setattr(_http, "_PIECE", 2**14)
    with pytest.raises(httpx2.ReadError, match="does not end: this client takes 1 MiB"):
        await client.get(f"/endless?{size}")
    assert (await client.get("/describe")).status_code == 200


async def test_a_row_of_empty_pieces_without_end_fails_the_test_in_virtual_time(autojump_clock):
    # On the wire, an empty piece is nothing. So only the clock shows that it never ends.
    with pytest.raises(LoopBlocked, match="kept busy by the request for /endless"):
        async with open_app(made(), blocked=0.5) as client:
            await client.get("/endless?0")


@pytest.mark.real_socket
async def test_a_row_of_empty_pieces_does_not_hold_up_the_server():
    async with open_server_that_ends_at_once(made()) as client:
        with pytest.raises(httpx2.ReadTimeout):
            await client.get("/endless?0", timeout=0.05)
        assert (await client.get("/describe")).status_code == 200


# What the application sees


async def test_the_application_sees_the_request_as_a_server_gives_it(client):
    response = await client.get("/describe")
    assert response.json() == {
        "headers": ["accept", "accept-encoding", "connection", "host", "user-agent"],
        "state": {},
        "extensions": {"http.response.pathsend": {}, "http.response.trailers": {}},
    }


async def test_the_state_of_the_lifespan_is_there(opened):
    @asynccontextmanager
    async def lifespan(app):
        yield {"word": "hello"}

    async with opened(made(lifespan=lifespan)) as client:
        assert (await client.get("/describe")).json()["state"] == {"word": "hello"}
