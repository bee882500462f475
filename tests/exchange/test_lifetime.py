import logging
import math
from typing import Annotated, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.connecting import connect, opened
from tests.transports.scripted import CONNECT, ScriptedServer
from triows import (
    AsyncResource,
    HandlerCancelled,
    HTTPException,
    Ignore,
    Timeouts,
    Triows,
    WebSocket,
    WebSocketClose,
    WebSocketDisconnect,
    WebSocketException,
    WebSocketRoute,
    use,
)
from triows._errors import leaves
from triows.testing import WebSocketDenialResponse, WebSocketSession, open_app


class Boom(Exception):
    """An error in a handler. Its text must not reach the peer."""


SECRET = "the password is 1234"


def serving(handler: Any, **settings: Any) -> Triows:
    route = WebSocketRoute("")
    route.endpoint(handler)
    return Triows(route, **settings)


async def end_of(client: WebSocketSession) -> tuple[int, str]:
    """Wait until the server has closed. Return the code and the reason."""
    try:
        while True:
            await client.receive(timeout=1000)
    except WebSocketDisconnect as exc:
        return exc.code, exc.reason


async def refusal_of(app: Triows, **options: Any) -> WebSocketDenialResponse:
    with pytest.raises(WebSocketDenialResponse) as caught:
        async with connect(app, "/", **options):
            pass
    return caught.value


# The peer is gone


async def test_a_handler_that_never_receives_is_cancelled_after_its_grace(autojump_clock):
    seen = []

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        try:
            await trio.sleep_forever()
        finally:
            seen.append(trio.current_time())

    async with connect(serving(handler, timeouts=Timeouts(disconnect_grace=3)), "/") as client:
        await trio.sleep(10)
        await client.close()
    assert seen == [13]


async def test_a_handler_that_finishes_within_its_grace_is_not_cut_short(autojump_clock):
    seen = []

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        message = await ws.receive()
        await trio.sleep(2.9)
        seen.append(message)

    async with connect(serving(handler, timeouts=Timeouts(disconnect_grace=3)), "/") as client:
        await client.send("work")
        await client.close()
    assert seen == ["work"]


async def test_a_handler_may_have_no_grace_at_all(autojump_clock):
    seen = []

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        try:
            await trio.sleep_forever()
        finally:
            seen.append(trio.current_time())

    async with connect(serving(handler, timeouts=Timeouts(disconnect_grace=0)), "/") as client:
        await trio.sleep(10)
        client.reset()
    assert seen == [10]


async def test_a_peer_that_leaves_before_accept_leaves_the_handler_its_grace(autojump_clock):
    seen = []

    async def handler(ws: WebSocket) -> None:
        try:
            await trio.sleep_forever()
        finally:
            seen.append(trio.current_time())

    server = ScriptedServer()
    app = serving(handler, timeouts=Timeouts(disconnect_grace=2, accept=100))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(app, websocket_scope(), server.receive, server.send)
        await server.put(CONNECT)
        await trio.sleep(5)
        await server.leaves()
    assert (seen, server.sent) == ([7], [])


async def test_a_peer_that_leaves_before_accept_is_not_waited_for(autojump_clock, caplog):
    seen = []

    async def handler(ws: WebSocket) -> None:
        try:
            await trio.sleep_forever()
        finally:
            seen.append(trio.current_time())

    server = ScriptedServer()
    app = serving(handler, timeouts=Timeouts(disconnect_grace=8, accept=10))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(app, websocket_scope(), server.receive, server.send)
        await server.put(CONNECT)
        await trio.sleep(5)
        await server.leaves()
    assert seen == [13]  # it isn't 10, and there is no timeout
    assert caplog.records == []


async def test_a_grace_goes_on_when_the_handshake_is_finished_in_it(autojump_clock):
    seen = []

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        try:
            await trio.sleep_forever()
        finally:
            seen.append(trio.current_time())

    server = ScriptedServer()
    server.gate = trio.Event()
    app = serving(handler, timeouts=Timeouts(disconnect_grace=8, accept=10, close=1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(app, websocket_scope(), server.receive, server.send)
        await server.put(CONNECT)
        await trio.sleep(5)
        await server.leaves()  # the grace would end later than the time for accept()
        await trio.sleep(1)
        server.gate.set()
    assert seen == [13]


async def test_tasks_of_the_connection_are_cancelled_at_once(autojump_clock):
    seen = []

    async def note_end(what: str) -> None:
        try:
            await trio.sleep_forever()
        finally:
            seen.append((what, trio.current_time()))

    async def handler(ws: WebSocket, nursery: trio.Nursery) -> None:
        await ws.accept()
        nursery.start_soon(note_end, "task")
        await note_end("handler")

    async with connect(serving(handler), "/") as client:
        await trio.sleep(10)
        await client.close()
    assert seen == [("task", 10), ("handler", 11)]


async def test_a_task_that_is_started_in_the_grace_ends_at_once(autojump_clock):
    seen = []

    async def task() -> None:
        try:
            await trio.sleep_forever()
        finally:
            seen.append(("task", trio.current_time()))

    async def handler(ws: WebSocket, nursery: trio.Nursery) -> None:
        await ws.accept()
        with pytest.raises(WebSocketDisconnect):
            await ws.receive()
        nursery.start_soon(task)
        await trio.sleep(0.5)
        seen.append(("handler", trio.current_time()))

    async with connect(serving(handler), "/") as client:
        await trio.sleep(10)
        await client.close()
    assert seen == [("task", 10), ("handler", 10.5)]


async def test_tasks_of_the_connection_end_with_the_handler(autojump_clock):
    seen = []

    async def task() -> None:
        try:
            await trio.sleep_forever()
        finally:
            seen.append(trio.current_time())

    async def handler(ws: WebSocket, nursery: trio.Nursery) -> None:
        await ws.accept()
        nursery.start_soon(task)
        await trio.sleep(5)

    async with connect(serving(handler), "/") as client:
        assert await end_of(client) == (1000, "")
    assert seen == [5]


@pytest.mark.parametrize("code", [1000, 1001, 4001])
async def test_a_disconnect_that_escapes_is_a_normal_end(caplog, code):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.receive()

    async with connect(serving(handler), "/") as client:
        await client.close(code)
    assert caplog.records == []


async def test_a_disconnect_that_escapes_in_a_group_is_a_normal_end():
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        async with trio.open_nursery() as outer:
            async with trio.open_nursery() as inner:
                inner.start_soon(ws.receive)
            outer.start_soon(ws.receive)

    async with connect(serving(handler), "/") as client:
        await client.close()


async def test_a_disconnect_in_a_task_of_the_connection_is_a_normal_end():
    async def echo(ws: WebSocket) -> None:
        while True:
            await ws.send(await ws.receive())

    async def handler(ws: WebSocket, nursery: trio.Nursery) -> None:
        await ws.accept()
        nursery.start_soon(echo, ws)
        await trio.sleep_forever()

    app = serving(handler, timeouts=Timeouts(disconnect_grace=0))
    async with connect(app, "/") as client:
        await client.send("a")
        assert await client.receive() == "a"
        await client.close()


@pytest.mark.parametrize("place", ["handler", "nursery", "resource"])
async def test_that_another_connection_had_ended_is_told_in_a_note(autojump_clock, place):
    everybody: list[WebSocket] = []

    async def announcing(ws: WebSocket):
        yield
        if place == "resource" and ws is not everybody[0]:
            await everybody[0].send("somebody left")

    async def handler(
        ws: WebSocket, nursery: trio.Nursery, _: Annotated[None, use(announcing)]
    ) -> None:
        await ws.accept()
        everybody.append(ws)
        if len(everybody) == 1:
            return
        if place == "handler":
            await everybody[0].send("somebody came")
        if place == "nursery":
            nursery.start_soon(everybody[0].send, "somebody came")
            await trio.sleep_forever()

    app = serving(handler)
    async with opened(app):
        async with connect(app, "/") as client:
            await end_of(client)
        with pytest.RaisesGroup(WebSocketDisconnect, allow_unwrapped=True) as caught:
            async with connect(app, "/") as client:
                await end_of(client)
    (error,) = leaves(caught.value)
    (note,) = [one for one in error.__notes__ if "another connection" in one]
    assert "catch WebSocketDisconnect" in note


async def test_a_bare_yield_resumes_only_if_its_own_peer_has_left(autojump_clock):
    sockets: list[WebSocket] = []
    ended: list[str] = []

    async def barely(which: str):
        yield
        ended.append(which)

    async def handler(ws: WebSocket, _: Annotated[None, use(barely)]) -> None:
        await ws.accept()
        sockets.append(ws)
        await ws.receive()
        await sockets[0].send("somebody is here")

    app = serving(handler)
    async with opened(app):
        async with connect(app, "/?which=first"):
            pass
        with pytest.RaisesGroup(WebSocketDisconnect, allow_unwrapped=True):
            async with connect(app, "/?which=second") as client:
                await client.send("go")
                assert (await end_of(client))[0] == 1011
    assert ended == ["first"]


async def test_an_exit_that_finds_the_connection_over_is_a_normal_end(caplog):
    route = WebSocketRoute("ws")

    async def farewell(ws: WebSocket):
        yield
        await ws.send("bye")

    @route.endpoint
    async def handler(ws: WebSocket, _: Annotated[None, use(farewell)]):
        await ws.accept()

    async with connect(Triows(route), "/ws") as client:
        with pytest.raises(WebSocketDisconnect, match="1000"):
            await client.receive()
    assert [record.levelname for record in caplog.records if record.exc_info] == []


async def test_an_exit_that_hands_on_that_another_handler_was_cancelled_has_failed():
    route = WebSocketRoute("ws")

    async def follower():
        yield
        raise HandlerCancelled("peer gone")

    @route.endpoint
    async def handler(ws: WebSocket, _: Annotated[None, use(follower)]):
        await ws.accept()

    with pytest.RaisesGroup(HandlerCancelled, allow_unwrapped=True) as caught:
        async with connect(Triows(route), "/ws") as client:
            assert (await end_of(client))[0] == 1000  # which is sent before the exits
    (error,) = leaves(caught.value)
    assert "another handler" in error.__notes__[0]


async def test_an_error_after_the_peer_left_is_still_an_error():
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        try:
            await ws.receive()
        finally:
            raise Boom

    with pytest.raises(Boom):
        async with connect(serving(handler), "/") as client:
            await client.close()


# The handshake takes too long


async def test_a_handler_that_does_not_accept_in_time_is_refused_with_500(autojump_clock):
    async def handler(ws: WebSocket) -> None:
        await trio.sleep_forever()

    app = serving(handler, timeouts=Timeouts(accept=7))
    with pytest.raises(trio.TooSlowError, match="neither accepted nor refused within 7 s"):
        async with connect(app, "/"):
            pass
    assert trio.current_time() == 7


async def test_the_time_for_accept_covers_the_factories(autojump_clock):
    async def slow() -> int:
        await trio.sleep(100)
        return 1

    async def handler(ws: WebSocket, value: Annotated[int, use(slow)]) -> None:
        await ws.accept()

    with pytest.raises(trio.TooSlowError):
        async with connect(serving(handler, timeouts=Timeouts(accept=7)), "/"):
            pass
    assert trio.current_time() == 7


async def wait_long() -> None:
    await trio.sleep_forever()


async def hangs_itself(ws: WebSocket) -> None:
    await wait_long()


async def hangs_in_a_task(ws: WebSocket) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_long)


async def hanging_function() -> int:
    await wait_long()
    return 1


async def hanging_generator():
    async with trio.open_nursery():
        await wait_long()
        yield 1


async def hanging_guard() -> None:
    await wait_long()


async def needs_function(ws: WebSocket, value: Annotated[int, use(hanging_function)]) -> None: ...


async def needs_generator(ws: WebSocket, value: Annotated[int, use(hanging_generator)]) -> None: ...


async def guarded(ws: WebSocket) -> None: ...


@pytest.mark.parametrize(
    ("handler", "deps", "culprit", "what"),
    [
        (hangs_itself, [], hangs_itself, "its handler, {}, had not called accept() or reject()"),
        (hangs_in_a_task, [], hangs_in_a_task, "its handler, {}, had not called"),
        (needs_function, [], hanging_function, "it waited for the factory {}"),
        (needs_generator, [], hanging_generator, "it waited for the factory {}"),
        (guarded, [hanging_guard], hanging_guard, "it waited for the factory {}"),
    ],
)
async def test_a_handshake_that_takes_too_long_names_the_code_that_it_waited_for(
    autojump_clock, caplog, handler, deps, culprit, what
):
    app = serving(handler, timeouts=Timeouts(accept=7), deps=deps)
    async with open_app(app, raise_app_exceptions=False) as client:
        with pytest.raises(WebSocketDenialResponse):
            async with client.websocket_connect("/"):
                pass
    (record,) = [one for one in caplog.records if one.exc_info]
    text = logging.Formatter().format(record)
    place = f"{__file__}:{culprit.__code__.co_firstlineno} ({culprit.__name__})"
    assert f"within 7 s (Timeouts.accept): {what.format(place)}" in text
    assert "\nIt waited at\n" in text
    assert f" in {culprit.__name__}  " in text
    assert " in wait_long  await trio.sleep_forever()" in text


async def test_what_is_accepted_in_time_may_take_its_time(autojump_clock):
    async def handler(ws: WebSocket) -> None:
        await trio.sleep(6)
        await ws.accept()
        await trio.sleep(1000)
        await ws.send("late")

    async with connect(serving(handler, timeouts=Timeouts(accept=7)), "/") as client:
        assert await client.receive(timeout=2000) == "late"


async def test_the_time_for_accept_can_be_switched_off(autojump_clock):
    async def handler(ws: WebSocket) -> None:
        await trio.sleep(1000)
        await ws.accept()

    async with connect(serving(handler, timeouts=Timeouts(accept=math.inf)), "/") as client:
        assert await end_of(client) == (1000, "")


# Keepalive


async def idle(ws: WebSocket) -> None:
    await ws.accept()
    await ws.receive()


async def test_a_peer_that_answers_no_ping_is_gone(autojump_clock):
    seen = []

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        try:
            await ws.receive()
        except WebSocketDisconnect as exc:
            seen.append((exc.code, exc.reason, trio.current_time()))

    app = serving(handler, timeouts=Timeouts(ping_interval=20, ping_timeout=5))
    async with connect(app, "/") as client:
        client.vanish()
        await trio.sleep(100)
    assert seen == [(1011, "ping timeout", 25)]


async def test_a_peer_that_answers_stays_and_its_latency_is_known(autojump_clock):
    latencies = []

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        latencies.append(ws.latency)
        await trio.sleep(25)
        latencies.append(ws.latency)
        await ws.receive()

    app = serving(handler, timeouts=Timeouts(ping_interval=20, ping_timeout=5))
    async with connect(app, "/") as client:
        await trio.sleep(1000)
        assert client.close_code is None
    assert latencies == [None, 0]


async def test_the_keepalive_can_be_switched_off(autojump_clock):
    app = serving(idle, timeouts=Timeouts(ping_interval=math.inf))
    async with connect(app, "/") as client:
        client.vanish()
        await trio.sleep(10_000)
        assert client.close_code is None


async def test_a_busy_handler_is_cancelled_when_no_ping_is_answered(autojump_clock):
    seen = []

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        try:
            await trio.sleep_forever()
        finally:
            seen.append(trio.current_time())

    timeouts = Timeouts(ping_interval=20, ping_timeout=5, disconnect_grace=1)
    async with connect(serving(handler, timeouts=timeouts), "/") as client:
        client.vanish()
        await trio.sleep(100)
    assert seen == [26]


async def test_a_peer_that_does_not_read_is_closed_with_1008(autojump_clock):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        try:
            while True:
                await ws.send("x" * 100)
        except WebSocketDisconnect as exc:
            over.append((exc.code, exc.reason))

    over: list[tuple[int, str]] = []
    app = serving(handler, timeouts=Timeouts(send=30))
    async with connect(app, "/", buffer=1000) as client:
        client.stop_reading()
        await trio.sleep(29)
        assert not over
        await trio.sleep(2.5)  # the first look, after a second, may find that it has read something
        assert over == [(1008, "send timed out")]


# Raised on purpose


async def test_a_close_that_a_handler_raises_is_sent(caplog):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        raise WebSocketClose(4001, "no such room")

    async with connect(serving(handler), "/") as client:
        assert await end_of(client) == (4001, "no such room")
    assert caplog.records == []


async def test_a_close_that_a_task_of_the_connection_raises_is_sent():
    async def task() -> None:
        raise WebSocketClose(4001, "enough")

    async def handler(ws: WebSocket, nursery: trio.Nursery) -> None:
        await ws.accept()
        nursery.start_soon(task)
        await trio.sleep_forever()

    async with connect(serving(handler), "/") as client:
        assert await end_of(client) == (4001, "enough")


async def test_a_close_that_a_nursery_of_the_handler_wraps_is_sent():
    async def task() -> None:
        raise WebSocketClose(4001, "enough")

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(task)

    async with connect(serving(handler), "/") as client:
        assert await end_of(client) == (4001, "enough")


async def accepted(ws: Ignore[WebSocket]) -> Ignore[AsyncResource[WebSocket]]:
    await ws.accept()
    yield ws


async def closing() -> int:
    raise WebSocketClose(4001, "not for you")


async def test_a_close_that_a_factory_raises_after_accept_is_sent():
    async def handler(ws: Annotated[WebSocket, use(accepted)], n: Annotated[int, use(closing)]):
        raise AssertionError

    async with connect(serving(handler), "/") as client:
        assert await end_of(client) == (4001, "not for you")


async def test_a_close_that_a_factory_raises_before_accept_is_403():
    async def handler(ws: WebSocket, n: Annotated[int, use(closing)]) -> None:
        raise AssertionError

    assert (await refusal_of(serving(handler))).status_code == 403


async def test_starlettes_exception_closes_wherever_it_is_raised(caplog):
    async def closing() -> int:
        raise WebSocketException(4001, "not for you")

    async def asks(ws: Annotated[WebSocket, use(accepted)], n: Annotated[int, use(closing)]):
        raise AssertionError

    async def raises(ws: Annotated[WebSocket, use(accepted)]) -> None:
        await closing()

    for handler in (asks, raises):
        async with connect(serving(handler), "/") as client:
            assert await end_of(client) == (4001, "not for you")
    assert caplog.records == []


async def test_starlettes_exception_before_accept_is_403_with_its_code(caplog):
    async def handler(ws: WebSocket) -> None:
        raise WebSocketException(1008, "who are you?")

    refusal = await refusal_of(serving(handler))
    assert refusal.status_code == 403
    assert (refusal.json()["close_code"], refusal.json()["detail"]) == (1008, "who are you?")
    assert caplog.records == []


async def test_a_code_of_starlettes_that_can_not_be_sent_is_1011_and_raised():
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        raise WebSocketException(1006)

    with pytest.raises(WebSocketException) as caught:
        async with connect(serving(handler), "/") as client:
            assert await end_of(client) == (1011, "")
    assert "close code 1006 can't be sent" in caught.value.__notes__[0]


async def test_an_http_exception_before_accept_is_the_refusal(caplog):
    async def handler(ws: WebSocket) -> None:
        raise HTTPException(402, "pay first", {"X-Price": "5"})

    refusal = await refusal_of(serving(handler))
    assert (refusal.status_code, refusal.json()["detail"]) == (402, "pay first")
    assert refusal.headers["x-price"] == "5"
    assert refusal.headers["content-type"] == "application/problem+json"
    assert caplog.records == []


async def test_an_http_exception_of_a_factory_is_the_refusal():
    async def user() -> str:
        raise HTTPException(401)

    async def handler(ws: WebSocket, name: Annotated[str, use(user)]) -> None:
        raise AssertionError

    refusal = await refusal_of(serving(handler))
    assert (refusal.status_code, refusal.json()["title"]) == (401, "Unauthorized")


async def test_an_http_exception_of_a_task_before_accept_is_the_refusal():
    async def task() -> None:
        raise HTTPException(409)

    async def handler(ws: WebSocket, nursery: trio.Nursery) -> None:
        nursery.start_soon(task)
        await trio.sleep_forever()

    assert (await refusal_of(serving(handler))).status_code == 409


async def test_an_http_exception_after_accept_is_an_error():
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        raise HTTPException(404, SECRET)

    with pytest.raises(HTTPException):
        async with connect(serving(handler), "/") as client:
            assert await end_of(client) == (1011, "")


@pytest.mark.parametrize(
    ("status", "headers"),
    [(200, None), (101, None), (304, None), (999, None), (401, {"x": "a\r\nb: c"})],
)
async def test_an_http_exception_that_can_not_refuse_is_an_error_and_500(status, headers):
    async def handler(ws: WebSocket) -> None:
        raise HTTPException(status, SECRET, headers)

    server = ScriptedServer()
    with pytest.raises(HTTPException) as caught:
        await handled(serving(handler), server)
    assert caught.value.__notes__[0].startswith("it can't refuse a handshake: ")
    assert [event.get("status") for event in server.sent] == [500, None]
    assert SECRET.encode() not in server.sent[1]["body"]


async def test_a_handler_that_returns_without_accepting_is_403():
    async def handler(ws: WebSocket) -> None:
        pass

    assert (await refusal_of(serving(handler))).status_code == 403


# Errors


async def test_an_error_after_accept_closes_with_1011_and_says_nothing_more():
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        raise Boom(SECRET)

    with pytest.raises(Boom):
        async with connect(serving(handler), "/") as client:
            assert await end_of(client) == (1011, "")


async def test_an_error_before_accept_is_500_and_says_nothing_more():
    async def handler(ws: WebSocket) -> None:
        raise Boom(SECRET)

    server = ScriptedServer()
    with pytest.raises(Boom):
        await handled(serving(handler), server)
    assert [event.get("status") for event in server.sent] == [500, None]
    assert (
        server.sent[1]["body"]
        == b'{"type":"about:blank","title":"Internal Server Error","status":500}'
    )


async def test_an_error_in_a_task_of_the_connection_cancels_the_handler():
    ended = []

    async def task() -> None:
        raise Boom(SECRET)

    async def handler(ws: WebSocket, nursery: trio.Nursery) -> None:
        await ws.accept()
        nursery.start_soon(task)
        try:
            await trio.sleep_forever()
        finally:
            ended.append(True)

    with pytest.RaisesGroup(Boom, flatten_subgroups=True, allow_unwrapped=True):
        async with connect(serving(handler), "/") as client:
            assert await end_of(client) == (1011, "")
    assert ended == [True]


async def test_errors_of_a_handler_and_of_its_task_are_both_reported():
    class Other(Exception):
        pass

    async def task() -> None:
        raise Boom

    async def handler(ws: WebSocket, nursery: trio.Nursery) -> None:
        await ws.accept()
        nursery.start_soon(task)
        try:
            await trio.sleep_forever()
        finally:
            raise Other

    with pytest.RaisesGroup(Boom, Other, flatten_subgroups=True):
        async with connect(serving(handler), "/") as client:
            assert await end_of(client) == (1011, "")


async def test_one_error_that_passes_through_both_is_reported_once():
    error = WebSocketClose(4001, "once")

    async def task() -> None:
        raise error

    async def handler(ws: WebSocket, nursery: trio.Nursery) -> None:
        await ws.accept()
        nursery.start_soon(task)
        try:
            await trio.sleep_forever()
        finally:
            raise error

    async with connect(serving(handler), "/") as client:
        assert await end_of(client) == (4001, "once")


@pytest.mark.parametrize("error", [SystemExit(3), BaseException("odd"), GeneratorExit()])
async def test_an_error_that_is_no_exception_ends_its_connection_with_1011(error):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        raise error

    with pytest.raises(type(error)):
        async with connect(serving(handler), "/") as client:
            assert await end_of(client) == (1011, "")


# Cancelled from outside


def websocket_scope() -> dict[str, Any]:
    return {
        "type": "websocket",
        "path": "/",
        "headers": [],
        "query_string": b"",
        "extensions": {"websocket.http.response": {}},
    }


@pytest.mark.parametrize("attempt", range(20))  # which task is first is random
async def test_a_handler_cancelled_from_outside_may_start_a_task_until_it_has_ended(
    attempt, autojump_clock
):
    started = []

    async def handler(ws: WebSocket, nursery: trio.Nursery) -> None:
        await ws.accept()
        nursery.start_soon(trio.sleep_forever)
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            nursery.start_soon(trio.sleep_forever)  # it ends at once, and that isn't an error
            started.append(True)

    with trio.move_on_after(5):
        async with connect(serving(handler), "/"):
            await trio.sleep_forever()
    assert started == [True]


async def handled(app: Triows, server: ScriptedServer) -> None:
    """Serve one connection of *server*. Raise the error that nobody handled."""
    await server.put(CONNECT)
    await app.handle(websocket_scope(), server.receive, server.send)


async def test_when_the_server_is_cancelled_the_peer_is_told_1001(autojump_clock):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await trio.sleep_forever()

    server = ScriptedServer()
    with trio.move_on_after(5):
        await handled(serving(handler), server)
    assert server.sent[-1] == {"type": "websocket.close", "code": 1001, "reason": ""}
    assert trio.current_time() == 5  # it didn't wait for an answer


async def test_when_the_server_is_cancelled_a_handshake_is_refused_with_503(autojump_clock):
    async def handler(ws: WebSocket) -> None:
        await trio.sleep_forever()

    server = ScriptedServer()
    with trio.move_on_after(5):
        await handled(serving(handler), server)
    assert server.sent[0]["status"] == 503
    assert (b"retry-after", b"5") in server.sent[0]["headers"]


async def test_a_cancellation_goes_on_to_whoever_cancelled(autojump_clock):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await trio.sleep_forever()

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(handled, serving(handler), ScriptedServer())
            await wait_all_tasks_blocked()
            scope.cancel()
    assert scope.cancelled_caught


async def test_an_error_during_a_cancellation_is_not_lost(autojump_clock):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        try:
            await trio.sleep_forever()
        finally:
            raise Boom

    server = ScriptedServer()
    with pytest.raises(Boom):
        with trio.move_on_after(5):
            await handled(serving(handler), server)
    assert server.sent[-1]["code"] == 1011


async def test_a_send_that_hangs_for_ever_is_cancelled_with_its_handler(autojump_clock):
    ended = []
    server = ScriptedServer()

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        server.gate = trio.Event()
        try:
            while True:
                await ws.send("x" * 2**20)
        finally:
            ended.append(trio.current_time())

    app = serving(handler, timeouts=Timeouts(close=2))
    with trio.move_on_after(5):
        await handled(app, server)
    assert ended == [5]
    assert trio.current_time() == 7  # the close frame could not be handed over either


async def test_resources_exit_in_time_though_the_server_is_stuck_for_good(autojump_clock):
    server = ScriptedServer()
    ended = []

    async def resource() -> AsyncResource[int]:
        try:
            yield 1
        finally:
            await trio.sleep(1)
            ended.append(trio.current_time())

    async def handler(ws: WebSocket, value: Annotated[int, use(resource)]) -> None:
        await ws.accept()
        server.gate, server.shielded = trio.Event(), True
        while True:
            await ws.send("x" * 2**20)

    app = serving(handler, timeouts=Timeouts(close=2))
    scope = trio.CancelScope(deadline=5)

    async def serve() -> None:
        with scope:
            await handled(app, server)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        await trio.sleep(100)
        assert ended == [5 + 1]
        assert server.gate is not None
        server.gate.set()


# The server shuts down


async def test_shutdown_closes_all_connections_with_1001(autojump_clock):
    app = serving(idle)
    async with opened(app), connect(app, "/") as one, connect(app, "/") as other:
        await wait_all_tasks_blocked()
        assert await app.drain()
        assert await end_of(one) == await end_of(other) == (1001, "")
        assert trio.current_time() == 0


async def test_shutdown_may_have_another_code(autojump_clock):
    app = serving(idle, shutdown_code=1012)
    async with opened(app), connect(app, "/") as client:
        await wait_all_tasks_blocked()
        await app.drain()
        assert await end_of(client) == (1012, "")


async def test_a_busy_handler_has_its_grace_at_shutdown(autojump_clock):
    seen = []

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        try:
            await trio.sleep_forever()
        finally:
            seen.append(trio.current_time())

    app = serving(handler, timeouts=Timeouts(shutdown_grace=4))
    async with opened(app), connect(app, "/") as client:
        await trio.sleep(10)
        assert await app.drain()
        assert await end_of(client) == (1001, "")
        assert trio.current_time() == 14
    assert seen == [14]


async def test_tasks_of_the_connection_are_cancelled_at_once_at_shutdown(autojump_clock):
    seen = []

    async def task() -> None:
        try:
            await trio.sleep_forever()
        finally:
            seen.append(trio.current_time())

    async def handler(ws: WebSocket, nursery: trio.Nursery) -> None:
        await ws.accept()
        nursery.start_soon(task)
        await trio.sleep_forever()

    app = serving(handler, timeouts=Timeouts(shutdown_grace=4))
    async with opened(app), connect(app, "/"):
        await wait_all_tasks_blocked()
        await app.drain()
    assert seen == [0]


async def test_a_message_that_came_before_the_shutdown_can_be_finished(autojump_clock):
    done = []

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        async for message in ws:
            await trio.sleep(1)
            done.append(message)

    app = serving(handler)
    async with opened(app), connect(app, "/") as client:
        await client.send("a")
        await client.send("b")
        await wait_all_tasks_blocked()
        await app.drain()
    assert done == ["a", "b"]


async def test_a_handshake_at_shutdown_is_refused_with_503_after_its_grace(autojump_clock):
    async def handler(ws: WebSocket) -> None:
        await trio.sleep_forever()

    app = serving(handler, timeouts=Timeouts(accept=100, shutdown_grace=4))
    server = ScriptedServer()
    async with app.running(), trio.open_nursery() as nursery:
        nursery.start_soon(handled, app, server)
        await wait_all_tasks_blocked()
        assert await app.drain()
        assert trio.current_time() == 4
    assert server.sent[0]["status"] == 503


@pytest.mark.parametrize(
    ("disconnect_grace", "shutdown_grace", "ended"), [(20, 5, 7), (3, 10, 3), (0, 10, 0)]
)
async def test_of_two_graces_the_one_that_is_over_first_counts(
    autojump_clock, disconnect_grace, shutdown_grace, ended
):
    seen = []

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        try:
            await trio.sleep_forever()
        finally:
            seen.append(trio.current_time())

    timeouts = Timeouts(disconnect_grace=disconnect_grace, shutdown_grace=shutdown_grace)
    app = serving(handler, timeouts=timeouts)
    async with opened(app), connect(app, "/") as client:
        await wait_all_tasks_blocked()
        await client.close()
        await trio.sleep(2)
        await app.drain()
    assert seen == [ended]


async def test_a_peer_that_leaves_during_a_shutdown_shortens_the_grace(autojump_clock):
    seen = []

    async def handler(ws: WebSocket) -> None:
        try:
            await trio.sleep_forever()
        finally:
            seen.append(trio.current_time())

    app = serving(handler, timeouts=Timeouts(accept=100, shutdown_grace=10, disconnect_grace=1))
    server = ScriptedServer()
    async with app.running(), trio.open_nursery() as nursery:
        nursery.start_soon(handled, app, server)
        await wait_all_tasks_blocked()
        nursery.start_soon(app.drain)
        await trio.sleep(2)
        await server.leaves()
    assert seen == [3]


@pytest.mark.parametrize("accept", [5, 100])
async def test_a_handshake_that_is_finished_at_shutdown_is_closed_with_1001(autojump_clock, accept):
    async def handler(ws: WebSocket) -> None:
        await trio.sleep(2)
        await ws.accept()
        await ws.receive()

    app = serving(handler, timeouts=Timeouts(accept=accept, shutdown_grace=10))
    server = ScriptedServer()
    async with app.running(), trio.open_nursery() as nursery:
        nursery.start_soon(handled, app, server)
        nursery.start_soon(server.answers_the_close)
        await wait_all_tasks_blocked()
        assert await app.drain()
        assert trio.current_time() == 2
    assert server.kinds == ["accept", "close"]
    assert server.sent[1]["code"] == 1001


async def test_a_handler_that_accepts_at_shutdown_has_no_more_than_its_grace(autojump_clock):
    seen = []

    async def handler(ws: WebSocket) -> None:
        await trio.sleep(2)
        await ws.accept()
        try:
            await trio.sleep_forever()
        finally:
            seen.append(trio.current_time())

    app = serving(handler, timeouts=Timeouts(accept=5, shutdown_grace=10))
    server = ScriptedServer()
    async with app.running(), trio.open_nursery() as nursery:
        nursery.start_soon(handled, app, server)
        nursery.start_soon(server.answers_the_close)
        await wait_all_tasks_blocked()
        await app.drain()
    assert seen == [10]


async def test_a_broadcaster_that_meets_a_member_who_left_is_told(autojump_clock):
    route = WebSocketRoute("room")
    members: list[WebSocket] = []

    @route.endpoint
    async def room(ws: WebSocket):
        await ws.accept()
        members.append(ws)
        async for message in ws:
            for member in members:
                await member.send(message)

    app = Triows(route)
    async with opened(app):
        async with connect(app, "/room"):
            pass
        talk = connect(app, "/room")
        client = await talk.__aenter__()
        await client.send("hello")
        with pytest.raises(WebSocketDisconnect, match="1011"):
            await client.receive()
        with pytest.raises(WebSocketDisconnect, match="1000"):
            await talk.__aexit__(None, None, None)


async def test_a_refusal_ends_the_time_for_accept(autojump_clock):
    route = WebSocketRoute("ws")
    finished = []

    @route.endpoint
    async def handler(ws: WebSocket):
        await ws.reject(401)
        await trio.sleep(20)
        finished.append(True)

    with pytest.raises(WebSocketDenialResponse, match="401"):
        async with opened(Triows(route), patience=30) as client, client.websocket_connect("/ws"):
            pass
    assert finished == [True]


async def test_two_tasks_of_a_connection_may_close_it_in_the_same_way():
    route = WebSocketRoute("ws")

    @route.endpoint
    async def handler(ws: WebSocket, nursery: trio.Nursery):
        await ws.accept()

        async def close():
            raise WebSocketClose(4001, "both")

        nursery.start_soon(close)
        nursery.start_soon(close)
        await trio.sleep_forever()

    async with connect(Triows(route), "/ws") as client:
        with pytest.raises(WebSocketDisconnect, match="4001 both"):
            await client.receive()


async def test_an_accept_that_was_cancelled_before_it_was_sent_can_be_made_again(autojump_clock):
    server = ScriptedServer()
    accepted = []

    async def handler(ws: WebSocket):
        with trio.CancelScope() as scope:
            scope.cancel()
            await ws.accept()
        assert scope.cancelled_caught
        await server.put(CONNECT)
        await ws.accept()
        accepted.append(True)

    await serving(handler).handle(websocket_scope(), server.receive, server.send)
    assert accepted == [True]
