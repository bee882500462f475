"""
The promise of routes: a 2xx means that it is done.

This is the property of ``test_promise.py`` for typed handlers of requests, as their clients see it.
``promise_route_cases`` describes what may happen. ``promise_route`` runs it, on the real server in
memory. ``promise_route_oracle`` compares what the server has sent with what has really exited.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
import trio
from hypothesis import HealthCheck, example, given, settings, strategies as st
from trio.testing import MockClock

from tests.exchange.promise_cases import Error, Event, Handler, Kind, Leaf, Resource, Task, What
from tests.exchange.promise_oracle import check
from tests.exchange.promise_route import FILES, Routed
from tests.exchange.promise_route_cases import Body, Call, Result, calls
from tests.exchange.promise_route_oracle import RouteJudge
from tests.exchange.promise_stage import play
from tests.scale import SCALE

HANGS = math.inf

#: How many cases to try.
CASES = (2000 if os.environ.get("CI") else 300) * SCALE

MANY = settings(
    max_examples=CASES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


async def _at_once(fn: Any, *args: Any, **_: Any) -> Any:
    """Call a function as in a thread. A virtual clock doesn't wait for real threads."""
    await trio.lowlevel.checkpoint()
    return fn(*args)


@pytest.fixture(scope="module", autouse=True)
def _files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("promise")
    for size in (10, 3000):
        FILES[size] = folder / str(size)
        FILES[size].write_bytes(b"x" * size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trio.to_thread, "run_sync", _at_once)
        patch.setattr(anyio.to_thread, "run_sync", _at_once)
        yield


def judge(call: Call) -> None:
    """Run a case, and compare it with the promise."""
    check(RouteJudge, trio.run(play, Routed, call, clock=MockClock(autojump_threshold=0)))


@pytest.mark.unmeasured
@pytest.mark.timeout(600 * SCALE)
@MANY
@given(call=calls(), order=st.random_module())
def test_a_2xx_means_that_it_is_done(call: Call, order: object):
    judge(call)
