"""The requests that are being served."""

from __future__ import annotations

import math

import trio

from triows._server.jobs import Jobs
from triows._server.pool import Worker


async def test_all_that_run_and_those_that_begin_later_end_at_the_deadline(autojump_clock):
    jobs, before, after, over = Jobs(), Worker([]), Worker([]), Worker([])
    jobs.add(before)
    jobs.add(over)
    jobs.discard(over)
    deadline = trio.current_time() + 5
    jobs.end_at(deadline)
    jobs.add(after)
    assert [one.scope.deadline for one in (before, after, over)] == [deadline, deadline, math.inf]
    assert len(jobs) == 2
