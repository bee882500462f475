"""
Plays a case against the real thing, and writes down what the user's code sees.

Everything is told by the factories, the handler and the peer; nothing is taken from inside
the framework.
"""

import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any, NoReturn, TypeAlias

import attrs
import trio
from attrs import define, field
from promise_cases import TIMEOUTS, Brief, Case, Error, Event, Kind, Leaf, Resource, What

from triows import (
    HTTPException,
    Triows,
    WebSocket,
    WebSocketClose,
    WebSocketDisconnect,
    WebSocketRoute,
    use,
)
from triows._transports.bridge import Bridge
from triows._transports.interface import Ended, Refusal
from triows._transports.memory import MemoryPeer, MemoryTransport

__all__ = ["Boom", "Instance", "Moment", "Story", "leaves", "play"]

STUBBORN = 0.5
#: When the peer closes, if nothing else has ended the connection before.
LAST = 9.0


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
    """When something happened, and what before what within one tick."""

    time: float
    number: int

    def __repr__(self) -> str:
        return f"<{self.time:g} s, {self.number}>"


@define(eq=False, repr=False)
class Instance(Brief):
    """One resource that was made, and what became of it."""

    resource: Resource
    story: "Story" = field(repr=False)
    called: Moment
    #: The factory reached its yield.
    entered: Moment | None = None
    #: It raised instead, by itself or because a task of its own failed.
    failed: Moment | None = None
    #: It was cancelled instead.
    entry_cancelled: Moment | None = None
    #: Its exit began, as often as it did, and what was raised at the yield.
    begun: list[Moment] = field(factory=list)
    saw: BaseException | None = None
    #: Its cleanup ended: "worked" or "cut".
    cleaned: Moment | None = None
    cleanup: str | None = None
    #: A task of its own ended, and whether it had failed.
    child_ended: Moment | None = None
    child_failed: bool = False
    #: The frame of a bare generator is gone; it can't see an exception at its yield.
    gone: Moment | None = None
    errors: list[BaseException] = field(factory=list)

    @property
    def kind(self) -> Kind:
        return self.resource.kind

    @property
    def began(self) -> Moment | None:
        """When its exit began, as far as it could tell."""
        return self.begun[0] if self.begun else self.gone

    def enters(self) -> None:
        self.entered = self.story.now()

    def begins(self, saw: BaseException | None) -> None:
        self.begun.append(self.story.now())
        self.saw = saw

    @contextmanager
    def used(self) -> Iterator[None]:
        """Stand around a yield."""
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
        """Do what no resource can do if its awaits don't work."""
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
        """Be a task in the factory's own nursery."""
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


class _Frame:
    """Lives in a generator's frame, and dies with it."""

    def __init__(self, one: Instance) -> None:
        self._one = one

    def __del__(self) -> None:
        # If its cleanup raised, the traceback keeps the frame, and nobody asks.
        if not self._one.begun:
            self._one.gone = self._one.story.now()


# The factories, each as a user would write it. `before` is the annotation of the only
# parameter: what the resource takes.

Writer: TypeAlias = Callable[[Resource, "Story", Any], Callable[..., Any]]
_WRITERS: dict[Kind, Writer] = {}


def _writes(kind: Kind) -> Callable[[Writer], Writer]:
    def register(writer: Writer) -> Writer:
        _WRITERS[kind] = writer
        return writer

    return register


@_writes(Kind.BARE)
def _bare(resource, story, before):
    async def bare(before: before):
        one = story.calls(resource)
        await one.entry()
        one.enters()
        frame = _Frame(one)  # noqa: F841 - it is its end that counts
        yield one
        one.begins(None)
        await one.clean()

    return bare


@_writes(Kind.GUARDED)
def _guarded(resource, story, before):
    async def guarded(before: before):
        one = story.calls(resource)
        await one.entry()
        try:
            with one.used():
                yield one
        finally:
            await one.clean()

    return guarded


@_writes(Kind.NURSERY)
def _nursery(resource, story, before):
    async def nursery(before: before):
        one = story.calls(resource)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.live)
            await one.entry()
            try:
                with one.used():
                    yield one
            finally:
                await one.clean()
            nursery.cancel_scope.cancel()

    return nursery


@_writes(Kind.SCOPE)
def _scope(resource, story, before):
    async def scope(before: before):
        one = story.calls(resource)
        with trio.move_on_after(math.inf):
            await one.entry()
            try:
                with one.used():
                    yield one
            finally:
                await one.clean()

    return scope


@_writes(Kind.EXPIRING)
def _expiring(resource, story, before):
    async def expiring(before: before):
        one = story.calls(resource)
        await one.entry()
        try:
            with trio.move_on_after(resource.after), one.used():
                yield one
        finally:
            await one.clean()

    return expiring


@_writes(Kind.EXPIRING_WHOLE)
def _expiring_whole(resource, story, before):
    async def expiring_whole(before: before):
        one = story.calls(resource)
        await one.entry()
        with trio.move_on_after(resource.after):
            try:
                with one.used():
                    yield one
            finally:
                await one.clean()

    return expiring_whole


@_writes(Kind.BACKGROUND)
def _background(resource, story, before):
    async def background(before: before):
        one = story.calls(resource)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(one.live_badly)
                await one.entry()
                with one.used():
                    yield one
                nursery.cancel_scope.cancel()
        finally:
            if one.entered:
                await one.clean()

    return background


@_writes(Kind.DECORATED)
def _decorated(resource, story, before):
    return asynccontextmanager(_guarded(resource, story, before))


@_writes(Kind.CLASS)
def _class(resource, story, before):
    class Manager:
        def __init__(self, before: before):
            self.one = story.calls(resource)

        async def __aenter__(self):
            await self.one.entry()
            self.one.enters()
            return self.one

        async def __aexit__(self, *exc_info):
            self.one.begins(exc_info[1])
            await self.one.clean()

    return Manager


@_writes(Kind.SYNC_BARE)
def _sync_bare(resource, story, before):
    def sync_bare(before: before):
        one = story.calls(resource)
        one.entry_now()
        one.enters()
        frame = _Frame(one)  # noqa: F841 - it is its end that counts
        yield one
        one.begins(None)
        one.clean_now()

    return sync_bare


@_writes(Kind.SYNC_GUARDED)
def _sync_guarded(resource, story, before):
    def sync_guarded(before: before):
        one = story.calls(resource)
        one.entry_now()
        try:
            with one.used():
                yield one
        finally:
            one.clean_now()

    return sync_guarded


@_writes(Kind.SYNC_SCOPE)
def _sync_scope(resource, story, before):
    def sync_scope(before: before):
        one = story.calls(resource)
        with trio.CancelScope():
            one.entry_now()
            try:
                with one.used():
                    yield one
            finally:
                one.clean_now()

    return sync_scope


@_writes(Kind.SYNC_DECORATED)
def _sync_decorated(resource, story, before):
    return contextmanager(_sync_guarded(resource, story, before))


@_writes(Kind.SYNC_CLASS)
def _sync_class(resource, story, before):
    class SyncManager:
        def __init__(self, before: before):
            self.one = story.calls(resource)

        def __enter__(self):
            self.one.entry_now()
            self.one.enters()
            return self.one

        def __exit__(self, *exc_info):
            self.one.begins(exc_info[1])
            self.one.clean_now()

    return SyncManager


@_writes(Kind.COROUTINE)
def _coroutine(resource, story, before):
    async def coroutine(before: before):
        one = story.calls(resource)
        await one.entry()
        one.enters()
        return one

    return coroutine


@_writes(Kind.FUNCTION)
def _function(resource, story, before):
    def function(before: before):
        one = story.calls(resource)
        one.entry_now()
        one.enters()
        return one

    return function


def _nothing() -> None:
    """What the first of a chain takes."""


def _asked(case: Case, story: "Story") -> dict[str, Any]:
    """The annotations of the handler's resources, by name."""
    asked: dict[str, Any] = {}
    before: Any = Annotated[None, use(_nothing)]
    for number, resource in enumerate(case.resources):
        if not resource.chained:
            before = Annotated[None, use(_nothing)]
        factory = _WRITERS[resource.kind](resource, story, before)
        before = Annotated[object, use(factory, reuse=resource.reuse)]
        following = case.resources[number + 1 : number + 2]
        taken = bool(following) and following[0].chained
        if case.asks_for_all or not taken:
            asked[f"r{number}"] = before
    return asked


class _Wire(MemoryTransport):
    """Writes down how the connection ended: the first of these calls that did it."""

    story: "Story"

    def _note(self, how: str, told: Ended | Refusal) -> None:
        if self.ended is None:
            self.story.wire = (self.story.now(), how, told)

    def peer_ended(self, ended: Ended) -> None:
        self._note("peer", ended)
        super().peer_ended(ended)

    def fail(self, code: int, reason: str) -> None:
        self._note("fail", Ended(code, reason))
        super().fail(code, reason)

    async def reject(self, refusal: Refusal) -> None:
        self._note("reject", refusal)
        await super().reject(refusal)

    async def close(self, code: int, reason: str) -> None:
        self._note("close", Ended(code, reason))
        await super().close(code, reason)

    async def aclose(self, *, linger: float) -> None:
        self._note("cut", Ended(1006))
        await super().aclose(linger=linger)


@define(eq=False, repr=False)
class Story(Brief):
    """What happened."""

    case: Case = field(repr=False)
    count: int = field(default=0, repr=False)
    instances: list[Instance] = field(factory=list, repr=False)
    #: Every exception that the user's code made.
    made: list[BaseException] = field(factory=list)

    # The handler.
    began: Moment | None = None
    accepted: Moment | None = None
    #: A send is waiting since.
    sending: Moment | None = None
    closing: Moment | None = None
    ended: Moment | None = None
    outcome: str | None = None
    error: BaseException | None = None

    # The task in the connection's nursery.
    task_failed: list[Moment] = field(factory=list)
    task_cancelled: Moment | None = None
    task_ended: Moment | None = None
    task_errors: list[BaseException] = field(factory=list)

    # The other side.
    events: list[tuple[Moment, What]] = field(factory=list)
    wire: tuple[Moment, str, Ended | Refusal] | None = None
    peer_accepted: bool = False
    peer_refusal: Refusal | None = None
    peer_ended: Ended | None = None

    # The whole.
    done: Moment | None = None
    raised: BaseException | None = None
    cancelled_outside: bool = False
    connections_left: int = 0
    tasks_left: int = 0

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
                return WebSocketDisconnect(1006)

    def when(self, what: What) -> Moment | None:
        """When something happened from outside for the first time."""
        return min((moment for moment, one in self.events if one is what), default=None)

    def tell(self) -> str:
        """Everything, for who looks at a failure."""
        return "\n".join([repr(self.case), repr(self), *map(repr, self.instances)])


# The handler, the connection's task, the peer and the rest of the world.


async def _handle(case: Case, story: Story, ws: WebSocket) -> None:
    handler = case.handler
    if handler.waits:
        await trio.sleep(handler.waits)
    if handler.accepts and not handler.by_factory:
        await ws.accept()
        story.accepted = story.now()
    with trio.move_on_after(handler.seconds):
        if handler.does == "receives":
            async for _ in ws:
                pass
        while handler.does == "sends":
            story.sending = story.now()
            await ws.send("news")
            story.sending = None
            await trio.sleep(0.5)
        await trio.sleep_forever()
    story.sending = None
    if handler.closes:
        story.closing = story.now()
        await ws.close(4002)
    if handler.raises is not None:
        raise story.make(handler.raises)


async def _run_task(case: Case, story: Story) -> None:
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


async def _die(case: Case, story: Story, exc: trio.Cancelled) -> NoReturn:
    """End when cancelled, each in its way."""
    match case.handler.dies:
        case "slowly":
            with trio.CancelScope(shield=True):
                await trio.sleep(STUBBORN)
        case "raising":
            raise story.make(Error()) from None
        case "raising beside":
            raise BaseExceptionGroup("as from a nursery", [story.make(Error()), exc]) from None
    raise exc


def _handler(case: Case, story: Story) -> Callable[..., Any]:
    async def handler(ws: WebSocket, nursery: Any = None, **resources: Any) -> None:
        story.began = story.now()
        try:
            if case.task is not None:
                nursery.start_soon(_run_task, case, story)
            try:
                await _handle(case, story, ws)
            except WebSocketDisconnect:
                await trio.sleep(case.handler.lingers)
                if case.task and not story.task_failed and not story.when(What.CANCEL):
                    nursery.start_soon(trio.sleep_forever)  # in vain, but no mistake
                raise
            except trio.Cancelled as exc:
                await _die(case, story, exc)
        except BaseException as exc:
            story.error = exc
            story.outcome = "cancelled" if isinstance(exc, trio.Cancelled) else "raised"
            raise
        else:
            story.outcome = "returned"
        finally:
            story.ended = story.now()

    async def accepting(ws: WebSocket):
        one = story.calls(Resource(Kind.BARE))
        await ws.accept()
        story.accepted = story.now()
        one.enters()
        frame = _Frame(one)  # noqa: F841 - it is its end that counts
        yield ws
        one.begins(None)
        await ws.close(4004)
        await one.clean()

    annotations = {"ws": WebSocket, **_asked(case, story)}
    if case.handler.by_factory:
        annotations["ws"] = Annotated[WebSocket, use(accepting)]
    if case.task is not None:
        annotations["nursery"] = trio.Nursery
    handler.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
            for name, annotation in annotations.items()
        ]
    )
    return handler


def _application(case: Case, story: Story) -> Triows:
    route = WebSocketRoute("/")
    route.ws_handler(_handler(case, story))
    timeouts = attrs.evolve(TIMEOUTS, disconnect_grace=case.grace, teardown=case.teardown)
    return Triows(route, timeouts=timeouts)


SCOPE = {
    "type": "websocket",
    "path": "/",
    "raw_path": b"/",
    "query_string": b"",
    "headers": [(b"host", b"testserver")],
    "subprotocols": [],
    "extensions": {"websocket.http.response": {}},
}


@define(eq=False)
class _World:
    case: Case
    story: Story
    app: Triows
    peer: MemoryPeer
    outside: trio.CancelScope = field(factory=trio.CancelScope)
    over: trio.Event = field(factory=trio.Event)

    def _transport(self, limits: Any, timeouts: Any) -> MemoryTransport:
        self.peer.server = wire = _Wire(self.peer, limits=limits, timeouts=timeouts)
        wire.story = self.story
        return wire

    async def connection(self) -> None:
        """Be the server's task for this connection."""
        story = self.story
        async with trio.open_nursery() as nursery:
            bridge = Bridge(self._transport, nursery, self.app.limits, self.app.timeouts)
            with self.outside:
                try:
                    await self.app.handle(dict(SCOPE), bridge.receive, bridge.send)
                except BaseException as exc:
                    if not any(isinstance(leaf, Exception) for leaf in leaves(exc)):
                        raise
                    story.raised = exc  # looked at when all is over
            story.cancelled_outside = self.outside.cancelled_caught
            story.done = story.now()
            story.tasks_left = len(nursery.child_tasks)
        story.connections_left = len(self.app._connections)
        self.over.set()

    async def read(self) -> None:
        """Read as a peer that keeps up."""
        try:
            while True:
                await self.peer.inbox.receive()
        except WebSocketDisconnect:
            pass

    async def event(self, event: Event, reading: trio.CancelScope) -> None:
        await trio.sleep(event.at)
        self.story.events.append((self.story.now(), event.what))
        match event.what:
            case What.PEER_CLOSES:
                self.peer.close(4003, "")
            case What.PEER_RESETS:
                self.peer.reset()
            case What.PEER_VANISHES:
                reading.cancel()
                self.peer.vanish()
            case What.CANCEL:
                self.outside.cancel()
            case What.DRAIN:
                await self.app.drain()


async def play(case: Case) -> Story:
    """Run a case to its end."""
    story = Story(case)
    # One message fits without being read.
    peer = MemoryPeer(1, 2**16)
    world = _World(case, story, _application(case, story), peer)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.connection)
            reading = trio.CancelScope()
            for event in (*case.events, Event(What.PEER_CLOSES, LAST)):
                nursery.start_soon(world.event, event, reading)
            if case.reads:
                with reading:
                    await world.read()
            await world.over.wait()
            nursery.cancel_scope.cancel()
    story.peer_accepted = peer.accepted
    story.peer_refusal = peer.refusal
    story.peer_ended = peer.inbox.ended
    return story
