"""What an application makes of its exceptions, for requests and for WebSockets."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Any

import pytest
import trio
from jinja2 import DictLoader, Environment
from starlette.background import BackgroundTask
from starlette.requests import HTTPConnection, Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from triows import (
    ClientDisconnect,
    HandlerCancelled,
    HTTPException,
    Param,
    Route,
    RouteSetupError,
    Triows,
    WebSocket,
    WebSocketClose,
    WebSocketDisconnect,
    WebSocketRoute,
    use,
)
from triows._exchange.catchers import Catchers
from triows._where import where
from triows.testing import WebSocketDenialResponse, open_app


class Conflict(Exception):
    """Two users have changed the same thing."""


class Stale(Conflict):
    """A user has changed what has changed meanwhile."""


class Gone(Exception):
    """What was asked for isn't there any more."""


def conflict(error: Conflict) -> HTTPException:
    return HTTPException(409, f"it is {error}")


def gone(_: Gone) -> HTTPException:
    return HTTPException(410)


def anything(error: Exception) -> HTTPException:
    return HTTPException(400)


class Committing:
    """A transaction whose commit fails."""


class Seen(list[str]):
    """What happened, in order."""


SEEN = Seen()


@pytest.fixture(autouse=True)
def seen() -> Seen:
    SEEN.clear()
    return SEEN


async def failing_commit() -> AsyncIterator[Committing]:
    yield Committing()
    raise Conflict("taken")


async def failing() -> Committing:
    raise Conflict("taken")


async def noting() -> AsyncIterator[Committing]:
    try:
        yield Committing()
    except Exception as exc:
        SEEN.append(type(exc).__name__)
        raise


def route_of(handler: Any) -> Route:
    route = Route("")
    route.get(handler)
    return route


def app_of(handler: Any, *catchers: tuple[type[Exception], Any], **options: Any) -> Triows:
    route: Any = WebSocketRoute("") if "ws" in handler.__annotations__ else Route("")
    (route.endpoint if "ws" in handler.__annotations__ else route.get)(handler)
    app = Triows(route, **options)
    for cls, catcher in catchers or ((Conflict, conflict), (Gone, gone)):
        app.catch(cls)(catcher)
    return app


async def answer_of(handler: Any, *catchers: Any, **options: Any) -> tuple[int, Any]:
    async with open_app(app_of(handler, *catchers, **options)) as client:
        response = await client.get("/")
        return response.status_code, response.json().get("detail")


# Requests


async def raises() -> None:
    raise Conflict("taken")


async def needs_what_fails(made: Annotated[Committing, use(failing)]) -> None: ...


async def commits(made: Annotated[Committing, use(failing_commit)]) -> str:
    return "it is done"


def raises_in_a_thread() -> None:
    raise Conflict("taken")


# Without the virtual clock, which doesn't wait for threads.
@pytest.mark.parametrize("handler", [raises, needs_what_fails, commits, raises_in_a_thread])
async def test_an_exception_of_a_handler_a_factory_or_an_exit_becomes_the_answer(caplog, handler):
    assert await answer_of(handler) == (409, "it is taken")
    assert [one for one in caplog.records if one.levelno >= logging.ERROR] == []


async def test_a_resource_sees_the_exception_and_not_the_answer(seen):
    async def handler(made: Annotated[Committing, use(noting)]) -> None:
        raise Conflict("taken")

    assert (await answer_of(handler))[0] == 409
    assert seen == ["Conflict"]


async def test_the_answer_is_in_the_log_like_any_other(caplog):
    caplog.set_level(logging.INFO, "triows")
    await answer_of(raises)
    (record,) = [one for one in caplog.records if hasattr(one, "cause")]
    assert record.status == 409


async def test_the_function_of_the_nearest_class_counts():
    async def handler() -> None:
        raise Stale("old")

    assert await answer_of(handler, (Exception, anything), (Conflict, conflict)) == (
        409,
        "it is old",
    )
    assert (await answer_of(handler, (Exception, anything)))[0] == 400


async def test_a_group_is_answered_if_all_in_it_agree():
    async def handler() -> None:
        raise ExceptionGroup("both", [Conflict("taken"), Stale("taken")])

    assert await answer_of(handler) == (409, "it is taken")


async def test_a_group_whose_answers_differ_is_an_error():
    async def handler() -> None:
        raise ExceptionGroup("both", [Conflict("taken"), Gone()])

    async with open_app(app_of(handler), raise_app_exceptions=False) as client:
        assert (await client.get("/")).status_code == 500


async def test_an_exception_that_nobody_catches_is_an_error_also_beside_others():
    async def handler() -> None:
        raise ExceptionGroup("both", [Conflict("taken"), ValueError("what is this?")])

    async with open_app(app_of(handler)) as client:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - what is in it is asserted
            await client.get("/")
    assert caught.group_contains(ValueError, match="what is this")


async def test_with_none_the_exception_stays_as_it_is():
    async with open_app(app_of(raises, (Conflict, lambda error: None))) as client:
        with pytest.raises(Conflict):
            await client.get("/")


async def test_an_answer_of_ours_can_be_caught_too():
    async def handler() -> None:
        raise HTTPException(404, "nobody")

    def hidden(error: HTTPException) -> HTTPException:
        return HTTPException(403, error.detail)

    assert await answer_of(handler, (HTTPException, hidden)) == (403, "nobody")


async def test_a_function_with_two_parameters_gets_the_connection():
    async def handler() -> None:
        raise Conflict("taken")

    def saying(error: Conflict, connection: HTTPConnection) -> HTTPException:
        return HTTPException(409, f"{connection.headers['x-from']} {connection.url.path}")

    async with open_app(app_of(handler, (Conflict, saying))) as client:
        response = await client.get("/", headers={"x-from": "ada"})
    assert response.json()["detail"] == "ada /"


def broken(error: Conflict) -> HTTPException:
    raise LookupError("no answer")


def wrong(error: Conflict) -> Any:
    return 409


@pytest.mark.parametrize(
    ("catcher", "error", "message"),
    [
        (broken, LookupError, "no answer"),
        (wrong, TypeError, r"^409 can't answer an exception: return an HTTPException, a WebSock"),
    ],
)
@pytest.mark.parametrize("handler", [raises, needs_what_fails, commits])
async def test_a_function_that_fails_is_reported_beside_what_it_was_to_catch(
    handler, catcher, error, message
):
    async with open_app(app_of(handler, (Conflict, catcher))) as client:
        with pytest.raises(ExceptionGroup) as caught:
            await client.get("/")
    assert caught.group_contains(error, match=message)
    assert caught.group_contains(Conflict)


async def test_a_stream_whose_response_has_begun_is_cut_and_its_exception_is_an_error():
    caught: list[Conflict] = []

    async def handler() -> AsyncIterator[bytes]:
        yield b"part"
        raise Conflict("taken")

    async def read() -> None:
        app = app_of(handler, (Conflict, caught.append))
        async with open_app(app) as client, client.stream("GET", "/") as response:
            assert response.status_code == 200
            assert await response.receive() == b"part"

    with pytest.raises(Conflict):
        await read()
    assert caught == []


# A peer that leaves


def catching(error: Exception) -> HTTPException:
    SEEN.append(f"caught {type(error).__name__}")
    return HTTPException(409)


async def streams(made: Annotated[Committing, use(noting)]) -> AsyncIterator[bytes]:
    while True:
        yield b"part"
        await trio.sleep(0.1)


async def streams_in_a_group() -> AsyncIterator[bytes]:
    yield b"part"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        await trio.sleep(0.5)
        raise ClientDisconnect("the client has left")


@pytest.mark.parametrize("cls", [OSError, Exception, ClientDisconnect])
@pytest.mark.parametrize("handler", [streams, streams_in_a_group])
async def test_a_client_that_leaves_in_a_stream_is_an_end_that_nobody_catches(
    autojump_clock, caplog, handler, cls
):
    async with open_app(app_of(handler, (cls, catching))) as client:
        async with client.stream("GET", "/") as response:
            assert await response.receive() == b"part"
            response.reset()
        await trio.sleep(20)
    assert [one for one in SEEN if one.startswith("caught")] == []
    assert [one for one in caplog.records if one.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("cls", [Exception, WebSocketDisconnect])
async def test_a_peer_that_leaves_a_websocket_is_an_end_that_nobody_catches(caplog, cls):
    async def handler(ws: WebSocket, made: Annotated[Committing, use(noting)]) -> None:
        await ws.accept()
        await ws.receive_text()

    app = app_of(handler, (cls, catching))
    async with open_app(app) as client, client.websocket_connect("/"):
        pass
    assert SEEN == ["WebSocketDisconnect"]
    assert [one for one in caplog.records if one.levelno >= logging.ERROR] == []


async def test_somebody_elses_client_that_leaves_can_be_caught():
    async def handler() -> None:
        raise ClientDisconnect("another client has left")

    assert (await answer_of(handler, (ClientDisconnect, catching)))[0] == 409
    assert SEEN == ["caught ClientDisconnect"]


async def test_that_another_handler_was_cancelled_is_an_error_as_any_other():
    async def handler() -> None:
        raise HandlerCancelled("peer gone")

    assert (await answer_of(handler, (Exception, catching)))[0] == 409
    assert SEEN == ["caught HandlerCancelled"]


# WebSockets


async def raises_before(ws: WebSocket) -> None:
    raise Conflict("taken")


async def raises_after(ws: WebSocket) -> None:
    await ws.accept()
    raise Conflict("taken")


def refusing(text: str) -> int:
    raise Conflict(text)


def closing(error: Conflict) -> WebSocketClose:
    return WebSocketClose(4009, str(error))


async def code_of(handler: Any, *catchers: Any) -> tuple[int, str]:
    async with (
        open_app(app_of(handler, *catchers)) as client,
        client.websocket_connect("/") as session,
    ):
        with pytest.raises(WebSocketDisconnect) as caught:
            await session.receive_text()
    return caught.value.code, caught.value.reason


async def test_before_accept_it_is_a_response(caplog):
    async with open_app(app_of(raises_before)) as client:
        with pytest.raises(WebSocketDenialResponse) as caught:
            async with client.websocket_connect("/"):
                pass
    assert (caught.value.status_code, caught.value.json()["detail"]) == (409, "it is taken")
    assert [one for one in caplog.records if one.levelno >= logging.ERROR] == []


async def test_after_accept_it_is_a_close_code():
    assert await code_of(raises_after, (Conflict, closing)) == (4009, "taken")


@pytest.mark.parametrize(("status", "code"), [(409, 1008), (500, 1011), (503, 1011)])
async def test_after_accept_an_answer_with_a_status_closes_with_what_is_nearest(status, code):
    def answering(error: Conflict) -> HTTPException:
        return HTTPException(status)

    assert (await code_of(raises_after, (Conflict, answering)))[0] == code


async def takes_what_can_not_be_read(
    ws: WebSocket, number: Annotated[int, Param("query", decoder=refusing)]
) -> None: ...


@pytest.mark.parametrize("handler", [raises_before, raises_after, takes_what_can_not_be_read])
async def test_a_function_that_fails_is_reported_beside_the_error_of_a_connection(handler):
    async def connect() -> None:
        async with open_app(app_of(handler, (Conflict, broken))) as client:
            with suppress(WebSocketDenialResponse):
                async with client.websocket_connect("/?number=1"):
                    pass

    with pytest.raises(ExceptionGroup) as caught:
        await connect()
    assert caught.group_contains(LookupError, match="no answer")
    assert caught.group_contains(Conflict)


# Refusals of ours


def refused(error: HTTPException) -> HTTPException:
    return HTTPException(error.status_code, f"no, {error.detail}")


def paged(error: HTTPException) -> Response:
    return HTMLResponse(f"<p>{error.detail}", error.status_code)


def hidden(error: HTTPException) -> HTTPException:
    return HTTPException(404, "nothing")


async def number(number: int) -> str:
    return "one"


async def feed(ws: WebSocket, number: int) -> None: ...


def refusing_app(catcher: Any) -> Triows:
    sockets, requests = WebSocketRoute("feed"), Route("number")
    sockets.endpoint(feed)
    requests.get(number)
    app = Triows(sockets, requests)
    app.catch(HTTPException)(catcher)
    return app


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "/nowhere", 404, "no, Not Found"),
        ("POST", "/number", 405, "no, Method Not Allowed"),
        ("GET", "/feed", 426, "no, this address speaks WebSocket only"),
        ("GET", "/%FF", 400, "no, the path isn't percent-encoded UTF-8"),
        ("GET", "/number", 422, "no, Missing required parameter"),
    ],
)
async def test_a_refusal_of_ours_can_be_caught_too(method, path, status, detail):
    async with open_app(refusing_app(refused)) as client:
        response = await client.request(method, path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"] == detail
    assert response.json()["instance"] == path


async def test_what_a_client_accepts_can_be_answered_otherwise():
    async with open_app(refusing_app(refused)) as client:
        response = await client.get("/number?number=1", headers={"accept": "image/png"})
    assert response.status_code == 406
    assert response.json()["detail"].startswith("no, the response can't have a type")


async def test_the_methods_of_a_path_are_no_refusal():
    async with open_app(refusing_app(hidden)) as client:
        response = await client.options("/number")
    assert (response.status_code, response.headers["allow"]) == (204, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize("catcher", [refused, paged])
@pytest.mark.parametrize(
    ("method", "path", "header", "value"),
    [("POST", "/number", "allow", "GET, HEAD, OPTIONS"), ("GET", "/feed", "upgrade", "websocket")],
)
async def test_an_answer_with_the_same_status_keeps_the_headers_that_it_needs(
    catcher, method, path, header, value
):
    async with open_app(refusing_app(catcher)) as client:
        response = await client.request(method, path)
    assert response.headers.get_list(header) == [value]
    assert len(response.headers.get_list("content-type")) == 1
    assert len(response.headers.get_list("content-length")) == 1


async def test_an_answer_with_another_status_has_only_its_own_headers():
    async with open_app(refusing_app(hidden)) as client:
        response = await client.post("/number")
    assert response.status_code == 404
    assert "allow" not in response.headers


async def test_what_is_caught_for_a_refusal_has_its_headers():
    seen: list[Any] = []

    def noting(error: HTTPException) -> None:
        seen.append((error.status_code, error.headers))

    async with open_app(refusing_app(noting)) as client:
        response = await client.post("/number")
        await client.get("/feed")
    assert seen == [(405, {"allow": "GET, HEAD, OPTIONS"}), (426, None)]
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize(("path", "status"), [("/nowhere", 404), ("/number", 404), ("/feed", 422)])
async def test_a_refusal_of_a_websocket_can_be_caught_too(path, status):
    async with open_app(refusing_app(paged)) as client:
        with pytest.raises(WebSocketDenialResponse) as caught:
            async with client.websocket_connect(path):
                pass
    assert caught.value.status_code == status
    assert caught.value.headers["content-type"] == "text/html; charset=utf-8"


async def test_a_function_that_fails_for_a_refusal_is_an_error_and_a_500():
    def failing(error: HTTPException) -> HTTPException:
        raise LookupError("no answer")

    app = refusing_app(failing)
    async with open_app(app, raise_app_exceptions=False) as client:
        assert (await client.get("/nowhere")).status_code == 500
    async with open_app(app) as client:
        with pytest.raises(LookupError, match="no answer"):
            await client.get("/nowhere")


async def test_a_function_that_catches_something_else_does_not_get_refusals():
    async with open_app(app_of(raises)) as client:
        assert (await client.get("/nowhere")).json()["title"] == "Not Found"


# Mounted applications


def mounting(app: Any) -> Triows:
    outer = Triows()
    outer.mount("/files", app)
    outer.catch(Conflict)(conflict)
    outer.catch(HTTPException)(paged)
    return outer


async def raising(scope: Any, receive: Any, send: Any) -> None:
    raise Conflict("taken")


async def test_a_file_that_is_not_there_has_the_page_of_the_application(tmp_path):
    app = mounting(StaticFiles(directory=tmp_path))
    async with open_app(app) as client:
        response = await client.get("/files/nothing.css")
    assert (response.status_code, response.text) == (404, "<p>Not Found")


async def test_what_a_mounted_application_raises_can_be_caught():
    async with open_app(mounting(raising)) as client:
        response = await client.get("/files/")
    assert (response.status_code, response.json()["detail"]) == (409, "it is taken")


async def test_what_a_mounted_application_has_answered_is_not_caught_again():
    caught: list[Conflict] = []
    inner = Triows(route_of(raises))
    outer = Triows()
    outer.mount("/files", inner)
    outer.catch(Conflict)(caught.append)
    async with open_app(outer, raise_app_exceptions=False) as client:
        response = await client.get("/files/")
    assert response.status_code == 500
    assert caught == []


# Responses


async def test_a_response_of_starlette_is_sent_as_it_is():
    def page(error: Conflict) -> HTMLResponse:
        return HTMLResponse(f"<p>It is {error}", 409, headers={"x-shop": "open"})

    async with open_app(app_of(raises, (Conflict, page))) as client:
        response = await client.get("/")
    assert (response.status_code, response.text) == (409, "<p>It is taken")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["x-shop"] == "open"


async def test_a_template_is_sent_as_a_page_and_gets_a_request():
    loader = DictLoader({"taken.html": "<p>{{ request.url.path }} is {{ error }}"})
    templates = Jinja2Templates(env=Environment(loader=loader, autoescape=True))

    def page(error: Conflict, connection: HTTPConnection) -> Response:
        assert isinstance(connection, Request)
        return templates.TemplateResponse(connection, "taken.html", {"error": error}, 409)

    async with open_app(app_of(raises, (Conflict, page))) as client:
        response = await client.get("/")
    assert (response.status_code, response.text) == (409, "<p>/ is taken")


@pytest.mark.parametrize("handler", [raises, needs_what_fails, commits])
async def test_a_redirection_leads_elsewhere(handler):
    def elsewhere(error: Conflict) -> RedirectResponse:
        return RedirectResponse("/login", 303)

    async with open_app(app_of(handler, (Conflict, elsewhere))) as client:
        response = await client.get("/")
    assert (response.status_code, response.headers["location"]) == (303, "/login")


def successful(error: Conflict) -> Response:
    return HTMLResponse("it is taken")


def unchanged(error: Conflict) -> Response:
    return Response(status_code=304)


def in_parts(error: Conflict) -> Response:
    return StreamingResponse([b"it is taken"], 409)


def from_a_file(error: Conflict) -> Response:
    return FileResponse(__file__, 409)


def with_more_to_do(error: Conflict) -> Response:
    return Response(status_code=409, background=BackgroundTask(print))


def with_a_broken_header(error: Conflict) -> Response:
    response = Response(status_code=409)
    response.raw_headers.append((b"x-item", b"a\r\nb: c"))
    return response


@pytest.mark.parametrize(
    ("catcher", "message"),
    [
        (successful, "status from 300 to 599, not 200: write status_code=..."),
        (unchanged, "not 304: that one has no body"),
        (in_parts, "a StreamingResponse is sent in parts"),
        (from_a_file, "a FileResponse is sent in parts"),
        (with_more_to_do, "has no background task"),
        (with_a_broken_header, "characters that are not allowed"),
        (lambda error: HTTPException(201), "status from 300 to 599, not 201"),
        (lambda error: WebSocketClose(4001), "can't answer a plain request"),
    ],
)
async def test_a_response_that_can_not_answer_an_error_is_an_error_that_names_the_function(
    catcher, message
):
    app = app_of(raises, (Conflict, catcher))
    async with open_app(app, raise_app_exceptions=False) as client:
        assert (await client.get("/")).status_code == 500
    async with open_app(app) as client:
        with pytest.raises(ExceptionGroup) as caught:
            await client.get("/")
    (error,) = [one for one in caught.value.exceptions if not isinstance(one, Conflict)]
    assert message in str(error)
    assert where(catcher) in error.__notes__[0]


async def test_before_accept_a_response_refuses_the_handshake():
    def page(error: Conflict) -> HTMLResponse:
        return HTMLResponse("<p>taken", 409, headers={"x-shop": "open"})

    async with open_app(app_of(raises_before, (Conflict, page))) as client:
        with pytest.raises(WebSocketDenialResponse) as caught:
            async with client.websocket_connect("/"):
                pass
    assert (caught.value.status_code, caught.value.text) == (409, "<p>taken")
    assert caught.value.headers["x-shop"] == "open"


@pytest.mark.parametrize(("status", "code"), [(303, 1008), (409, 1008), (500, 1011)])
async def test_after_accept_a_response_closes_with_what_is_nearest_to_its_status(status, code):
    def page(error: Conflict) -> HTMLResponse:
        return HTMLResponse("<p>taken", status)

    assert await code_of(raises_after, (Conflict, page)) == (code, "")


# What nobody expects


async def fails() -> None:
    raise ValueError("what is this?")


async def test_a_function_for_exception_answers_what_nobody_expects_and_it_is_logged(caplog):
    assert (await answer_of(fails, (Exception, anything)))[0] == 400
    (record,) = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert record.getMessage() == f"unexpected error in http '/', answered by {where(anything)}"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)


async def test_a_function_for_exception_that_returns_none_logs_nothing_itself(caplog):
    async with open_app(app_of(fails, (Exception, lambda error: None))) as client:
        with pytest.raises(ValueError, match="what is this"):
            await client.get("/")
    assert [one for one in caplog.records if "unexpected" in one.getMessage()] == []


async def forbids() -> None:
    raise HTTPException(403, "no")


async def test_a_function_for_exception_does_not_get_what_is_an_answer_already():
    async with open_app(app_of(forbids, (Exception, anything))) as client:
        assert (await client.get("/")).status_code == 403
        assert (await client.get("/nowhere")).status_code == 404


async def reads(ws: WebSocket) -> None:
    await ws.accept()
    await ws.receive_text()


async def test_a_function_for_exception_does_not_get_the_end_of_a_connection(caplog):
    async with (
        open_app(app_of(reads, (Exception, anything))) as client,
        client.websocket_connect("/"),
    ):
        pass
    assert [one for one in caplog.records if one.levelno >= logging.ERROR] == []


# Registration


def test_each_class_is_caught_once():
    app = Triows()
    app.catch(Conflict)(conflict)
    with pytest.raises(RouteSetupError, match=r"Conflict is caught already, at .*\(conflict\)"):
        app.catch(Gone, Conflict)(anything)


def test_of_several_classes_none_is_added_if_one_can_not_be():
    catchers = Catchers()
    catchers.add([Conflict], conflict)
    with pytest.raises(RouteSetupError):
        catchers.add([Gone, Conflict], anything)
    catchers.add([Gone], gone)
    assert catchers


def test_the_decorated_function_stays_as_it_is():
    assert Triows().catch(Conflict)(conflict) is conflict
