"""What one connection sends."""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.server.harness.engine import opened_engine
from tests.transports.scripted_wire import ScriptedWire
from triows._server.output import Output
from triows.exceptions import ClientDisconnect

if TYPE_CHECKING:
    from triows._server.services import HTTPServices


class Owner:
    """A connection that notes what it is told."""

    expects_response = True

    def __init__(self) -> None:
        self.told: list[str] = []

    def close(self, *, abort: bool = False) -> None:
        self.told.append("close")

    def cut(self, why: str) -> None:
        self.told.append(f"cut: {why}")

    def note_written(self) -> None:
        self.told.append("written")

    def note_taken(self) -> None:
        self.told.append("taken")


async def nothing(scope, receive, send):
    """Do nothing."""


class Case:
    def __init__(self, services: HTTPServices, room: float) -> None:
        self.owner, self.wire = Owner(), ScriptedWire(room=room)
        self.output = Output(self.owner, self.wire, services, copy_context())


@pytest.fixture
async def make(autojump_clock):
    """Make outputs whose system takes so many bytes. They are closed at the end."""
    cases: list[Case] = []

    def make(room: float) -> Case:
        cases.append(Case(engine.services, room))
        return cases[-1]

    async with opened_engine(nothing) as engine:
        yield make
        for case in cases:
            case.output.close()


async def test_a_response_that_is_kept_leaves_with_the_next_one(make):
    case = make(100)
    assert case.output.hold(b"one ")
    assert not case.output.is_empty
    assert case.output.write_nowait([b"two"]) is None
    assert case.wire.calls == [b"one two"]
    assert case.output.is_empty


async def test_a_response_that_is_kept_leaves_at_the_end_of_the_turn(make):
    case = make(100)
    case.output.hold(b"one")
    await wait_all_tasks_blocked()
    assert bytes(case.wire.sent) == b"one"


async def test_a_last_response_waits_behind_those_that_the_client_has_not_taken(make):
    case = make(2)
    case.output.hold(b"one ")
    case.output.send_held()
    assert case.output.write_last(b"last")
    assert case.output.is_writing
    case.wire.take()
    await wait_all_tasks_blocked()
    assert bytes(case.wire.sent) == b"one last"
    assert case.owner.told == ["written"]


async def test_a_last_response_does_not_cut_into_what_a_task_writes(make):
    case = make(2)
    rest = case.output.write_nowait([b"continue"])
    assert rest is not None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(case.output.write_rest, rest)
        await wait_all_tasks_blocked()
        assert not case.output.write_last(b"last")
        case.wire.take()
    assert bytes(case.wire.sent) == b"continue"


async def test_a_cancelled_write_cuts_the_connection(make):
    case = make(2)
    rest = case.output.write_nowait([b"half"])
    assert rest is not None
    with trio.move_on_after(1):
        await case.output.write_rest(rest)
    assert case.owner.told == ["cut: cancelled"]


async def test_closing_it_ends_a_task_that_writes(make):
    case = make(2)
    rest = case.output.write_nowait([b"half"])
    assert rest is not None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_all_then(case.output.close))
        with pytest.raises(ClientDisconnect):
            await case.output.write_rest(rest)
    assert case.owner.told == []


def wait_all_then(call):
    async def wait():
        await wait_all_tasks_blocked()
        call()

    return wait


async def test_the_system_is_asked_once_to_take_more_when_it_has_not_taken_all(make):
    case = make(5)
    assert case.output.write_nowait([b"small"]) is None
    assert case.wire.rooms == 0
    async with trio.open_nursery() as nursery:
        for data in (b"more than there is room for", b"again"):
            nursery.start_soon(case.output.write, data)
            await wait_all_tasks_blocked()
            case.wire.take()
    assert bytes(case.wire.sent) == b"smallmore than there is room foragain"
    assert case.wire.rooms == 1


@pytest.mark.parametrize("comes", [False, True])
async def test_a_whole_response_is_kept_only_if_another_one_may_follow(make, comes):
    case = make(100)
    case.owner.expects_response = comes
    assert case.output.write_whole(b"one") is None
    assert bytes(case.wire.sent) == (b"" if comes else b"one")
    assert case.output.is_empty is not comes
    await wait_all_tasks_blocked()
    assert bytes(case.wire.sent) == b"one"


@pytest.mark.parametrize("room", [0, 2])
async def test_what_is_left_of_a_whole_response_is_returned(make, room):
    case = make(room)
    case.owner.expects_response = False
    rest = case.output.write_whole(b"one")
    assert bytes(case.wire.sent) + b"".join(rest) == b"one"


async def test_a_whole_response_leaves_behind_those_that_were_kept(make):
    case = make(100)
    case.output.hold(b"one ")
    case.owner.expects_response = False
    assert case.output.write_whole(b"two") is None
    assert case.wire.calls == [b"one two"]


async def test_a_whole_response_on_a_broken_connection_closes_it(make):
    case = make(100)
    case.owner.expects_response = False
    case.wire.is_broken = True
    with pytest.raises(ClientDisconnect):
        case.output.write_whole(b"one")
    assert case.owner.told == ["close"]


async def test_a_response_that_is_kept_waits_once_for_one_to_a_request_that_has_begun(make):
    case = make(100)
    case.output.hold(b"one ")
    case.output.has_begun = True
    case.output.flush()
    assert case.wire.calls == []
    case.output.flush()
    assert case.wire.calls == [b"one "]


async def test_responses_that_are_kept_do_not_wait_for_their_own(make):
    case = make(100)
    case.output.has_begun = True
    case.output.hold(b"one")
    case.output.flush()
    assert case.wire.calls == [b"one"]
