"""
Runs a case: its handler, its peer, and everything that happens from outside.

A :class:`World` is a line with everything around it. ``promise_websocket``, ``promise_request`` and
``promise_route`` have one each.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, Generic, NoReturn, TypeVar

import attrs
import trio
from attrs import define, field
from trio.testing import wait_all_tasks_blocked

from tests.exchange.promise_cases import TIMEOUTS, Case, Error, Event, Kind, Resource, What
from tests.exchange.promise_factories import WRITERS, Frame
from tests.exchange.promise_story import STUBBORN, Story, leaves
from triows import Timeouts, use
from triows._injection.plan import Plan
from triows.exceptions import Disconnected

__all__ = [
    "SpokenWorld",
    "World",
    "asked",
    "die",
    "handler_of",
    "note_seen",
    "play",
    "run_task",
]

#: When the last event comes, if nothing else has ended the exchange before.
LAST = 9.0

S = TypeVar("S", bound=Story)


@define(eq=False)
class World(ABC, Generic[S]):
    """What serves an exchange, and its peer."""

    #: What ends every handler.
    last: ClassVar[What]

    case: Case
    story: S = field(init=False)
    outside: trio.CancelScope = field(factory=trio.CancelScope)
    #: Around a peer that reads.
    reading: trio.CancelScope = field(factory=trio.CancelScope)
    over: trio.Event = field(factory=trio.Event)

    @story.default
    def _(self) -> S:
        return self._begin_story()

    @abstractmethod
    def _begin_story(self) -> S: ...

    @property
    def timeouts(self) -> Timeouts:
        case = self.case
        return attrs.evolve(TIMEOUTS, disconnect_grace=case.grace, teardown=case.teardown)

    # The server, and what happens from outside.

    @abstractmethod
    async def serve(self, tasks: trio.Nursery) -> None:
        """Do what the server's task does for this exchange. It has a nursery for that."""

    @property
    @abstractmethod
    def exchanges(self) -> int:
        """How many are alive."""

    @abstractmethod
    async def drain(self) -> None: ...

    @abstractmethod
    async def read(self) -> None:
        """Read like a peer that keeps up."""

    @abstractmethod
    def leave(self, what: What) -> None:
        """Let the peer leave in one of the ways."""

    async def run(self) -> None:
        """Serve the exchange until its end."""
        story = self.story
        async with trio.open_nursery() as tasks:
            with self.outside:
                try:
                    await self.serve(tasks)
                except BaseException as exc:
                    if not any(isinstance(leaf, Exception) for leaf in leaves(exc)):
                        raise
                    story.raised = exc  # checked when everything is over
            story.cancelled_outside = self.outside.cancelled_caught
            story.done = story.now()
        story.exchanges_left = self.exchanges
        self.over.set()

    async def happen(self, event: Event) -> None:
        await trio.sleep(event.at)
        self.story.events.append((self.story.now(), event.what))
        match event.what:
            case What.CANCEL:
                self.outside.cancel()
            case What.DRAIN:
                await self.drain()
            case What.PEER_VANISHES:
                self.reading.cancel()
                self.leave(event.what)
            case _:
                self.leave(event.what)


@define(eq=False)
class SpokenWorld(World[S]):
    """A world whose handler speaks to its peer by what it is given."""

    #: What the handler asks for.
    given: ClassVar[type]

    # What a handler does with what it was given.

    @abstractmethod
    async def accept(self, peer: Any) -> None: ...

    @abstractmethod
    async def receive(self, peer: Any) -> None:
        """Receive until the peer is gone."""

    @abstractmethod
    async def send(self, peer: Any) -> None: ...

    @abstractmethod
    async def finish(self, peer: Any) -> None: ...

    @abstractmethod
    async def finish_late(self, peer: Any) -> None:
        """The same in the exit of a resource, if nobody else has finished."""


def _nothing() -> None:
    """What the first resource of a chain takes as its argument."""


def asked(case: Case, story: Story) -> dict[str, Any]:
    """The annotations of the handler's resources, by name."""
    annotations: dict[str, Any] = {}
    before: Any = Annotated[None, use(_nothing)]
    for number, resource in enumerate(case.resources):
        if not resource.chained:
            before = Annotated[None, use(_nothing)]
        factory = WRITERS[resource.kind](resource, story, before)
        until = "sent" if resource.outlasts else None
        before = Annotated[object, use(factory, reuse=resource.reuse, until=until)]
        following = case.resources[number + 1 : number + 2]
        taken = bool(following) and following[0].chained
        if case.asks_for_all or not taken:
            annotations[f"r{number}"] = before
    return annotations


# The handler, and the exchange's task.


async def _handle(world: SpokenWorld, peer: Any) -> None:
    story, handler = world.story, world.case.handler
    if handler.waits:
        await trio.sleep(handler.waits)
    if handler.accepts and not handler.by_factory:
        await world.accept(peer)
        story.accepted = story.now()
    with trio.move_on_after(handler.seconds):
        if handler.does == "receives":
            await world.receive(peer)
        while handler.does == "sends":
            story.sending = story.now()
            await world.send(peer)
            story.sending = None
            await trio.sleep(0.5)
        await trio.sleep_forever()
    story.sending = None
    if handler.closes:
        story.closing = story.now()
        await world.finish(peer)
    if handler.raises is not None:
        raise story.make(handler.raises)


async def run_task(case: Case, story: Story) -> None:
    """Run as a task in the exchange's nursery."""
    task = case.task
    assert task is not None
    try:
        await trio.sleep(task.fails_after)
        story.task_failed.append(story.now())
        story.task_errors.append(story.make(Error()))
        raise story.task_errors[-1]
    except trio.Cancelled:
        story.task_cancelled = story.now()
        with trio.CancelScope(shield=True):
            await trio.sleep(task.cleanup)
        if task.cleanup_fails:
            story.task_failed.append(story.now())
            story.task_errors.append(story.make(Error()))
            raise story.task_errors[-1] from None
        raise
    finally:
        story.task_ended = story.now()


def _start_another(story: Story, nursery: Any) -> None:
    """Start a task when everything is about to end. It ends at once, and that isn't an error."""
    if story.case.task is not None and not story.task_failed:
        nursery.start_soon(trio.sleep_forever)


async def die(case: Case, story: Story, nursery: Any, exc: trio.Cancelled) -> NoReturn:
    """End a cancelled handler in the way that the case says."""
    match case.handler.dies:
        case "slowly":
            with trio.CancelScope(shield=True):
                await trio.sleep(STUBBORN)
            _start_another(story, nursery)
        case "raising":
            raise story.make(Error()) from None
        case "raising beside":
            raise BaseExceptionGroup("as from a nursery", [story.make(Error()), exc]) from None
    raise exc


def note_seen(case: Case, plan: Plan) -> None:
    """Let the factories of a case have been seen before, if the case says so."""
    for step in plan.body.steps:
        if case.seen:
            step.factory.holding.note(holds=False)


def handler_of(world: SpokenWorld) -> Callable[..., Any]:
    """The handler of a case. It asks for what its line gives, for resources, and for a nursery."""
    case, story = world.case, world.story

    async def handler(peer: Any, nursery: Any = None, **resources: Any) -> None:
        story.began = story.now()
        try:
            if case.task is not None:
                nursery.start_soon(run_task, case, story)
            try:
                await _handle(world, peer)
            except Disconnected:
                await trio.sleep(case.handler.lingers)
                _start_another(story, nursery)
                raise
            except trio.Cancelled as exc:
                await die(case, story, nursery, exc)
        except BaseException as exc:
            story.error = exc
            story.outcome = "cancelled" if isinstance(exc, trio.Cancelled) else "raised"
            raise
        else:
            story.outcome = "returned"
        finally:
            story.ended = story.now()

    async def accepting(peer: world.given):
        one = story.calls(Resource(Kind.BARE))
        await world.accept(peer)
        story.accepted = story.now()
        one.enters()
        frame = Frame(one)  # noqa: F841 - it is its end that counts
        yield peer
        one.begins(None)
        try:
            await world.finish_late(peer)
        except Disconnected as exc:
            one.errors.append(exc)
            raise
        finally:
            await one.clean()

    annotations = {"peer": world.given, **asked(case, story)}
    if case.handler.by_factory:
        annotations["peer"] = Annotated[world.given, use(accepting)]
    if case.task is not None:
        annotations["nursery"] = trio.Nursery
    handler.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
            for name, annotation in annotations.items()
        ]
    )
    return handler


def _tasks(task: trio.lowlevel.Task | None) -> Iterator[trio.lowlevel.Task]:
    """Yield all tasks below one."""
    for nursery in task.child_nurseries if task is not None else ():
        for child in nursery.child_tasks:
            yield child
            yield from _tasks(child)


async def play(line: Callable[[Case], World[S]], case: Case) -> S:
    """Run a case to its end on a line, and return its story."""
    world = line(case)
    story = world.story
    before = set(_tasks(trio.lowlevel.current_root_task()))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.run)
            for event in (*case.events, Event(world.last, LAST)):
                nursery.start_soon(world.happen, event)
            if case.reads:
                with world.reading:
                    await world.read()
            await world.over.wait()
            await wait_all_tasks_blocked()
            left = set(_tasks(trio.lowlevel.current_root_task())) - before - nursery.child_tasks
            story.tasks_left = [task.name for task in left]
            nursery.cancel_scope.cancel()
    return story
