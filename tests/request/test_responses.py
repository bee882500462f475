"""Responses of Starlette's classes, which a handler returns."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
import trio
from starlette.background import BackgroundTask
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.templating import Jinja2Templates

from triows import Request, Route, Timeouts, Triows, use
from triows._request.responses import is_whole
from triows.testing import HTTPDisconnect, open_app

EVENTS: list[str] = []


@pytest.fixture(autouse=True)
def events() -> list[str]:
    """What has happened, in order."""
    EVENTS.clear()
    return EVENTS


class Session:
    """A resource that exits before the response."""


class Trail:
    """A resource that exits after the response."""


async def get_session() -> AsyncIterator[Session]:
    yield Session()
    await trio.sleep(1)
    EVENTS.append("exit session")


async def get_trail() -> AsyncIterator[Trail]:
    yield Trail()
    EVENTS.append("exit trail")


async def failing() -> AsyncIterator[Session]:
    yield Session()
    raise LookupError("it could not be stored")


def copied(app: Any) -> Any:
    """Middleware that replaces the server's functions."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        async def receive_() -> Any:
            return await receive()

        async def send_(event: Any) -> None:
            await send(event)

        await app(scope, receive_, send_)

    return wrapped


def app_of(handler: Any, *middlewares: Any) -> Triows:
    route = Route("", middlewares=middlewares)
    route.get(handler)
    return Triows(route, timeouts=Timeouts(disconnect_grace=1))


async def pieces() -> AsyncIterator[bytes]:
    yield b"one"
    await trio.sleep(1)
    yield b"two"


async def later() -> None:
    EVENTS.append("background")


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("files") / "file.txt"
    path.write_bytes(b"x" * 100_000)
    return str(path)


# In both, a response is sent in another way: with the server's functions, and with others.
everywhere = pytest.mark.parametrize("around", [(), (copied,)], ids=["direct", "middleware"])
MADE = {
    "text": lambda: PlainTextResponse("text", 201, {"x-own": "1"}),
    "html": lambda: HTMLResponse("<p>"),
    "json": lambda: JSONResponse({"a": 1}, 202),
    "nothing": lambda: Response(status_code=204),
    "redirect": lambda: RedirectResponse("/elsewhere"),
    "stream": lambda: StreamingResponse(pieces(), 203, media_type="text/plain"),
}
WANTED = {
    "text": (201, b"text"),
    "html": (200, b"<p>"),
    "json": (202, b'{"a":1}'),
    "nothing": (204, b""),
    "redirect": (307, b""),
    "stream": (203, b"onetwo"),
}


@everywhere
@pytest.mark.parametrize("holds", [False, True], ids=["alone", "with a resource"])
@pytest.mark.parametrize("kind", list(MADE))
async def test_a_response_is_sent_as_it_is(autojump_clock, around, holds, kind):
    async def alone() -> Response:
        return MADE[kind]()

    async def with_session(session: Annotated[Session, use(get_session)]) -> Response:
        return MADE[kind]()

    async with open_app(app_of(with_session if holds else alone, *around)) as client:
        response = await client.get("/", follow_redirects=False)
    expected = MADE[kind]()
    assert (response.status_code, response.content) == WANTED[kind]
    for name, value in expected.headers.items():
        assert response.headers[name] == value
    assert (["exit session"] if holds else []) == EVENTS


# The file is read in a thread, so this takes the real clock.
@everywhere
@pytest.mark.parametrize("holds", [False, True], ids=["alone", "with a resource"])
async def test_a_file_is_sent_whole_or_a_range_of_it(around, holds, path):
    async def alone() -> Response:
        return FileResponse(path)

    async def with_trail(trail: Annotated[Trail, use(get_trail, until="sent")]) -> Response:
        return FileResponse(path)

    async with open_app(app_of(with_trail if holds else alone, *around)) as client:
        whole = await client.get("/")
        part = await client.get("/", headers={"range": "bytes=0-9"})
        head = await client.head("/")
    assert (whole.status_code, len(whole.content)) == (200, 100_000)
    assert (part.status_code, part.content) == (206, b"x" * 10)
    assert (head.content, head.headers["content-length"]) == (b"", "100000")
    assert (["exit trail"] * 3 if holds else []) == EVENTS


@everywhere
async def test_a_file_that_is_not_there_is_an_error_that_the_client_is_told(around):
    async def handler() -> Response:
        return FileResponse("/nowhere/at/all")

    async with open_app(app_of(handler, *around), raise_app_exceptions=False) as client:
        assert (await client.get("/")).status_code == 500


@everywhere
async def test_the_end_of_a_stream_comes_after_the_exits(autojump_clock, around):
    async def handler(session: Annotated[Session, use(get_session)]) -> Response:
        return StreamingResponse(pieces())

    async with (
        open_app(app_of(handler, *around)) as client,
        client.stream("GET", "/") as response,
    ):
        assert await response.receive() == b"one"
        assert await response.receive() == b"two"
        assert EVENTS == []
        assert await response.receive() == b""
        assert EVENTS == ["exit session"]


@everywhere
async def test_a_stream_with_an_announced_length_is_cut_if_an_exit_fails(autojump_clock, around):
    async def handler(session: Annotated[Session, use(failing)]) -> Response:
        return StreamingResponse(pieces(), headers={"content-length": "6"})

    app = app_of(handler, *around)
    async with (
        open_app(app, raise_app_exceptions=False) as client,
        client.stream("GET", "/") as response,
    ):
        with pytest.raises(HTTPDisconnect):
            await response.read()


@everywhere
async def test_a_whole_response_is_a_500_if_an_exit_fails(around):
    async def handler(session: Annotated[Session, use(failing)]) -> Response:
        return PlainTextResponse("it is done")

    async with open_app(app_of(handler, *around), raise_app_exceptions=False) as client:
        assert (await client.get("/")).status_code == 500


@everywhere
async def test_a_response_of_which_the_client_has_nothing_is_a_500_if_an_exit_fails(
    autojump_clock, around
):
    """To HEAD, the head would have been all."""

    async def handler(session: Annotated[Session, use(failing)]) -> Response:
        return StreamingResponse(pieces())

    async with open_app(app_of(handler, *around), raise_app_exceptions=False) as client:
        assert (await client.head("/")).status_code == 500


# What runs in the background


@everywhere
@pytest.mark.parametrize("kind", ["text", "stream"])
async def test_a_background_task_runs_after_the_response(autojump_clock, around, kind):
    async def slowly() -> None:
        await trio.sleep(5)
        EVENTS.append("background")

    async def handler(
        session: Annotated[Session, use(get_session)],
        trail: Annotated[Trail, use(get_trail, until="sent")],
    ) -> Response:
        response = MADE[kind]()
        response.background = BackgroundTask(slowly)
        return response

    async with (
        open_app(app_of(handler, *around)) as client,
        client.stream("GET", "/", timeout=10) as response,
    ):
        await response.read()
        assert EVENTS == ["exit session"]
    assert EVENTS == ["exit session", "background", "exit trail"]


@pytest.mark.parametrize("kind", ["text", "stream"])
async def test_a_background_task_runs_without_resources_too(autojump_clock, kind):
    async def handler() -> Response:
        response = MADE[kind]()
        response.background = BackgroundTask(later)
        return response

    async with open_app(app_of(handler)) as client:
        assert (await client.get("/")).content == WANTED[kind][1]
    assert EVENTS == ["background"]


async def test_no_background_task_runs_if_an_exit_has_failed():
    async def handler(session: Annotated[Session, use(failing)]) -> Response:
        return PlainTextResponse("it is done", background=BackgroundTask(later))

    async with open_app(app_of(handler), raise_app_exceptions=False) as client:
        assert (await client.get("/")).status_code == 500
    assert EVENTS == []


@pytest.mark.parametrize("holds", [False, True], ids=["alone", "with a resource"])
async def test_a_background_task_that_fails_is_raised_and_the_client_has_its_answer(holds):
    async def fail() -> None:
        raise LookupError("too late")

    async def alone() -> Response:
        return PlainTextResponse("it is done", background=BackgroundTask(fail))

    async def with_trail(trail: Annotated[Trail, use(get_trail, until="sent")]) -> Response:
        return await alone()

    app = app_of(with_trail if holds else alone)
    async with open_app(app) as client:
        with pytest.raises(LookupError, match="too late"):
            await client.get("/")
    async with open_app(app, raise_app_exceptions=False) as client:
        assert (await client.get("/")).text == "it is done"


# Classes


class Own(Response):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": b"own"})


def test_a_class_that_sends_itself_is_not_taken_apart():
    assert is_whole(JSONResponse({}))
    assert not is_whole(Own())
    assert not is_whole(StreamingResponse(pieces()))


@everywhere
@pytest.mark.parametrize("holds", [False, True], ids=["alone", "with a resource"])
async def test_a_class_of_a_user_sends_what_it_sends(autojump_clock, around, holds):
    async def alone() -> Response:
        return Own()

    async def with_session(session: Annotated[Session, use(get_session)]) -> Response:
        return Own()

    async with open_app(app_of(with_session if holds else alone, *around)) as client:
        response = await client.get("/")
    assert (response.status_code, response.text) == (299, "own")


@pytest.mark.parametrize("holds", [False, True])
async def test_a_template_is_a_response_as_any_other(holds, tmp_path):
    (tmp_path / "hello.html").write_text("<p>Hello, {{ name }}!</p>")
    templates = Jinja2Templates(directory=tmp_path)

    async def resource() -> AsyncIterator[str]:
        await trio.lowlevel.checkpoint()
        yield "Ada"
        await trio.lowlevel.checkpoint()

    def name() -> str:
        return "Ada"

    factory = resource if holds else name
    route = Route("hello")

    @route.get
    async def hello(request: Request, name: Annotated[str, use(factory)]) -> Response:
        return templates.TemplateResponse(request, "hello.html", {"name": name})

    async with open_app(Triows(route)) as client:
        answer = await client.get("/hello")
    assert (answer.status_code, answer.text) == (200, "<p>Hello, Ada!</p>")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
