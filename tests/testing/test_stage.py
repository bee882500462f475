"""An application that runs at the same time as a test, from its start-up to its shutdown."""

from contextlib import asynccontextmanager

import pytest
import trio

from triows import Triows
from triows.testing._backends import Memory
from triows.testing._blocked import LoopBlocked
from triows.testing._stage import Stage, current_stage


class Boom(Exception):
    pass


def staged(nursery, lifespan=None, *, raises=True):
    app = Triows(lifespan=lifespan)
    return Stage(app, Memory(app, ""), nursery, None, raises=raises)


async def test_an_application_runs_until_it_is_told_to_end(autojump_clock):
    seen = []

    @asynccontextmanager
    async def lifespan(app):
        seen.append(current_stage(trio.lowlevel.current_task().context))
        yield
        seen.append("over")

    async with trio.open_nursery() as nursery:
        stage = staged(nursery, lifespan)
        nursery.start_soon(stage.run)
        await stage.started.wait()
        assert stage.app.is_running
        assert (stage.is_ending, stage.done.is_set()) == (False, False)
        stage.end()
        assert stage.is_ending
        await stage.done.wait()
        assert not stage.app.is_running
    assert seen == [stage, "over"]
    assert stage.error is None
    assert not stage.body.cancel_called


@pytest.mark.parametrize("ending", [False, True])
async def test_an_error_is_kept_and_ends_the_test_unless_it_has_ended(ending, autojump_clock):
    @asynccontextmanager
    async def lifespan(app):
        if not ending:
            raise Boom
        yield
        raise Boom

    async with trio.open_nursery() as nursery:
        stage = staged(nursery, lifespan)
        nursery.start_soon(stage.run)
        await stage.started.wait()
        stage.end()
        await stage.done.wait()
        nursery.cancel_scope.cancel()
    assert isinstance(stage.error, Boom)
    assert stage.body.cancel_called == (not ending)


async def test_a_task_of_the_test_is_not_one_of_the_application(autojump_clock):
    assert current_stage(trio.lowlevel.current_task().context) is None


async def test_what_blocked_the_loop_is_told_once(autojump_clock):
    async with trio.open_nursery() as nursery:
        stage = staged(nursery)
        stage.note_raised(None, ValueError())
        assert not stage.blocked_is_told
        stage.note_raised(BaseExceptionGroup("", [ValueError(), LoopBlocked()]))
        assert stage.blocked_is_told
