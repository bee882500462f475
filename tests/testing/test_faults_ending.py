"""What the application does to its connections, and what each side sees. See ``test_faults``."""

from contextlib import AsyncExitStack

import pytest
import trio
from attrs import evolve

from tests.testing.watching import (
    TIMEOUTS,
    Seen,
    closed,
    echo,
    in_memory,
    listen,
    push,
    pushed,
    sit,
    told,
    watched,
)
from triows import Drain, WebSocket, WebSocketDisconnect
from triows.testing import WebSocketDenialResponse, open_app, open_server

# A shutdown


async def test_a_shutdown_tells_everybody_in_order(opening, clock):
    app, seen = watched(listen)
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        await ws.send("before")
        await ws.ping()
        await client.shutdown()
        await ws.expect_close(1001, "")
        assert seen.messages == ["before"]
        assert seen.end == told(1001)
        assert not app.is_running
        with pytest.raises(OSError, match=r"refused|shut down"):
            async with client.websocket_connect("/ws"):
                pytest.fail("it has been shut down")


async def test_a_shutdown_cancels_who_does_not_listen(opening, clock):
    app, seen = watched(sit)
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        await client.shutdown()
        await ws.expect_close(1001, "")
    assert seen.end == ("Cancelled", "shutdown", 1)


async def test_during_a_shutdown_newcomers_meet_a_refused_connection(opening, clock):
    app, seen = watched(sit)
    async with (
        opening(app) as client,
        client.websocket_connect("/ws") as ws,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(client.shutdown)
        await ws.expect_close(1001, "")
        with pytest.raises(ConnectionRefusedError):
            async with client.websocket_connect("/ws"):
                pytest.fail("it is shutting down")
    assert seen.end == ("Cancelled", "shutdown", 1)


async def test_the_only_server_refuses_handshakes_with_503_during_a_shutdown(opening, clock):
    app, seen = watched(sit)
    async with (
        opening(app, drain=Drain(listen=True)) as client,
        client.websocket_connect("/ws") as ws,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(client.shutdown)
        await ws.expect_close(1001, "")
        with pytest.raises(WebSocketDenialResponse) as caught:
            async with client.websocket_connect("/ws"):
                pytest.fail("it is shutting down")
        assert caught.value.status_code == 503
        assert "retry-after" in caught.value.headers
    # This is the first connection. The other one has reached no handler.
    assert seen.end == ("Cancelled", "shutdown", 1)


async def connect_after(opening, checkpoints: int, *, others: bool) -> tuple[str, int]:
    """Connect some checkpoints after a shutdown began. Return how it went, and who was served."""
    app, seen = watched(listen)

    async def connect() -> str:
        try:
            async with client.websocket_connect("/ws") as late:
                await late.expect_close(1001, "")
        except WebSocketDenialResponse as exc:
            return str(exc.status_code)
        except ConnectionRefusedError:
            return "refused"
        return "closed"

    async with opening(app) as client, AsyncExitStack() as stack:
        if others:
            other = await stack.enter_async_context(client.websocket_connect("/ws"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.shutdown)
            for _ in range(checkpoints):
                await trio.lowlevel.checkpoint()
            outcome = await connect()
        if others:
            await other.expect_close(1001, "")
    assert not app.is_running
    return outcome, seen.exits - others


@pytest.mark.unmeasured
@pytest.mark.parametrize("others", [False, True], ids=["empty", "in use"])
async def test_whoever_connects_in_a_shutdown_is_served_to_its_end_or_refused(
    autojump_clock, others
):
    # Trio's order is random, so each step is tried several times.
    outcomes = {
        await connect_after(open_app, number, others=others)
        for number in range(20)
        for _ in range(5)
    }
    assert outcomes <= {("closed", 1), ("refused", 0)}
    assert ("refused", 0) in outcomes


@pytest.mark.real_socket
async def test_on_sockets_they_are_refused_as_well():
    # Some of them have to try again after a second, because their first packet is dropped.
    numbers = range(0, 20, 4)
    outcomes = {await connect_after(open_server, number, others=False) for number in numbers}
    assert outcomes <= {("closed", 1), ("refused", 0)}


async def test_a_shutdown_amid_a_flood_tells_both_sides_1001(opening, clock):
    app, seen = watched(listen, inbox=4)
    flooded: list[int] = []

    async def flood() -> None:
        flooded.append(await ws.flood(bytes(2**13), 10**9))

    async with opening(app) as client, client.websocket_connect("/ws", buffer=2**14) as ws:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            with trio.fail_after(5):
                while len(seen.messages) < 20:
                    await trio.lowlevel.checkpoint()
            await client.shutdown()
        assert closed(ws) == (1001, "")
    assert 20 <= len(seen.messages) <= flooded[0]
    assert seen.end == told(1001)


async def test_a_shutdown_does_not_wait_for_a_peer_that_does_not_read(opening, clock):
    app, seen = watched(push, timeouts=evolve(TIMEOUTS, send=5), outbox=2**17)
    async with opening(app) as client, client.websocket_connect("/ws", buffer=2**14) as ws:
        ws.stop_reading()
        await pushed(seen)
        with trio.fail_after(1):
            await client.shutdown()
        assert closed(ws) == (None, None)
    assert seen.end == told(1001)


# A handler that is cancelled from outside


async def waits_in_its_grace(ws: WebSocket, seen: Seen) -> None:
    with pytest.raises(WebSocketDisconnect, match="1006"):
        await ws.receive()
    await trio.sleep_forever()


@pytest.mark.parametrize("handler", [sit, listen], ids=["sleep", "receive"])
async def test_a_cancelled_handler_closes_with_1001_and_rolls_back(opening, clock, handler):
    app, seen = watched(handler)
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        ws.cancel_handler()
        await ws.expect_close(1001, "")
        await ws.wait_over()
        ws.cancel_handler()  # this has no effect any more
    assert seen.end == ("Cancelled", "cancelled", 1)


async def test_a_handler_cancelled_in_send_closes_behind_what_it_has_sent(opening, clock):
    app, seen = watched(push, timeouts=evolve(TIMEOUTS, send=5, close=5), outbox=2**17)
    async with opening(app) as client, client.websocket_connect("/ws", buffer=2**14) as ws:
        ws.stop_reading()
        await pushed(seen)
        ws.cancel_handler()
        ws.resume_reading()
        for _ in seen.messages:
            assert await ws.receive() == bytes(2**18)
        await ws.expect_close(1001, "")
        await ws.wait_over()
    assert seen.end == ("Cancelled", "cancelled", 1)


async def test_a_handler_cancelled_in_its_grace_has_lost_its_peer_before(opening, clock):
    app, seen = watched(waits_in_its_grace, timeouts=evolve(TIMEOUTS, disconnect_grace=60))
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        ws.reset()
        await trio.sleep(0.02)
        ws.cancel_handler()
        await ws.wait_over(timeout=1)
        assert closed(ws) == (1006, "")
    assert seen.end == ("Cancelled", "cancelled", 1)


@in_memory
async def test_a_handler_cancelled_in_its_closing_keeps_its_own_code(opening, clock):
    async def close(ws: WebSocket, seen: Seen) -> None:
        await ws.close(4003, "bye")
        await trio.sleep_forever()

    app, seen = watched(close)
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        await ws.expect_close(4003, "bye")
        ws.cancel_handler()
        await ws.wait_over()
        assert closed(ws) == (4003, "bye")
    assert seen.end == ("Cancelled", "cancelled", 1)


async def test_only_the_handler_of_this_connection_is_cancelled(opening, clock):
    await cancel_one_of_two(opening)


async def test_of_two_connections_from_one_address_one_handler_is_cancelled(autojump_clock):
    # On sockets, the system gives each connection its own address.
    await cancel_one_of_two(open_app, client=("203.0.113.9", 50000))


async def cancel_one_of_two(opening, **options) -> None:
    app, seen = watched(echo)
    async with (
        opening(app) as client,
        client.websocket_connect("/ws", **options) as one,
        client.websocket_connect("/ws", **options) as other,
    ):
        one.cancel_handler()
        await one.expect_close(1001, "")
        await one.wait_over()
        assert seen.end == ("Cancelled", "cancelled", 1)
        await other.send("still here")
        assert await other.receive() == "still here"
        await other.close(4001, "enough")
        await other.wait_over()
        assert closed(other) == (4001, "enough")
    # Both have ended, and the other one was the last.
    assert seen.end == ((4001, "enough"), (4001, "enough"), 2)


async def test_a_handler_cancelled_before_it_accepts_is_a_503(opening, clock):
    async def cancel() -> None:
        await seen.begun.wait()
        (call,) = client._stage.calls.connections
        client._stage.alive.cancel(call)

    app, seen = watched(sit, accepts=False)
    async with opening(app) as client, trio.open_nursery() as nursery:
        nursery.start_soon(cancel)
        with pytest.raises(WebSocketDenialResponse) as caught:
            async with client.websocket_connect("/ws"):
                pytest.fail("nobody accepts")
        assert caught.value.status_code == 503
    assert seen.end == ("Cancelled", "cancelled", 1)
