import os
from typing import Annotated

import attrs
import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.connecting import opened
from tests.inspection.looking import connected, named, only, place_of, serving, tasks_below
from triows import Limits, Timeouts, Triows, WebSocket, use
from triows._inspection.inside import live
from triows.inspect import Tree, tree
from triows.testing import WebSocketDenialResponse


async def idle(ws: WebSocket) -> None:
    await ws.accept()
    await trio.sleep_forever()


async def in_room(ws: WebSocket, room: str) -> None:
    await idle(ws)


async def numbered(ws: WebSocket, number: int) -> None:
    await idle(ws)


# What a connection is


async def test_an_application_without_connections_is_an_empty_tree(autojump_clock):
    app = Triows()
    seen = tree(app)
    assert (seen.connections, seen.resources) == ((), ())
    assert (seen.running, seen.draining, seen.pid) == (False, False, os.getpid())
    assert str(seen) == f"process {os.getpid()}:  0 connections  (not running)"


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


async def test_connections_are_in_the_order_in_which_they_came(autojump_clock):
    app = serving(numbered, "{number}")
    async with connected(app, "/1"), connected(app, "/2"), connected(app, "/3"):
        assert [one.path for one in tree(app).connections] == ["/1", "/2", "/3"]


async def test_a_connection_that_is_over_is_not_in_the_tree(autojump_clock):
    app = serving(idle)
    async with opened(app):
        async with connected(app):
            assert len(tree(app).connections) == 1
        assert tree(app).connections == ()


async def test_connections_of_a_mounted_application_are_shown_with_its_path(autojump_clock):
    inner = serving(in_room, "rooms/{room}")
    app = Triows()
    app.mount("/api", inner)
    async with connected(app, "/api/rooms/1"):
        assert [one.route for one in tree(app).connections] == ["/api/rooms/{room}"]
        assert [one.route for one in tree(inner).connections] == ["/rooms/{room}"]


async def test_an_application_that_is_mounted_twice_is_looked_at_once(autojump_clock):
    inner, middle, app = serving(idle), Triows(), Triows()
    middle.mount("/inner", inner)
    app.mount("/one", inner)
    app.mount("/two", middle)
    async with connected(app, "/one"):
        assert len(tree(app).connections) == 1


async def test_a_function_that_starts_with_the_application_is_shown_while_it_runs(autojump_clock):
    async def load() -> int:
        seen.append(tree(app))
        return 1

    async def handler(ws: WebSocket, value: Annotated[int, use(load, scope="app")]) -> None: ...

    seen, app = [], serving(handler)
    async with opened(app):
        assert tree(app).resources == ()
    (resource,) = seen[0].resources
    assert (resource.name, resource.state) == (load.__qualname__, "entering")
    assert resource.source == "seen.append(tree(app))"


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


# Its tasks


async def test_a_handler_in_async_for_is_shown_at_the_loop(autojump_clock):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        async for _ in ws:  # here
            pass

    app = serving(handler)
    async with connected(app):
        await wait_all_tasks_blocked()
        (first, *_) = only(tree(app)).tasks
    assert first.where.startswith(
        f"{place_of(test_a_handler_in_async_for_is_shown_at_the_loop, 'here')} in "
    )


async def test_a_handler_deep_in_functions_of_its_own_is_shown_at_the_innermost(autojump_clock):
    async def ask(ws: WebSocket) -> str:
        return await ws.receive_text()  # here

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ask(ws)

    app = serving(handler)
    async with connected(app):
        await wait_all_tasks_blocked()
        (first, *_) = only(tree(app)).tasks
    test = test_a_handler_deep_in_functions_of_its_own_is_shown_at_the_innermost
    assert first.where.startswith(f"{place_of(test, 'here')} in ")
    functions = [frame.function.rpartition(".")[2] for frame in first.frames]
    assert functions[0] == "run"  # the connection's; the frames around it are the server's
    assert functions.index("handler") < functions.index("ask")


async def test_a_handler_may_look_at_itself(autojump_clock):
    seen = []

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        seen.append(tree(app))  # here

    app = serving(handler)
    async with connected(app):
        pass
    (first, *_) = only(seen[0]).tasks
    assert first.where.startswith(f"{place_of(test_a_handler_may_look_at_itself, 'here')} in ")


async def test_tasks_in_a_handlers_nursery_are_below_its_task(autojump_clock):
    async def background() -> None:
        await trio.sleep_forever()  # here

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(background)
            await trio.sleep_forever()

    app = serving(handler)
    async with connected(app):
        await wait_all_tasks_blocked()
        (first, *_) = only(tree(app)).tasks
    (below,) = tasks_below(first)
    here = place_of(test_tasks_in_a_handlers_nursery_are_below_its_task, "here")
    assert below.where.startswith(f"{here} in ")
    assert below.name.endswith(".background")


async def test_tasks_in_the_connections_nursery_are_below_that(autojump_clock):
    async def outer() -> None:
        async with trio.open_nursery() as inner:
            inner.start_soon(leaf)
            await trio.sleep_forever()

    async def leaf() -> None:
        await trio.sleep_forever()  # here

    async def handler(ws: WebSocket, nursery: trio.Nursery) -> None:
        await ws.accept()
        nursery.start_soon(outer)
        await trio.sleep_forever()

    app = serving(handler)
    async with connected(app):
        await wait_all_tasks_blocked()
        seen = only(tree(app))
    (middle,) = tasks_below(named(seen.tasks, "<connection nursery>"))
    (below,) = tasks_below(middle)
    here = place_of(test_tasks_in_the_connections_nursery_are_below_that, "here")
    assert below.where.startswith(f"{here} in ")


async def test_tasks_around_the_connection_are_not_the_connections(autojump_clock):
    """A test client, like a server, runs the application inside nurseries."""
    app = serving(idle)
    async with connected(app):
        seen = only(tree(app))
    assert tasks_below(seen.tasks[0]) == []


async def test_a_connection_that_makes_its_arguments_says_so(autojump_clock):
    seen = []

    async def slow() -> int:
        await trio.sleep(5)  # here
        return 1

    async def handler(ws: WebSocket, value: Annotated[int, use(slow)]) -> None:
        await ws.accept()

    app = serving(handler)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def look() -> None:
            await trio.sleep(1)
            seen.append(only(tree(app)))

        async with connected(app):
            pass
    (first, *_) = seen[0].tasks
    assert seen[0].stage == "arguments"
    here = place_of(test_a_connection_that_makes_its_arguments_says_so, "here")
    assert first.where.startswith(f"{here} in ")
    assert "making arguments" in str(seen[0])


# The tree as data


async def test_the_tree_is_the_same_after_a_way_through_json(autojump_clock):
    app = serving(idle)
    async with connected(app):
        seen = tree(app)
    assert msgspec.json.decode(msgspec.json.encode(seen), type=Tree) == seen


async def test_the_tree_is_made_of_builtins(autojump_clock):
    app = serving(idle)
    async with connected(app):
        seen = attrs.asdict(tree(app))
    assert msgspec.json.encode(seen) == msgspec.json.encode(msgspec.to_builtins(seen))


async def test_looking_leaves_nothing_behind_of_a_connection_that_is_over(autojump_clock):
    app = serving(idle)
    async with opened(app):
        async with connected(app):
            (lifetime,) = (exchange.lifetime for exchange in live(app))
            tree(app)
            assert lifetime.task is not None
        assert (lifetime.task, lifetime.tasks) == (None, None)


async def test_looking_is_refused_outside_of_trio(autojump_clock):
    def look() -> None:
        with pytest.raises(RuntimeError):
            tree(Triows())

    await trio.to_thread.run_sync(look)
