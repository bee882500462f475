"""The turns of one loop, and what belongs to another."""

from __future__ import annotations

import pytest
import trio

from triows._transports.turn import STRETCH, Respite, Turn, current_turn, use_turn


async def test_everything_in_a_loop_has_the_same_turn():
    assert current_turn() is current_turn()


def test_each_run_of_a_loop_has_a_turn_of_its_own():
    async def turn():
        return current_turn()

    assert trio.run(turn) is not trio.run(turn)


async def test_another_turn_may_take_its_place():
    before, turn = current_turn(), Turn()
    use_turn(turn)
    assert current_turn() is turn is not before


async def test_the_end_of_a_turn_lets_others_run_and_begins_another():
    turn, others = Turn(), []
    turn.calls = STRETCH

    async def other():
        others.append(turn.calls)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        await turn.end()  # both are in the next batch, in whatever order
        await turn.end()
        assert others == [0]
    assert turn.calls == 0


async def test_the_end_of_a_turn_cannot_be_cancelled():
    with trio.CancelScope() as scope:
        scope.cancel()
        await Turn().end()
    assert not scope.cancelled_caught


async def test_a_call_in_its_loop_is_made_at_once():
    called = []
    Turn().call(lambda: called.append(1))
    assert called == [1]


async def test_a_call_from_another_thread_is_made_in_the_loop():
    turn, called = Turn(), []

    def call():
        turn.call(lambda: called.append(trio.lowlevel.current_trio_token()))

    await trio.to_thread.run_sync(call)
    await trio.lowlevel.checkpoint()
    assert called == [turn.loop]


async def test_a_call_from_another_loop_is_refused_with_what_to_write():
    turn = Turn()
    await turn.check_loop()
    with pytest.raises(RuntimeError, match=r"trio\.from_thread\.run"):
        await trio.to_thread.run_sync(lambda: trio.run(turn.check_loop))


def test_a_handler_that_handles_nothing_gets_one_turn_only():
    respite = Respite(2)
    assert respite.goes_on("first")
    assert not respite.goes_on("first")


def test_a_handler_that_goes_on_and_on_gets_all_turns_and_no_more():
    respite = Respite(2)
    assert [respite.goes_on(handled) for handled in range(4)] == [True, True, False, False]
