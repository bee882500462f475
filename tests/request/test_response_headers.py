"""Headers and cookies that a handler adds to what it returns."""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import httpx2
import msgspec
import pytest
import starlette.responses
import trio
from hypothesis import given, strategies as st
from starlette.background import BackgroundTask
from starlette.datastructures import MutableHeaders
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from triows import (
    EventStream,
    HTTPException,
    Media,
    Request,
    ResponseHeaders,
    Route,
    RouteSetupError,
    ServerSentEvent,
    Triows,
    WebSocket,
    WebSocketRoute,
    status,
    use,
)
from triows._headers import check_raw_headers
from triows.testing import open_app


class Note(msgspec.Struct):
    id: int


class Session:
    """A resource that exits before the response."""


async def get_session() -> AsyncIterator[Session]:
    await trio.lowlevel.checkpoint()
    yield Session()


def get_session_at_once() -> Iterator[Session]:
    yield Session()


def copied(app: Any) -> Any:
    """Middleware that replaces the server's functions."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        async def receive_() -> Any:
            return await receive()

        async def send_(event: Any) -> None:
            await send(event)

        await app(scope, receive_, send_)

    return wrapped


def app_of(handler: Any, *middlewares: Any, deps: Any = (), etag: bool = False) -> Triows:
    route = Route("", middlewares=middlewares, deps=deps, etag=etag)
    route.get(handler)
    return Triows(route)


def pairs(response: Any) -> list[tuple[str, str]]:
    return response.headers.multi_items()


def named(response: Any, name: str) -> list[str]:
    return [value for key, value in pairs(response) if key == name]


# Typed results


async def create(headers: ResponseHeaders) -> Annotated[Note, status.CREATED]:
    headers["Location"] = "/notes/1"
    headers.set_cookie("seen", "yes", httponly=True)
    return Note(1)


async def create_in_a_lifetime(
    headers: ResponseHeaders, nursery: trio.Nursery
) -> Annotated[Note, status.CREATED]:
    return await create(headers)


async def create_with_a_session(
    headers: ResponseHeaders, session: Annotated[Session, use(get_session)]
) -> Annotated[Note, status.CREATED]:
    return await create(headers)


def create_in_a_thread(headers: ResponseHeaders) -> Annotated[Note, status.CREATED]:
    headers["Location"] = "/notes/1"
    headers.set_cookie("seen", "yes", httponly=True)
    return Note(1)


@pytest.mark.parametrize("middlewares", [(), (copied,)], ids=["own", "copied"])
@pytest.mark.parametrize(
    "handler", [create, create_in_a_lifetime, create_with_a_session, create_in_a_thread]
)
async def test_a_typed_result_has_the_headers_and_cookies_that_were_set(handler, middlewares):
    async with open_app(app_of(handler, *middlewares)) as client:
        response = await client.get("/", headers={"accept": "application/msgpack"})
    assert response.status_code == 201
    assert msgspec.msgpack.decode(response.content, type=Note) == Note(1)
    assert response.headers["content-type"] == "application/msgpack"
    assert response.headers["content-length"] == str(len(response.content))
    assert response.headers["location"] == "/notes/1"
    assert named(response, "set-cookie") == ["seen=yes; HttpOnly; Path=/; SameSite=lax"]


async def test_a_response_without_a_body_has_them():
    async def log_out(headers: ResponseHeaders) -> None:
        headers.delete_cookie("session", path="/app")

    async with open_app(app_of(log_out)) as client:
        response = await client.get("/")
    assert response.status_code == 204
    (cookie,) = named(response, "set-cookie")
    assert cookie.startswith('session=""; ')
    assert "Max-Age=0; Path=/app;" in cookie


async def test_the_answer_to_head_has_them():
    async with open_app(app_of(create)) as client:
        response = await client.head("/")
    assert (response.headers["location"], response.content) == ("/notes/1", b"")


async def test_a_request_has_one_object_for_its_guards_factories_and_handler():
    async def guard(headers: ResponseHeaders) -> None:
        headers.append("x-who", "guard")

    def get_number(headers: ResponseHeaders) -> int:
        headers.append("x-who", "factory")
        return 1

    async def handler(number: Annotated[int, use(get_number)], headers: ResponseHeaders) -> str:
        headers.append("x-who", "handler")
        return ", ".join(headers.getlist("x-who"))

    async with open_app(app_of(handler, deps=[guard])) as client:
        for _ in range(2):  # another request has another one
            response = await client.get("/")
            assert response.text == "guard, factory, handler"
            assert named(response, "x-who") == ["guard", "factory", "handler"]


async def test_the_handler_need_not_ask_for_what_its_guard_sets():
    async def guard(headers: ResponseHeaders) -> None:
        headers["x-frame-options"] = "DENY"

    async def handler() -> str:
        return ""

    async with open_app(app_of(handler, deps=[guard])) as client:
        assert (await client.get("/")).headers["x-frame-options"] == "DENY"


async def test_vary_is_added_to_what_depends_on_accept():
    async def handler(headers: ResponseHeaders) -> Note:
        headers.add_vary_header("cookie")
        return Note(1)

    async with open_app(app_of(handler)) as client:
        assert sorted(named(await client.get("/"), "vary")) == ["accept", "cookie"]


# Responses of Starlette's


async def pieces() -> AsyncIterator[bytes]:
    yield b"one"
    yield b"two"


async def nothing() -> None:
    await trio.lowlevel.checkpoint()


OWN = {"cache-control": "no-store", "vary": "origin"}
RESPONSES: dict[str, Callable[[], Response]] = {
    "whole": lambda: JSONResponse({}, headers=OWN),
    "with background": lambda: JSONResponse({}, headers=OWN, background=BackgroundTask(nothing)),
    "stream": lambda: StreamingResponse(pieces(), headers=OWN),
    "file": lambda: FileResponse(__file__, headers=OWN),
}


def set_some(headers: ResponseHeaders) -> None:
    headers["cache-control"] = "public"
    headers["x-from"] = "guard"
    headers["vary"] = "cookie"
    headers.set_cookie("who", "guard")


@pytest.mark.parametrize("middlewares", [(), (copied,)], ids=["own", "copied"])
@pytest.mark.parametrize("holds", [None, get_session, get_session_at_once])
@pytest.mark.parametrize("made", RESPONSES)
async def test_headers_of_a_returned_response_take_precedence(made, holds, middlewares):
    def answer() -> Response:
        response = RESPONSES[made]()
        response.set_cookie("who", "response")
        return response

    async def alone() -> Response:
        return answer()

    async def holding(session: Annotated[Session, use(holds)]) -> Response:
        return answer()

    app = app_of(holding if holds else alone, *middlewares, deps=[set_some])
    async with open_app(app) as client:
        await client.get("/")  # the first request shows whether the resource needs a task
        response = await client.get("/")
    assert named(response, "cache-control") == ["no-store"]
    assert named(response, "x-from") == ["guard"]
    assert sorted(named(response, "vary")) == ["cookie", "origin"]
    # A client keeps the last one of the same name.
    cookies = [value.partition(";")[0] for value in named(response, "set-cookie")]
    assert cookies == ["who=guard", "who=response"]


@pytest.mark.parametrize("made", RESPONSES)
async def test_a_response_that_several_requests_share_is_not_changed(made):
    shared = RESPONSES[made]()
    before = list(shared.raw_headers)

    async def handler(number: int, headers: ResponseHeaders) -> Response:
        headers["x-number"] = str(number)
        return shared

    async with open_app(app_of(handler)) as client:
        response = await client.get("/?number=1")
        assert response.headers["x-number"] == "1"
    assert not {b"x-number"} & {name for name, _ in shared.raw_headers}
    assert shared.raw_headers[: len(before)] == before


# What they aren't added to


async def test_a_refusal_has_headers_of_its_own():
    async def handler(headers: ResponseHeaders) -> str:
        headers.set_cookie("session", "secret")
        raise HTTPException(401, headers={"www-authenticate": "Basic"})

    async with open_app(app_of(handler)) as client:
        response = await client.get("/")
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Basic")
    assert named(response, "set-cookie") == []


async def failing() -> AsyncIterator[Session]:
    await trio.lowlevel.checkpoint()
    yield Session()
    raise LookupError("it could not be stored")


def failing_at_once() -> Iterator[Session]:
    yield Session()
    raise LookupError("it could not be stored")


@pytest.mark.parametrize("factory", [failing, failing_at_once])
@pytest.mark.parametrize("returned", [{"a": 1}, Response("text")], ids=["typed", "response"])
async def test_a_500_for_a_commit_that_fails_has_none_of_them(factory, returned):
    async def handler(headers: ResponseHeaders, session: Annotated[Session, use(factory)]) -> Any:
        headers.set_cookie("session", "secret")
        headers["location"] = "/notes/1"
        return returned

    async with open_app(app_of(handler), raise_app_exceptions=False) as client:
        for _ in range(2):  # the first request shows whether the resource needs a task
            response = await client.get("/")
            assert response.status_code == 500
            assert not {"set-cookie", "location"} & {name for name, _ in pairs(response)}


# ETags


async def test_a_304_has_all_but_what_describes_the_body():
    async def handler(headers: ResponseHeaders) -> Annotated[bytes, Media("image/png")]:
        headers["cache-control"] = "max-age=60"
        headers["last-modified"] = "Thu, 01 Jan 2026 00:00:00 GMT"
        headers["content-language"] = "de"
        headers.set_cookie("seen", "yes")
        return b"pixels"

    async with open_app(app_of(handler, etag=True)) as client:
        first = await client.get("/")
        assert (first.status_code, first.headers["content-language"]) == (200, "de")
        tag = first.headers["etag"]
        response = await client.get("/", headers={"if-none-match": tag})
    assert (response.status_code, response.content) == (304, b"")
    names = {name for name, _ in pairs(response)} - {"date", "server"}
    assert names == {"cache-control", "set-cookie", "etag"}
    assert response.headers["etag"] == tag


async def test_an_etag_that_was_set_is_compared_instead_of_that_of_the_body():
    async def handler(headers: ResponseHeaders, version: int = 1) -> str:
        headers["ETag"] = f'"v{version}"'
        return f"always different: {trio.current_time()}"

    async with open_app(app_of(handler, etag=True)) as client:
        assert named(await client.get("/"), "etag") == ['"v1"']
        tag = {"if-none-match": '"v1"'}
        assert (await client.get("/", headers=tag)).status_code == 304
        assert (await client.get("/?version=2", headers=tag)).status_code == 200


# Streams


async def counted() -> EventStream:
    yield ServerSentEvent("one")


async def lines() -> AsyncIterator[Note]:
    yield Note(1)


@pytest.mark.parametrize("handler", [counted, lines])
async def test_a_stream_begins_with_what_its_guard_has_set(handler):
    async with open_app(app_of(handler, deps=[set_some])) as client:
        response = await client.get("/")
    assert response.status_code == 200
    assert named(response, "cache-control") == ["public"]  # and not that of event streams
    assert (response.headers["x-from"], response.cookies["who"]) == ("guard", "guard")


async def test_one_stream_does_not_change_the_next():
    async def guard(number: int, headers: ResponseHeaders) -> None:
        headers[f"x-{number}"] = "here"

    async with open_app(app_of(lines, deps=[guard])) as client:
        assert "x-1" in (await client.get("/?number=1")).headers
        assert "x-1" not in (await client.get("/?number=2")).headers


CHANGES: list[Callable[[ResponseHeaders], Any]] = [
    lambda headers: headers.__setitem__("x-late", "1"),
    lambda headers: headers.__delitem__("x-late"),
    lambda headers: headers.append("x-late", "1"),
    lambda headers: headers.setdefault("x-late", "1"),
    lambda headers: headers.update({"x-late": "1"}),
    lambda headers: headers.add_vary_header("cookie"),
    lambda headers: headers.set_cookie("late"),
    lambda headers: headers.delete_cookie("late"),
]

TOO_LATE = "the head of the response is made already, so nobody would get this header"


async def test_a_generator_is_told_that_it_is_too_late():
    errors: list[str] = []

    async def handler(headers: ResponseHeaders) -> AsyncIterator[bytes]:
        for change in CHANGES:
            try:
                change(headers)
            except RuntimeError as exc:
                errors.append(str(exc))
        yield b"done"

    async with open_app(app_of(handler)) as client:
        assert (await client.get("/")).content == b"done"
    assert len(errors) == len(CHANGES)
    assert all(TOO_LATE in error and "in a factory or guard" in error for error in errors)


async def test_a_generator_that_sets_something_does_not_end_properly(caplog):
    async def handler(headers: ResponseHeaders) -> AsyncIterator[bytes]:
        headers["x-late"] = "1"
        yield b"done"

    async with open_app(app_of(handler), raise_app_exceptions=False) as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get("/")
    assert TOO_LATE in caplog.text


async def test_what_runs_while_a_returned_response_is_sent_is_too_late(caplog):
    async def handler(headers: ResponseHeaders) -> StreamingResponse:
        async def late() -> AsyncIterator[bytes]:
            yield b"one"
            headers["x-late"] = "1"

        return StreamingResponse(late())

    async with open_app(app_of(handler), raise_app_exceptions=False) as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get("/")
    assert TOO_LATE in caplog.text


@pytest.mark.parametrize("returned", [{"a": 1}, Response("text")], ids=["typed", "response"])
async def test_a_resource_that_sets_something_at_its_exit_fails(returned):
    async def late(headers: ResponseHeaders) -> AsyncIterator[Session]:
        yield Session()
        headers["x-late"] = "1"

    async def handler(session: Annotated[Session, use(late)]) -> Any:
        return returned

    async with open_app(app_of(handler), raise_app_exceptions=False) as client:
        assert (await client.get("/")).status_code == 500


# What can be set


def test_it_is_a_mapping_like_starlettes():
    headers = ResponseHeaders()
    assert isinstance(headers, MutableHeaders)
    headers |= {"X-A": "1"}
    headers.append("x-a", "2")
    assert headers.setdefault("x-a", "3") == "1"
    assert headers.setdefault("x-b", "") == ""
    assert headers.getlist("X-a") == ["1", "2"]
    headers["x-a"] = "4"
    assert headers.items() == [("x-a", "4"), ("x-b", "")]
    del headers["x-A"]
    assert headers.raw == [(b"x-b", b"")]


def test_the_raw_list_is_a_copy():
    headers = ResponseHeaders()
    headers.raw.append((b"x-a", b"1\r\nset-cookie: a=1"))
    assert headers.raw == []


BAD = ["a\r\nset-cookie: b=1", "a\n", "\0", "\x7f", " a", "\N{EURO SIGN}", "\ud800"]


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("method", ["__setitem__", "append", "setdefault"])
def test_a_value_that_could_be_taken_for_more_is_refused(method, value):
    headers = ResponseHeaders()
    with pytest.raises(ValueError, match="characters that are not allowed in a header"):
        getattr(headers, method)("x-a", value)
    assert headers.raw == []


@pytest.mark.parametrize("name", ["", "x a", "x:", "x\r\ny", "\xe9", "\N{EURO SIGN}"])
def test_a_name_that_is_not_a_token_is_refused(name):
    with pytest.raises(ValueError, match=r"can't be a header's name|not allowed in a header"):
        ResponseHeaders()[name] = "1"


def test_a_value_that_is_not_text_is_refused():
    with pytest.raises(TypeError, match="headers are str or bytes, not int"):
        ResponseHeaders()["x-number"] = 1  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("Content-Type", r'write|`Annotated\[bytes, Media\("image/png"\)\]`'),
        ("content-length", "triows counts the bytes of the body: leave it out"),
        ("TRANSFER-ENCODING", "the server says how the body is framed: leave it out"),
        ("connection", "the server says whether the connection ends: leave it out"),
    ],
)
@pytest.mark.parametrize("method", ["__setitem__", "append", "setdefault"])
def test_what_triows_and_the_server_set_is_refused(method, name, instead):
    with pytest.raises(ValueError, match=f"'{name}' isn't set here: .*{instead}"):
        getattr(ResponseHeaders(), method)(name, "1")


async def test_a_mistake_is_a_500_and_nothing_is_injected():
    async def handler(name: str, headers: ResponseHeaders) -> None:
        headers["x-name"] = name

    async with open_app(app_of(handler), raise_app_exceptions=False) as client:
        response = await client.get("/", params={"name": "a\r\nset-cookie: b=1"})
    assert response.status_code == 500
    assert named(response, "set-cookie") == []


TEXTS = st.text(max_size=8) | st.text(st.sampled_from('aA1-:;=, \t\r\n\0\x7f\xe9\u20ac"\\'))


@given(name=TEXTS, value=TEXTS)
def test_what_can_be_set_can_be_sent(name, value):
    headers = ResponseHeaders()
    try:
        headers[name] = value
    except ValueError:
        assert headers.raw == []
    else:
        assert check_raw_headers(headers.raw) == headers.raw
        assert headers[name] == value


@given(key=TEXTS, value=TEXTS, path=TEXTS, domain=TEXTS, expires=TEXTS)
def test_a_cookie_can_be_sent_or_is_refused(key, value, path, domain, expires):
    headers = ResponseHeaders()
    try:
        headers.set_cookie(key, value, 10, expires, path, domain)
    except ValueError:
        assert headers.raw == []
    else:
        ((name, cookie),) = headers.raw
        assert (name, check_raw_headers(headers.raw)) == (b"set-cookie", headers.raw)
        # Each attribute is there at most once: no value has brought another one.
        names = [one.partition(b"=")[0].strip().lower() for one in cookie.split(b";")]
        assert len(names) == len(set(names))
        assert set(names[1:]) <= {b"max-age", b"expires", b"path", b"domain", b"samesite"}


def test_cookies_are_those_of_starlette():
    headers, response = ResponseHeaders(), Response()
    for target in (headers, response):
        target.set_cookie("a", "b c", 10, datetime(2026, 1, 1, tzinfo=UTC), "/p", "d", True, True)
        target.set_cookie("a", samesite=None, path=None)
        target.delete_cookie("a", "/p", "d", secure=True, samesite="strict")
        target.delete_cookie("b", httponly=True)
    assert headers.getlist("set-cookie") == response.headers.getlist("set-cookie")


@pytest.mark.parametrize("name", ["set_cookie", "delete_cookie"])
def test_their_signatures_are_those_of_starlette(name):
    own, theirs = (
        inspect.signature(getattr(cls, name)).parameters
        for cls in (ResponseHeaders, starlette.responses.Response)
    )
    assert [(one.name, one.default, one.kind) for one in own.values()] == [
        (one.name, one.default, one.kind) for one in theirs.values()
    ]


@pytest.mark.parametrize(
    "cookie",
    [
        {"key": "a b"},
        {"key": "a", "value": "\N{EURO SIGN}"},
        {"key": "a", "path": "/\r\nset-cookie: b=1"},
        {"key": "a", "path": "/; httponly"},
        {"key": "a", "domain": "example.org; path=/b"},
        {"key": "a", "expires": "never; secure"},
    ],
)
def test_a_cookie_that_could_be_taken_for_more_is_refused(cookie):
    headers = ResponseHeaders()
    with pytest.raises(ValueError, match=r"cookie|characters that are not allowed"):
        headers.set_cookie(**cookie)
    assert headers.raw == []


# Who may ask for it


def test_a_handler_of_websockets_is_told_where_its_headers_go():
    route = WebSocketRoute("")

    @route.endpoint
    async def chat(ws: WebSocket, headers: ResponseHeaders) -> None: ...

    with pytest.raises(RouteSetupError, match=r"`await ws\.accept\(headers=\.\.\.\)`") as caught:
        Triows(route)
    assert "`headers` is a triows.ResponseHeaders" in str(caught.value)
    assert "chat)" in str(caught.value)


def test_a_factory_that_both_kinds_use_is_named_at_the_websocket():
    def greet(headers: ResponseHeaders) -> str:
        return "hello"

    async def both(ws: WebSocket, text: Annotated[str, use(greet)]) -> None: ...

    async def handler(text: Annotated[str, use(greet)]) -> str:
        return text

    app_of(handler)
    route = WebSocketRoute("")
    route.endpoint(both)
    with pytest.raises(RouteSetupError, match=r"`await ws\.accept\(headers=\.\.\.\)`") as caught:
        Triows(route)
    assert "greet)" in str(caught.value)


def test_a_resource_of_the_application_has_no_response():
    def make(headers: ResponseHeaders) -> str:
        return "text"

    async def handler(text: Annotated[str, use(make, scope="app")]) -> str:
        return text

    with pytest.raises(RouteSetupError, match="`headers` is the ResponseHeaders of one request"):
        app_of(handler)


@pytest.mark.parametrize("theirs", [MutableHeaders, Response])
def test_other_names_for_it_are_explained(theirs):
    async def handler(headers: theirs) -> str: ...

    with pytest.raises(RouteSetupError, match="`headers: ResponseHeaders`"):
        app_of(handler)


async def test_a_handler_that_does_not_ask_has_no_call_to_make():
    async def handler(number: int = 1) -> int:
        return number

    app = app_of(handler)
    (entry,) = app._compiler.entries
    assert not entry.endpoint._needs_call


async def test_a_test_can_call_a_handler_with_headers_of_its_own():
    headers = ResponseHeaders()
    assert await create(headers) == Note(1)
    assert headers["location"] == "/notes/1"


async def test_it_is_not_what_the_request_has():
    async def handler(request: Request, headers: ResponseHeaders) -> dict[str, int]:
        return {"asked": len(request.headers), "set": len(headers)}

    async with open_app(app_of(handler)) as client:
        counts = (await client.get("/", headers={"x-a": "1"})).json()
    assert counts["asked"] > 0
    assert counts["set"] == 0
