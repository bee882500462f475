"""What an application makes of its exceptions, for requests and for WebSockets."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Any

import pytest
import trio
from starlette.requests import HTTPConnection

from triows import (
    ClientDisconnect,
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
    (record,) = [one for one in caplog.records if hasattr(one, "method")]
    assert record.status == 409


async def test_the_function_of_the_nearest_class_counts():
    async def handler() -> None:
        raise Stale("old")

    def anything(error: Exception) -> HTTPException:
        return HTTPException(400)

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
        (wrong, TypeError, r"wrong returned 409, where an HTTPException or a WebSocketClose is"),
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
    async def handler() -> AsyncIterator[bytes]:
        yield b"part"
        raise Conflict("taken")

    async def read() -> None:
        async with open_app(app_of(handler)) as client, client.stream("GET", "/") as response:
            assert response.status_code == 200
            assert await response.receive() == b"part"

    with pytest.raises(Conflict):
        await read()


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


# Mistakes


def test_each_class_is_caught_once():
    app = Triows()
    app.catch(Conflict)(conflict)
    with pytest.raises(RouteSetupError, match=r"Conflict is caught already, at .*\(conflict\)"):
        app.catch(Gone, Conflict)(gone)


def test_of_several_classes_none_is_added_if_one_can_not_be():
    catchers = Catchers()
    catchers.add([Conflict], conflict)
    with pytest.raises(RouteSetupError):
        catchers.add([Gone, Conflict], gone)
    catchers.add([Gone], gone)
    assert catchers


@pytest.mark.parametrize("cls", [BaseException, KeyboardInterrupt, 409, "Conflict", Conflict("it")])
def test_what_is_caught_is_a_class_of_exceptions(cls):
    with pytest.raises(RouteSetupError, match=r"takes classes of exceptions, not "):
        Triows().catch(cls)(conflict)


def test_something_has_to_be_caught():
    with pytest.raises(RouteSetupError, match=r"takes the classes that it catches"):
        Triows().catch()(conflict)


async def waits(error: Conflict) -> HTTPException:
    raise AssertionError


def without_parameters() -> HTTPException:
    raise AssertionError


def with_three(error: Conflict, connection: Any, more: Any) -> HTTPException:
    raise AssertionError


@pytest.mark.parametrize(
    ("catcher", "message"),
    [
        (waits, "leave out the `async`"),
        (without_parameters, "takes the exception, and maybe the HTTPConnection"),
        (with_three, "takes the exception, and maybe the HTTPConnection"),
        (HTTPException(409), "decorates a function, not"),
    ],
)
def test_what_can_not_catch_is_refused(catcher, message):
    with pytest.raises(RouteSetupError, match=message):
        Triows().catch(Conflict)(catcher)


def test_a_parameter_with_a_default_gets_it():
    def catcher(error: Conflict, status: int = 418) -> HTTPException:
        return HTTPException(status)

    catchers = Catchers()
    catchers.add([Conflict], catcher)
    (answer,) = catchers.replaced({"type": "http"}, [Conflict()], lambda _: False)
    assert isinstance(answer, HTTPException)
    assert answer.status_code == 418


def test_the_decorated_function_stays_as_it_is():
    assert Triows().catch(Conflict)(conflict) is conflict
