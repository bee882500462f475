"""The line of WebSockets: what the promise means for a connection."""

import math
from collections.abc import Iterator
from typing import Any

import trio
from attrs import define, field

from tests.exchange.promise_cases import What
from tests.exchange.promise_oracle import NEAR, Judge, same
from tests.exchange.promise_stage import SpokenWorld, handler_of, note_seen
from tests.exchange.promise_story import Moment, Story
from tests.transports.messages import MemoryPeer, MemoryTransport
from triows import (
    HTTPException,
    Triows,
    WebSocket,
    WebSocketClose,
    WebSocketDisconnect,
    WebSocketRoute,
)
from triows._inspection.inside import live
from triows._reply import Reply
from triows._transports.bridge import Bridge
from triows._transports.interface import Ended
from triows._transports.pinger import Pinger

__all__ = ["Connection", "ConnectionJudge"]


@define(eq=False, repr=False)
class ConnectionStory(Story):
    """What the peer of a WebSocket connection sees, too."""

    #: When and how the connection ended, and what the peer was told or has told.
    wire: tuple[Moment, str, Ended | Reply] | None = None
    #: It takes one message without reading it.
    peer: MemoryPeer = field(factory=lambda: MemoryPeer(1, 2**16), repr=False)

    @property
    def told(self) -> Moment | None:
        return None if self.wire is None else self.wire[0]

    def disconnect(self) -> WebSocketDisconnect:
        return WebSocketDisconnect(1006)


class _Wire(MemoryTransport):
    """Notes which of these calls ended the connection."""

    story: ConnectionStory

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
class Connection(SpokenWorld[ConnectionStory]):
    """An application with one route, and a peer that is connected to it."""

    given = WebSocket
    last = What.PEER_CLOSES

    app: Triows = field(init=False)
    #: What a server runs, and lends its connections.
    pinger: Pinger = field(factory=Pinger)
    timing: trio.CancelScope = field(factory=trio.CancelScope)

    def _begin_story(self) -> ConnectionStory:
        return ConnectionStory(self.case)

    @app.default
    def _(self) -> Triows:
        route = WebSocketRoute("/")
        route.ws_handler(handler_of(self))
        app = Triows(route, timeouts=self.timeouts)
        for entry in app._compiler.entries:
            note_seen(self.case, entry.endpoint.plan)
        return app

    async def accept(self, peer: WebSocket) -> None:
        await peer.accept()

    async def receive(self, peer: WebSocket) -> None:
        async for _ in peer:
            pass

    async def send(self, peer: WebSocket) -> None:
        await peer.send("news")

    async def finish(self, peer: WebSocket) -> None:
        await peer.close(4002)

    async def finish_late(self, peer: WebSocket) -> None:
        await peer.close(4004)

    def _transport(self, settings: Any) -> MemoryTransport:
        peer = self.story.peer
        peer.server = wire = _Wire(peer, limits=settings.limits, timeouts=settings.timeouts)
        wire.story = self.story
        wire.timer = self.pinger
        return wire

    async def _time(self) -> None:
        with self.timing:
            await self.pinger.run()

    async def serve(self, tasks: trio.Nursery) -> None:
        around = trio.CancelScope() if self.case.lends else None
        bridge = Bridge(self._transport, tasks, self.app.settings, around=around)
        tasks.start_soon(self._time)
        try:
            with around or trio.CancelScope():
                await self.app.handle(dict(SCOPE), bridge.receive, bridge.send)
        finally:
            self.timing.cancel()

    @property
    def exchanges(self) -> int:
        return len(list(live(self.app)))

    async def drain(self) -> None:
        await self.app.drain()

    async def read(self) -> None:
        try:
            while True:
                await self.story.peer.inbox.receive()
        except WebSocketDisconnect:
            pass

    def leave(self, what: What) -> None:
        match what:
            case What.PEER_CLOSES:
                self.story.peer.close(4003, "")
            case What.PEER_RESETS:
                self.story.peer.reset()
            case What.PEER_VANISHES:
                self.story.peer.vanish()


class ConnectionJudge(Judge[ConnectionStory]):
    """Knows the close codes, the refusals, and what ends a connection."""

    quiet = (1000, 403)

    def _strikes_of_the_peer(self) -> Iterator[tuple[float, str, bool]]:
        story, gone = self.story, self.gone_at
        accept = self.timeouts.accept
        late = story.accepted is None or same(story.accepted.time, accept)
        if late and gone >= accept - NEAR:
            yield accept, "timeout", not same(gone, accept)
        if gone < math.inf:
            yield gone + self.case.grace, "peer gone", True
        if late and same(gone, accept):
            yield accept, "peer gone", False

    @property
    def gone_at(self) -> float:
        if self.story.wire is not None and self.story.wire[1] in ("peer", "fail"):
            return self.story.wire[0].time
        return math.inf

    def _asks_for_an_end(self, error: BaseException) -> bool:
        refuses = isinstance(error, HTTPException) and not self.story.accepted
        return refuses or isinstance(error, WebSocketClose)

    def check_what_the_peer_is_told(self) -> None:
        story = self.story
        assert story.wire is not None
        moment, how, told = story.wire
        assert moment.time <= self._noticed_by() + NEAR, "it ought to have noticed"
        if how == "peer":
            assert story.when(What.PEER_CLOSES) or story.when(What.PEER_RESETS)
            return
        if how == "fail":
            self._check_failed(moment.time, told.code)
        elif how == "close":
            assert story.peer.accepted, "closed what was never accepted"
            assert told.code in self._codes(moment.time), told
            assert told.code != 1011 or story.raised is not None, "only the peer is told"
        elif how == "reject":
            assert told.status in self._statuses(), told
            assert told.status != 500 or story.raised is not None, "only the peer is told"
            if not story.when(What.PEER_VANISHES):
                assert story.peer.refusal is told
        else:
            raise AssertionError("cut without a close frame or a refusal")
        if how != "reject" and not story.when(What.PEER_VANISHES):
            assert story.peer.inbox.ended == told

    def _noticed_by(self) -> float:
        """When the server notices at the latest that a peer doesn't read, or has vanished."""
        story, timeouts = self.story, self.timeouts
        vanished = story.when(What.PEER_VANISHES)
        by = math.inf
        if vanished is not None and story.accepted is not None:
            since = max(vanished.time, story.accepted.time)
            by = since + timeouts.ping_interval + timeouts.ping_timeout
        if story.sending is not None:
            late = story.sending.time + timeouts.send
            # A handler that was cancelled before that doesn't wait any more.
            if self.body_end >= late - NEAR:
                by = min(by, late)
        return by

    def _check_failed(self, at: float, code: int) -> None:
        story = self.story
        if code == 1008:
            if story.sending is not None:
                assert same(at, story.sending.time + self.timeouts.send)
        else:
            assert code == 1011, "no other fault is in the cases"
            vanished = story.when(What.PEER_VANISHES)
            assert vanished is not None
            assert at >= vanished.time + self.timeouts.ping_timeout - NEAR

    def _codes(self, at: float) -> set[int]:
        """The close codes that are correct at that time."""
        story = self.story
        codes = set()
        drained = story.when(What.DRAIN)
        if drained and story.accepted:
            due = max(drained.time, story.accepted.time)
            assert at <= due + NEAR, "the shutdown did not close it"
            if same(at, due):
                codes.add(1001)
        if story.closing is not None:
            assert at <= story.closing.time + NEAR
            if same(at, story.closing.time):
                codes.add(4002)
                return codes
        assert at <= self.told_by + NEAR
        if at >= self.body_end - NEAR:
            codes |= {code for code, _ in self._verdicts()}
        return codes

    def _statuses(self) -> set[int]:
        drained = self.story.when(What.DRAIN)
        if drained and drained.time == 0 and not self.story.instances and not self.story.began:
            return {503}
        return {status for _, status in self._verdicts()}
