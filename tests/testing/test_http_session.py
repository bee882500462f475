"""Plain requests that are made step by step, in memory and on sockets, and their faults."""

import pytest
import trio
from attrs import evolve
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.testing.watching import in_memory
from triows import Timeouts, Triows
from triows.testing import HTTPDisconnect, ReceiveTimeout, SendTimeout, open_app

TIMEOUTS = Timeouts(send=0.5, disconnect_grace=0.4, close=0.2, shutdown_grace=0.4, teardown=1)

START = {"type": "http.response.start", "status": 200, "headers": []}


class Boom(Exception):
    pass


class Seen:
    """What the application has noticed of a request."""

    def __init__(self):
        self.parts = []
        self.end = None
        self.go_on = trio.Event()


def serving(app, timeouts=TIMEOUTS):
    served = Triows(timeouts=timeouts)
    served.mount("/", app)
    return served


def telling(function, timeouts=TIMEOUTS):
    """Mount an ASGI application that notes in the second value what it sees."""
    seen = Seen()

    async def app(scope, receive, send):
        try:
            await function(seen, receive, send)
            seen.end = "returned"
        except BaseException as exc:
            seen.end = type(exc).__name__
            raise

    return serving(app, timeouts), seen


async def take(seen, receive, send):
    """Read the body part by part, and answer when it is complete or cut."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            seen.parts.append("disconnect")
            return
        seen.parts.append(message["body"])
        if not message.get("more_body"):
            break
    await send(START | {"status": 201})
    await send({"type": "http.response.body", "body": b"thanks"})


async def tick(seen, receive, send):
    await send(START)
    while True:
        await send({"type": "http.response.body", "body": b"tick", "more_body": True})
        await trio.sleep(0.05)


async def push(seen, receive, send):
    await send(START)
    while True:
        await send({"type": "http.response.body", "body": bytes(2**14), "more_body": True})


async def sit(seen, receive, send):
    await send(START)
    await send({"type": "http.response.body", "more_body": True})  # sends the head
    await trio.sleep_forever()


async def listen(seen, receive, send):
    await send(START)
    await send({"type": "http.response.body", "body": b"hello", "more_body": True})
    while (await receive())["type"] != "http.disconnect":
        pass
    seen.parts.append("disconnect")


# Step by step


async def test_a_body_is_sent_and_a_response_read_part_by_part(opening, clock):
    async def echo(seen, receive, send):
        await send(START | {"status": 207})
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            part = {"body": message["body"].upper(), "more_body": more}
            await send({"type": "http.response.body", **part})

    app, _ = telling(echo)
    async with opening(app) as client, client.stream("POST", "/", sending=True) as request:
        await request.send(b"one")
        assert await request.receive_head() == request.status_code == 207
        assert await request.receive() == b"ONE"
        await request.send(b"two")
        assert await request.receive() == b"TWO"
        await request.send_end()
        assert await request.receive() == b""
        assert request.headers["transfer-encoding"] == "chunked"


async def test_a_response_comes_while_it_is_sent(opening, clock):
    async def two(seen, receive, send):
        await send(START)
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await seen.go_on.wait()
        await send({"type": "http.response.body", "body": b"second"})

    app, seen = telling(two)
    async with opening(app) as client, client.stream("GET", "/") as response:
        parts = []
        async for part in response:
            parts.append(part)
            seen.go_on.set()
    assert parts == [b"first", b"second"]


async def test_a_whole_body_is_sent_at_once(opening, clock):
    app, seen = telling(take)
    async with opening(app) as client, client.stream("POST", "/", json=[1]) as response:
        assert response.status_code == 201
        assert await response.read() == b"thanks"
    assert b"".join(seen.parts) == b"[1]"


async def test_a_body_with_a_length_is_sent_as_it_is(opening, clock):
    app, seen = telling(take)
    headers = {"content-length": "6"}
    async with (
        opening(app) as client,
        client.stream("POST", "/", sending=True, headers=headers) as request,
    ):
        await request.send(b"one")
        with pytest.raises(ValueError, match="Too much data"):
            await request.send(b"three")
    assert seen.parts[-1] == "disconnect"


async def test_bytes_can_be_sent_as_they_are(opening, clock):
    app, _ = telling(take)
    async with opening(app) as client, client.stream("POST", "/", sending=True) as request:
        await request.send_raw(b"no chunk\r\n")
        assert await request.receive_head() == 400


async def test_a_response_sets_cookies_of_the_client(opening, clock):
    async def login(request):
        response = PlainTextResponse("welcome")
        response.set_cookie("session", "ada")
        return response

    async def me(request):
        return PlainTextResponse(request.cookies["session"])

    app = serving(Starlette(routes=[Route("/login", login), Route("/me", me)]))
    async with opening(app) as client:
        async with client.stream("GET", "/login"):
            pass
        async with client.stream("GET", "/me") as response:
            assert await response.read() == b"ada"


async def test_what_is_not_there_yet_says_what_to_wait_for(opening, clock):
    app, _ = telling(take)
    async with opening(app) as client, client.stream("POST", "/", sending=True) as request:
        with pytest.raises(RuntimeError, match="await receive_head"):
            _ = request.status_code
        with pytest.raises(TypeError, match="a part of a body is bytes, not 'text'"):
            await request.send("text")
        with pytest.raises(TypeError, match="async for"):
            list(request)


@in_memory
async def test_the_address_of_the_peer_can_be_chosen(opening, clock):
    async def who(scope, receive, send):
        await PlainTextResponse(scope["client"][0])(scope, receive, send)

    async with (
        opening(serving(who)) as client,
        client.stream("GET", "/", client=("10.0.0.1", 1)) as response,
    ):
        assert await response.read() == b"10.0.0.1"


# Time


async def test_a_response_that_does_not_begin_fails_in_time_and_shows_where_it_is(opening, clock):
    async def silent(seen, receive, send):
        await trio.sleep_forever()

    app, seen = telling(silent)
    with pytest.raises(ReceiveTimeout, match=r"has not answered for 0.1 s") as caught:
        async with opening(app) as client, client.stream("GET", "/", timeout=0.1):
            pytest.fail("it has no head")
    assert "sent GET /" in str(caught.value)
    assert "silent" in caught.value.__notes__[0]
    assert seen.end == "Cancelled"


async def test_a_part_that_does_not_come_fails_in_time(opening, clock):
    app, seen = telling(listen)
    async with opening(app) as client, client.stream("GET", "/") as response:
        assert await response.receive() == b"hello"
        await response.expect_nothing(0.1)
        with pytest.raises(ReceiveTimeout, match=r"sent nothing for 0.1 s"):
            await response.receive(timeout=0.1)
        assert "received bytes b'hello'" in response.events
    assert seen.parts == ["disconnect"]


async def test_a_part_that_should_not_come_is_told(opening, clock):
    app, _ = telling(tick)
    async with opening(app) as client, client.stream("GET", "/") as response:
        with pytest.raises(AssertionError, match="nothing was expected for 1 s, and b'tick' came"):
            await response.expect_nothing(1)


async def test_a_body_that_nobody_reads_fails_in_time(opening, clock):
    async def deaf(seen, receive, send):
        await trio.sleep_forever()

    app, _ = telling(deaf)
    with pytest.raises(SendTimeout, match=r"did not read for 0.2 s"):  # noqa: PT012 - any of them
        async with (
            opening(app) as client,
            client.stream("POST", "/", sending=True, timeout=0.2) as request,
        ):
            for _ in range(1000):
                await request.send(bytes(2**16))


async def test_an_application_that_goes_on_behind_its_response_is_waited_for(opening, clock):
    done = []

    async def later():
        await trio.sleep(0.1)
        done.append("done")

    async def page(request):
        return PlainTextResponse("started", background=BackgroundTask(later))

    app = serving(Starlette(routes=[Route("/", page)]))
    async with opening(app) as client:
        async with client.stream("GET", "/") as response:
            assert await response.read() == b"started"
        assert done == ["done"]


async def test_an_application_that_does_not_end_behind_its_client_is_told_and_cancelled(
    opening, clock
):
    app, seen = telling(sit)
    with pytest.raises(ReceiveTimeout, match=r"has not finished with the request for 0.2 s"):
        async with opening(app, timeout=0.2) as client, client.stream("GET", "/"):
            pass
    assert seen.end == "Cancelled"


# Errors


async def test_an_error_of_the_application_is_raised_at_the_end_of_the_block(opening, clock):
    async def fail(seen, receive, send):
        await send(START)
        await send({"type": "http.response.body", "body": b"a part", "more_body": True})
        raise Boom

    app, _ = telling(fail)
    with pytest.raises(Boom):  # noqa: PT012 - the end of the block raises it
        async with opening(app) as client, client.stream("GET", "/") as response:
            assert await response.receive() == b"a part"
            await response.receive()  # the end of the connection is a consequence
            pytest.fail("nothing comes")


async def test_half_a_response_says_so(opening, clock):
    async def half(seen, receive, send):
        await send(START)
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    app, _ = telling(half)
    with pytest.raises(HTTPDisconnect, match="stopped before its response was complete"):
        async with opening(app) as client, client.stream("GET", "/") as response:
            await response.read()


async def test_a_request_after_a_shutdown_is_refused(opening, clock):
    app, _ = telling(take)
    async with opening(app) as client:
        await client.shutdown()
        with pytest.raises(ConnectionRefusedError):
            async with client.stream("GET", "/"):
                pytest.fail("it is over")


# A client that leaves, and other faults


@pytest.mark.parametrize("leave", ["close", "reset"])
async def test_a_client_that_leaves_in_the_middle_of_a_response_is_one_call(leave, opening, clock):
    app, seen = telling(listen)
    async with opening(app) as client, client.stream("GET", "/") as response:
        assert await response.receive() == b"hello"
        getattr(response, leave)()
        await response.wait_over()
        with pytest.raises(HTTPDisconnect):
            await response.receive()
    assert (seen.parts, seen.end) == (["disconnect"], "returned")


@pytest.mark.parametrize("leave", ["close", "reset", "send_eof"])
async def test_a_client_that_leaves_in_the_middle_of_its_body_is_one_call(leave, opening, clock):
    app, seen = telling(take)
    async with opening(app) as client, client.stream("POST", "/", sending=True) as request:
        await request.send(b"a part")
        getattr(request, leave)()
        await request.wait_over()
        with pytest.raises(HTTPDisconnect):
            await request.send(b"more")
    assert seen.parts == [b"a part", "disconnect"]


async def test_a_client_that_has_left_ends_an_application_that_sends(opening, clock):
    app, seen = telling(tick)
    async with opening(app) as client, client.stream("GET", "/") as response:
        assert await response.receive() == b"tick"
        response.reset()
        await response.wait_over()
    assert seen.end == "ClientDisconnect"


async def test_a_client_that_does_not_read_is_cut(opening, clock):
    app, seen = telling(push)
    async with opening(app) as client, client.stream("GET", "/", buffer=2**14) as response:
        response.stop_reading()
        await response.wait_over()
    assert seen.end == "ClientDisconnect"


async def test_a_client_that_reads_again_gets_everything(opening, clock):
    async def some(seen, receive, send):
        await send(START)
        for _ in range(40):
            await send({"type": "http.response.body", "body": bytes(2**14), "more_body": True})
        await send({"type": "http.response.body"})

    app, seen = telling(some)
    async with opening(app) as client, client.stream("GET", "/", buffer=2**14) as response:
        response.stop_reading()
        await trio.sleep(0.1)
        response.resume_reading()
        assert len(await response.read()) == 40 * 2**14
    assert seen.end == "returned"


async def test_a_client_that_vanishes_is_missed_by_an_application_that_sends(opening, clock):
    app, seen = telling(push)
    async with opening(app) as client, client.stream("GET", "/", buffer=2**14) as response:
        response.vanish()
        await response.wait_over()
    assert seen.end == "ClientDisconnect"


@in_memory
async def test_everything_can_take_longer(opening, clock):
    app, _ = telling(take, evolve(TIMEOUTS, send=5))
    async with opening(app) as client, client.stream("POST", "/", sending=True) as request:
        request.delay(2)
        started = trio.current_time()
        await request.send(b"a part")
        await request.send_end()
        assert await request.receive_head() == 201
        assert trio.current_time() == started + 4
        assert await request.read() == b"thanks"


async def test_what_an_application_does_for_a_request_can_be_cancelled(opening, clock):
    app, seen = telling(sit)
    async with opening(app) as client, client.stream("GET", "/") as response:
        response.cancel_handler()
        with pytest.raises(HTTPDisconnect):
            await response.receive()
    assert seen.end == "Cancelled"


async def test_a_block_that_is_cancelled_cuts_the_connection(opening, clock):
    app, seen = telling(listen)
    async with opening(app) as client:
        with trio.move_on_after(0.2) as limit:
            async with client.stream("GET", "/"):
                await trio.sleep_forever()
        assert limit.cancelled_caught
        assert seen.parts == ["disconnect"]


async def test_a_slow_part_is_bounded_by_the_buffers(autojump_clock):
    sent = []

    async def count(seen, receive, send):
        await send(START)
        while True:
            await send({"type": "http.response.body", "body": bytes(2**10), "more_body": True})
            sent.append(2**10)

    app, _ = telling(count)
    async with (
        open_app(app) as client,
        client.stream("GET", "/", buffer=2**14, inbox_size=2**14) as response,
    ):
        await trio.sleep(0.1)
        assert 2**14 < sum(sent) < 4 * 2**14
        response.reset()
