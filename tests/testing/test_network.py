"""A network that misbehaves, as far as TCP lets it."""

import re
from contextlib import suppress

import httpx2
import pytest
import trio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse

from triows import Timeouts, Triows, WebSocket, WebSocketDisconnect, WebSocketRoute
from triows.testing import (
    AppClient,
    HTTPDisconnect,
    Network,
    ReceiveTimeout,
    WebSocketDenialResponse,
    open_app,
)
from triows.testing._memory import MemoryEnd
from triows.testing._network import Transit

BROKEN = (WebSocketDisconnect, WebSocketDenialResponse, trio.BrokenResourceError)

#: Two bytes, and more than the connection of a test holds.
MESSAGES = ["hi", b"\0\1", "ü" * 100, bytes(200_000), ""]


def echo_app(**settings: object) -> Triows:
    route = WebSocketRoute("echo")

    @route.endpoint
    async def echo(ws: WebSocket) -> None:
        await ws.accept()
        async for message in ws:
            await ws.send(message)

    return Triows(route, **settings)


async def echoed(network: Network, **options: object) -> list[object]:
    async with (
        open_app(echo_app(), network=network, timeout=1000) as client,
        client.websocket_connect("/echo", **options) as ws,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(send_all, ws)
        return [await ws.receive() for _ in MESSAGES]


async def send_all(ws) -> None:
    for message in MESSAGES:
        await ws.send(message)


@pytest.mark.schedules(20)
async def test_all_messages_arrive_whole_and_in_order(autojump_clock):
    assert await echoed(Network(stalls=0.1, stall=2)) == MESSAGES


@pytest.mark.schedules(5)
async def test_pieces_may_be_cut_anywhere_without_a_delay(autojump_clock):
    assert await echoed(Network(delay=0)) == MESSAGES


@pytest.mark.schedules(3)
async def test_byte_after_byte_is_as_good_as_all_at_once(autojump_clock):
    async with (
        open_app(echo_app(), network=Network(piece=1, delay=0)) as client,
        client.websocket_connect("/echo") as ws,
    ):
        for message in ("hello", b"\0" * 300, "ü"):
            await ws.send(message)
            assert await ws.receive() == message


async def test_a_read_gets_so_many_bytes_at_most(autojump_clock):
    async with trio.open_nursery() as nursery:
        transit = Transit(Network(piece=3))
        await nursery.start(transit.run)
        to_server, to_client = transit.pipes(500)
        client, server = MemoryEnd(to_client, to_server), MemoryEnd(to_server, to_client)
        await client.send_all(b"hello")
        await trio.sleep(1)
        assert [await server.receive_some() for _ in range(2)] == [b"hel", b"lo"]
        nursery.cancel_scope.cancel()


async def test_everything_takes_its_time(autojump_clock):
    async with (
        open_app(echo_app(), network=Network(delay=3), timeout=100) as client,
        client.websocket_connect("/echo") as ws,
    ):
        began = trio.current_time()
        await ws.send("hello")
        await ws.receive()
        assert trio.current_time() - began == pytest.approx(6)


async def first_of_two() -> str:
    first: list[str] = []
    both = trio.Event()
    route = WebSocketRoute("{name}")

    @route.endpoint
    async def note(ws: WebSocket, name: str) -> None:
        await ws.accept()
        await ws.receive()
        if first:
            both.set()
        first.append(name)

    async with (
        open_app(Triows(route), network=Network()) as client,
        client.websocket_connect("/ada") as ada,
        client.websocket_connect("/ben") as ben,
    ):
        await ada.send("me first")
        await ben.send("and me")
        await both.wait()
    return first[0]


async def test_messages_of_two_connections_overtake_each_other(autojump_clock):
    assert {await first_of_two() for _ in range(30)} == {"ada", "ben"}


async def exchange(client: AppClient) -> None:
    """Send and receive more than a connection that breaks carries."""
    async with client.websocket_connect("/echo") as ws:
        for _ in range(100):
            await ws.send(bytes(1000))
            await ws.receive()


@pytest.mark.schedules(30)
async def test_a_connection_that_is_to_break_breaks_for_both_sides(autojump_clock):
    ends: list[str] = []
    route = WebSocketRoute("echo")

    @route.endpoint
    async def echo(ws: WebSocket) -> None:
        try:
            await ws.accept()
            async for message in ws:
                await ws.send(message)
        finally:
            ends.append("over")

    async with open_app(Triows(route), network=Network(resets=1)) as client:
        with pytest.raises(BROKEN):
            await exchange(client)
    assert ends in ([], ["over"])  # none if it broke within the request


@pytest.mark.schedules(30)
async def test_a_half_close_ends_what_the_server_gets(autojump_clock):
    async with open_app(echo_app(), network=Network(half_closes=1)) as client:
        with pytest.raises(BROKEN):
            await exchange(client)


async def test_a_network_that_stalls_looks_like_a_peer_that_is_gone(autojump_clock):
    app = echo_app(timeouts=Timeouts(handshake=100, accept=100, ping_timeout=10))
    stalled = Network(delay=0, stalls=1, stall=15)
    async with (
        open_app(app, network=stalled, timeout=100) as client,
        client.websocket_connect("/echo") as ws,
    ):
        with pytest.raises(WebSocketDisconnect) as caught:
            await ws.receive()
    assert caught.value.code == 1011


# Slow networks.


async def answered(network: Network, **options: object) -> list[str]:
    """Send three messages, and receive them, as a test does that sets no timeout."""
    async with (
        open_app(echo_app(**options), network=network) as client,
        client.websocket_connect("/echo") as ws,
    ):
        for number in ("1", "2", "3"):
            await ws.send(number)
        return [str(await ws.receive()) for _ in range(3)]


@pytest.mark.parametrize("stall", [3, 6, 9])
@pytest.mark.schedules(30)
async def test_the_client_waits_as_long_as_the_network_takes(stall, autojump_clock):
    assert await answered(Network(stalls=0.3, stall=stall)) == ["1", "2", "3"]


@pytest.mark.schedules(30)
async def test_stalls_of_the_usual_length_break_no_timeout(autojump_clock):
    assert await answered(Network(stalls=0.5)) == ["1", "2", "3"]


async def test_longer_timeouts_of_the_application_are_enough_for_a_slower_network(autojump_clock):
    patient = Timeouts(handshake=100, ping_timeout=200)
    assert await answered(Network(delay=60), timeouts=patient) == ["1", "2", "3"]


async def test_a_timeout_that_the_test_has_set_stays_as_it_is(autojump_clock):
    network = Network(delay=6)
    async with (
        open_app(echo_app(), network=network, timeout=3) as client,
        client.websocket_connect("/echo") as ws,
    ):
        for timeout in (None, 2):
            await ws.send("hello")
            with pytest.raises(ReceiveTimeout, match=f"nothing for {timeout or 3} s") as told:
                await ws.receive(timeout)
            note = "a round trip of the test's network takes up to 12 s"
            assert told.value.__notes__[0] == note


async def test_the_patience_of_a_test_is_not_the_time_that_the_network_takes(autojump_clock):
    timeouts = Timeouts(accept=1)
    async with (
        open_app(echo_app(timeouts=timeouts), network=Network(delay=8), patience=9) as client,
        client.websocket_connect("/echo") as ws,
    ):
        await ws.send("hello")
        assert await ws.receive() == "hello"


async def connected(network: Network) -> None:
    async with (
        open_app(echo_app(), network=network) as client,
        client.websocket_connect("/echo"),
    ):
        raise AssertionError("it is connected")


async def test_a_request_that_comes_too_late_is_told_with_the_limit(autojump_clock):
    with pytest.raises(WebSocketDisconnect) as told:
        await connected(Network(delay=(11, 12)))
    assert str(told.value) == (
        "1006 neither accepted nor refused: the server waits 10 s for a request "
        "(Timeouts.handshake), and the test's network takes up to 12 s"
    )


async def test_a_server_that_cuts_a_slow_connection_is_told_with_its_limits(autojump_clock):
    app = echo_app(timeouts=Timeouts(handshake=100))
    async with (
        open_app(app, network=Network(delay=60)) as client,
        client.websocket_connect("/echo") as ws,
    ):
        with pytest.raises(WebSocketDisconnect) as told:
            await ws.send("hello")
    assert str(told.value) == (
        "1006 the server cut the connection, maybe because a timeout had passed: a round trip of "
        "the test's network takes up to 120 s, which is longer than Timeouts.ping_timeout (20 s), "
        "Timeouts.send (30 s), Timeouts.close (5 s)"
    )


async def test_a_reset_of_the_client_has_no_other_cause(autojump_clock):
    async with (
        open_app(echo_app(), network=Network(delay=8)) as client,
        client.websocket_connect("/echo") as ws,
    ):
        ws.reset()
        with pytest.raises(WebSocketDisconnect, match=r"^1006$"):
            await ws.receive()


RESET = "the test's network reset the connection"
ENDED = "the test's network ended the client's direction of the connection"


@pytest.mark.parametrize(
    ("network", "cause"), [(Network(resets=1), RESET), (Network(half_closes=1), ENDED)]
)
@pytest.mark.schedules(30)
async def test_a_connection_that_the_network_breaks_says_so(network, cause, autojump_clock):
    async with open_app(echo_app(), network=network) as client:
        with pytest.raises(WebSocketDisconnect) as told:
            await exchange(client)
    assert cause in str(told.value) or told.value.__notes__ == [cause]


@pytest.mark.schedules(20)
async def test_nothing_is_lost_before_the_end(autojump_clock):
    async with trio.open_nursery() as nursery:
        transit = Transit(Network(stalls=0.2))
        await nursery.start(transit.run)
        to_server, to_client = transit.pipes(500)
        client, server = MemoryEnd(to_client, to_server), MemoryEnd(to_server, to_client)

        async def send() -> None:
            for number in range(50):
                await client.send_all(bytes([number]) * number)
            client.send_eof()

        nursery.start_soon(send)
        got = b""
        while data := await server.receive_some():
            got += data
        assert got == b"".join(bytes([number]) * number for number in range(50))
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"piece": 0}, "Network.piece is a number of bytes, 1 or more, or None, not 0"),
        ({"piece": 1.5}, "Network.piece is a number of bytes, 1 or more, or None, not 1.5"),
        ({"resets": 2}, "Network.resets is a probability, from 0 to 1, not 2"),
        ({"stalls": "often"}, "Network.stalls is a probability, from 0 to 1, not 'often'"),
        ({"half_closes": -1}, "Network.half_closes is a probability, from 0 to 1, not -1"),
        ({"stall": float("inf")}, "Network.stall is a number of seconds, not inf"),
        ({"stall": 10**20}, f"Network.stall is a number of seconds, not {10**20}"),
        (
            {"delay": 10**400},
            "Network.delay is a number of seconds, or the least and the most of them, such as "
            f"(0, 0.1), not ({10**400}, {10**400})",
        ),
        (
            {"delay": (2, 1)},
            "Network.delay is a number of seconds, or the least and the most of them, such as "
            "(0, 0.1), not (2, 1)",
        ),
        (
            {"delay": -1},
            "Network.delay is a number of seconds, or the least and the most of them, such as "
            "(0, 0.1), not (-1, -1)",
        ),
    ],
)
def test_numbers_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=re.escape(message) + "$"):
        Network(**options)


@pytest.mark.parametrize("network", [{"delay": (0, 2)}, Network, True])
async def test_something_that_is_no_network_is_refused(network):
    with pytest.raises(TypeError, match=r"network=Network\(delay=\(0, 2\)\), not network="):
        async with open_app(echo_app(), network=network):
            raise AssertionError


# Plain requests.


async def shout(scope, receive, send) -> None:
    with suppress(ClientDisconnect):
        body = await Request(scope, receive).body()
        await PlainTextResponse(body.upper())(scope, receive, send)


def http_app(**settings: object) -> Triows:
    app = Triows(**settings)
    app.mount("/", shout)
    return app


@pytest.mark.schedules(20)
async def test_requests_and_responses_arrive_whole(autojump_clock):
    network = Network(stalls=0.1, stall=2)
    async with open_app(http_app(), network=network, timeout=1000) as client:
        for size in (0, 10, 200_000):
            response = await client.post("/", content=b"x" * size)
            assert response.content == b"X" * size


async def test_a_request_takes_the_time_of_the_network(autojump_clock):
    async with open_app(http_app(), network=Network(delay=3)) as client:
        started = trio.current_time()
        assert (await client.get("/")).status_code == 200
        assert trio.current_time() == started + 6


@pytest.mark.schedules(10)
async def test_a_request_whose_connection_breaks_says_so(autojump_clock):
    async with open_app(http_app(), network=Network(resets=1)) as client:
        with pytest.raises(httpx2.ReadError, match="the test's network"):
            await client.post("/", content=bytes(2**14))
        with pytest.raises(HTTPDisconnect, match="the test's network"):
            async with client.stream("POST", "/", content=bytes(2**14)) as response:
                await response.read()


@pytest.mark.schedules(10)
async def test_a_request_that_is_cut_is_a_bad_one_for_the_server(autojump_clock):
    async with open_app(http_app(), network=Network(half_closes=1)) as client:
        try:
            assert (await client.post("/", content=bytes(2**14))).status_code == 400
        except httpx2.ReadError as exc:
            assert "the test's network" in str(exc)  # noqa: PT017 - it was cut within its head


async def test_a_plain_request_that_comes_too_late_is_told_with_the_limit(autojump_clock):
    too_late = (
        "the server waits 10 s for a request (Timeouts.handshake), and the test's network takes "
        "up to 12 s"
    )
    async with open_app(http_app(), network=Network(delay=(11, 12))) as client:
        with pytest.raises(httpx2.ReadError, match=re.escape(too_late)):
            await client.get("/")
        with pytest.raises(HTTPDisconnect, match=re.escape(too_late)):
            async with client.stream("GET", "/"):
                pytest.fail("it came in time")
