"""
The promise of routes: a 2xx means that it is done.

This is the property of ``test_promise.py`` for typed handlers of requests, as their clients see it.
``promise_route_cases`` describes what may happen. ``promise_route`` runs it, on the real server in
memory. ``promise_route_oracle`` compares what the server has sent with what has really exited.
"""

import math
from collections.abc import Iterator
from typing import Any

import anyio.to_thread
import pytest
import trio
from attrs import evolve
from hypothesis import HealthCheck, Phase, example, given, settings, strategies as st
from trio.testing import MockClock

from tests.exchange.promise_cases import Error, Event, Handler, Kind, Leaf, Resource, Task, What
from tests.exchange.promise_mutations import MUTATIONS
from tests.exchange.promise_oracle import check
from tests.exchange.promise_route import FILES, Routed
from tests.exchange.promise_route_cases import Body, Call, Result, calls
from tests.exchange.promise_route_oracle import RouteJudge
from tests.exchange.promise_stage import play
from tests.scale import SCALE

HANGS = math.inf

#: How many cases to try.
CASES = 300 * SCALE

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
# These examples have failed before. A request is refused before it would be cancelled.
@example(Call(events=(Event(What.CANCEL, 0.5),), body=Body.WRONG), None)
# The client leaves, and what a StreamingResponse iterates over
# must not outlive the resources. To those with a bare yield, that is a normal end.
@example(
    Call(
        (Resource(), Resource(Kind.BARE)),
        Handler(waits=1, seconds=1),
        (Event(What.PEER_CLOSES, 1.5),),
        result=Result.ITERATED,
        size=3000,
    ),
    None,
)
# An exit fails with the error of a client that has left, and the client is there.
@example(Call((Resource(exit_error=Error((Leaf.DISCONNECT,))),)), None)
# The same, and a task of the resource has failed before that, which is reported.
@example(
    Call((Resource(Kind.BACKGROUND, exit_error=Error((Leaf.DISCONNECT,)), after=0),)),
    None,
)
# A resource that outlasts the response expires, and its exit only says that the client has left.
@example(
    Call(
        (
            Resource(Kind.BARE),
            Resource(
                Kind.EXPIRING,
                exit_error=Error((Leaf.DISCONNECT,)),
                after=0,
                outlasts=True,
            ),
        ),
        parts=0,
    ),
    None,
)
# The client leaves together with its request.
@example(Call((Resource(),), Handler(waits=HANGS), (Event(What.PEER_CLOSES),), grace=0), None)
# The handler of an event stream raises because it is cancelled.
@example(
    Call(
        (Resource(),),
        Handler(waits=HANGS, dies="raising"),
        (Event(What.PEER_RESETS, 0.5),),
        result=Result.EVENTS,
        grace=0,
    ),
    None,
)
# The handler takes longer than Timeouts.accept, and nothing is around its task.
@example(Call((Resource(Kind.COROUTINE),), Handler(waits=5), lends=True), None)
# The client sends too much while the resources are open.
@example(Call((Resource(exit=1),), body=Body.STREAMED_LARGE), None)
# A task of the exchange fails when the handler has returned.
@example(Call((Resource(exit=1),), task=Task(cleanup_fails=True)), None)
# An exit takes until the end of the shutdown's grace, and the response waits for another server.
@example(
    Call((Resource(entry=0.5, exit=1),), events=(Event(What.DRAIN, 0.5),), parts=0),
    None,
)
# The client leaves shortly before the end of what the factories may take.
@example(
    Call((Resource(entry=HANGS),), events=(Event(What.PEER_CLOSES, 3),), body=Body.JSON, pause=0.5),
    None,
)
# The server is cancelled when it refuses a request, because it shuts down.
@example(
    Call(
        events=(Event(What.CANCEL), Event(What.DRAIN)),
        grace=0,
        teardown=1,
        result=Result.EVENTS,
        parts=0,
    ),
    None,
)
# The server is cancelled while it waits for another request.
@example(Call(events=(Event(What.CANCEL, 0.5),), body=Body.WRONG, parts=0), None)
# The server shuts down before the request is served, and leaves no time for it.
@example(Call(events=(Event(What.DRAIN),), grace=0, result=Result.EVENTS, parts=0), None)
# The same, and the client has left when it is refused.
@example(
    Call(
        events=(Event(What.PEER_CLOSES), Event(What.DRAIN)), grace=0, result=Result.EVENTS, parts=0
    ),
    None,
)
# A task of the resource fails, the client leaves, and the exit only says that it has left.
@example(
    Call(
        (
            Resource(
                Kind.BACKGROUND,
                exit_error=Error((Leaf.DISCONNECT, Leaf.DISCONNECT), grouped=True),
                after=0,
            ),
        ),
        events=(Event(What.PEER_CLOSES),),
        grace=0,
        lends=True,
        parts=0,
    ),
    None,
)
def test_a_2xx_means_that_it_is_done(call: Call, order: object):
    judge(call)


@pytest.mark.unmeasured
@pytest.mark.timeout(600)
@pytest.mark.parametrize("what", MUTATIONS)
# A generator that nobody closes is closed by the garbage collection.
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_the_property_notices_if(what: str, monkeypatch: pytest.MonkeyPatch):
    @settings(
        MANY,
        max_examples=1000,
        phases=[Phase.generate],
        derandomize=True,
        report_multiple_bugs=False,
    )
    @given(call=calls(), order=st.random_module())
    def is_kept(call: Call, order: object) -> None:
        judge(evolve(call, **mutation.where))

    mutation = MUTATIONS[what]
    mutation.apply(monkeypatch)
    with pytest.raises((AssertionError, ExceptionGroup, trio.TooSlowError)):
        is_kept()
