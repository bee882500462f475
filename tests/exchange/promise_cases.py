"""
Describes what may happen to an exchange with resources, with Hypothesis strategies for it.

A :class:`Case` describes one run completely, of a WebSocket connection or of a plain request. It
prints as the code that makes it again. Times are seconds since the start of the exchange. They are
on a coarse grid, so that things often happen in the same tick.
"""

import enum
import math
from collections.abc import Sequence

from attrs import fields, frozen
from hypothesis import strategies as st

from triows import Timeouts

__all__ = [
    "GRID",
    "TIMEOUTS",
    "Brief",
    "Case",
    "Error",
    "Event",
    "Handler",
    "Kind",
    "Leaf",
    "Named",
    "Resource",
    "Task",
    "What",
    "connections",
    "errors",
    "rarely",
    "requests",
    "resources",
    "tasks",
]


class Named(enum.Enum):
    """Prints as it is written in code."""

    def __repr__(self) -> str:
        return str(self)


class Brief:
    """Prints only the fields that don't have their defaults."""

    def __repr__(self) -> str:
        shown = [
            f"{one.name}={value!r}"
            for one in fields(type(self))
            if one.repr and (value := getattr(self, one.name)) not in (one.default, [])
        ]
        return f"{type(self).__name__}({', '.join(shown)})"


class Kind(Named):
    """How a factory is written, and what is around its ``yield``."""

    BARE = "async generator without try"
    GUARDED = "async generator with try/finally"
    NURSERY = "the cleanup stands in a nursery with a living child"
    SCOPE = "the cleanup stands in a cancel scope that nobody cancels"
    EXPIRING = "a timeout stands around the yield"
    EXPIRING_WHOLE = "a timeout stands around yield and cleanup"
    BACKGROUND = "a nursery around the yield has a task that fails"
    DECORATED = "asynccontextmanager"
    CLASS = "async context manager class"
    SYNC_BARE = "generator without try"
    SYNC_GUARDED = "generator with try/finally"
    SYNC_SCOPE = "generator that holds a cancel scope"
    SYNC_DECORATED = "contextmanager"
    SYNC_CLASS = "context manager class"
    COROUTINE = "async function"
    FUNCTION = "function"

    @property
    def sync(self) -> bool:
        """Whether it can't await."""
        return self.name.startswith("SYNC_") or self is Kind.FUNCTION

    @property
    def hosted(self) -> bool:
        """Whether it makes a resource that has to exit."""
        return self not in (Kind.COROUTINE, Kind.FUNCTION)

    @property
    def bare(self) -> bool:
        """Whether its ``yield`` is bare."""
        return self in (Kind.BARE, Kind.SYNC_BARE)

    @property
    def gives_way(self) -> bool:
        """Whether it fails by itself while it is in use."""
        return self in (Kind.EXPIRING, Kind.EXPIRING_WHOLE, Kind.BACKGROUND)


class Leaf(Named):
    """An exception that the user's code raises."""

    BOOM = "an error of its own"
    CLOSE = "WebSocketClose(4001)"
    HTTP = "HTTPException(418)"
    DISCONNECT = "what a handler gets when its peer is gone"


@frozen(repr=False)
class Error(Brief):
    """What is raised: one exception, or a group of them, as a nursery makes it."""

    leaves: tuple[Leaf, ...] = (Leaf.BOOM,)
    grouped: bool = False


BOOM = Error()


@frozen(repr=False)
class Resource(Brief):
    """A factory."""

    kind: Kind = Kind.GUARDED
    #: How long entering takes, and what it raises after that.
    entry: float = 0
    entry_error: Error | None = None
    #: Whether it needs half a second more, shielded, if it is cancelled while it enters.
    stubborn: bool = False
    #: How long its cleanup takes, and what it raises after that.
    exit: float = 0
    exit_error: Error | None = None
    #: How many seconds after its call it fails by itself.
    after: float = math.inf
    #: Whether it takes the resource before it as an argument.
    chained: bool = False
    reuse: bool = False
    #: Whether it stays until the response is sent. Only requests to routes have that.
    outlasts: bool = False


@frozen(repr=False)
class Handler(Brief):
    """What the handler does. The handler of a request accepts by beginning its response."""

    #: How long it waits before it accepts. If it doesn't accept, it sends nothing.
    waits: float = 0
    accepts: bool = True
    #: Whether a factory accepts in its place. The factory then yields, and closes with 4004, or
    #: completes the response.
    by_factory: bool = False
    #: Whether it ``"sleeps"``, ``"receives"`` or ``"sends"``, and for how long at most.
    does: str = "sleeps"
    seconds: float = 0
    #: What it does in the end: it closes with 4002 or completes the response, or raises, or just
    #: returns.
    closes: bool = False
    raises: Error | None = None
    #: How long it goes on after it has noticed that the peer is gone.
    lingers: float = 0
    #: How it ends if it is cancelled: ``"at once"``, ``"slowly"`` (it needs half a second,
    #: shielded), ``"raising"`` (another error), or ``"raising beside"`` (a group of an error and
    #: the cancellation).
    dies: str = "at once"


@frozen(repr=False)
class Task(Brief):
    """A task in the exchange's nursery."""

    #: When it fails by itself.
    fails_after: float = math.inf
    #: How long it needs, shielded, if it is cancelled. It may fail after that.
    cleanup: float = 0
    cleanup_fails: bool = False


class What(Named):
    """What happens from outside."""

    PEER_CLOSES = "a close frame with 4003, or the client of a request leaves"
    PEER_RESETS = "the peer is cut off, and the server notices"
    PEER_VANISHES = "the peer is cut off, and the server does not notice"
    CANCEL = "the scope around the application is cancelled"
    DRAIN = "the application shuts down"


@frozen(repr=False)
class Event(Brief):
    """Something that happens from outside."""

    what: What
    at: float = 0


TIMEOUTS = Timeouts(
    accept=3,
    ping_interval=2,
    ping_timeout=1,
    send=2,
    receive=2,
    close=1,
    disconnect_grace=1,
    teardown=4,
    shutdown_grace=1,
)


@frozen(repr=False)
class Case(Brief):
    """One run."""

    resources: tuple[Resource, ...] = ()
    handler: Handler = Handler()
    events: tuple[Event, ...] = ()
    task: Task | None = None
    #: Whether the peer reads what we send.
    reads: bool = True
    #: Whether the handler asks for every resource. If not, only for those that no other takes.
    asks_for_all: bool = False
    grace: float = TIMEOUTS.disconnect_grace
    teardown: float = TIMEOUTS.teardown
    #: Whether earlier resources of the factories were seen to hold nothing, so that these may live
    #: in the handler's task.
    seen: bool = False
    #: Whether the server lends a connection the scope around its task, if the line has that.
    lends: bool = False


# Strategies. Everything shrinks towards the defaults above.

GRID = (0, 0.5, 1, 1.5, 2, 3)
_times = st.sampled_from(GRID)
_short = st.sampled_from((0, 0, 0, 0.5, 1, 2))
rarely = st.sampled_from((False, False, False, True))

errors = st.sampled_from(
    [
        BOOM,
        Error((Leaf.CLOSE,)),
        Error((Leaf.HTTP,)),
        Error((Leaf.DISCONNECT,)),
        Error((Leaf.BOOM,), grouped=True),
        Error((Leaf.CLOSE,), grouped=True),
        Error((Leaf.HTTP,), grouped=True),
        Error((Leaf.DISCONNECT, Leaf.DISCONNECT), grouped=True),
        Error((Leaf.BOOM, Leaf.DISCONNECT), grouped=True),
        Error((Leaf.CLOSE, Leaf.DISCONNECT), grouped=True),
        Error((Leaf.BOOM, Leaf.CLOSE), grouped=True),
        Error((Leaf.BOOM, Leaf.BOOM), grouped=True),
    ]
)


@st.composite
def resources(draw: st.DrawFn) -> Resource:
    """The strategy for factories."""
    kind = draw(st.sampled_from(Kind))
    entry = exit_ = 0.0
    stubborn = False
    if not kind.sync:
        entry = draw(st.sampled_from((*[0] * 10, 0.5, 0.5, 1, 2, math.inf)))
        stubborn = entry > 0 and draw(rarely)
        exit_ = draw(st.sampled_from((0, 0, 0.5, 1, 2, math.inf)))
    return Resource(
        kind,
        entry=entry,
        entry_error=draw(errors) if draw(st.integers(0, 11)) == 11 else None,
        stubborn=stubborn,
        exit=exit_,
        exit_error=draw(errors) if draw(st.integers(0, 3)) == 3 else None,
        after=draw(_times) if kind.gives_way else math.inf,
        chained=draw(st.booleans()),
        reuse=draw(st.booleans()),
    )


@st.composite
def _handlers(
    draw: st.DrawFn,
    closes: st.SearchStrategy[bool],
    unaccepted: Sequence[str],
    lingers: st.SearchStrategy[float],
) -> Handler:
    accepts = draw(st.sampled_from((True, True, True, False)))
    return Handler(
        waits=draw(st.sampled_from((0, 0, 0, 0.5, 1, 2, math.inf))),
        accepts=accepts,
        by_factory=accepts and draw(rarely),
        does=draw(st.sampled_from(("sleeps", "receives", "sends") if accepts else unaccepted)),
        seconds=draw(st.sampled_from((*GRID, math.inf, math.inf))),
        closes=draw(closes) if accepts else False,
        raises=draw(st.none() | errors),
        lingers=draw(lingers),
        dies=draw(st.sampled_from(("at once",) * 3 + ("slowly", "raising", "raising beside"))),
    )


tasks = st.builds(
    Task,
    fails_after=st.sampled_from((math.inf, math.inf, 0, 0.5, 1, 2)),
    cleanup=st.sampled_from((0, 0, 0, 0.5, 1, 3)),
    cleanup_fails=rarely,
)
_events = st.builds(Event, st.sampled_from(What), _times)


def _cases(handlers: st.SearchStrategy[Handler]) -> st.SearchStrategy[Case]:
    return st.builds(
        Case,
        resources=st.lists(resources(), min_size=1, max_size=6).map(tuple),
        handler=handlers,
        events=st.lists(_events, max_size=2).map(tuple),
        task=st.none() | tasks,
        reads=st.booleans(),
        asks_for_all=st.booleans(),
        grace=st.sampled_from((1, 0)),
        teardown=st.sampled_from((4, 1)),
        seen=st.booleans(),
        lends=st.booleans(),
    )


def connections() -> st.SearchStrategy[Case]:
    """The strategy for all cases of WebSocket connections."""
    return _cases(_handlers(rarely, ("sleeps",), _short))


def requests() -> st.SearchStrategy[Case]:
    """
    The strategy for all cases of plain requests.

    Half of their handlers complete the response. Some go on for ever after their client has left:
    only a shutdown ends those.
    """
    lingers = _short | st.just(math.inf)
    return _cases(_handlers(st.booleans(), ("sleeps", "receives"), lingers))
