import dataclasses
import gc
import re
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.connecting import connect, opened
from tests.transports.scripted import CONNECT, ScriptedServer
from triows import (
    InvalidMessage,
    Limits,
    Timeouts,
    Triows,
    WebSocket,
    WebSocketDisconnect,
    WebSocketRoute,
    WebSocketState,
    WebSocketStateError,
    WrongDataType,
)
from triows.testing import WebSocketDenialResponse, WebSocketSession

Handler = Callable[[WebSocket], Awaitable[None]]


def serving(handler: Callable[..., Awaitable[None]], path: str = "", **settings: Any) -> Triows:
    route = WebSocketRoute(path)
    route.endpoint(handler)
    return Triows(route, **settings)


def talking(handler: Handler, **settings: Any) -> Triows:
    """Serve a handler whose connection is already accepted."""

    async def accept_first(ws: WebSocket) -> None:
        await ws.accept()
        await handler(ws)

    return serving(accept_first, **settings)


async def end_of(client: WebSocketSession) -> tuple[int, str]:
    """Wait until the server has closed. Return the code and the reason."""
    try:
        while True:
            await client.receive()
    except WebSocketDisconnect as exc:
        return exc.code, exc.reason


async def end_of_one(app: Triows, url: str = "/", **options: Any) -> tuple[int, str]:
    """Connect, and wait until the server has closed."""
    async with connect(app, url, **options) as client:
        return await end_of(client)


# Called without await


def wrapping(app: Any) -> Any:
    """Middleware that makes the endpoint's transport one on ASGI."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        async def wrapped_send(event: Any) -> None:
            await send(event)

        await app(scope, receive, wrapped_send)

    return wrapped


AWAITED = {
    "accept": (),
    "reject": (),
    "receive": (),
    "receive_text": (),
    "receive_bytes": (),
    "receive_json": (),
    "send": ("a",),
    "send_text": ("a",),
    "send_bytes": (b"a",),
    "send_json": ({},),
    "close": (),
    "ping": (),
}


@pytest.mark.parametrize("middlewares", [[], [wrapping]], ids=["stream", "ASGI"])
async def test_an_await_that_is_missing_is_told_by_the_name_that_was_called(middlewares):
    """Python warns that "coroutine 'WebSocket.send' was never awaited": that is its qualname."""

    def names(ws: WebSocket) -> list[str]:
        made = [getattr(ws, name)(*args) for name, args in AWAITED.items()]
        made.append(ws.send(bytearray(b"a")))
        for coroutine in made:
            coroutine.close()
        return [coroutine.__qualname__ for coroutine in made]

    seen = []

    async def handler(ws: WebSocket) -> None:
        seen.append(names(ws))
        await ws.accept()
        seen.append(names(ws))
        await ws.close()
        seen.append(names(ws))

    await end_of_one(serving(handler, middlewares=middlewares))
    assert seen == [[*(f"WebSocket.{name}" for name in AWAITED), "WebSocket.send"]] * 3


# Called at the wrong time

TALK = {
    "receive": lambda ws: ws.receive(),
    "receive_text": lambda ws: ws.receive_text(),
    "receive_bytes": lambda ws: ws.receive_bytes(),
    "receive_json": lambda ws: ws.receive_json(),
    "async for": lambda ws: anext(aiter(ws)),
    "iter_text": lambda ws: anext(aiter(ws.iter_text())),
    "iter_bytes": lambda ws: anext(aiter(ws.iter_bytes())),
    "iter_json": lambda ws: anext(aiter(ws.iter_json())),
    "send": lambda ws: ws.send("a"),
    "send_text": lambda ws: ws.send_text("a"),
    "send_bytes": lambda ws: ws.send_bytes(b"a"),
    "send_json": lambda ws: ws.send_json(1),
    "ping": lambda ws: ws.ping(),
}


@pytest.mark.parametrize("method", TALK)
async def test_nothing_passes_before_accept(method):
    async def handler(ws: WebSocket) -> None:
        with pytest.raises(WebSocketStateError, match=r"before accept\(\): call `await ws.accept"):
            await TALK[method](ws)
        await ws.accept()

    assert await end_of_one(serving(handler)) == (1000, "")


@pytest.mark.parametrize("method", TALK)
async def test_nothing_passes_after_a_refusal(method):
    async def handler(ws: WebSocket) -> None:
        await ws.reject(401)
        with pytest.raises(WebSocketStateError, match="on a connection that was refused"):
            await TALK[method](ws)

    with pytest.raises(WebSocketDenialResponse, match="401"):
        async with connect(serving(handler), "/"):
            pass


async def test_accepting_twice_is_a_mistake():
    async def handler(ws: WebSocket) -> None:
        with pytest.raises(WebSocketStateError, match="call it once, in the handler or in one fac"):
            await ws.accept()
        await ws.send("still open")

    async with connect(talking(handler), "/") as client:
        assert await client.receive() == "still open"


async def test_accepting_after_a_refusal_is_a_mistake():
    async def handler(ws: WebSocket) -> None:
        await ws.reject()
        with pytest.raises(WebSocketStateError, match="was refused: it can't be accepted any more"):
            await ws.accept()

    with pytest.raises(WebSocketDenialResponse, match="403"):
        async with connect(serving(handler), "/"):
            pass


@pytest.mark.parametrize("first", ["accept", "reject"])
async def test_refusing_after_the_handshake_is_a_mistake(first):
    seen = []

    async def handler(ws: WebSocket) -> None:
        await getattr(ws, first)()
        over = r"this one is over: use close\(\)" if first == "accept" else r"call reject\(\) once"
        with pytest.raises(WebSocketStateError, match=over):
            await ws.reject()
        seen.append(first)

    try:
        async with connect(serving(handler), "/"):
            pass
    except WebSocketDenialResponse:
        assert first == "reject"
    assert seen == [first]


# The handshake


async def test_a_subprotocol_that_was_offered_can_be_chosen():
    async def handler(ws: WebSocket) -> None:
        assert ws.subprotocol is None
        await ws.accept("v2")
        assert ws.subprotocol == "v2"

    async with connect(serving(handler), "/", subprotocols=["v1", "v2"]) as client:
        assert client.accepted_subprotocol == "v2"


@pytest.mark.parametrize("offered", [(), ("v1",)])
async def test_a_subprotocol_that_was_not_offered_is_a_mistake_that_can_be_mended(offered):
    async def handler(ws: WebSocket) -> None:
        with pytest.raises(ValueError, match="was not offered by the client"):
            await ws.accept("v2")
        await ws.accept()

    async with connect(serving(handler), "/", subprotocols=offered) as client:
        assert client.accepted_subprotocol is None


async def test_headers_of_the_response_reach_the_client():
    async def handler(ws: WebSocket) -> None:
        await ws.accept(headers={"X-A": "1"})

    async with connect(serving(handler), "/") as client:
        assert client.extra_headers == [(b"x-a", b"1")]


@pytest.mark.parametrize(
    "headers",
    [
        {"x-a": "1\r\nset-cookie: b=2"},
        [(b"x-a", b"1\r\n\r\n")],
        {"x-a\r\nb": "1"},
        {"x-a": "a\0"},
        {"sec-websocket-protocol": "v2"},
        {"Sec-WebSocket-Accept": "x"},
        {"connection": "close"},
        {"x-a": "\N{SNOWMAN}"},
    ],
)
async def test_headers_that_would_forge_the_response_are_refused_before_it_goes_out(headers):
    async def handler(ws: WebSocket) -> None:
        with pytest.raises(ValueError, match="header"):
            await ws.accept(headers=headers)
        assert ws.client_state is WebSocketState.CONNECTING
        await ws.accept()

    async with connect(serving(handler), "/") as client:
        assert client.extra_headers == []


async def test_a_refusal_has_status_detail_and_headers():
    async def handler(ws: WebSocket) -> None:
        await ws.reject(429, "slow down", {"Retry-After": "3"})

    with pytest.raises(WebSocketDenialResponse) as caught:
        async with connect(serving(handler), "/"):
            pass
    assert caught.value.status_code == 429
    assert caught.value.headers["retry-after"] == "3"
    assert caught.value.json() == {
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "slow down",
    }


@pytest.mark.parametrize("status", [0, 101, 200, 304, 600])
async def test_a_status_that_refuses_nothing_is_a_mistake_that_can_be_mended(status):
    async def handler(ws: WebSocket) -> None:
        with pytest.raises(ValueError, match=f"status from 300 to 599, not {status}"):
            await ws.reject(status)
        await ws.reject(404)

    with pytest.raises(WebSocketDenialResponse, match="404"):
        async with connect(serving(handler), "/"):
            pass


async def test_closing_before_accept_refuses_with_403():
    async def handler(ws: WebSocket) -> None:
        await ws.close(4000, "no")
        await ws.close()
        assert ws.client_state is WebSocketState.DISCONNECTED

    with pytest.raises(WebSocketDenialResponse) as caught:
        async with connect(serving(handler), "/"):
            pass
    assert caught.value.status_code == 403
    assert caught.value.json()["close_code"] == 4000
    assert (caught.value.code, caught.value.reason) == (4000, "no")


async def test_closing_before_accept_without_a_code_tells_none():
    async def handler(ws: WebSocket) -> None:
        await ws.close()

    with pytest.raises(WebSocketDenialResponse) as caught:
        async with connect(serving(handler), "/"):
            pass
    assert caught.value.json() == {"type": "about:blank", "title": "Forbidden", "status": 403}
    assert caught.value.code == 1006


# Receiving


async def test_text_is_str_and_binary_is_bytes():
    async def handler(ws: WebSocket) -> None:
        assert (await ws.receive(), await ws.receive()) == ("a", b"b")

    async with connect(talking(handler), "/") as client:
        await client.send("a")
        await client.send(b"b")
        assert await end_of(client) == (1000, "")


async def test_text_and_bytes_can_be_asked_for():
    async def handler(ws: WebSocket) -> None:
        assert (await ws.receive_text(), await ws.receive_bytes()) == ("a", b"b")

    async with connect(talking(handler), "/") as client:
        await client.send("a")
        await client.send(b"b")
        assert await end_of(client) == (1000, "")


@pytest.mark.parametrize(
    ("method", "message", "told"),
    [
        ("receive_text", b"a", "expected a text message"),
        ("receive_bytes", "a", "expected a binary message"),
    ],
)
async def test_a_message_of_the_other_kind_closes_with_1003(method, message, told):
    async def handler(ws: WebSocket) -> None:
        await getattr(ws, method)()

    async with connect(talking(handler), "/") as client:
        await client.send(message)
        assert await end_of(client) == (1003, told)


async def test_a_handler_may_forgive_a_message_of_the_other_kind():
    async def handler(ws: WebSocket) -> None:
        with pytest.raises(WrongDataType):
            await ws.receive_text()
        await ws.send(await ws.receive_text())

    async with connect(talking(handler), "/") as client:
        await client.send(b"a")
        await client.send("b")
        assert await client.receive() == "b"


@dataclasses.dataclass
class Move:
    x: int
    y: int


@pytest.mark.parametrize("message", ['{"x": 1, "y": 2}', b'{"x": 1, "y": 2}'])
@pytest.mark.parametrize(("type_", "value"), [(Any, {"x": 1, "y": 2}), (Move, Move(1, 2))])
async def test_json_is_read_from_text_and_binary_into_the_type(message, type_, value):
    async def handler(ws: WebSocket) -> None:
        assert await ws.receive_json(type_) == value

    async with connect(talking(handler), "/") as client:
        await client.send(message)
        assert await end_of(client) == (1000, "")


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        "not json",
        '{"x": 1}',
        '{"x": "1", "y": 2}',
        "[1, 2]",
        "NaN",
        '"\\ud800"',
        b"\xff",
        b"",
        "[" * 100_000,
    ],
)
async def test_a_message_that_fails_its_schema_closes_with_1007(message):
    async def handler(ws: WebSocket) -> None:
        await ws.receive_json(Move)

    async with connect(talking(handler), "/") as client:
        await client.send(message)
        assert await end_of(client) == (1007, "invalid message")


async def test_a_message_that_is_nested_too_deeply_closes_with_1007():
    async def handler(ws: WebSocket) -> None:
        await ws.receive_json()

    async with connect(talking(handler), "/") as client:
        await client.send("[" * 100_000 + "]" * 100_000)
        assert await end_of(client) == (1007, "invalid message")


async def test_what_was_wrong_with_a_message_is_for_the_handler_only():
    async def handler(ws: WebSocket) -> None:
        with pytest.raises(InvalidMessage) as caught:
            await ws.receive_json(Move)
        assert "missing required field `y`" in caught.value.detail

    async with connect(talking(handler), "/") as client:
        await client.send('{"x": 1}')
        assert await end_of(client) == (1000, "")


async def test_what_was_received_is_delivered_before_the_disconnect():
    async def handler(ws: WebSocket) -> None:
        await wait_all_tasks_blocked()
        assert [await ws.receive(), await ws.receive()] == ["a", "b"]
        with pytest.raises(WebSocketDisconnect) as caught:
            await ws.receive()
        assert (caught.value.code, caught.value.reason) == (4001, "bye")

    async with connect(talking(handler), "/") as client:
        await client.send("a")
        await client.send("b")
        await client.close(4001, "bye")


async def test_cancelling_receive_loses_no_message(autojump_clock):
    received = []

    async def handler(ws: WebSocket) -> None:
        while len(received) < 40:
            with trio.move_on_after(0.25):
                received.append(await ws.receive())

    async with connect(talking(handler), "/") as client:
        for number in range(40):
            await client.send(str(number))
            await trio.sleep(0.75)  # so each message arrives just when a receive is cancelled
    assert received == [str(number) for number in range(40)]


async def test_two_tasks_can_not_receive_at_once():
    async def handler(ws: WebSocket, nursery: trio.Nursery) -> None:
        await ws.accept()
        nursery.start_soon(ws.receive)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError, match="another task is receiving"):
            await ws.receive()

    assert await end_of_one(serving(handler)) == (1000, "")


ITERATORS = {
    "async for": (lambda ws: ws, ["a", "b"], ["a", "b"]),
    "iter_text": (lambda ws: ws.iter_text(), ["a", "b"], ["a", "b"]),
    "iter_bytes": (lambda ws: ws.iter_bytes(), [b"a", b"b"], [b"a", b"b"]),
    "iter_json": (lambda ws: ws.iter_json(), ["1", b"2"], [1, 2]),
    "iter_json of a type": (lambda ws: ws.iter_json(list[int]), ["[1]", "[]"], [[1], []]),
}


@pytest.mark.parametrize("code", [1000, 1001])
@pytest.mark.parametrize("kind", ITERATORS)
async def test_iterating_ends_when_the_peer_is_done(kind, code):
    iterate, messages, expected = ITERATORS[kind]
    received = []

    async def handler(ws: WebSocket) -> None:
        received.extend([message async for message in iterate(ws)])
        received.append("done")

    async with connect(talking(handler), "/") as client:
        for message in messages:
            await client.send(message)
        await client.close(code)
    assert received == [*expected, "done"]


@pytest.mark.parametrize("kind", ITERATORS)
@pytest.mark.parametrize("code", [1006, 1011, 4000])
async def test_iterating_raises_when_the_peer_left_otherwise(kind, code):
    iterate, messages, expected = ITERATORS[kind]
    received = []

    async def handler(ws: WebSocket) -> None:
        try:
            async for message in iterate(ws):
                received.append(message)  # noqa: PERF401 - keep those before the error
        except WebSocketDisconnect as exc:
            received.append(exc.code)
            raise

    async with connect(talking(handler), "/") as client:
        for message in messages:
            await client.send(message)
        if code == 1006:
            client.reset()
        else:
            await client.close(code)
    assert received == [*expected, code]


@pytest.mark.parametrize(
    ("kind", "message", "code"),
    [("iter_text", b"a", 1003), ("iter_bytes", "a", 1003), ("iter_json", "{", 1007)],
)
async def test_iterating_over_the_wrong_messages_closes(kind, message, code):
    async def handler(ws: WebSocket) -> None:
        async for _ in ITERATORS[kind][0](ws):
            pass

    async with connect(talking(handler), "/") as client:
        await client.send(message)
        assert (await end_of(client))[0] == code


@pytest.mark.parametrize("kind", ITERATORS)
async def test_an_iteration_can_be_left_and_taken_up_again(kind):
    iterate, messages, expected = ITERATORS[kind]

    async def handler(ws: WebSocket) -> None:
        for value in expected:
            async for message in iterate(ws):
                assert message == value
                break

    async with connect(talking(handler), "/") as client:
        for message in messages:
            await client.send(message)
        assert await end_of(client) == (1000, "")


# Sending


@pytest.mark.parametrize(
    ("message", "received"),
    [
        ("a", "a"),
        ("", ""),
        (b"a", b"a"),
        (b"", b""),
        (bytearray(b"a"), b"a"),
        (memoryview(b"ab"), b"ab"),
        (memoryview(b"abcd")[::2], b"ac"),
    ],
)
async def test_str_goes_out_as_text_and_bytes_as_binary(message, received):
    async def handler(ws: WebSocket) -> None:
        await ws.send(message)

    async with connect(talking(handler), "/") as client:
        got = await client.receive()
    assert (got, type(got)) == (received, type(received))


async def test_what_is_sent_does_not_change_with_its_buffer(autojump_clock):
    async def handler(ws: WebSocket) -> None:
        buffer = bytearray(b"before")
        await ws.send(buffer)
        buffer[:] = b"after!"

    async with connect(talking(handler), "/") as client:
        await trio.sleep(1)
        assert await client.receive() == b"before"


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("send", 1),
        ("send", None),
        ("send", {"a": 1}),
        ("send", ["a"]),
        ("send_text", b"a"),
        ("send_text", 1),
        ("send_bytes", "a"),
        ("send_bytes", [1]),
    ],
)
async def test_what_is_no_message_is_refused_and_the_connection_goes_on(method, message):
    async def handler(ws: WebSocket) -> None:
        with pytest.raises(TypeError, match=r"send_\w+\(\) takes (anything|str|bytes)"):
            await getattr(ws, method)(message)
        await ws.send("ok")

    async with connect(talking(handler), "/") as client:
        assert await client.receive() == "ok"


async def test_text_that_utf_8_can_not_express_is_refused_and_the_connection_goes_on():
    async def handler(ws: WebSocket) -> None:
        with pytest.raises(ValueError, match="surrogates not allowed"):
            await ws.send("\ud800")
        await ws.send("ok")

    async with connect(talking(handler), "/") as client:
        assert await client.receive() == "ok"


class Point(msgspec.Struct):
    x: int


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (None, "null"),
        ({"a": [1, 2.5, "\N{SNOWMAN}"]}, '{"a":[1,2.5,"\N{SNOWMAN}"]}'),
        (Point(1), '{"x":1}'),
        (Move(1, 2), '{"x":1,"y":2}'),
    ],
)
async def test_json_goes_out_compact_as_text_or_binary(data, text):
    async def handler(ws: WebSocket) -> None:
        await ws.send_json(data)
        await ws.send_json(data, mode="binary")

    async with connect(talking(handler), "/") as client:
        assert [await client.receive(), await client.receive()] == [text, text.encode()]


async def test_what_json_can_not_express_is_refused_and_the_connection_goes_on():
    async def handler(ws: WebSocket) -> None:
        with pytest.raises(TypeError, match="can't express an instance of object"):
            await ws.send_json(object())
        await ws.send("ok")

    async with connect(talking(handler), "/") as client:
        assert await client.receive() == "ok"


async def test_concurrent_sends_go_out_whole_and_in_order(autojump_clock):
    async def handler(ws: WebSocket) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(ws.send, str(number))
                await wait_all_tasks_blocked()

    async with connect(talking(handler), "/", buffer=1) as client:
        await trio.sleep(1)
        assert [await client.receive() for _ in range(20)] == [str(n) for n in range(20)]


async def test_sending_without_end_ends_when_the_peer_leaves():
    async def handler(ws: WebSocket) -> None:
        while True:
            await ws.send("tick")

    async with connect(talking(handler), "/", buffer=1000) as client:
        await client.receive()
        client.reset()


async def test_a_handler_that_sends_without_end_lets_others_run():
    async def handler(ws: WebSocket) -> None:
        while True:
            await ws.send("tick")

    # Each side handles only a few messages per turn, so the client's small buffer is enough.
    async with connect(talking(handler), "/", buffer=3) as client:
        for _ in range(100):
            assert await client.receive() == "tick"


# The end


async def test_code_and_reason_of_close_reach_the_peer():
    async def handler(ws: WebSocket) -> None:
        await ws.close(4000, "done")

    async with connect(talking(handler), "/") as client:
        assert await end_of(client) == (4000, "done")


async def test_other_tasks_have_their_turn_while_a_handler_closes_again_and_again():
    ran = trio.Event()

    async def handler(ws):
        async def other():
            ran.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            for _ in range(100):
                await ws.close()
            assert ran.is_set()

    assert await end_of_one(talking(handler)) == (1000, "")


async def test_only_the_first_close_counts():
    async def handler(ws: WebSocket) -> None:
        await ws.close(4000)
        await ws.close(4001)
        assert ws.close_code == 4000

    async with connect(talking(handler), "/") as client:
        assert await end_of(client) == (4000, "")


@pytest.mark.parametrize("code", [999, 1004, 1005, 1006, 1015, 2000, 5000])
async def test_a_code_that_may_not_be_sent_is_refused_and_the_connection_goes_on(code):
    async def handler(ws: WebSocket) -> None:
        with pytest.raises(ValueError, match=f"close code {code} can't be sent"):
            await ws.close(code)
        await ws.send("ok")

    async with connect(talking(handler), "/") as client:
        assert await client.receive() == "ok"


@pytest.mark.parametrize("reason", ["x" * 124, "\N{SNOWMAN}" * 42, "\ud800"])
async def test_a_reason_that_can_not_be_sent_is_refused_and_the_connection_goes_on(reason):
    async def handler(ws: WebSocket) -> None:
        with pytest.raises(ValueError, match="the close reason"):
            await ws.close(1000, reason)
        await ws.send("ok")

    async with connect(talking(handler), "/") as client:
        assert await client.receive() == "ok"


@pytest.mark.parametrize("method", ["receive", "send", "ping"])
async def test_after_our_close_everything_raises_with_our_code(method):
    async def handler(ws: WebSocket) -> None:
        await ws.close(4000, "done")
        with pytest.raises(WebSocketDisconnect) as caught:
            await TALK[method](ws)
        assert (caught.value.code, caught.value.reason) == (4000, "done")

    assert await end_of_one(talking(handler)) == (4000, "done")


@pytest.mark.parametrize("method", ["receive", "send", "ping"])
async def test_after_the_peers_close_everything_raises_with_its_code(method):
    async def handler(ws: WebSocket) -> None:
        with pytest.raises(WebSocketDisconnect):
            await ws.receive()
        with pytest.raises(WebSocketDisconnect) as caught:
            await TALK[method](ws)
        assert (caught.value.code, caught.value.reason) == (4001, "bye")

    async with connect(talking(handler), "/") as client:
        await client.close(4001, "bye")


async def test_a_close_can_not_hide_the_peers_code():
    seen = []

    async def handler(ws: WebSocket) -> None:
        with pytest.raises(WebSocketDisconnect):
            await ws.receive()
        await ws.close(1000)
        seen.append((ws.close_code, ws.close_reason))

    async with connect(talking(handler), "/") as client:
        await client.close(4001, "bye")
    assert seen == [(4001, "bye")]


# Pings


async def test_a_ping_measures_the_round_trip():
    async def handler(ws: WebSocket) -> None:
        assert ws.latency is None
        seconds = await ws.ping()
        assert seconds >= 0
        assert ws.latency == seconds

    assert await end_of_one(talking(handler)) == (1000, "")


async def test_a_server_that_can_not_ping_says_so():
    async def handler(ws: WebSocket) -> None:
        with pytest.raises(WebSocketStateError, match="does not let applications send pings"):
            await ws.ping()

    server = ScriptedServer()
    scope = {**server.scope, "path": "/", "headers": [], "query_string": b""}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(talking(handler).handle, scope, server.receive, server.send)
        await server.put(CONNECT)
        await server.answers_the_close()
    assert server.sent[-1]["code"] == 1000


async def test_a_ping_that_is_not_answered_ends_with_the_connection(autojump_clock):
    async def handler(ws: WebSocket) -> None:
        await ws.receive()
        with pytest.raises(WebSocketDisconnect) as caught:
            await ws.ping()
        assert caught.value.code == 1011

    async with connect(talking(handler), "/") as client:
        await client.send("now")
        client.vanish()
        await trio.sleep(100)


# What is known of it


async def test_the_state_follows_the_connection():
    states = []

    async def handler(ws: WebSocket) -> None:
        states.append(ws.client_state)
        await ws.accept()
        states.append(ws.client_state)
        await ws.close()
        states.append(ws.client_state)
        assert ws.application_state is ws.client_state

    assert await end_of_one(serving(handler)) == (1000, "")
    assert states == [
        WebSocketState.CONNECTING,
        WebSocketState.CONNECTED,
        WebSocketState.DISCONNECTED,
    ]


async def test_code_and_reason_are_known_once_it_is_over():
    async def handler(ws: WebSocket) -> None:
        assert (ws.close_code, ws.close_reason) == (None, None)
        await ws.close(4000, "done")
        assert (ws.close_code, ws.close_reason) == (4000, "done")

    assert await end_of_one(talking(handler)) == (4000, "done")


async def test_statistics_count_what_has_passed_and_what_waits(autojump_clock):
    found = []

    async def handler(ws: WebSocket) -> None:
        await ws.send("abc")
        await ws.send(bytes(9000))
        await ws.receive()
        await trio.sleep(1)
        found.append(ws.statistics())

    async with connect(talking(handler), "/", buffer=1000) as client:
        client.stop_reading()
        await client.send("1")
        await client.send("\N{SNOWMAN}")
        await client.send(b"45")
        await trio.sleep(2)
    (statistics,) = found
    assert statistics.messages_received == 3
    assert statistics.bytes_received == 1 + 3 + 2
    assert statistics.messages_sent == 2
    assert statistics.bytes_sent == 9003
    assert (statistics.inbox_messages, statistics.inbox_bytes) == (2, 5)
    # These bytes, with the heads of their frames, don't fit into the connection.
    assert 0 < statistics.outbox_bytes < 9003


async def test_the_request_can_be_looked_at():
    async def handler(ws: WebSocket, room: int) -> None:
        assert str(ws.url) == "ws://example.org/rooms/7?a=1&a=2"
        assert ws.headers["x-token"] == "secret"
        assert ws.cookies == {"session": "abc", "theme": "dark"}
        assert ws.query_params.getlist("a") == ["1", "2"]
        assert ws.path_params == {"room": 7}
        assert ws.client == ("10.0.0.1", 1234)
        await ws.accept()

    headers = {"x-token": "secret", "cookie": "session=abc; theme=dark"}
    app = serving(handler, "rooms/{room:int}")
    url = "ws://example.org/rooms/7?a=1&a=2"
    options = {"headers": headers, "client": ("10.0.0.1", 1234)}
    assert await end_of_one(app, url, **options) == (1000, "")


async def test_cookies_of_several_headers_are_read_together():
    async def handler(ws: WebSocket) -> None:
        assert ws.cookies == {"a": "1", "b": "3"}
        await ws.accept()

    headers = [("cookie", "a=1; b=2"), ("cookie", "b=3")]
    assert await end_of_one(serving(handler), headers=headers) == (1000, "")


async def test_the_application_and_its_state_can_be_reached():
    async def handler(ws: WebSocket) -> None:
        assert ws.app.state.pool == "the pool"
        ws.state.user = "ada"
        assert ws.state.user == "ada"
        await ws.accept()

    app = serving(handler)
    app.state.pool = "the pool"
    assert await end_of_one(app) == (1000, "")


async def test_two_connections_are_never_equal():
    connections = set()

    async def handler(ws: WebSocket) -> None:
        connections.add(ws)
        await ws.accept()

    app = serving(handler)
    async with opened(app):
        await end_of_one(app)
        await end_of_one(app)
    assert len(connections) == 2


async def test_the_applications_timeouts_hold(autojump_clock):
    async def handler(ws: WebSocket) -> None:
        await ws.receive()  # by then, the client has stopped reading
        for _ in range(3):
            await ws.send(bytes(1000))

    app = talking(handler, timeouts=Timeouts(send=7), limits=Limits(outbox=1))
    async with connect(app, "/", buffer=1000) as client:
        client.stop_reading()
        await client.send("go")
        await trio.sleep(7.1)
        client.resume_reading()
        # The message that has begun is completed. Then the close comes.
        assert await client.receive() == bytes(1000)
        await client.expect_close(1008)


async def test_the_applications_limits_hold():
    async def handler(ws: WebSocket) -> None:
        await ws.receive()

    async with connect(talking(handler, limits=Limits(message_size=3)), "/") as client:
        await client.send("four")
        await client.expect_close(1009)


@pytest.mark.parametrize("how", ["async for", "iter_text", "iter_json"])
async def test_a_loop_over_messages_can_be_left_without_a_trace(how: str) -> None:
    route = WebSocketRoute("leave")

    @route.endpoint
    async def leave(ws: WebSocket):
        await ws.accept()
        loops = {"async for": ws, "iter_text": ws.iter_text(), "iter_json": ws.iter_json(int)}
        async for _message in loops[how]:
            break
        # If the loop had left an async generator, there would be a ResourceWarning now.
        gc.collect()
        await ws.send("left")

    async with connect(Triows(route), "/leave") as client:
        await client.send("1")
        assert await client.receive() == "left"


async def test_a_loop_without_async_is_told_to_be_async(autojump_clock):
    async def handler(ws: WebSocket):
        await ws.accept()
        for _ in ws:
            pass

    with pytest.raises(TypeError, match="write `async for message in ws`"):
        async with connect(serving(handler), "/"):
            pass


@pytest.mark.parametrize(
    ("method", "message", "remedy"),
    [
        ("send_bytes", "x", "send_text() takes str"),
        ("send_text", b"x", "send_bytes() takes bytes"),
        ("send_text", 1, "send_json() takes anything that JSON can express"),
    ],
)
async def test_a_message_of_a_wrong_type_is_told_the_method_for_it(
    method, message, remedy, autojump_clock
):
    async def handler(ws: WebSocket):
        await ws.accept()
        await getattr(ws, method)(message)

    with pytest.raises(TypeError, match=re.escape(remedy)):
        async with connect(serving(handler), "/"):
            pass


async def test_a_forgotten_await_before_a_message_is_told(autojump_clock):
    async def handler(ws: WebSocket):
        await ws.accept()
        await ws.send_text(ws.receive_text())

    with pytest.raises(TypeError, match="not a coroutine: `await` that first"):
        async with connect(serving(handler), "/"):
            pass


@pytest.mark.parametrize("around", [lambda it: it, lambda it: {"here": [it]}])
async def test_so_is_one_before_what_becomes_json(autojump_clock, around):
    async def handler(ws: WebSocket):
        await ws.accept()
        await ws.send_json(around(ws.receive_json()))

    with pytest.raises(TypeError, match="express a coroutine: `await` that first"):
        async with connect(serving(handler), "/"):
            pass


@pytest.mark.parametrize("method", ["iter_text", "iter_bytes", "iter_json"])
async def test_a_plain_loop_over_messages_says_to_write_an_async_one(method):
    async def handler(ws: WebSocket):
        await ws.accept()
        for _ in getattr(ws, method)():
            pass

    with pytest.raises(TypeError, match=f"`async for message in ws.{method}\\(\\)`"):
        async with connect(serving(handler), "/"):
            pass


@pytest.mark.parametrize("method", ["iter_text", "iter_bytes", "iter_json"])
async def test_so_does_an_await_of_messages(method):
    async def handler(ws: WebSocket):
        await ws.accept()
        async for _ in await getattr(ws, method)():
            pass

    with pytest.raises(TypeError, match=f"`async for message in ws.{method}\\(\\)`, without await"):
        async with connect(serving(handler), "/"):
            pass
