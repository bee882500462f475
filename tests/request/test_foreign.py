"""What passes through functions of others is counted, and passed on."""

from __future__ import annotations

import pytest
import trio
from starlette.requests import ClientDisconnect as StarlettesDisconnect
from trio.testing import wait_all_tasks_blocked

from tests.request.asgi import START, body
from triows import ClientDisconnect
from triows._reasons import Reason
from triows._request.foreign import ForeignRequest

# What the application sends and receives


async def test_events_pass_through_unchanged(transport, line, server):
    event = {"type": "http.request", "body": b"abc", "more_body": False}
    server.put(event)
    assert await transport.asgi_receive() is event
    await transport.asgi_send(START)
    await transport.asgi_send(body(b"de"))
    assert server.sent == [START, body(b"de")]


async def test_the_bytes_of_both_bodies_are_counted(transport, line, server):
    server.put({"type": "http.request", "body": b"abc", "more_body": True})
    server.put({"type": "http.request"})
    await transport.asgi_receive()
    await transport.asgi_receive()
    await transport.asgi_send(START)
    await transport.asgi_send(body(b"de", more=True))
    await transport.asgi_send({"type": "http.response.body"})
    assert (transport.received, transport.sent) == (3, 2)


async def test_a_response_is_complete_with_its_last_part(transport, line):
    seen = [(transport.status, line.is_complete)]
    for event in (START, body(b"a", more=True), body(b"")):
        await transport.asgi_send(event)
        seen.append((transport.status, line.is_complete))
    assert seen == [(None, False), (201, False), (201, False), (201, True)]
    assert line.ended


async def test_a_response_has_begun_even_if_its_beginning_was_cancelled(
    transport, autojump_clock, line, server
):
    server.gate = trio.Event()
    with trio.move_on_after(1):
        await transport.asgi_send(START)
    assert transport.status == 201
    await line.conclude([], Reason.CANCELLED)
    assert server.sent == []


@pytest.mark.parametrize("notice", ["receive", "send"])
async def test_a_client_has_left_when_the_application_was_told(transport, line, server, notice):
    server.leave()
    server.client_is_gone = True
    assert not line.ended
    if notice == "receive":
        assert await transport.asgi_receive() == {"type": "http.disconnect"}
    else:
        with pytest.raises(ClientDisconnect):
            await transport.asgi_send(START)
    assert (transport.left, line.ended, line.is_complete) == (True, True, False)


# Another server tells that the client has left only to whoever waits for it


@pytest.fixture
async def watched(transport, line, nursery):
    """A request of which a task receives one event ahead."""
    assert transport.needs_watch
    nursery.start_soon(transport.watch)
    await wait_all_tasks_blocked()
    return transport


def part(data: bytes, *, more: bool) -> dict[str, object]:
    return {"type": "http.request", "body": data, "more_body": more}


async def test_a_client_that_leaves_is_noticed_while_nobody_receives(watched, line, server):
    server.put(part(b"", more=False))
    server.leave()
    await wait_all_tasks_blocked()
    assert line.ended
    assert await watched.asgi_receive() == part(b"", more=False)
    for _ in range(2):
        assert await watched.asgi_receive() == {"type": "http.disconnect"}


async def test_nothing_is_taken_that_nobody_asks_for_but_the_next_part(watched, line, server):
    for number in range(4):
        server.put(part(b"%d" % number, more=number < 3))
    server.leave()
    await wait_all_tasks_blocked()
    assert watched.received == 0
    assert not line.ended
    received = [await watched.receive() for _ in range(4)]
    await wait_all_tasks_blocked()
    assert received == [b"0", b"1", b"2", b"3"]
    assert line.ended


async def test_a_disconnect_while_the_end_of_the_response_is_sent_is_the_usual_end(
    watched, line, server, nursery
):
    await watched.asgi_send(START)
    server.gate = trio.Event()
    nursery.start_soon(watched.asgi_send, body(b""))
    await wait_all_tasks_blocked()
    server.leave()
    await wait_all_tasks_blocked()
    server.gate.set()
    await wait_all_tasks_blocked()
    assert (watched.complete, watched.left) == (True, False)


async def test_an_error_of_a_middleware_is_raised_to_whoever_receives(nursery):
    async def failing() -> None:
        await trio.lowlevel.checkpoint()
        raise ValueError("a middleware failed")

    transport = ForeignRequest(failing, failing, "GET")
    nursery.start_soon(transport.watch)
    await wait_all_tasks_blocked()
    for _ in range(2):
        with pytest.raises(ValueError, match="a middleware failed"):
            await transport.asgi_receive()
    assert not transport.left


async def test_a_disconnect_that_a_middleware_raises_is_one(nursery):
    async def failing() -> None:
        await trio.lowlevel.checkpoint()
        raise StarlettesDisconnect

    transport = ForeignRequest(failing, failing, "GET")
    nursery.start_soon(transport.watch)
    await wait_all_tasks_blocked()
    assert transport.left
    assert await transport.asgi_receive() == {"type": "http.disconnect"}


@pytest.mark.parametrize("kind", ["http.response.early_hint", "http.response.push"])
async def test_a_client_may_leave_after_what_comes_before_a_response(kind, server, transport):
    await transport.asgi_send({"type": kind})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(transport.watch)
        server.leave()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert transport.left


# A middleware may end the request without the response


async def test_nobody_gets_what_comes_after_that(transport, line, server):
    await transport.asgi_send(START)
    transport.note_unheard()
    assert (transport.left, line.ended) == (True, True)
    with pytest.raises(ClientDisconnect, match="a middleware has ended the request"):
        await transport.asgi_send(body(b"a", more=True))
    await transport.asgi_send(body(b"a"))  # no more than this
    assert server.sent == [START, body(b"a")]


async def test_no_response_begins_after_that(transport, server):
    transport.note_unheard()
    with pytest.raises(ClientDisconnect):
        await transport.asgi_send(START)
    assert server.sent == []


async def test_a_request_ends_while_the_end_of_the_response_is_sent(
    transport, line, server, nursery
):
    await transport.asgi_send(START)
    server.gate = trio.Event()
    nursery.start_soon(transport.asgi_send, body(b""))
    await wait_all_tasks_blocked()
    transport.note_unheard()
    server.gate.set()
    await wait_all_tasks_blocked()
    assert (transport.complete, transport.left) == (True, False)
