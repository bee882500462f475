"""Runs a case: its handler, its peer, and everything that happens from outside."""

import inspect
from collections.abc import Callable, Iterator
from typing import Annotated, Any, NoReturn

import attrs
import trio
from attrs import define, field
from trio.testing import wait_all_tasks_blocked

from tests.exchange.promise_cases import TIMEOUTS, Case, Error, Event, Kind, Resource, What
from tests.exchange.promise_factories import WRITERS, Frame
from tests.exchange.promise_story import STUBBORN, Story, leaves
from tests.transports.messages import MemoryPeer, MemoryTransport
from triows import Triows, WebSocket, WebSocketDisconnect, WebSocketRoute, use
from triows._inspection.inside import live
from triows._reply import Reply
from triows._transports.bridge import Bridge
from triows._transports.interface import Ended

__all__ = ["play"]

#: When the peer closes, if nothing else has ended the connection before.
LAST = 9.0


def _nothing() -> None:
    """What the first resource of a chain takes as its argument."""


def _asked(case: Case, story: Story) -> dict[str, Any]:
    """The annotations of the handler's resources, by name."""
    asked: dict[str, Any] = {}
    before: Any = Annotated[None, use(_nothing)]
    for number, resource in enumerate(case.resources):
        if not resource.chained:
            before = Annotated[None, use(_nothing)]
        factory = WRITERS[resource.kind](resource, story, before)
        before = Annotated[object, use(factory, reuse=resource.reuse)]
        following = case.resources[number + 1 : number + 2]
        taken = bool(following) and following[0].chained
        if case.asks_for_all or not taken:
            asked[f"r{number}"] = before
    return asked


class _Wire(MemoryTransport):
    """Notes which of these calls ended the connection."""

    story: Story

    def _note(self, how: str, told: Ended | Reply) -> None:
        if self.ended is None:
            self.story.wire = (self.story.now(), how, told)

    def peer_ended(self, ended: Ended) -> None:
        self._note("peer", ended)
        super().peer_ended(ended)

    def fail(self, code: int, reason: str) -> None:
        self._note("fail", Ended(code, reason))
        super().fail(code, reason)

    async def reject(self, refusal: Reply) -> None:
        self._note("reject", refusal)
        await super().reject(refusal)

    async def close(self, code: int, reason: str) -> None:
        self._note("close", Ended(code, reason))
        await super().close(code, reason)

    async def aclose(self, *, linger: float) -> None:
        self._note("cut", Ended(1006))
        await super().aclose(linger=linger)


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


def _start_another(story: Story, nursery: Any) -> None:
    """Start a task when everything is about to end. It ends at once, and that isn't an error."""
    if story.case.task is not None and not story.task_failed:
        nursery.start_soon(trio.sleep_forever)


async def _die(case: Case, story: Story, nursery: Any, exc: trio.Cancelled) -> NoReturn:
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
                _start_another(story, nursery)
                raise
            except trio.Cancelled as exc:
                await _die(case, story, nursery, exc)
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
        frame = Frame(one)  # noqa: F841 - it is its end that counts
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


def _tasks(task: trio.lowlevel.Task | None) -> Iterator[trio.lowlevel.Task]:
    """Yield all tasks below one."""
    for nursery in task.child_nurseries if task is not None else ():
        for child in nursery.child_tasks:
            yield child
            yield from _tasks(child)


@define(eq=False)
class _World:
    case: Case
    story: Story
    app: Triows
    peer: MemoryPeer
    outside: trio.CancelScope = field(factory=trio.CancelScope)
    over: trio.Event = field(factory=trio.Event)

    def _transport(self, settings: Any) -> MemoryTransport:
        self.peer.server = wire = _Wire(
            self.peer, limits=settings.limits, timeouts=settings.timeouts
        )
        wire.story = self.story
        return wire

    async def connection(self) -> None:
        """Do what the server's task does for this connection."""
        story = self.story
        async with trio.open_nursery() as nursery:
            bridge = Bridge(self._transport, nursery, self.app.settings)
            with self.outside:
                try:
                    await self.app.handle(dict(SCOPE), bridge.receive, bridge.send)
                except BaseException as exc:
                    if not any(isinstance(leaf, Exception) for leaf in leaves(exc)):
                        raise
                    story.raised = exc  # checked when everything is over
            story.cancelled_outside = self.outside.cancelled_caught
            story.done = story.now()
        story.connections_left = len(list(live(self.app)))
        self.over.set()

    async def read(self) -> None:
        """Read like a peer that keeps up."""
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
    # The peer takes one message without reading it.
    peer = MemoryPeer(1, 2**16)
    world = _World(case, story, _application(case, story), peer)
    before = set(_tasks(trio.lowlevel.current_root_task()))
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
            await wait_all_tasks_blocked()
            left = set(_tasks(trio.lowlevel.current_root_task())) - before - nursery.child_tasks
            story.tasks_left = [task.name for task in left]
            nursery.cancel_scope.cancel()
    story.peer_accepted = peer.accepted
    story.peer_refusal = peer.refusal
    story.peer_ended = peer.inbox.ended
    return story
