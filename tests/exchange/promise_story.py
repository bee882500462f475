"""
The record of a run: everything that the user's code and the peer see.

It has nothing from inside the framework.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import trio
from attrs import define, field

from tests.exchange.promise_cases import Brief, Case, Error, Kind, Leaf, Resource, What
from triows import HTTPException, WebSocketClose
from triows.exceptions import Disconnected

__all__ = ["STUBBORN", "Boom", "Instance", "Moment", "Story", "leaves"]

#: How many seconds stubborn factories and handlers need when they are cancelled.
STUBBORN = 0.5


def leaves(error: BaseException | None) -> Iterator[BaseException]:
    """The exceptions in a group, or an exception itself."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from leaves(one)
    elif error is not None:
        yield error


class Boom(Exception):
    """An error of the user's code."""


@define(order=True, frozen=True, repr=False)
class Moment:
    """When something happened. A number gives the order within one tick."""

    time: float
    number: int

    def __repr__(self) -> str:
        return f"<{self.time:g} s, {self.number}>"


@define(eq=False, repr=False)
class Instance(Brief):
    """One resource that was made, and what happened to it."""

    resource: Resource
    story: "Story" = field(repr=False)
    called: Moment
    #: When the factory reached its yield.
    entered: Moment | None = None
    #: When it raised before that, by itself or because a task of its own failed.
    failed: Moment | None = None
    #: When it was cancelled before that.
    entry_cancelled: Moment | None = None
    #: Each time its exit began, and what was raised at the yield.
    begun: list[Moment] = field(factory=list)
    saw: BaseException | None = None
    #: When its cleanup ended, and how: "worked" or "cut".
    cleaned: Moment | None = None
    cleanup: str | None = None
    #: When its own task ended, and whether it had failed.
    child_ended: Moment | None = None
    child_failed: bool = False
    #: When the frame of a bare generator was freed. It can't see an exception at its yield.
    gone: Moment | None = None
    errors: list[BaseException] = field(factory=list)

    @property
    def kind(self) -> Kind:
        return self.resource.kind

    @property
    def began(self) -> Moment | None:
        """When its exit began, if the resource could notice that."""
        return self.begun[0] if self.begun else self.gone

    def enters(self) -> None:
        self.entered = self.story.now()

    def begins(self, saw: BaseException | None) -> None:
        self.begun.append(self.story.now())
        self.saw = saw

    @contextmanager
    def used(self) -> Iterator[None]:
        """Note what happens at the yield inside this context manager."""
        self.enters()
        try:
            yield
        except BaseException as exc:
            self.begins(exc)
            raise
        else:
            self.begins(None)

    def _fail_entry(self) -> None:
        if self.resource.entry_error is not None:
            self.failed = self.story.now()
            error = self.story.make(self.resource.entry_error)
            self.errors.append(error)
            raise error

    async def entry(self) -> None:
        try:
            if self.resource.entry:
                await trio.sleep(self.resource.entry)
        except trio.Cancelled:
            self.entry_cancelled = self.story.now()
            if self.resource.stubborn:
                with trio.CancelScope(shield=True):
                    await trio.sleep(STUBBORN)
                self.entry_cancelled = self.story.now()
            raise
        self._fail_entry()

    def _fail_cleanup(self) -> None:
        if self.resource.exit_error is not None:
            error = self.story.make(self.resource.exit_error)
            self.errors.append(error)
            raise error

    async def clean(self) -> None:
        """Clean up with an ``await``."""
        try:
            await trio.lowlevel.checkpoint()
            if self.resource.exit:
                await trio.sleep(self.resource.exit)
            self.cleanup = "worked"
        except trio.Cancelled:
            self.cleanup = "cut"
            raise
        finally:
            self.cleaned = self.story.now()
        self._fail_cleanup()

    async def live(self) -> None:
        """Run as a task in the factory's own nursery."""
        try:
            await trio.sleep_forever()
        finally:
            self.child_ended = self.story.now()

    async def live_badly(self) -> None:
        try:
            await trio.sleep(self.resource.after)
            error = self.story.make(Error())
            self.errors.append(error)
            self.child_failed = True
            raise error
        finally:
            self.child_ended = self.story.now()

    # For factories that can't await.

    def entry_now(self) -> None:
        self._fail_entry()

    def clean_now(self) -> None:
        self.cleanup = "worked"
        self.cleaned = self.story.now()
        self._fail_cleanup()


@define(eq=False, repr=False)
class Story(Brief, ABC):
    """What happened. Each line adds what its peer sees."""

    case: Case = field(repr=False)
    count: int = field(default=0, repr=False)
    instances: list[Instance] = field(factory=list, repr=False)
    #: Every exception that the user's code made.
    made: list[BaseException] = field(factory=list)

    # The handler.
    began: Moment | None = None
    accepted: Moment | None = None
    #: Since when a send is waiting.
    sending: Moment | None = None
    closing: Moment | None = None
    ended: Moment | None = None
    outcome: str | None = None
    error: BaseException | None = None

    # The task in the exchange's nursery.
    task_failed: list[Moment] = field(factory=list)
    task_cancelled: Moment | None = None
    task_ended: Moment | None = None
    task_errors: list[BaseException] = field(factory=list)

    # The other side.
    events: list[tuple[Moment, What]] = field(factory=list)

    # The whole.
    done: Moment | None = None
    raised: BaseException | None = None
    cancelled_outside: bool = False
    exchanges_left: int = 0
    tasks_left: list[str] = field(factory=list)

    @property
    @abstractmethod
    def told(self) -> Moment | None:
        """When the peer was told of the end, or at least that there will be a response."""

    @abstractmethod
    def disconnect(self) -> Disconnected:
        """What a handler gets when its peer is gone."""

    def now(self) -> Moment:
        self.count += 1
        return Moment(trio.current_time(), self.count)

    def calls(self, resource: Resource) -> Instance:
        one = Instance(resource, self, self.now())
        self.instances.append(one)
        return one

    def make(self, error: Error) -> BaseException:
        leaves = [self._leaf(leaf) for leaf in error.leaves]
        self.made += leaves
        return ExceptionGroup("several", leaves) if error.grouped else leaves[0]

    def _leaf(self, leaf: Leaf) -> Exception:
        match leaf:
            case Leaf.BOOM:
                return Boom(len(self.made))
            case Leaf.CLOSE:
                return WebSocketClose(4001)
            case Leaf.HTTP:
                return HTTPException(418)
            case Leaf.DISCONNECT:
                return self.disconnect()

    def when(self, what: What) -> Moment | None:
        """When something happened from outside for the first time."""
        return min((moment for moment, one in self.events if one is what), default=None)

    def tell(self) -> str:
        """Describe everything, for people who look at a failure."""
        return "\n".join([repr(self.case), repr(self), *map(repr, self.instances)])
