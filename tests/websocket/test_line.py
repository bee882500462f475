"""What the peer of a connection is told at its end, and how long the end may wait for the peer."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio

from tests.transports.messages import MemoryPeer, MemoryTransport
from triows import HTTPException, Limits, Timeouts, WebSocketClose, WebSocketDisconnect
from triows._injection.factories import Factory
from triows._reasons import Reason
from triows._websocket.line import WebSocketLine
from triows._where import where

CLOSE = 5


async def handler() -> None: ...


class SlowTransport(MemoryTransport):
    """A transport that delivers and hears the peer's answer only when the test says so."""

    def __init__(self, *, outlives_cancellation: bool = True) -> None:
        self.peer = MemoryPeer(16, 1000)
        super().__init__(self.peer, limits=Limits(), timeouts=Timeouts())
        self.peer.server = self
        self.outlives_cancellation = outlives_cancellation
        self.took_all, self.heard_all = trio.Event(), trio.Event()
        #: How long the closing handshake may take.
        self.linger: float | None = None
        self.close_fails = False

    @property
    def delivered(self) -> bool:
        return self.took_all.is_set()

    async def wait_delivered(self) -> None:
        await self.took_all.wait()

    @property
    def answered(self) -> bool:
        return self.heard_all.is_set()

    async def wait_over(self) -> None:
        await self.heard_all.wait()

    async def close(self, code: int, reason: str) -> None:
        if self.close_fails:
            raise OSError
        await super().close(code, reason)

    async def aclose(self, *, linger: float) -> None:
        self.linger = linger
        await super().aclose(linger=linger)


def line_over(transport: SlowTransport) -> WebSocketLine:
    return WebSocketLine(
        transport,
        Timeouts(close=CLOSE, accept=7),
        handler=handler,
        could_accept=True,
        shutdown_code=4000,
    )


async def line_on(*, accepted: bool = True, **options: Any) -> tuple[WebSocketLine, SlowTransport]:
    transport = SlowTransport(**options)
    line = line_over(transport)
    if accepted:
        await transport.accept(None, [])
        line.note_answered()
    return line, transport


# The outcome


@pytest.mark.parametrize(
    ("errors", "reason", "code", "failed"),
    [
        ([], None, 1000, False),
        ([], Reason.SHUTDOWN, 1001, False),
        ([WebSocketClose(4001, "enough")], None, 4001, False),
        ([ValueError()], None, 1011, True),
        ([WebSocketClose(4001), ValueError()], None, 1011, True),
    ],
)
async def test_an_accepted_peer_is_told_a_code(errors, reason, code, failed):
    line, transport = await line_on()
    end = await line.conclude(errors, reason)
    assert transport.peer.inbox.ended.code == code
    assert (end.failed, end.told, line.ended) == (failed, True, True)


@pytest.mark.parametrize(
    ("errors", "status", "failed"),
    [([], 403, False), ([HTTPException(401)], 401, False), ([ValueError()], 500, True)],
)
async def test_a_peer_in_its_handshake_is_told_a_status(errors, status, failed):
    line, transport = await line_on(accepted=False)
    assert not line.is_refused
    end = await line.conclude(errors, None)
    assert transport.peer.refusal.status == status
    assert (end.failed, end.told, line.is_refused) == (failed, True, True)


async def test_a_peer_that_has_left_is_told_nothing_and_errors_count():
    line, transport = await line_on()
    transport.peer.close(4002, "bye")
    end = await line.conclude([ValueError("no such room")], None)
    assert (transport.ended.code, end.told) == (4002, False)
    assert (end.failed, end.why) == (True, "ValueError: no such room")


async def test_a_peer_that_can_not_be_told_is_an_error_of_the_line():
    line, transport = await line_on()
    transport.close_fails = True
    with pytest.raises(OSError):  # noqa: PT011
        await line.conclude([], None)


async def test_an_exception_that_can_not_be_asked_for_its_code_is_an_error_and_1011():
    class Sly(WebSocketClose):
        @property
        def code(self) -> int:
            raise LookupError

        @code.setter
        def code(self, code: int) -> None: ...

    line, transport = await line_on()
    errors: list[BaseException] = [Sly(4001)]
    end = await line.conclude(errors, None)
    assert (transport.ended.code, end.failed) == (1011, True)


async def test_only_its_own_disconnect_is_the_end_of_a_connection():
    line, transport = await line_on()
    own, other = WebSocketDisconnect(1006), WebSocketDisconnect(1006)
    own.source, other.source = transport, object()
    assert line.is_end(own)
    assert not line.is_end(other)
    line.explain(other)
    assert "another connection" in other.__notes__[0]


# The handshake


def test_a_handshake_that_takes_too_long_names_the_handler_or_the_factory():
    async def run() -> None:
        line = line_over(SlowTransport())
        told.extend(str(line.too_slow(making)) for making in (None, Factory.of(slow)))

    async def slow() -> None: ...

    told: list[str] = []
    trio.run(run)
    start = "the connection was neither accepted nor refused within 7 s (Timeouts.accept): "
    assert told == [
        f"{start}its handler, {where(handler)}, had not called accept() or reject()",
        f"{start}it waited for the factory {where(slow)}",
    ]


# A shutdown


async def shut_down(line: WebSocketLine, seen: list[Any]) -> None:
    seen.append((await line.shut_down(), trio.current_time()))


@pytest.mark.parametrize(("answers_after", "expected"), [(3, (True, 3)), (100, (False, CLOSE))])
async def test_a_shutdown_sends_its_code_and_waits_a_while_for_the_answer(
    autojump_clock, answers_after, expected
):
    line, transport = await line_on()
    seen: list[Any] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shut_down, line, seen)
        await trio.sleep(answers_after)
        transport.heard_all.set()
    assert transport.ended.code == 4000
    assert seen == [expected]


@pytest.mark.parametrize("accepts", [True, False])
async def test_a_shutdown_waits_for_a_handshake(autojump_clock, accepts):
    line, transport = await line_on(accepted=False)
    transport.heard_all.set()
    seen: list[Any] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shut_down, line, seen)
        await trio.sleep(3)
        if accepts:
            await transport.accept(None, [])
        line.note_answered()
    assert seen == [(True, 3)]
    assert line.ended == accepts


async def test_a_shutdown_does_not_wait_for_a_handshake_that_nobody_will_finish(autojump_clock):
    line, _ = await line_on(accepted=False)
    line.note_over()
    assert await line.shut_down()
    assert trio.current_time() == 0


async def test_a_close_that_was_sent_before_a_shutdown_stays(autojump_clock):
    line, transport = await line_on()
    await transport.close(4001, "")
    transport.heard_all.set()
    assert await line.shut_down()
    assert transport.ended.code == 4001


# Letting go


async def finish(line: WebSocketLine) -> float:
    """Conclude, deliver, and let go. Return how long the closing handshake may take."""
    await line.conclude([], None)
    await line.wait_delivered()
    await line.aclose(cancelled=False, from_outside=False)
    assert isinstance(line.transport, SlowTransport)
    assert line.transport.linger is not None
    return line.transport.linger


async def test_the_closing_handshake_has_its_time_when_everything_is_delivered(autojump_clock):
    line, transport = await line_on()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def take() -> None:
            await trio.sleep(1000)
            transport.took_all.set()

        assert not line.delivered
        assert await finish(line) == CLOSE
    assert trio.current_time() == 1000


async def test_after_a_shutdown_the_delivery_has_as_long_as_the_closing_handshake(autojump_clock):
    line, transport = await line_on()
    transport.heard_all.set()
    await line.shut_down()
    await trio.sleep(2)
    assert await finish(line) == 0
    assert trio.current_time() == CLOSE


async def test_a_refusal_during_a_shutdown_has_its_time_from_when_it_is_sent(autojump_clock):
    line, _ = await line_on(accepted=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(line.shut_down)
        await trio.sleep(100)
        assert await finish(line) == 0
        assert trio.current_time() == 100 + CLOSE
        line.note_over()


async def test_a_shutdown_cuts_a_delivery_short(autojump_clock):
    line, transport = await line_on()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def shut_down_later() -> None:
            await trio.sleep(100)
            await line.shut_down()

        assert await finish(line) == 0
        assert trio.current_time() == 100 + CLOSE
        transport.heard_all.set()


async def test_after_a_cancellation_the_time_began_when_the_peer_was_told(autojump_clock):
    line, transport = await line_on()
    await line.conclude([], Reason.CANCELLED)
    await trio.sleep(2)
    transport.took_all.set()
    await line.wait_delivered()
    await line.aclose(cancelled=False, from_outside=True)
    assert transport.linger == CLOSE - 2


@pytest.mark.parametrize("delivers_after", [1, math.inf])
async def test_a_server_that_may_be_cancelled_too_is_waited_for_but_not_its_peer(
    autojump_clock, delivers_after
):
    line, transport = await line_on(outlives_cancellation=False)
    await line.conclude([], Reason.CANCELLED)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def take() -> None:
            await trio.sleep(delivers_after)
            transport.took_all.set()

        await line.aclose(cancelled=True, from_outside=True)
        nursery.cancel_scope.cancel()
    assert transport.linger == 0
    assert trio.current_time() == min(delivers_after, CLOSE)
