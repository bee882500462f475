"""The line of plain requests: what the promise means for a request, its response and its client."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

import trio
from attrs import define, evolve, field

from tests.exchange.promise_cases import What
from tests.exchange.promise_oracle import NEAR, Judge
from tests.exchange.promise_stage import SpokenWorld, handler_of, note_seen
from tests.exchange.promise_story import Moment, Story
from tests.injection.kinds import REQUEST, REQUESTS
from triows import HTTPException
from triows._exchange.registry import Exchanges
from triows._injection.call import make_arguments
from triows._injection.kinds import NURSERY
from triows._injection.plan import Plan
from triows._injection.planner import Planner
from triows._request.exchange import RequestExchange
from triows._request.foreign import ForeignRequest
from triows._request.line import RequestLine
from triows._settings import Limits, Settings
from triows.exceptions import ClientDisconnect

__all__ = ["Request", "RequestJudge"]

#: The status of the handler's responses. No other response has it.
OURS = 200

SCOPE = {"type": "http", "method": "GET", "path": "/", "headers": []}


@define(eq=False, repr=False)
class RequestStory(Story):
    """What the client of a request sees, too."""

    #: When a response began, and its status.
    response: tuple[Moment, int] | None = None
    #: Until when the server was busy with it, and when it was complete.
    busy: Moment | None = None
    complete: Moment | None = None
    #: What no server accepts.
    misuse: list[str] = field(factory=list)
    #: When the client was gone, as the server knows, and when ``receive`` or ``send`` said so,
    #: before the response was complete.
    gone: Moment | None = None
    noticed: Moment | None = None

    @property
    def told(self) -> Moment | None:
        return None if self.response is None else self.response[0]

    @property
    def is_ours(self) -> bool:
        """Whether the handler, or a factory, has begun the response."""
        return self.response is not None and self.response[1] == OURS

    def disconnect(self) -> ClientDisconnect:
        return ClientDisconnect()


@define(eq=False)
class _Server:
    """
    The server below, as ASGI describes it.

    A client that doesn't read takes no body. The server then gives it up after ``Timeouts.send``.
    """

    story: RequestStory
    patience: float
    reads: bool
    _asked: bool = field(default=False, init=False)
    _gone: trio.Event = field(factory=trio.Event, init=False)

    def note_gone(self) -> None:
        if self.story.gone is None:
            self.story.gone = self.story.now()
        self._gone.set()

    async def receive(self) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        self._tell()
        return {"type": "http.disconnect"}

    def _tell(self) -> None:
        if self.story.noticed is None and self.story.complete is None:
            self.story.noticed = self.story.now()

    async def send(self, event: dict[str, Any]) -> None:
        if event["type"] == "http.response.start":
            self._begin(event["status"])
        else:
            self._check_body()
        try:
            if not self._gone.is_set():
                await trio.lowlevel.checkpoint()
                await self._deliver(event)
            if self._gone.is_set():
                self._tell()
                raise ClientDisconnect
        finally:
            self.story.busy = self.story.now()

    def _begin(self, status: int) -> None:
        if self.story.response is not None:
            self.story.misuse.append("a second response")
        self.story.response = (self.story.now(), status)

    def _check_body(self) -> None:
        if self.story.response is None:
            self.story.misuse.append("a body without a response")
        if self.story.complete is not None:
            self.story.misuse.append("a body after the end")

    async def _deliver(self, event: dict[str, Any]) -> None:
        if event["type"] == "http.response.start":
            return
        if not self.reads:
            with trio.move_on_after(self.patience):
                await self._gone.wait()
            self.note_gone()
        elif not self._gone.is_set() and not event.get("more_body", False):
            self.story.complete = self.story.now()


@define(eq=False)
class Request(SpokenWorld[RequestStory]):
    """
    A handler that sends its response itself, as a mounted application does, and a client.

    Mounted applications have no resources. With them, the line of all requests is tested here.
    """

    given = ForeignRequest
    last = What.DRAIN

    path: ClassVar[str] = "/"

    handler: Callable[..., Any] = field(init=False)
    settings: Settings = field(init=False)
    plan: Plan = field(init=False)
    registry: Exchanges = field(factory=lambda: Exchanges(None), init=False)
    server: _Server = field(init=False)

    def _begin_story(self) -> RequestStory:
        return RequestStory(self.case)

    @handler.default
    def _(self) -> Callable[..., Any]:
        return handler_of(self)

    @settings.default
    def _(self) -> Settings:
        return Settings(self.timeouts, Limits())

    @plan.default
    def _(self) -> Plan:
        givens = {ForeignRequest: REQUEST, trio.Nursery: NURSERY}
        plan = Planner(evolve(REQUESTS, givens=givens)).plan(self.handler)
        note_seen(self.case, plan)
        return plan

    @server.default
    def _(self) -> _Server:
        return _Server(self.story, self.timeouts.send, self.case.reads)

    async def accept(self, peer: ForeignRequest) -> None:
        await peer.asgi_send({"type": "http.response.start", "status": OURS})

    async def receive(self, peer: ForeignRequest) -> None:
        while (await peer.asgi_receive())["type"] != "http.disconnect":
            pass
        raise ClientDisconnect

    async def send(self, peer: ForeignRequest) -> None:
        await peer.asgi_send({"type": "http.response.body", "body": b"news", "more_body": True})

    async def finish(self, peer: ForeignRequest) -> None:
        await peer.asgi_send({"type": "http.response.body", "body": b"the end"})

    async def finish_late(self, peer: ForeignRequest) -> None:
        # A client that doesn't read would only make it one more exit that takes too long.
        if not peer.complete and self.server.reads:
            await self.finish(peer)

    def line_of(self, transport: ForeignRequest, scope: object) -> RequestLine:
        return RequestLine(transport, patience=self.timeouts.close)

    async def serve(self, tasks: trio.Nursery) -> None:
        transport = ForeignRequest(self.server.receive, self.server.send, "GET")
        head = self.plan.head

        async def body(stack: Any, nursery: trio.Nursery | None) -> object:
            values = head.values([], {REQUEST: transport, NURSERY: nursery}, {})
            patience = self.timeouts.teardown
            arguments = await make_arguments(self.plan.body, values, stack, patience=patience)
            assert arguments is not None
            return await self.handler(**arguments)

        exchange = RequestExchange(self, transport, dict(SCOPE), None)
        self.registry.add(exchange)
        try:
            await exchange.lifetime.run(
                body,
                wants_nursery=NURSERY in head.givens,
                enters_resources=self.plan.body.needs_hosts,
            )
        finally:
            self.registry.discard(exchange)

    @property
    def exchanges(self) -> int:
        return self.registry.requests

    async def drain(self) -> None:
        await self.registry.drain(seconds=math.inf)

    async def read(self) -> None:
        """Do nothing: the server says at once that the client has taken everything."""

    def leave(self, what: What) -> None:
        if what is What.PEER_VANISHES:
            self.server.reads = False
        else:
            self.server.note_gone()


class RequestJudge(Judge[RequestStory]):
    """
    Knows the responses.

    Nothing ends a handler because its client is gone. But if the handler was told so, it has only
    its ``disconnect_grace`` at a shutdown.
    """

    quiet = (0, 500)

    def _strikes_of_the_peer(self) -> Iterator[tuple[float, str, bool]]:
        noticed, drained = self.story.noticed, self.story.when(What.DRAIN)
        if noticed is not None and drained is not None:
            # A request that comes after the drain has begun has what is left of its grace.
            came_before = drained.time > NEAR
            yield max(noticed.time, drained.time) + self.case.grace, "peer gone", came_before

    @property
    def gone_at(self) -> float:
        return math.inf

    @property
    def answered(self) -> Iterable[float]:
        response = self.story.response
        return () if response is None or self.story.is_ours else (response[0].time,)

    @property
    def closing_begins(self) -> float:
        busy = self.story.busy
        if busy is None or self.story.is_ours:
            return self.told_by
        return max(self.told_by, busy.time)

    def _asks_for_an_end(self, error: BaseException) -> bool:
        return isinstance(error, HTTPException) and not self.story.is_ours

    def check_what_the_peer_is_told(self) -> None:
        story = self.story
        assert story.misuse == []
        if story.response is None and self._is_left_open:
            pass
        elif story.response is None:
            assert story.noticed is not None, "nobody has answered"
            assert story.noticed.time <= self.told_by + NEAR, "nobody has answered in time"
        elif story.is_ours:
            self._check_response()
        else:
            self._check_answer(*story.response)

    @property
    def _is_left_open(self) -> bool:
        """Whether whoever has cancelled the request from outside may answer it."""
        cancelled = self.story.when(What.CANCEL)
        return cancelled is not None and cancelled.time <= self.told_by + NEAR

    def _check_response(self) -> None:
        """Only the handler, or its factory, can complete its response."""
        story, handler = self.story, self.case.handler
        assert handler.accepts, "somebody else has begun it"
        if story.complete is not None:
            by_factory = handler.by_factory and story.complete.time >= self.body_end - NEAR
            assert story.closing is not None or by_factory, "somebody else has completed it"
        elif story.closing is not None and story.outcome == "returned":
            raise AssertionError("its end is lost")

    def _check_answer(self, moment: Moment, status: int) -> None:
        """The framework answers if the handler has not, in time, and with the truth."""
        story = self.story
        assert self.body_end - NEAR <= moment.time <= self.told_by + NEAR
        assert story.noticed is None or moment < story.noticed, "answered nobody"
        assert status in {status for _, status in self._verdicts()}, status
        assert status != 500 or story.raised is not None or self._is_silent, "only the peer is told"
        assert story.busy is not None
        assert story.busy.time <= moment.time + self.timeouts.close + NEAR, "waited for the client"
        is_there = story.gone is None or (story.complete or story.busy) < story.gone
        if is_there and self.case.reads and not story.when(What.PEER_VANISHES):
            assert story.complete is not None, "cut"

    @property
    def _is_silent(self) -> bool:
        """Whether the handler just returned without a response. A line of the log says so."""
        return "cancelled" not in self.outcomes and all(map(_is_gone, self.body_errors))


def _is_gone(error: BaseException) -> bool:
    return isinstance(error, ClientDisconnect)
