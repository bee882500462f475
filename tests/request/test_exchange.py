"""A plain request that has a lifetime only if something needs it."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytest
import trio

from tests.server.harness.engine import asked, opened_engine
from triows import HTTPException, Timeouts, Triows
from triows._exchange.catchers import Catchers
from triows._exchange.lifetime import Lifetime
from triows._exchange.registry import Exchanges
from triows._reasons import Reason
from triows._request import exchange as module
from triows._request.mounted import MountedRequests
from triows.inspect import tree

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"7")]}
PART = {"type": "http.response.body", "body": b"part", "more_body": True}
END = {"type": "http.response.body", "body": b"end"}

TIMEOUTS = Timeouts(shutdown_grace=3, disconnect_grace=1, close=5, teardown=5)


async def begins(send: Any) -> None:
    await send(START)
    await send(PART)


async def answers(send: Any) -> None:
    await begins(send)
    await send(END)


async def raises(send: Any) -> None:
    raise ValueError


async def raises_in_the_middle(send: Any) -> None:
    await begins(send)
    raise ValueError


async def raises_behind(send: Any) -> None:
    await answers(send)
    raise ValueError


async def refuses(send: Any) -> None:
    raise HTTPException(418, "tea")


async def returns(send: Any) -> None: ...


async def waits(send: Any) -> None:
    await trio.sleep(50)


async def waits_in_the_middle(send: Any) -> None:
    await begins(send)
    await trio.sleep(50)


async def waits_behind(send: Any) -> None:
    await answers(send)
    await trio.sleep(50)


WAYS = [
    *(answers, raises, raises_in_the_middle, raises_behind, refuses, returns, begins),
    *(waits, waits_in_the_middle, waits_behind),
]


async def story(way: Any, log: pytest.LogCaptureFixture, *, looks: bool) -> tuple[Any, ...]:
    """Say what the client sees of a request, and what is logged, with a shutdown after 2 s."""
    log.clear()
    outer = Triows(timeouts=TIMEOUTS)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await trio.sleep(1)
        if looks:
            (seen,) = tree(outer).requests
            assert seen.age == pytest.approx(1)
        await way(send)

    outer.mount("/", app)
    started = trio.current_time()
    async with outer.running(), opened_engine(outer) as engine:
        wire = engine.connect()
        wire.says(asked())
        await trio.sleep(2)
        await outer.drain()
        over = trio.current_time() - started
        assert list(outer._exchanges) == []
        lines = [one.getMessage() for one in log.records]
        kinds = [type(one.exc_info[1]) for one in log.records if one.exc_info]
        return bytes(wire.sent), wire.eofs, over, lines, kinds


@pytest.mark.parametrize("way", WAYS)
async def test_a_request_ends_in_the_same_way_if_somebody_has_looked_at_it(
    autojump_clock, caplog, way
):
    caplog.set_level(logging.INFO, "triows")
    unseen = await story(way, caplog, looks=False)
    seen = await story(way, caplog, looks=True)
    assert unseen == seen
    assert len(unseen[3]) >= 1


@pytest.mark.parametrize(("way", "made"), [(answers, 0), (raises, 1), (begins, 1), (waits, 1)])
async def test_a_request_has_a_lifetime_only_if_it_does_not_end_by_itself(
    autojump_clock, caplog, monkeypatch, way, made
):
    lifetimes = []

    def make(*args: Any, **kwargs: Any) -> Lifetime:
        lifetimes.append(Lifetime(*args, **kwargs))
        return lifetimes[-1]

    monkeypatch.setattr(module, "Lifetime", make)
    await story(way, caplog, looks=False)
    assert len(lifetimes) == made


async def test_a_shutdown_does_not_wait_for_requests_that_end_while_it_begins(autojump_clock):
    """What begins meanwhile in their tasks isn't theirs any more, and isn't cancelled either."""
    go, answered = trio.Event(), []

    async def inner_app(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await answers(send)

    async def outer_app(scope: Any, receive: Any, send: Any) -> None:
        await trio.sleep(20)
        await answers(send)
        answered.append(scope["path"])

    inner, outer = Triows(timeouts=TIMEOUTS), Triows(timeouts=TIMEOUTS)
    inner.mount("/", inner_app)
    outer.mount("/inner", inner)
    outer.mount("/", outer_app)
    async with outer.running(), opened_engine(outer) as engine:
        wires = [engine.connect() for _ in range(5)]
        for wire in wires:
            wire.says(asked("/inner"))
        await trio.sleep(1)
        began = trio.current_time()
        go.set()
        await inner.drain()
        assert trio.current_time() == began
        for wire in wires:
            wire.says(asked("/other"))
        await trio.sleep(30)
        assert answered == ["/other"] * 5


async def test_the_lifetime_of_a_request_that_is_over_leaves_its_task_alone(transport):
    scope = trio.CancelScope()
    served = MountedRequests("/", answers, Triows().settings, Exchanges(None), Catchers())
    exchange = module.RequestExchange(served, transport, {}, scope)
    exchange.note_over()
    exchange.lifetime.cancel(Reason.SHUTDOWN)
    with trio.fail_after(5):
        await exchange.lifetime.shut_down()
    assert (scope.cancel_called, scope.deadline) == (False, math.inf)
