"""
The promise: however an exchange ends, its resources exit, and everyone learns how it ended.

This is one property, tested with hundreds of generated connections and as many requests, and by
``make thorough`` with thousands. ``promise_cases`` describes what may happen. ``promise_stage``
runs it, with the factories of ``promise_factories``. ``promise_story`` is the record of what users
and peers see. ``promise_oracle`` checks it. All of them are the same for every kind of exchange;
``promise_websocket`` and ``promise_request`` have what differs.
"""

import math
from typing import Annotated

import pytest
import trio
from hypothesis import HealthCheck, example, given, settings, strategies as st
from trio.testing import MockClock

from tests.connecting import connect
from tests.exchange.promise_cases import (
    Case,
    Error,
    Event,
    Handler,
    Kind,
    Leaf,
    Resource,
    Task,
    What,
    connections,
    requests,
)
from tests.exchange.promise_oracle import check
from tests.exchange.promise_request import Request, RequestJudge
from tests.exchange.promise_stage import play
from tests.exchange.promise_websocket import Connection, ConnectionJudge
from tests.scale import SCALE
from triows import HTTPException, Triows, WebSocket, WebSocketRoute, use
from triows._transports.stream import StreamTransport

HANGS = math.inf


MANY = settings(
    max_examples=300 * SCALE,  # `make thorough` is worth its time after a change of this machinery
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
ORDERS = st.random_module()  # Trio runs the tasks of a tick in random order


@pytest.mark.unmeasured
@pytest.mark.timeout(600 * SCALE)
@MANY
@given(case=connections(), order=ORDERS)
# These examples have failed before. A task of the connection's nursery fails when the handler has
# returned. Resources are told before the first of them exits.
@example(Case((Resource(),), task=Task(cleanup_fails=True)), None)
# The task fails when nobody waits for it any more. The error must be raised anyway.
@example(Case((Resource(),), task=Task(cleanup=3, cleanup_fails=True)), None)
# A handler in its grace starts another task in the nursery.
@example(
    Case(
        (Resource(),),
        Handler(does="receives", seconds=HANGS, lingers=0.5),
        (Event(What.PEER_CLOSES, 1),),
        task=Task(),
    ),
    None,
)
# A handler that was cancelled from outside does the same.
@example(
    Case(
        (Resource(),),
        Handler(seconds=HANGS, dies="slowly"),
        (Event(What.CANCEL, 1),),
        task=Task(),
    ),
    None,
)
# The shutdown begins before the handshake is over, and the handler accepts then.
@example(
    Case((Resource(),), Handler(waits=1, does="receives", seconds=HANGS), (Event(What.DRAIN),)),
    None,
)
# The handler is slow to end, and a resource fails meanwhile. The first reason counts.
@example(
    Case(
        (Resource(Kind.EXPIRING, after=1.75), Resource()),
        Handler(seconds=HANGS, dies="slowly"),
        (Event(What.DRAIN, 0.5),),
    ),
    None,
)
# The peer leaves before accept. Its grace may be longer than the handshake's deadline.
@example(Case((Resource(),), Handler(waits=HANGS), (Event(What.PEER_CLOSES, 2.5),)), None)
# The same with a refusal. That nobody gets it isn't an error.
@example(
    Case(
        (Resource(),),
        Handler(waits=0.5, accepts=False, raises=Error((Leaf.HTTP,))),
        (Event(What.PEER_CLOSES),),
    ),
    None,
)
# The handler raises an error together with its cancellation.
@example(
    Case(
        (Resource(),), Handler(seconds=HANGS, dies="raising beside"), (Event(What.PEER_CLOSES, 1),)
    ),
    None,
)
# An exit sends something to a peer that is gone. That is a normal end.
@example(Case((Resource(exit_error=Error((Leaf.DISCONNECT,))),)), None)
# A resource's own error is lost in a cleanup that hangs, or that finds the peer gone.
@example(Case((Resource(Kind.BACKGROUND, exit=HANGS, after=1),), Handler(seconds=HANGS)), None)
@example(
    Case(
        (Resource(Kind.BACKGROUND, exit_error=Error((Leaf.DISCONNECT,)), after=1),),
        Handler(seconds=HANGS),
    ),
    None,
)
# A resource fails in the tick in which the shutdown begins.
@example(
    Case(
        (Resource(Kind.EXPIRING, exit_error=Error((Leaf.DISCONNECT,)), after=1),),
        Handler(seconds=HANGS),
        (Event(What.DRAIN, 1),),
    ),
    None,
)
# A resource fails in the tick in which the handshake's time is over, while another is made.
@example(
    Case(
        (Resource(Kind.EXPIRING, entry=0.5, after=3), Resource(entry=HANGS, stubborn=True)),
        Handler(),
    ),
    None,
)
def test_resources_exit_and_everyone_is_told_the_truth_however_a_connection_ends(
    case: Case, order: object
):
    check(ConnectionJudge, trio.run(play, Connection, case, clock=MockClock(autojump_threshold=0)))


@pytest.mark.unmeasured
@pytest.mark.timeout(600 * SCALE)
@MANY
@given(case=requests(), order=ORDERS)
# This example has failed before. A resource fails before there is a response. That isn't a
# shutdown, so the client is told 500 and not 503.
@example(Case((Resource(Kind.EXPIRING, after=1),), Handler(waits=HANGS)), None)
# The client doesn't take the answer. The exits begin all the same, and have their time.
@example(Case((Resource(exit=1),), Handler(accepts=False), reads=False, teardown=1), None)
# The handler is told that its client has left, and the shutdown shortens its grace.
@example(
    Case(
        (Resource(),),
        Handler(accepts=False, does="receives", seconds=HANGS, lingers=2),
        (Event(What.PEER_CLOSES, 1), Event(What.DRAIN, 1)),
        grace=0,
    ),
    None,
)
# The same when it leaves during the shutdown.
@example(
    Case(
        (Resource(),),
        Handler(accepts=False, does="receives", seconds=HANGS, lingers=HANGS),
        (Event(What.DRAIN, 1), Event(What.PEER_CLOSES, 1.5)),
        grace=0,
    ),
    None,
)
# The client has left, and only the answer notices that.
@example(
    Case((Resource(),), Handler(seconds=1, accepts=False), (Event(What.PEER_RESETS, 0.5),)), None
)
# A resource completes the response that another factory has begun.
@example(Case((Resource(),), Handler(by_factory=True, seconds=1)), None)
def test_resources_exit_and_everyone_is_told_the_truth_however_a_request_ends(
    case: Case, order: object
):
    check(RequestJudge, trio.run(play, Request, case, clock=MockClock(autojump_threshold=0)))


async def test_a_connection_that_is_cancelled_at_once_does_not_begin_its_handler():
    # Its nursery would be closed already.
    began = []
    route = WebSocketRoute("/")

    @route.ws_handler
    async def handler(ws: WebSocket, nursery: trio.Nursery):
        began.append(True)

    async def receive():
        return {"type": "websocket.connect"}

    async def send(event: dict[str, object]):
        assert event["type"] == "websocket.close"

    scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b""}
    with trio.CancelScope() as outside:
        outside.cancel()
        await Triows(route).handle(scope, receive, send)
    assert outside.cancelled_caught
    assert began == []


async def test_a_refusal_that_can_not_be_sent_keeps_no_resource_from_exiting():
    exited = []

    async def resource():
        try:
            yield
        finally:
            exited.append(True)

    route = WebSocketRoute("/")

    @route.ws_handler
    async def handler(ws: WebSocket, one: Annotated[None, use(resource)]):
        raise HTTPException(401, headers=401)

    with pytest.raises(HTTPException):
        async with connect(Triows(route), "/"):
            raise AssertionError("not reached")
    assert exited == [True]


async def test_a_transport_that_fails_keeps_no_resource_from_exiting(
    monkeypatch: pytest.MonkeyPatch,
):
    exited = []

    async def resource():
        yield
        exited.append(True)

    async def close(*_: object):
        raise OSError("broken")

    monkeypatch.setattr(StreamTransport, "close", close)
    route = WebSocketRoute("/")

    @route.ws_handler
    async def handler(ws: WebSocket, one: Annotated[None, use(resource)]):
        await ws.accept()

    with pytest.raises(OSError, match="broken"):
        async with connect(Triows(route), "/") as client:
            await client.receive()
    assert exited == [True]
