"""What the log says about the end of a connection, and about an error that nobody handled."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Annotated, Any

import pytest
import starlette.websockets
import trio

from tests.connecting import connect, opened
from tests.transports.scripted import CONNECT, ScriptedServer
from triows import (
    HTTPException,
    Timeouts,
    Triows,
    WebSocket,
    WebSocketClose,
    WebSocketDisconnect,
    WebSocketException,
    WebSocketRoute,
    requires,
    use,
)
from triows._where import where
from triows.testing import WebSocketDenialResponse


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, "triows")
    return caplog


def serving(handler: Any, **settings: Any) -> Triows:
    route = WebSocketRoute("room")
    route.endpoint(handler)
    return Triows(route, **settings)


# Refusals: each has its cause in brackets


async def raises(ws: WebSocket) -> None:
    raise ValueError("no such room")


async def raises_in_a_task(ws: WebSocket, nursery: trio.Nursery) -> None:
    nursery.start_soon(raises, ws)
    await trio.sleep_forever()


def broken(ws: WebSocket) -> int:
    raise LookupError("no database")


async def in_a_factory(number: Annotated[int, use(broken)]) -> None: ...


async def returns(ws: WebSocket) -> None: ...


async def rejects(ws: WebSocket) -> None:
    await ws.reject(401)


async def rejects_with_a_detail(ws: WebSocket) -> None:
    await ws.reject(401, {"code": 7})


async def closes(ws: WebSocket) -> None:
    await ws.close(4001)


async def closes_with_a_reason(ws: WebSocket) -> None:
    await ws.close(4001, "full")


async def raises_a_refusal(ws: WebSocket) -> None:
    raise HTTPException(401)


async def raises_a_refusal_without_a_word(ws: WebSocket) -> None:
    raise HTTPException(401, "")


async def raises_a_close(ws: WebSocket) -> None:
    raise WebSocketClose(4001)


async def is_too_slow(ws: WebSocket) -> None:
    await trio.sleep_forever()


@requires("admin")
async def is_guarded(ws: WebSocket) -> None: ...


@pytest.mark.parametrize(
    ("handler", "ending"),
    [
        (raises, "refused 500 (ValueError: no such room)"),
        (raises_in_a_task, "refused 500 (ValueError: no such room)"),
        (in_a_factory, "refused 500 (LookupError: no database)"),
        (is_guarded, "has not run: write Triows(middlewares=[Middleware(AuthenticationMiddleware"),
        (is_too_slow, "refused 500 (TooSlowError: the connection was neither accepted nor refused"),
        (returns, "refused 403 (the handler ended without accept())"),
        (rejects, "refused 401 (reject())"),
        (rejects_with_a_detail, 'refused 401 ({"code":7})'),
        (closes, "refused 403 (close() before accept())"),
        (closes_with_a_reason, "refused 403 (full)"),
        (raises_a_refusal, "refused 401 (Unauthorized)"),
        (raises_a_refusal_without_a_word, "refused 401 (HTTPException)"),
        (raises_a_close, "refused 403 (WebSocketClose: 4001)"),
    ],
)
async def test_each_refusal_has_its_cause_in_brackets(handler, ending, log, autojump_clock):
    with suppress(WebSocketDenialResponse, ExceptionGroup, Exception):
        async with connect(serving(handler), "/room"):
            pass
    (line,) = [one for one in log.messages if "refused" in one]
    assert ending in line
    assert line.isprintable()


# Handlers that had to be cancelled


async def does_not_end(ws: WebSocket) -> None:
    await ws.accept()
    await trio.sleep_forever()


async def says_goodbye_when_it_is_cancelled(ws: WebSocket) -> None:
    await ws.accept()
    try:
        await trio.sleep_forever()
    finally:
        with trio.move_on_after(1, shield=True):
            await ws.send("goodbye")


async def ends_in_time(ws: WebSocket) -> None:
    await ws.accept()
    with suppress(WebSocketDisconnect):
        await ws.receive()
    await trio.sleep(0.5)


GRACES = Timeouts(disconnect_grace=1, shutdown_grace=2)
HUNG = "(the handler did not end within its disconnect_grace, and was cancelled)"
CUT = "(the handler did not end in the time that it has at a shutdown, and was cancelled)"


@pytest.mark.parametrize(
    ("handler", "says"),
    [(does_not_end, HUNG), (says_goodbye_when_it_is_cancelled, HUNG), (ends_in_time, "")],
)
async def test_the_line_tells_that_a_handler_was_cancelled_after_its_peer_had_left(
    handler, says, log, autojump_clock
):
    async with connect(serving(handler, timeouts=GRACES), "/room") as client:
        await client.close(1000)
    (line,) = log.messages
    assert f"/room closed 1000 '' {says}".rstrip() in line
    assert ("(the handler" in line) is bool(says)


@pytest.mark.parametrize(("handler", "says"), [(does_not_end, CUT), (ends_in_time, "")])
async def test_the_line_tells_that_a_handler_was_cancelled_at_a_shutdown(
    handler, says, log, autojump_clock
):
    async with (
        opened(serving(handler, timeouts=GRACES)) as client,
        client.websocket_connect("/room") as ws,
    ):
        await client.shutdown()
        await ws.expect_close(1001)
    line = next(one for one in log.messages if " closed " in one)
    assert f"/room closed 1001 '' {says}".rstrip() in line
    assert ("(the handler" in line) is bool(says)


async def test_the_line_of_an_error_has_the_error(log):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        raise ValueError("line\nbreak")

    with pytest.raises(ValueError, match="line"):
        async with connect(serving(handler), "/room") as client:
            await client.expect_close(1011)
    (line,) = log.messages
    assert "/room closed 1011 '' (ValueError: line break) after" in line


async def test_one_is_not_several(log, autojump_clock):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send(await ws.receive())

    async with connect(serving(handler), "/room") as client:
        await client.send("a")
        assert await client.receive() == "a"
    assert log.messages[-1].endswith("received 1 message (1 byte), sent 1 (1 byte)")


# Errors that nobody handled


async def error_of(app: Triows, log: Any) -> logging.LogRecord:
    """Serve a connection that a server of another kind passes on. Return the logged error."""
    server = ScriptedServer()
    await server.put(CONNECT)
    scope = {
        "type": "websocket",
        "path": "/room",
        "headers": [],
        "query_string": b"",
        "client": ("10.0.0.1", 1234),
        "extensions": {"websocket.http.response": {}},
    }
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.answers_the_close)
            await app(scope, server.receive, server.send)
            nursery.cancel_scope.cancel()
    (record,) = [one for one in log.records if one.levelno >= logging.ERROR]
    assert b"10.0.0.1" not in repr(server.sent).encode()
    assert b"test_log_lines" not in repr(server.sent).encode()
    return record


async def accepts_and_raises(ws: WebSocket) -> None:
    await ws.accept()
    raise ValueError("no such room")


@pytest.mark.parametrize("handler", [raises, accepts_and_raises, in_a_factory])
async def test_an_error_names_the_path_the_peer_and_the_handler(handler, log):
    record = await error_of(serving(handler), log)
    assert record.getMessage() == (
        f"unhandled error in websocket '/room', peer 10.0.0.1:1234, handler {where(handler)}"
    )
    assert record.exc_info


async def test_an_error_in_a_mounted_application_names_its_handler(log):
    inner = serving(accepts_and_raises)
    app = Triows()
    app.mount("/", inner)
    record = await error_of(app, log)
    assert record.getMessage().endswith(f"handler {where(accepts_and_raises)}")


async def test_an_error_without_a_handler_names_none(log):
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("broken")

    app = Triows()
    app.mount("/", broken)
    record = await error_of(app, log)
    assert record.getMessage() == "unhandled error in websocket '/room', peer 10.0.0.1:1234"


# Exceptions that could not do what they were meant to do


def exits_with(error: Exception) -> Callable[..., Any]:
    async def factory(ws: WebSocket):
        await ws.accept()
        yield 1
        raise error

    return factory


def handler_that(error: Exception, way: str) -> Callable[..., Awaitable[None]]:
    async def fail() -> None:
        raise error

    async def directly(ws: WebSocket) -> None:
        await ws.accept()
        await fail()

    async def in_a_nursery(ws: WebSocket, nursery: trio.Nursery) -> None:
        await ws.accept()
        nursery.start_soon(fail)
        await trio.sleep_forever()

    async def in_a_group(ws: WebSocket) -> None:
        await ws.accept()
        async with trio.open_nursery() as own:
            own.start_soon(fail)

    async def in_an_exit(value: Any) -> None: ...

    in_an_exit.__annotations__["value"] = Annotated[Any, use(exits_with(error))]
    return {one.__name__: one for one in (directly, in_a_nursery, in_a_group, in_an_exit)}[way]


@pytest.mark.parametrize("way", ["directly", "in_a_nursery", "in_a_group", "in_an_exit"])
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (HTTPException(403), "raise WebSocketClose(code, reason) or WebSocketException(code, "),
        (starlette.websockets.WebSocketDisconnect(1000), "raise triows.WebSocketClose(code"),
    ],
)
async def test_an_exception_that_can_not_end_the_connection_says_what_can(way, error, told):
    async def meet() -> None:
        async with connect(serving(handler_that(error, way)), "/room") as client:
            with suppress(WebSocketDisconnect):
                await client.receive()

    with pytest.raises((type(error), ExceptionGroup)):
        await meet()
    (note,) = error.__notes__
    assert told in note
    del error.__notes__


async def test_a_handler_that_returns_something_is_told_that_nobody_gets_it(caplog):
    async def handler(ws: WebSocket) -> dict[str, str]:
        await ws.accept()
        return {"password": "secret"}

    async with connect(serving(handler), "/room") as client:
        with suppress(WebSocketDisconnect):
            await client.receive()
    (told,) = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert re.search(r"test_log_lines.py:\d+ \(.*handler\) returned an instance of dict, ", told)
    assert "secret" not in caplog.text


async def test_a_handler_may_catch_starlettes_disconnect():
    codes = []

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        try:
            await ws.receive()
        except starlette.websockets.WebSocketDisconnect as exc:
            codes.append((exc.code, exc.reason, str(exc)))

    async with connect(serving(handler), "/room") as client:
        await client.close(4000, "bye")
    assert codes == [(4000, "bye", "4000 bye")]


@pytest.mark.parametrize("instead", [WebSocketClose(4001), WebSocketException(4001)])
async def test_what_it_says_closes_the_connection(instead):
    async with connect(serving(handler_that(instead, "directly")), "/room") as client:
        await client.expect_close(4001)


async def test_before_accept_it_refuses_and_says_nothing():
    error = HTTPException(403)

    async def handler(ws: WebSocket) -> None:
        raise error

    with pytest.raises(WebSocketDenialResponse):
        async with connect(serving(handler), "/room"):
            pass
    assert not hasattr(error, "__notes__")
