"""If something doesn't come, the test sees the connection's last events, and the tree."""

from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio
from attrs import evolve

from tests.connecting import connect, opened
from triows import Limits, Timeouts, Triows, WebSocket, WebSocketRoute
from triows.testing import ReceiveTimeout, SendTimeout, TestClient


def serving(handler, **options: Any) -> Triows:
    route = WebSocketRoute("")
    route.endpoint(handler)
    return Triows(route, **options)


async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for message in ws:
        if message != "nothing":
            await ws.send(message)


async def sit(ws: WebSocket) -> None:
    await ws.accept()
    await trio.sleep_forever()


def events_of(error: BaseException) -> list[str]:
    """The events in the text of an error."""
    first, *lines = str(error).splitlines()
    assert first.endswith("the connection's last events:")
    return [line.strip() for line in lines]


async def test_a_missed_message_comes_with_the_last_events(autojump_clock):
    async with connect(serving(echo), "/") as ws:
        await ws.send("one")
        await ws.receive()
        await trio.sleep(2)
        await ws.send(b"\x00")
        await ws.receive()
        await ws.send("nothing")
        with pytest.raises(ReceiveTimeout, match="sent nothing for 5 s") as missed:
            await ws.receive()
    assert events_of(missed.value) == [
        "0.000 s  the server accepted",
        "0.000 s  sent text 'one'",
        "0.000 s  received text 'one'",
        "2.000 s  sent bytes b'\\x00'",
        "2.000 s  received bytes b'\\x00'",
        "2.000 s  sent text 'nothing'",
        "7.000 s  now",
    ]


async def test_the_last_ten_events_are_told_and_how_many_came_before(autojump_clock):
    async with connect(serving(echo), "/") as ws:
        for number in range(20):
            await ws.send(str(number))
            await ws.receive()
        with pytest.raises(ReceiveTimeout) as missed:
            await ws.receive()
    first, *events, now = events_of(missed.value)
    assert first == "(31 earlier events)"
    assert len(events) == 10
    assert events[-1].endswith("received text '19'")
    assert now.endswith("now")


async def test_a_long_message_is_cut_short(autojump_clock):
    async with connect(serving(echo), "/") as ws:
        await ws.send("x" * 1000)
        assert f"sent text '{'x' * 60}'... (1000 in all)" in ws.events


async def test_a_missed_message_comes_with_the_tree(autojump_clock):
    async with connect(serving(echo), "/") as ws:
        with pytest.raises(ReceiveTimeout) as missed:
            await ws.receive()
    (note,) = missed.value.__notes__
    assert "1 connection" in note
    assert "async for message in ws:" in note


async def test_faults_and_control_frames_are_events_too(autojump_clock):
    app = serving(sit, timeouts=Timeouts(ping_interval=20))
    async with connect(app, "/") as ws:
        await trio.sleep(21)
        await ws.ping(b"mine")
        await ws.send_raw(b"")
        ws.delay(0.5)
        ws.stop_reading()
        ws.resume_reading()
        ws.vanish()
        events = ws.events
    for event in (
        "received ping",
        "sent ping bytes b'mine'",
        "received pong bytes b'mine'",
        "sent raw b''",
        "everything takes 0.5 s from now on",
        "stopped reading",
        "reads again",
        "vanished",
    ):
        assert event in events


async def test_the_end_is_an_event(autojump_clock):
    async def leave(ws: WebSocket) -> None:
        await ws.accept()
        await ws.close(4001, "enough")

    async with connect(serving(leave), "/") as ws:
        await ws.expect_close(4001)
        await ws.wait_over()
        assert "received close 4001 'enough'" in ws.events
        assert "the server closed the connection" in ws.events


async def test_a_message_that_does_not_fit_comes_with_the_last_events(autojump_clock):
    app = serving(sit, limits=Limits(inbox=1))

    async def flood(ws: Any) -> None:
        while True:
            await ws.send(bytes(1000))

    async with connect(app, "/", buffer=1000, timeout=3) as ws:
        with pytest.raises(SendTimeout, match="did not read for 3 s") as missed:
            await flood(ws)
    assert "sent bytes" in str(missed.value)


async def test_a_pong_that_does_not_come_fails_the_test(autojump_clock):
    app = serving(sit, limits=Limits(inbox=1))
    async with connect(app, "/") as ws:
        for _ in range(3):
            await ws.send("full")
        with pytest.raises(ReceiveTimeout, match="no pong came for 5 s"):
            await ws.ping()


async def test_an_application_that_never_answers_fails_the_test(autojump_clock):
    async def shielded(ws: WebSocket) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(100)

    async def try_to_connect() -> None:
        async with opened(serving(shielded), patience=200) as client:
            client._stage.patience = evolve(client._stage.patience, handshake=20)
            async with client.websocket_connect("/"):
                pass

    with pytest.raises(ReceiveTimeout, match="neither accepted nor refused"):
        await try_to_connect()


# Expecting


async def test_a_close_that_does_not_come_fails_the_test(autojump_clock):
    async with connect(serving(sit), "/") as ws:
        with pytest.raises(ReceiveTimeout, match="sent nothing for 2 s"):
            await ws.expect_close(timeout=2)


@pytest.mark.parametrize(
    ("expected", "complaint"),
    [
        ({"code": 1000}, "code 4001 came, 1000 was expected"),
        ({"reason": "no"}, "reason 'enough' came, 'no' was expected"),
    ],
)
async def test_another_close_fails_the_test(expected, complaint):
    async def leave(ws: WebSocket) -> None:
        await ws.accept()
        await ws.close(4001, "enough")

    async with connect(serving(leave), "/") as ws:
        with pytest.raises(AssertionError, match=complaint):
            await ws.expect_close(**expected)
        await ws.expect_close(4001, "enough")
        await ws.expect_close()


async def test_a_message_instead_of_the_close_fails_the_test():
    async with connect(serving(echo), "/") as ws:
        await ws.send("hello")
        with pytest.raises(AssertionError, match="a close was expected, and 'hello' came"):
            await ws.expect_close()


async def test_nothing_is_expected_for_so_long_on_the_clock_of_the_test(autojump_clock):
    async with connect(serving(echo), "/") as ws:
        await ws.expect_nothing(3600)
        assert trio.current_time() == 3600
        await ws.send("hello")
        assert await ws.receive() == "hello"


async def test_something_where_nothing_was_expected_fails_the_test(autojump_clock):
    async def leave(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send("hello")
        await ws.close()

    async with connect(serving(leave), "/") as ws:
        with pytest.raises(AssertionError, match="for 1 s, and 'hello' came"):
            await ws.expect_nothing(1)
        with pytest.raises(AssertionError, match="and a close with 1000 '' came"):
            await ws.expect_nothing(1)


async def test_a_connection_that_is_not_over_fails_the_test(autojump_clock):
    async with connect(serving(sit), "/") as ws:
        with pytest.raises(ReceiveTimeout, match="has not ended the connection for 3 s"):
            await ws.wait_over(timeout=3)


def test_the_synchronous_client_tells_the_same():
    with (
        TestClient(serving(echo), timeout=0.5) as client,
        client.websocket_connect("/") as ws,
    ):
        ws.send_text("nothing")
        with pytest.raises(ReceiveTimeout, match=r"sent nothing for 0\.5 s") as missed:
            ws.receive_text()
    assert [event.partition("  ")[2] for event in events_of(missed.value)] == [
        "the server accepted",
        "sent text 'nothing'",
        "now",
    ]
    assert "async for message in ws:" in missed.value.__notes__[0]


async def test_of_a_crowd_the_connection_in_question_is_shown_and_some_more(autojump_clock):
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(opened(serving(sit)))
        for _ in range(50):
            ws = await stack.enter_async_context(client.websocket_connect("/"))
        with pytest.raises(ReceiveTimeout) as missed:
            await ws.receive()
    (note,) = missed.value.__notes__
    assert "testclient:50049" in note
    assert note.count("testclient:") == 20
    assert note.endswith("(and 30 more connections)")
