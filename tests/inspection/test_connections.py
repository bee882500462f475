"""What is shown of a connection: who it is, its state, and what waits in its queues."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.connecting import opened
from tests.inspection.looking import connected, only, place_of, serving
from triows import Limits, Timeouts, WebSocket
from triows.inspect import tree
from triows.testing import WebSocketDenialResponse


async def idle(ws: WebSocket) -> None:
    await ws.accept()
    await trio.sleep_forever()


async def in_room(ws: WebSocket, room: str) -> None:
    await idle(ws)


async def test_a_connection_is_shown_with_its_route_path_and_peer(autojump_clock):
    app = serving(in_room, "rooms/{room}")
    async with connected(app, "/rooms/7?token=secret", client=("192.0.2.1", 4321)):
        seen = only(tree(app))
    assert (seen.route, seen.path, seen.peer) == ("/rooms/{room}", "/rooms/7", "192.0.2.1:4321")
    assert "secret" not in str(seen)


async def test_a_connection_is_shown_with_the_place_of_its_handler(autojump_clock):
    app = serving(idle)
    async with connected(app):
        assert only(tree(app)).handler.endswith(f"{__file__}:{idle.__code__.co_firstlineno} (idle)")


async def test_the_age_is_that_on_trios_clock(autojump_clock):
    app = serving(idle)
    async with connected(app):
        await trio.sleep(90)
        assert only(tree(app)).age == pytest.approx(90)


# Its state


async def test_a_connection_whose_handler_is_over_is_ending_until_its_peer_has_answered(
    autojump_clock,
):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await trio.sleep(1)

    app = serving(handler)
    async with connected(app) as client:
        client.stop_reading()
        await trio.sleep(2)
        seen = only(tree(app))
    assert (seen.state, seen.stage) == ("closing", "end")


async def test_a_connection_is_in_its_handshake_until_it_is_accepted(autojump_clock):
    seen = []

    async def handler(ws: WebSocket) -> None:
        seen.append(only(tree(app)).state)
        await ws.accept()
        seen.append(only(tree(app)).state)

    app = serving(handler)
    async with connected(app):
        await wait_all_tasks_blocked()
    assert seen == ["handshake", "open"]


async def test_a_connection_that_has_closed_says_how_while_its_handler_goes_on(autojump_clock):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.close(4000, "enough\x1b[2J")
        await trio.sleep(10)

    app = serving(handler)
    async with connected(app):
        await wait_all_tasks_blocked()
        seen = only(tree(app))
    assert (seen.state, seen.code, seen.reason) == ("closing", 4000, "enough\\x1b[2J")
    assert "closing 4000  (enough\\x1b[2J)" in str(seen)


async def test_a_connection_that_was_refused_shows_the_status_while_its_handler_goes_on(
    autojump_clock,
):
    async def handler(ws: WebSocket) -> None:
        await ws.reject(451)
        seen.append(only(tree(app)))

    seen, app = [], serving(handler)
    with pytest.raises(WebSocketDenialResponse):
        async with opened(app, patience=60), connected(app):
            pass
    assert (seen[0].state, seen[0].code) == ("refused", 451)


async def test_a_handler_in_its_grace_is_shown_with_what_is_left_of_it(autojump_clock):
    app = serving(idle, timeouts=Timeouts(disconnect_grace=10))
    async with connected(app) as client:
        await client.close(1001)
        await trio.sleep(4)
        seen = only(tree(app))
    assert (seen.state, seen.code, seen.ending, seen.cancelled) == (
        "closing",
        1001,
        "peer gone",
        None,
    )
    assert seen.grace == pytest.approx(6)
    assert "peer gone, 6.0 s left" in str(seen)


async def test_a_handler_that_was_cancelled_is_shown_with_the_reason_and_where_it_cleans_up(
    autojump_clock,
):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(100)  # cleaning up

    app = serving(handler, timeouts=Timeouts(disconnect_grace=1))
    async with opened(app, patience=200), connected(app) as client:
        await client.close()
        await trio.sleep(5)
        seen = only(tree(app))
    test = test_a_handler_that_was_cancelled_is_shown_with_the_reason_and_where_it_cleans_up
    assert (seen.cancelled, seen.stage) == ("peer gone", "handler")
    assert seen.tasks[0].where.startswith(f"{place_of(test, 'cleaning up')} in ")
    assert "cancelled: peer gone" in str(seen)


async def test_a_handshake_that_takes_too_long_is_shown_as_cancelled_by_its_timeout(autojump_clock):
    seen = []

    async def handler(ws: WebSocket) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(50)
            seen.append(only(tree(app)))

    app = serving(handler, timeouts=Timeouts(accept=3))
    with pytest.raises(WebSocketDenialResponse):
        async with opened(app, patience=60), connected(app):
            pass
    assert (seen[0].state, seen[0].cancelled) == ("handshake", "timeout")


async def test_a_shutdown_is_seen_in_the_tree_and_in_its_connections(autojump_clock):
    app = serving(idle)
    async with connected(app), trio.open_nursery() as nursery:
        nursery.start_soon(app.drain)
        await wait_all_tasks_blocked()
        seen = tree(app)
    assert seen.draining
    assert (only(seen).code, only(seen).ending) == (1001, "shutdown")
    assert "(shutting down)" in str(seen)


# Its queues


async def test_a_full_inbox_is_shown_with_what_waits_in_it(autojump_clock):
    app = serving(idle, limits=Limits(inbox=3))
    async with connected(app) as client:
        for _ in range(4):
            await client.send("four")
        await wait_all_tasks_blocked()
        seen = only(tree(app))
    assert (seen.inbox_messages, seen.inbox_bytes, seen.inbox_full) == (3, 12, True)
    assert "inbox 3 messages (12 bytes)  full" in str(seen)


async def test_an_empty_inbox_is_not_full(autojump_clock):
    app = serving(idle)
    async with connected(app):
        seen = only(tree(app))
    assert (seen.inbox_messages, seen.inbox_full) == (0, False)


async def test_a_full_outbox_is_shown_with_the_send_that_waits_for_it(autojump_clock):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        while True:
            await ws.send("x" * 1000)  # waits

    app = serving(handler)
    async with connected(app, buffer=1000) as client:
        client.stop_reading()
        await wait_all_tasks_blocked()
        seen = only(tree(app))
    assert app.limits.outbox - 2000 < seen.outbox_bytes <= app.limits.outbox
    here = place_of(test_a_full_outbox_is_shown_with_the_send_that_waits_for_it, "waits")
    assert seen.tasks[0].where.startswith(f"{here} in ")


async def test_what_has_passed_is_counted(autojump_clock):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        async for message in ws:
            await ws.send(message * 2)

    app = serving(handler)
    async with connected(app) as client:
        await client.send("abc")
        await client.receive()
        seen = only(tree(app))
    assert (seen.messages_received, seen.bytes_received) == (1, 3)
    assert (seen.messages_sent, seen.bytes_sent) == (1, 6)


# As text


async def test_the_text_of_a_connection_says_what_it_does(autojump_clock):
    async def handler(ws: WebSocket, room: str) -> None:
        await ws.accept()
        await ws.receive()
        await ws.send("hello")
        await trio.sleep_forever()

    app = serving(handler, "rooms/{room}")
    async with connected(app, "/rooms/7", client=("192.0.2.1", 4321)) as client:
        await client.send("abc")
        await client.send("d")
        assert await client.receive() == "hello"
        await trio.sleep(2)
        text = str(only(tree(app))).split("\n")
    assert text[0] == "/rooms/{room}  /rooms/7  192.0.2.1:4321  open  2.0 s"
    assert text[1].strip("├─ ").startswith("handler  ")
    assert text[2].strip("├─ ") == (
        "inbox 1 message (1 byte)  outbox 0 bytes  received 2 (4 bytes)  sent 1 (5 bytes)"
    )


async def test_the_text_says_how_and_why_a_connection_ends(autojump_clock):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.close(4001, "enough")
        await trio.sleep_forever()

    app = serving(handler, timeouts=Timeouts(shutdown_grace=10))
    async with opened(app) as client, trio.open_nursery() as nursery, connected(app):
        await wait_all_tasks_blocked()
        nursery.start_soon(client.shutdown)
        await trio.sleep(0.5)
        assert "  closing 4001  (enough)  shutdown, 9.5 s left  " in str(only(tree(app)))


async def test_the_text_has_no_second_path_where_the_route_has_no_parameter(autojump_clock):
    app = serving(idle, "rooms")
    async with connected(app, "/rooms"):
        assert str(only(tree(app))).startswith("/rooms  testclient:50000  open")


# Its tasks


async def test_the_task_that_writes_what_waits_is_shown_with_its_connection(autojump_clock):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        while True:
            await ws.send(bytes(2**20))

    app = serving(handler)
    async with connected(app) as client:
        client.stop_reading()
        await wait_all_tasks_blocked()
        names = [task.name for task in only(tree(app)).tasks]
        assert names == [handler.__qualname__, "<triows writer>"]


async def test_a_connection_for_which_nothing_waits_has_no_task_that_writes(autojump_clock):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        for _ in range(4):
            await ws.send(bytes(2**20))
        await trio.sleep_forever()

    app = serving(handler)
    async with connected(app) as client:
        for _ in range(4):
            await client.receive_bytes()
        assert len(only(tree(app)).tasks) == 1
