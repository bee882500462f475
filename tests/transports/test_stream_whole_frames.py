"""
A property test of the stream's promise: it never carries half a frame followed by another.

At random, sends are cancelled, the system takes some bytes, and both sides send pings and close.
The peer must always read whole frames. It must get the messages of all sends that were not
cancelled, in the order of the calls, until the connection ends.
"""

from __future__ import annotations

import math
from typing import Any
from unittest import mock

import pytest
import trio
import trio.testing
from attrs import define, field
from hypothesis import given, strategies as st
from trio.testing import wait_all_tasks_blocked

from tests.raw import PING, frame
from tests.transports.scripted_wire import ScriptedTLSWire, ScriptedWire, accepted, close, masked
from triows import Limits, Timeouts, WebSocketDisconnect
from triows._transports import stream

TIMEOUTS = Timeouts(ping_interval=7, ping_timeout=50, send=20)
LIMITS = Limits(outbox=60, inbox=2)

sizes = st.one_of(st.integers(2, 30), st.sampled_from([58, 70, 126, 200]))
seconds = st.sampled_from([0, 0, 0.5, 3])

steps = st.one_of(
    st.tuples(st.just("send"), sizes, st.one_of(st.none(), seconds)),
    st.tuples(st.just("send many"), st.integers(2, 20), sizes),
    st.tuples(st.just("take"), st.integers(1, 20)),
    st.tuples(st.just("take"), st.sampled_from([1, 2, 50, math.inf])),
    st.tuples(st.just("stop")),
    st.tuples(st.just("wait"), seconds),
    st.tuples(st.just("run"), st.integers(1, 4)),
    st.tuples(st.just("ping"), seconds),
    st.tuples(st.just("peer pings"), st.binary(max_size=125)),
    st.tuples(st.just("peer says"), st.integers(1, 5)),
)
ends = st.one_of(
    st.tuples(st.just("close")),
    st.tuples(st.just("peer closes")),
    st.tuples(st.just("peer leaves")),
    st.tuples(st.just("fail")),
    st.tuples(st.just("break")),
)


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    before = draw(st.lists(steps, min_size=1, max_size=15))
    return [*before, draw(ends), *draw(st.lists(st.one_of(steps, steps, ends), max_size=5))]


@define
class Story:
    """The calls, in order, and their results."""

    wire: ScriptedWire
    called: list[bytes] = field(factory=list)
    #: The messages whose send returned.
    sent: list[bytes] = field(factory=list)
    cancelled: list[bytes] = field(factory=list)
    #: Whether waiting messages may be dropped, because a close frame comes.
    dropping: bool = False

    async def send(self, transport: Any, size: int, patience: float | None) -> None:
        number = len(self.called)
        message = bytes((number // 256, number % 256)) + bytes(size - 2)
        self.called.append(message)
        with trio.move_on_after(math.inf if patience is None else patience) as scope:
            try:
                await transport.send(message)
            except WebSocketDisconnect:
                return
            self.sent.append(message)
        if scope.cancelled_caught:
            self.cancelled.append(message)

    async def ping(self, transport: Any, patience: float) -> None:
        with trio.move_on_after(patience):
            try:
                await transport.ping()
            except WebSocketDisconnect:
                return

    async def act(self, transport: Any, nursery: trio.Nursery, step: tuple[Any, ...]) -> None:
        match step:
            case "send", size, patience:
                nursery.start_soon(self.send, transport, size, patience)
            case "send many", number, size:
                for _ in range(number):
                    nursery.start_soon(self.send, transport, size, None)
            case "ping", patience:
                nursery.start_soon(self.ping, transport, patience)
            case "close", *_:
                nursery.start_soon(transport.close, 4000, "done")
            case "fail", *_:
                self.dropping = True
                transport.fail(1011, "failed")
            case "wait", time:
                await trio.sleep(time)
            case "run", turns:
                for _ in range(turns):
                    await trio.lowlevel.checkpoint()
            case _:
                self.act_for_the_peer(step)

    def act_for_the_peer(self, step: tuple[Any, ...]) -> None:
        wire = self.wire
        match step:
            case "take", size:
                wire.take(size)
            case "stop", *_:
                wire.room = 0
            case "peer pings", payload:
                wire.says(frame(PING, payload))
            case "peer says", number:
                wire.says(masked(*["a"] * number))
            case "peer closes", *_:
                self.dropping = True
                wire.says(close(4001))
            case "peer leaves", *_:
                wire.leaves()
            case "break", *_:
                wire.break_off()
            case _:
                raise AssertionError(step)

    def check(self, transport: Any) -> None:
        wire = self.wire
        messages = wire.messages  # this fails if a frame isn't whole
        assert not set(messages) & set(self.cancelled)
        expected = [message for message in self.called if message in set(self.sent)]
        assert messages == expected[: len(messages)]
        cut_short = wire.is_broken or wire.end == "reset"
        if not self.dropping and not cut_short and transport.ended.code in {4000, 1006}:
            assert messages == expected


async def tell(make_wire: type[ScriptedWire], story: list[tuple[Any, ...]]) -> None:
    wire = make_wire(room=5)
    told = Story(wire)
    async with accepted(wire, timeouts=TIMEOUTS, limits=LIMITS) as transport:
        with trio.fail_after(1000):
            async with trio.open_nursery() as nursery:
                for step in story:
                    await told.act(transport, nursery, step)
                await wait_all_tasks_blocked()
                wire.take()
                # At the latest, the end of the connection wakes the tasks that wait.
                await transport.close(4000, "done")
                nursery.cancel_scope.deadline = trio.current_time() + 100
            await transport.aclose(linger=5)
    told.check(transport)


@pytest.mark.unmeasured
@pytest.mark.parametrize("make_wire", [ScriptedWire, ScriptedTLSWire])
@given(story=stories(), large=st.sampled_from([stream._LARGE, 60]))
def test_the_stream_carries_whole_frames_in_the_order_of_the_sends(make_wire, story, large):
    clock = trio.testing.MockClock(autojump_threshold=0)
    # With a smaller limit, small messages also go out in two pieces.
    with mock.patch.object(stream, "_LARGE", large):
        trio.run(tell, make_wire, story, clock=clock)
