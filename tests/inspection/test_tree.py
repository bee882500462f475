import os
from typing import Annotated

import attrs
import msgspec
import pytest
import trio

from tests.connecting import opened
from tests.inspection.looking import connected, serving
from triows import Triows, WebSocket, use
from triows._inspection.inside import live
from triows.inspect import Tree, tree


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
