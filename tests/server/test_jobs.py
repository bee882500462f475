"""The requests that are being served."""

from __future__ import annotations

import math

import trio

from triows._server.jobs import Jobs
from triows._server.pool import Worker


async def test_all_that_run_end_at_the_deadline(autojump_clock):
    jobs, running, over = Jobs(), Worker([]), Worker([])
    jobs.workers[running] = None
    deadline = trio.current_time() + 5
    jobs.end_at(deadline)
    assert [one.scope.deadline for one in (running, over)] == [deadline, math.inf]
    assert jobs.deadline == deadline
