"""The native test client: what a test sees of an application in the same loop."""

from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

import msgspec
import pytest
import trio

from tests.connecting import connect, opened
from triows import (
    AsyncResource,
    Compression,
    HTTPException,
    Ignore,
    Limits,
    NotRunningError,
    Param,
    Timeouts,
    Triows,
    WebSocket,
    WebSocketDisconnect,
    WebSocketRoute,
    use,
)
from triows.testing import ReceiveTimeout, WebSocketDenialResponse, open_server


async def accepted(ws: Ignore[WebSocket]) -> Ignore[AsyncResource[WebSocket]]:
    await ws.accept()
    yield ws


Accepted = Annotated[WebSocket, use(accepted)]


def serving(handler, path="", **options):
    """An application with one handler."""
    route = WebSocketRoute(path)
    route.endpoint(handler)
    return Triows(route, **options)


async def echo(ws: Accepted) -> None:
    async for message in ws:
        await ws.send(message)


async def silent(ws: Accepted) -> None:
    await trio.sleep_forever()


async def connect_to(app, url="/"):
    """Connect, and do nothing."""
    async with connect(app, url):
        pass


async def refused(app, url="/"):
    """Connect, and expect a refusal."""
    async with connect(app, url):
        raise AssertionError("it was accepted")


async def refusal_of(app, url="/"):
    with pytest.raises(WebSocketDenialResponse) as caught:
        await refused(app, url)
    return caught.value


# The handshake


async def test_a_refusal_has_what_a_response_has():
    async def handler(ws: WebSocket) -> None:
        raise HTTPException(401, "who are you?", {"WWW-Authenticate": "Bearer"})

    refusal = await refusal_of(serving(handler))
    assert refusal.status_code == 401
    assert refusal.headers["content-type"] == "application/problem+json"
    assert refusal.headers["www-authenticate"] == "Bearer"
    assert refusal.json()["detail"] == "who are you?"
    assert refusal.text == refusal.content.decode()
    assert refusal.headers["content-length"] == str(len(refusal.content))
    assert str(refusal) == f"1006 refused with 401: {refusal.text}"


async def test_a_refusal_is_a_disconnect_as_a_browser_would_see_it():
    async def handler(ws: WebSocket) -> None:
        await ws.close()

    with pytest.raises(WebSocketDisconnect) as caught:
        await refused(serving(handler))
    assert caught.value.code == 1006


@pytest.mark.parametrize(("url", "status"), [("/nowhere", 404), ("/?n=x", 422), ("/?n=1", 403)])
async def test_the_framework_refuses_too(url, status):
    async def handler(ws: WebSocket, n: int) -> None: ...

    assert (await refusal_of(serving(handler), url)).status_code == status


@pytest.mark.parametrize(
    "url", ["/rooms/1?n=2", "rooms/1?n=2", "ws://testserver/rooms/1?n=2", "http:rooms/1?n=2"]
)
async def test_a_path_may_begin_without_its_slash(url):
    route = WebSocketRoute("rooms/{room}")

    @route.endpoint
    async def handler(ws: WebSocket, room: str, n: int) -> None:
        await ws.accept()
        await ws.send(f"{room} {n}")

    async with connect(Triows(route), url) as ws:
        assert await ws.receive_text() == "1 2"


@pytest.mark.parametrize("url", [b"/", None, WebSocketRoute("rooms")])
async def test_what_is_no_url_is_refused(url):
    with pytest.raises(TypeError, match="url is a path such as '/rooms/1', not "):
        await refused(Triows(), url)


@pytest.mark.parametrize("message", [{}, 5, None, ["a"]])
async def test_what_is_no_message_is_refused(message):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()

    async with connect(serving(handler), "/") as ws:
        with pytest.raises(TypeError, match=r"send_json\(\) sends other things"):
            await ws.send(message)


async def test_an_application_that_neither_accepts_nor_refuses_in_time_fails_the_test(
    autojump_clock,
):
    async def handler(ws: WebSocket) -> None:
        await trio.sleep_forever()

    with pytest.raises(trio.TooSlowError, match="within 3 s"):
        await refused(serving(handler, timeouts=Timeouts(accept=3)))
    assert trio.current_time() == 3


async def test_the_subprotocol_that_the_application_chose_is_known():
    async def handler(ws: WebSocket) -> None:
        await ws.accept(subprotocol=ws.scope["subprotocols"][1])

    app = serving(handler)
    async with connect(app, "/", subprotocols=["soap", "wamp"]) as ws:
        assert ws.accepted_subprotocol == "wamp"
    async with connect(serving(echo), "/", subprotocols=["soap"]) as ws:
        assert ws.accepted_subprotocol is None


async def test_headers_of_the_response_are_known():
    async def handler(ws: WebSocket) -> None:
        await ws.accept(headers={"X-Room": "7"})

    async with connect(serving(handler), "/") as ws:
        assert list(ws.extra_headers) == [(b"x-room", b"7")]


async def describe(
    ws: Accepted,
    rest: str,
    token: Annotated[str, Param("header")] = "",
    session: Annotated[str, Param("cookie")] = "",
) -> None:
    await ws.send_json(
        {
            "url": str(ws.url),
            "rest": rest,
            "client": list(ws.client or ()),
            "token": token,
            "session": session,
            "hosts": ws.headers.getlist("host"),
            "subprotocols": ws.headers.get("sec-websocket-protocol"),
        }
    )


async def described(url="/", **options):
    async with connect(serving(describe, "{rest:path}"), url, **options) as ws:
        return await ws.receive_json()


@pytest.mark.parametrize("headers", [{"Token": "t", "Cookie": "session=s"}, None])
async def test_headers_and_cookies_are_sent(headers):
    seen = await described(headers=headers or [("token", "t"), ("cookie", "session=s")])
    assert (seen["token"], seen["session"]) == ("t", "s")


async def test_a_header_may_be_sent_twice():
    seen = await described(headers=[("token", "a"), ("token", "b")])
    assert seen["token"] == "a, b"


async def test_headers_of_the_client_itself_can_be_replaced():
    assert (await described())["hosts"] == ["testserver"]
    assert (await described(headers={"Host": "other"}))["hosts"] == ["other"]


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ("/", "ws://testserver/"),
        ("/a/b?c=d", "ws://testserver/a/b?c=d"),
        ("wss://example.org/a", "wss://example.org/a"),
        ("https://example.org:444/a", "wss://example.org:444/a"),
        ("http://example.org/a", "ws://example.org/a"),
    ],
)
async def test_a_url_may_be_a_path_or_whole(given, seen):
    assert (await described(given))["url"] == seen


@pytest.mark.parametrize("given", ["/r%C3%A4ume", "/räume"])
async def test_a_path_is_decoded(given):
    assert (await described(given))["rest"] == "räume"


async def test_an_escaped_slash_stays_inside_its_segment():
    async def handler(ws: Accepted, name: str) -> None:
        await ws.send(name)

    async with connect(serving(handler, "files/{name}"), "/files/a%2Fb") as ws:
        assert await ws.receive() == "a/b"


async def test_the_clients_address_can_be_chosen():
    assert (await described())["client"] == ["testclient", 50000]
    assert (await described(client=("10.0.0.1", 1)))["client"] == ["10.0.0.1", 1]


# Messages


async def test_text_bytes_and_json_go_both_ways():
    async with connect(serving(echo), "/") as ws:
        await ws.send("text")
        assert await ws.receive() == "text"
        await ws.send_text("text")
        assert await ws.receive_text() == "text"
        await ws.send_bytes(b"bytes")
        assert await ws.receive_bytes() == b"bytes"
        await ws.send_json({"a": [1, None]})
        assert await ws.receive_json() == {"a": [1, None]}


async def test_json_is_sent_as_text_and_read_from_both():
    async with connect(serving(echo), "/") as ws:
        await ws.send_json(5)
        assert await ws.receive() == "5"
        await ws.send(b"[5]")
        assert await ws.receive_json() == [5]


class Point(msgspec.Struct):
    x: int


async def test_json_can_be_read_as_a_type():
    async with connect(serving(echo), "/") as ws:
        await ws.send('{"x": 5}')
        assert await ws.receive_json(Point) == Point(5)
        await ws.send('{"x": "five"}')
        with pytest.raises(AssertionError, match="expected JSON of Point"):
            await ws.receive_json(Point)


async def test_a_message_of_the_other_kind_fails_the_test():
    async with connect(serving(echo), "/") as ws:
        await ws.send("text")
        with pytest.raises(AssertionError, match="expected bytes, got 'text'"):
            await ws.receive_bytes()
        await ws.send(b"bytes")
        with pytest.raises(AssertionError, match="expected text, got b'bytes'"):
            await ws.receive_text()


# Time


@pytest.mark.parametrize(
    ("options", "given", "seconds"), [({}, None, 5), ({"timeout": 2}, None, 2), ({}, 30, 30)]
)
@pytest.mark.parametrize("method", ["receive", "receive_text", "receive_bytes", "receive_json"])
async def test_a_receive_fails_the_test_when_nothing_comes(
    method, options, given, seconds, autojump_clock
):
    async with connect(serving(silent), "/", **options) as ws:
        began = trio.current_time()
        with pytest.raises(ReceiveTimeout, match=f"sent nothing for {seconds} s"):
            await getattr(ws, method)(timeout=given)
        assert trio.current_time() - began == seconds


async def test_a_receive_timeout_is_a_failed_assertion_and_a_timeout():
    assert issubclass(ReceiveTimeout, AssertionError)
    assert issubclass(ReceiveTimeout, trio.TooSlowError)


async def test_a_message_that_comes_too_late_is_there_for_the_next_receive(autojump_clock):
    async def handler(ws: Accepted) -> None:
        await trio.sleep(3)
        await ws.send("late")
        await ws.receive()

    async with connect(serving(handler), "/") as ws:
        with pytest.raises(ReceiveTimeout):
            await ws.receive(timeout=2)
        assert await ws.receive(timeout=2) == "late"


# Backpressure


async def sending(ws: Accepted, log: Annotated[list[int], use(lambda: LOG)]) -> None:
    for number in range(10):
        await ws.send_bytes(bytes(10))
        log.append(number)


#: The messages that the handler above has sent.
LOG: list[int] = []


@pytest.mark.parametrize(
    ("options", "taken"),
    [
        ({}, 10),
        # Each frame has 12 bytes. The outbox takes one more.
        ({"buffer": 12, "inbox": 1}, 3),
        ({"buffer": 12, "inbox": 4}, 6),
        ({"buffer": 12, "inbox_size": 25}, 5),
    ],
)
async def test_a_handler_waits_for_a_client_that_does_not_read(options, taken, autojump_clock):
    LOG.clear()
    async with connect(serving(sending, limits=Limits(outbox=1)), "/", **options) as ws:
        await trio.sleep(1)
        assert len(LOG) == taken
        for _ in range(10):
            await ws.receive()
        await trio.sleep(1)
        assert len(LOG) == 10


async def test_a_client_that_never_reads_is_closed_as_a_slow_peer_would_be(autojump_clock):
    app = serving(sending, timeouts=Timeouts(send=3), limits=Limits(outbox=1))
    async with connect(app, "/", buffer=12, inbox=1) as ws:
        await trio.sleep(4)
        while ws.close_code is None:
            with suppress(WebSocketDisconnect):
                assert await ws.receive() == bytes(10)  # the message that had begun before
        assert (ws.close_code, ws.close_reason) == (1008, "send timed out")


async def test_a_client_waits_for_a_handler_that_does_not_receive(autojump_clock):
    app = serving(silent, limits=Limits(inbox=2))
    async with connect(app, "/", buffer=70, timeout=60) as ws:
        # Ten are on their way, two are in the inbox, and some more were just being read.
        assert 12 <= await ws.flood("1", 100) < 20
        assert trio.current_time() == 60


async def test_a_client_goes_on_when_the_handler_receives(autojump_clock):
    async def handler(ws: Accepted) -> None:
        await trio.sleep(3)
        async for _ in ws:
            await trio.sleep(1)

    async with connect(serving(handler, limits=Limits(inbox=1)), "/", buffer=13) as ws:
        for _ in range(4):
            await ws.send("message")
        assert trio.current_time() == 3


# The end


@asynccontextmanager
async def logging_app(handler, log):
    """An application with a handler whose resource takes a while to exit."""

    async def resource():
        log.append("entered")
        try:
            yield
        finally:
            await trio.sleep(2)
            log.append("exited")

    async def with_resource(value: Annotated[Any, use(resource)], ws: Accepted) -> None:
        await handler(ws)

    yield serving(with_resource)


async def test_leaving_the_block_closes_and_waits_until_everything_is_over(autojump_clock):
    log = []

    async def handler(ws):
        with pytest.raises(WebSocketDisconnect) as caught:
            await ws.receive()
        log.append(caught.value.code)

    async with logging_app(handler, log) as app, connect(app, "/"):
        log.append("body")
    assert log == ["entered", "body", 1000, "exited"]


async def test_the_application_sees_the_clients_code_and_reason():
    seen = []

    async def handler(ws: Accepted) -> None:
        try:
            await ws.receive()
        except WebSocketDisconnect as exc:
            seen.append((exc.code, exc.reason))

    async with connect(serving(handler), "/") as ws:
        await ws.close(4000, "enough")
        await ws.close(4001, "no effect")
    assert seen == [(4000, "enough")]


async def test_after_a_close_nothing_can_be_sent_or_received():
    async with connect(serving(echo), "/") as ws:
        assert ws.close_code is None
        assert ws.close_reason is None
        await ws.close(4000, "enough")
        with pytest.raises(WebSocketDisconnect, match="4000 enough"):
            await ws.receive()
        with pytest.raises(WebSocketDisconnect, match="4000 enough"):
            await ws.send("message")
        assert (ws.close_code, ws.close_reason) == (4000, "enough")


async def test_a_code_that_no_client_may_send_is_refused():
    async with connect(serving(echo), "/") as ws:
        with pytest.raises(ValueError, match="1006"):
            await ws.close(1006)


async def test_what_was_sent_before_the_close_can_be_received():
    async def handler(ws: Accepted) -> None:
        await ws.send("1")
        await ws.send("2")
        await ws.close(4000, "enough")

    async with connect(serving(handler), "/") as ws:
        await trio.testing.wait_all_tasks_blocked()
        assert ws.close_code == 4000
        assert [await ws.receive(), await ws.receive()] == ["1", "2"]
        with pytest.raises(WebSocketDisconnect) as caught:
            await ws.receive()
        assert (caught.value.code, caught.value.reason) == (4000, "enough")


async def test_a_handler_that_returns_closes_with_1000():
    async def handler(ws: Accepted) -> None: ...

    async with connect(serving(handler), "/") as ws:
        with pytest.raises(WebSocketDisconnect, match="1000"):
            await ws.receive()


async def test_a_reset_is_seen_by_both_sides_at_once():
    seen = []

    async def handler(ws: Accepted) -> None:
        try:
            await ws.receive()
        except WebSocketDisconnect as exc:
            seen.append(exc.code)

    async with connect(serving(handler), "/") as ws:
        ws.reset()
        assert ws.close_code == 1006
        await trio.testing.wait_all_tasks_blocked()
        assert seen == [1006]


async def test_a_client_that_vanished_is_missed_when_a_ping_is_not_answered(autojump_clock):
    seen = []

    async def handler(ws: Accepted) -> None:
        try:
            await ws.receive()
        except WebSocketDisconnect as exc:
            seen.append((exc.code, exc.reason, trio.current_time()))

    timeouts = Timeouts(ping_interval=20, ping_timeout=15)
    async with connect(serving(handler, timeouts=timeouts), "/") as ws:
        ws.vanish()
        await trio.sleep(30)
        assert seen == []
        await trio.sleep(30)
        assert seen == [(1011, "ping timeout", 35)]
        # The close has not reached the client.
        assert ws.close_code is None


async def test_what_a_vanished_client_sends_does_not_arrive(autojump_clock):
    received = []

    async def handler(ws: Accepted) -> None:
        received.append(await ws.receive())
        with pytest.raises(WebSocketDisconnect):
            await ws.receive()

    async with connect(serving(handler), "/") as ws:
        await ws.send("before")
        ws.vanish()
        await ws.send("after")
        await trio.sleep(100)
    assert received == ["before"]


# Errors


class Boom(Exception):
    pass


async def failing(ws: Accepted) -> None:
    await ws.receive()
    raise Boom


async def after_go(handler, body):
    """Tell the handler to go on, and then do something inside the block."""
    async with connect(serving(handler), "/") as ws:
        await ws.send("go")
        await body(ws)


async def test_an_error_of_the_handler_is_raised_as_itself_at_the_end_of_the_block():
    error = Boom()

    async def handler(ws: Accepted) -> None:
        await ws.receive()
        raise error

    async def check(ws):
        await trio.testing.wait_all_tasks_blocked()
        assert ws.close_code == 1011

    with pytest.raises(Boom) as caught:
        await after_go(handler, check)
    assert caught.value is error


async def test_an_error_of_the_handler_goes_before_what_it_does_to_the_test():
    async def receive(ws):
        await ws.receive()  # the connection is closed with 1011

    with pytest.raises(Boom):
        await after_go(failing, receive)


async def test_an_error_before_accept_is_raised_and_not_the_refusal():
    async def handler(ws: WebSocket) -> None:
        raise Boom

    with pytest.raises(Boom):
        await connect_to(serving(handler))


async def test_an_error_of_a_factory_is_raised_as_itself():
    async def factory():
        raise Boom
        yield

    async def handler(ws: Accepted, value: Annotated[Any, use(factory)]) -> None: ...

    with pytest.raises(Boom):
        await connect_to(serving(handler))


async def test_an_error_in_a_resources_exit_is_raised_as_itself():
    async def factory():
        yield
        raise Boom

    async def handler(ws: Accepted, value: Annotated[Any, use(factory)]) -> None: ...

    with pytest.raises(Boom):
        await connect_to(serving(handler))


async def test_an_error_of_the_test_is_raised_as_itself(autojump_clock):
    log = []

    async def handler(ws):
        await ws.receive()

    async with logging_app(handler, log) as app:
        with pytest.raises(ZeroDivisionError):
            async with connect(app, "/"):
                raise ZeroDivisionError
    assert log == ["entered", "exited"]


async def test_errors_of_both_sides_are_raised_together():
    async def fail(ws):
        await trio.testing.wait_all_tasks_blocked()
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup, match="in the test and in the application") as caught:
        await after_go(failing, fail)
    assert [type(exc) for exc in caught.value.exceptions] == [ZeroDivisionError, Boom]


async def test_a_disconnect_that_nobody_caught_fails_the_test():
    async def handler(ws: Accepted) -> None: ...

    with pytest.raises(WebSocketDisconnect, match="1000"):
        async with connect(serving(handler), "/") as ws:
            await ws.receive()


async def test_a_receive_timeout_is_raised_as_itself(autojump_clock):
    with pytest.raises(ReceiveTimeout):
        async with connect(serving(silent), "/") as ws:
            await ws.receive()


async def test_a_refusal_inside_the_block_does_not_hide_behind_the_handlers_error():
    async def be_refused(ws):
        await refused(serving(echo), "/nowhere")

    with pytest.raises(ExceptionGroup) as caught:
        await after_go(failing, be_refused)
    assert [type(exc) for exc in caught.value.exceptions] == [WebSocketDenialResponse, Boom]


# Cancellation


async def test_a_cancelled_test_leaves_when_everything_is_over(autojump_clock):
    log = []

    async def handler(ws):
        await trio.sleep_forever()

    async with logging_app(handler, log) as app:
        with trio.move_on_after(10) as scope:
            async with connect(app, "/"):
                await trio.sleep_forever()
    assert scope.cancelled_caught
    assert log == ["entered", "exited"]
    assert trio.current_time() == 12


async def test_a_test_cancelled_while_it_connects_leaves_nothing_behind(autojump_clock):
    log = []

    async def factory(ws: WebSocket):
        try:
            await trio.sleep_forever()
        finally:
            log.append("cancelled")
        yield

    async def handler(ws: WebSocket, value: Annotated[Any, use(factory)]) -> None: ...

    app = serving(handler)
    with trio.move_on_after(5) as scope:
        async with connect(app, "/"):
            pass
    assert scope.cancelled_caught
    assert log == ["cancelled"]
    assert not app.is_running


async def test_an_error_of_the_test_is_not_lost_when_it_is_cancelled_meanwhile(autojump_clock):
    app = serving(silent, timeouts=Timeouts(disconnect_grace=100))
    with pytest.RaisesGroup(ZeroDivisionError), trio.move_on_after(5):
        async with connect(app, "/"):
            raise ZeroDivisionError
    assert trio.current_time() == 5


async def test_an_error_of_the_handler_is_not_lost_when_the_test_is_cancelled(autojump_clock):
    async def handler(ws: Accepted) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise Boom

    with pytest.RaisesGroup(Boom, allow_unwrapped=True), trio.move_on_after(5):
        async with connect(serving(handler), "/"):
            await trio.sleep_forever()


# The application around it


def counting_lifespan(log):
    @asynccontextmanager
    async def lifespan(app):
        log.append("start")
        yield {"word": "hello"}
        log.append("stop")

    return lifespan


async def tell_word(ws: Accepted) -> None:
    await ws.send(ws.state.word)
    await ws.receive()


async def test_the_application_is_started_for_a_connection_and_stopped_after_it():
    log = []
    app = serving(tell_word, lifespan=counting_lifespan(log))
    async with connect(app, "/") as ws:
        assert await ws.receive() == "hello"
        assert log == ["start"]
        assert app.is_running
    assert log == ["start", "stop"]
    assert not app.is_running


async def test_an_application_that_runs_is_shared_by_all_connections():
    log = []
    app = serving(tell_word, lifespan=counting_lifespan(log))
    async with opened(app):
        for _ in range(2):
            async with connect(app, "/") as ws:
                assert await ws.receive() == "hello"
    assert log == ["start", "stop"]


async def test_two_connections_in_one_statement_share_the_application():
    log = []
    app = serving(tell_word, lifespan=counting_lifespan(log))
    async with connect(app, "/") as one, connect(app, "/") as other:
        assert [await one.receive(), await other.receive()] == ["hello", "hello"]
    assert log == ["start", "stop"]


async def test_connections_in_tasks_of_their_own(autojump_clock):
    app = serving(echo)
    answers = []

    async def client(number):
        async with connect(app, "/") as ws:
            await trio.sleep(number % 3)
            await ws.send(str(number))
            answers.append(await ws.receive())

    async with opened(app), trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(client, number)
    assert sorted(answers, key=int) == [str(number) for number in range(20)]


async def test_a_connection_can_be_left_before_one_that_was_opened_later(autojump_clock):
    app = serving(echo)
    done = trio.Event()

    async def first(task_status):
        async with connect(app, "/"):
            task_status.started()
        done.set()

    async with opened(app), trio.open_nursery() as nursery, connect(app, "/") as ws:
        await nursery.start(first)
        await done.wait()
        await ws.send("still here")
        assert await ws.receive() == "still here"


async def test_a_failing_start_up_is_raised_as_itself():
    @asynccontextmanager
    async def lifespan(app):
        raise Boom
        yield

    app = serving(echo, lifespan=lifespan)
    with pytest.raises(Boom):
        await connect_to(app)
    assert not app.is_running


async def test_a_failing_shutdown_is_raised_as_itself():
    @asynccontextmanager
    async def lifespan(app):
        yield
        raise Boom

    with pytest.raises(Boom):
        await connect_to(serving(echo, lifespan=lifespan))


async def test_resources_of_the_application_outlive_the_connection():
    log = []

    async def pool():
        yield "the pool"
        log.append("pool closed")

    async def handler(ws: Accepted, value: Annotated[str, use(pool, scope="app")]) -> None:
        try:
            await ws.send(value)
            await ws.receive()
        finally:
            log.append("connection over")

    async with connect(serving(handler), "/") as ws:
        assert await ws.receive() == "the pool"
    assert log == ["connection over", "pool closed"]


async def test_an_application_can_be_used_again_and_again():
    app = serving(echo)
    for _ in range(3):
        async with connect(app, "/") as ws:
            await ws.send("again")
            assert await ws.receive() == "again"


async def test_a_resource_of_an_application_that_was_not_started_is_missed():
    async def handler(ws: Accepted, value: Annotated[Any, use(object, scope="app")]) -> None: ...

    inner, outer = serving(handler), Triows()
    outer.mount("/inner", inner)
    with pytest.raises(NotRunningError, match="if it is mounted"):
        await connect_to(outer, "/inner")


async def test_middleware_that_wraps_the_events_is_passed_on_the_way():
    seen = []

    def middleware(app):
        async def call(scope, receive, send):
            async def send_noted(event):
                seen.append(event["type"].removeprefix("websocket."))
                await send(event)

            async def receive_noted():
                event = await receive()
                seen.append(event["type"].removeprefix("websocket."))
                return event

            await app(scope, receive_noted, send_noted)

        return call

    async with connect(serving(echo, middlewares=[middleware]), "/") as ws:
        await ws.send("hello")
        assert await ws.receive() == "hello"
    assert seen == ["connect", "accept", "receive", "send", "disconnect"]


async def test_an_application_of_another_framework_is_reached_through_its_mount():
    async def other(scope, receive, send):
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept", "subprotocol": "b"})
        await send({"type": "websocket.send", "text": (await receive())["text"].upper()})
        await send({"type": "websocket.close", "code": 4000})

    app = Triows()
    app.mount("/other", other)
    async with connect(app, "/other/x", subprotocols=["a", "b"]) as ws:
        assert ws.accepted_subprotocol == "b"
        await ws.send("hello")
        assert await ws.receive() == "HELLO"
        with pytest.raises(WebSocketDisconnect, match="4000"):
            await ws.receive()


async def test_tasks_side_by_side_share_one_application(autojump_clock):
    started = []

    @asynccontextmanager
    async def lifespan(app):
        await trio.sleep(1)
        started.append(app)
        yield

    route = WebSocketRoute("ws")

    @route.endpoint
    async def handler(ws: WebSocket):
        await ws.accept()
        await ws.send("hello")
        async for message in ws:
            await ws.send(message)

    app = Triows(route, lifespan=lifespan)

    async def client(seconds: float):
        async with connect(app, "/ws") as ws:
            assert await ws.receive() == "hello"
            await trio.sleep(seconds)
            await ws.send("still here")
            assert await ws.receive() == "still here"

    async with opened(app), trio.open_nursery() as nursery:
        # The first client is the first to leave.
        nursery.start_soon(client, 0)
        nursery.start_soon(client, 5)
        nursery.start_soon(client, 10)
    assert started == [app]
    assert not app.is_running


async def test_compression_is_offered_on_demand():
    async def handler(ws: Accepted) -> None:
        async for message in ws:
            await ws.send(message)

    app = serving(handler, compression=Compression())
    async with opened(app):
        async with connect(app, "/") as ws:
            assert "sec-websocket-extensions" not in ws.headers
        async with connect(app, "/", compression=True) as ws:
            assert "permessage-deflate" in ws.headers["sec-websocket-extensions"]
            await ws.send("again and " * 1000)
            assert await ws.receive() == "again and " * 1000


async def test_a_loop_over_messages_ends_with_the_applications_normal_close():
    async def handler(ws: Accepted) -> None:
        for number in range(3):
            await ws.send(str(number))

    async with connect(serving(handler), "/") as ws:
        with pytest.raises(TypeError, match="write `async for message in ws`"):
            list(ws)
        assert [message async for message in ws] == ["0", "1", "2"]


async def test_what_is_no_json_fails_the_test_with_the_message():
    async with connect(serving(echo), "/") as ws:
        await ws.send("no json")
        with pytest.raises(AssertionError, match="expected JSON of int, got 'no json'"):
            await ws.receive_json(int)


async def test_a_delay_is_added_to_what_a_receive_waits(autojump_clock):
    async with connect(serving(echo), "/") as ws:
        ws.delay(3)
        await ws.send("late")
        assert await ws.receive() == "late"
        assert trio.current_time() == 6


async def test_a_server_on_sockets_refuses_a_virtual_clock(autojump_clock):
    with pytest.raises(RuntimeError, match="needs the real clock"):
        async with open_server(serving(echo)):
            pass


async def test_a_resource_of_the_application_can_be_replaced_for_a_test():
    async def database():
        raise AssertionError("the real one")
        yield

    async def fake():
        yield "fake"

    async def tell(ws: Accepted, value: Annotated[str, use(database, scope="app")]) -> None:
        await ws.send(value)

    app = serving(tell)
    with app.override(database, fake):
        async with connect(app, "/") as ws:
            assert await ws.receive() == "fake"
