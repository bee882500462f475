"""
Describes what may happen to a request to a :class:`triows.Route`.

A :class:`Call` is a :class:`.Case`. Its handler waits, and then returns something or raises. If it
streams, it also waits before each part.
"""

import math

from attrs import evolve, frozen
from hypothesis import strategies as st

from tests.exchange.promise_cases import (
    GRID,
    Case,
    Event,
    Handler,
    Named,
    Resource,
    What,
    errors,
    rarely,
    resources,
    tasks,
)

__all__ = ["LIMIT", "Body", "Call", "Result", "calls"]

#: How many bytes a body may have.
LIMIT = 400


class Body(Named):
    """What the client sends as the body of its request."""

    NONE = "nothing"
    JSON = "JSON, which is read before the factories are called"
    WRONG = "JSON in which something is wrong"
    LARGE = "the same with more bytes than are allowed, which is known only at the end"
    STREAMED = "bytes that the handler reads part by part"
    STREAMED_LARGE = "the same with more bytes than are allowed"

    @property
    def is_streamed(self) -> bool:
        return self in (Body.STREAMED, Body.STREAMED_LARGE)


class Result(Named):
    """What the handler returns, and its annotation says."""

    VALUE = "a dict"
    NOTHING = "None"
    RESPONSE = "Starlette's Response"
    FILE = "Starlette's FileResponse"
    ITERATED = "Starlette's StreamingResponse"
    PARTS = "an async generator of bytes"
    EVENTS = "an async generator of events"

    @property
    def is_generator(self) -> bool:
        """Whether the handler itself is a generator function."""
        return self in (Result.PARTS, Result.EVENTS)

    @property
    def is_streamed(self) -> bool:
        """Whether parts are sent while the user's code makes others."""
        return self.is_generator or self is Result.ITERATED

    @property
    def has_background(self) -> bool:
        """Whether it may have something to run after it is sent."""
        return self in (Result.RESPONSE, Result.FILE, Result.ITERATED)


@frozen(repr=False)
class Call(Case):
    """One request to a route."""

    body: Body = Body.NONE
    #: How long the client waits in the middle of its body.
    pause: float = 0
    result: Result = Result.VALUE
    #: How many parts a stream has, and how many bytes each, or the whole result.
    parts: int = 2
    size: int = 10
    #: Whether something runs in the background when the response is sent.
    background: bool = False
    #: Whether the client reads some hundred bytes each half second.
    is_slow: bool = False


def _outlasting(found: list[Resource]) -> tuple[Resource, ...]:
    """Let resources that stay until the response is sent need only others that stay as well."""
    made: list[Resource] = []
    needs_ending = False
    for one in found:
        needs_ending &= one.chained
        stays = one.outlasts and one.kind.hosted and not needs_ending
        needs_ending |= one.kind.hosted and not stays
        made.append(evolve(one, outlasts=stays))
    return tuple(made)


@st.composite
def _resources(draw: st.DrawFn) -> Resource:
    return evolve(draw(resources()), outlasts=draw(rarely))


_handlers = st.builds(
    Handler,
    waits=st.sampled_from((0, 0, 0, 0.5, 1, 2, math.inf)),
    seconds=st.sampled_from((0, 0, 0, 0.5, 1, math.inf)),
    raises=st.none() | st.none() | errors,
    lingers=st.sampled_from((0, 0, 0.5)),
    dies=st.sampled_from(("at once",) * 3 + ("slowly", "raising", "raising beside")),
)
_WHATS = [*What, What.PEER_CLOSES, What.PEER_RESETS]
_events = st.builds(Event, st.sampled_from(_WHATS), st.sampled_from(GRID))


def calls() -> st.SearchStrategy[Call]:
    """The strategy for all cases of requests to routes."""
    return st.builds(
        Call,
        resources=st.lists(_resources(), max_size=5).map(_outlasting),
        handler=_handlers,
        events=st.lists(_events, max_size=2).map(tuple),
        task=st.none() | st.none() | tasks,
        reads=st.sampled_from((True, True, True, False)),
        asks_for_all=st.booleans(),
        grace=st.sampled_from((1, 0)),
        teardown=st.sampled_from((4, 1)),
        seen=st.booleans(),
        lends=st.booleans(),
        body=st.sampled_from([Body.NONE, *Body]),
        pause=st.sampled_from((0, 0, 0.5, 1, math.inf)),
        result=st.sampled_from(Result),
        parts=st.integers(0, 3),
        size=st.sampled_from((10, 3000)),
        background=rarely,
        is_slow=rarely,
    )
