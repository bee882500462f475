"""What passes through functions of others is counted, and passed on."""

from __future__ import annotations

import pytest
import trio

from tests.request.asgi import START, body
from triows import ClientDisconnect
from triows._reasons import Reason

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


@pytest.mark.parametrize("kind", ["http.response.early_hint", "http.response.push"])
async def test_a_client_may_leave_after_what_comes_before_a_response(kind, server, transport):
    await transport.asgi_send({"type": kind})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(transport.watch)
        server.leave()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert transport.left
