"""A WebSocket that is used in another loop than its own: `trio.run(ws.send, ...)` in a thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.connecting import connect
from tests.transports.scripted_wire import ScriptedWire, accepted, opened
from triows import Limits, Triows, WebSocket, WebSocketDisconnect, WebSocketRoute
from triows._reply import Reply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

REMEDY = r"write `trio.from_thread.run\(ws.send, message\)` in place of `trio.run`"


async def elsewhere(function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    """Call an async function in a loop of its own, in a thread."""
    return await trio.to_thread.run_sync(partial(trio.run, function, *args))


def elsewhere_at_once(function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    """Do the same without a turn for this loop meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(trio.run, function, *args).result()


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("receive", ()),
        ("send", ("x" * 2**20,)),
        ("ping", ()),
        ("close", (1000, "")),
    ],
)
async def test_what_would_wait_in_another_loop_is_refused_and_does_no_harm(method, arguments):
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        with pytest.raises(RuntimeError, match=REMEDY):
            await elsewhere(getattr(transport, method), *arguments)
        assert (wire.body, transport.ended) == (b"", None)
        await transport.send("a")
        assert wire.messages == [b"a"]


async def test_a_handshake_is_not_accepted_in_another_loop():
    wire = ScriptedWire()
    async with opened(wire) as transport:
        with pytest.raises(RuntimeError, match=REMEDY):
            await elsewhere(transport.accept, None, ())
        assert not transport.accepted
        await transport.accept(None, ())
        assert transport.accepted


async def test_a_handshake_is_not_refused_in_another_loop():
    wire = ScriptedWire()
    async with opened(wire) as transport:
        with pytest.raises(RuntimeError, match=REMEDY):
            await elsewhere(transport.reject, Reply(403, (), b""))
        assert transport.ended is None
        await transport.accept(None, ())
        assert transport.accepted


async def test_a_small_message_of_another_loop_that_has_begun_goes_out_whole():
    wire = ScriptedWire(room=3)
    async with accepted(wire) as transport:
        await elsewhere(transport.send, "12345678")
        with pytest.raises(RuntimeError, match=REMEDY):
            await elsewhere(transport.send, "b")  # it would have to wait
        await transport.send("c")
        wire.take()
        await wait_all_tasks_blocked()
        assert wire.messages == [b"12345678", b"c"]


async def test_a_message_of_another_loop_is_refused_while_others_are_held_back():
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        await transport.send("a")
        await transport.send("b")
        with pytest.raises(RuntimeError, match=REMEDY):
            elsewhere_at_once(transport.send, "c")
        await wait_all_tasks_blocked()
        assert wire.messages == [b"a", b"b"]


async def test_a_message_of_another_loop_that_finds_the_connection_broken_ends_it():
    wire = ScriptedWire()
    async with accepted(wire) as transport, trio.open_nursery() as nursery:

        async def receive() -> None:
            with pytest.raises(WebSocketDisconnect):
                await transport.receive()

        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        wire.is_broken = True
        with suppress(WebSocketDisconnect):  # if its own loop is faster
            await elsewhere(transport.send, "a")


async def test_another_loop_that_takes_a_message_makes_room_for_the_next():
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        while ws.statistics().inbox_messages < 2:
            await trio.lowlevel.checkpoint()
        for _ in range(2):
            await ws.send(await elsewhere(ws.receive))
        await ws.send(await ws.receive())

    route = WebSocketRoute("")
    route.endpoint(handler)
    app = Triows(route, limits=Limits(inbox=2))
    async with connect(app, "/") as client:
        for number in range(3):
            await client.send(str(number))
        assert [await client.receive() for _ in range(3)] == ["0", "1", "2"]


async def test_a_handler_whose_thread_used_another_loop_goes_on():
    route = WebSocketRoute("")
    big = "x" * 2**20

    @route.endpoint
    async def handler(ws: WebSocket) -> None:
        def work() -> None:
            for call in (partial(ws.send_text, big), ws.receive_text):
                with pytest.raises(RuntimeError, match=REMEDY):
                    trio.run(call)
            trio.from_thread.run(ws.send_text, big)

        await ws.accept()
        await trio.to_thread.run_sync(work)
        await ws.send(await ws.receive())

    async with connect(Triows(route), "/") as client:
        assert await client.receive() == big
        await client.send("hi")
        assert await client.receive() == "hi"
