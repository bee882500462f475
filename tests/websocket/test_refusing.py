from __future__ import annotations

import trio

from tests.transports.scripted import CONNECT, ScriptedServer
from triows import Timeouts
from triows._reply import problem
from triows._settings import Limits
from triows._transports.asgi import ASGITransport
from triows._websocket.refusing import refuse

REFUSAL = problem(403, "not you")


async def refused(server: ScriptedServer) -> ASGITransport:
    timeouts = Timeouts(close=5)
    transport = ASGITransport(
        server.scope, server.receive, server.send, limits=Limits(), timeouts=timeouts
    )
    await server.put(CONNECT)
    await refuse(transport, REFUSAL, timeouts)
    return transport


async def test_a_peer_gets_the_refusal_and_nothing_is_left_running(autojump_clock):
    server = ScriptedServer()
    transport = await refused(server)
    start, body = server.sent
    assert (start["status"], body["body"]) == (403, REFUSAL.body)
    assert transport.ended is not None
    assert transport.ended.status == 403
    assert trio.current_time() == 0


async def test_a_server_that_does_not_take_the_refusal_is_not_waited_for(autojump_clock):
    server = ScriptedServer()
    server.gate = trio.Event()
    await refused(server)
    assert (server.sent, trio.current_time()) == ([], 5)


async def test_a_cancellation_ends_it_and_goes_on(autojump_clock):
    server = ScriptedServer()
    server.gate = trio.Event()
    with trio.move_on_after(1) as scope:
        await refused(server)
    assert scope.cancelled_caught
    assert trio.current_time() == 5
