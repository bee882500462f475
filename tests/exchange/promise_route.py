"""
The line of requests to routes: the application, its real server in memory, and a client.

What the client sees are bytes. A pipe notes when the server has handed over each of them.
"""

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

import attrs
import trio
from attrs import define, field
from msgspec import Struct
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response, StreamingResponse
from trio.testing import wait_all_tasks_blocked

from tests.exchange.promise_cases import Event, What
from tests.exchange.promise_route_cases import LIMIT, Body, Call, Result
from tests.exchange.promise_stage import World, asked, die, note_seen, run_task
from tests.exchange.promise_story import Moment, Story
from triows import EventStream, Limits, Route, ServerSentEvent, Triows
from triows._inspection.inside import live
from triows._log import logger
from triows._transports.wire import BROKEN
from triows.exceptions import ClientDisconnect
from triows.testing import _calls
from triows.testing._backends import Memory
from triows.testing._memory import MemoryEnd, Pipe

__all__ = ["FILES", "RouteStory", "Routed"]

#: How many bytes each direction of the connection holds, and how many a slow client reads at once.
BUFFER, PIECE = 1024, 512

#: Files to send, by the number of their bytes. The test writes them.
FILES: dict[int, Path] = {}


@define(eq=False, repr=False)
class RouteStory(Story):
    """What the client of a route sees, and what is reported and logged."""

    #: What the server has handed over, and when it closed the connection.
    wire: list[tuple[Moment, bytes]] = field(factory=list)
    closed: Moment | None = None
    #: When a part was made of a stream.
    produced: list[Moment] = field(factory=list)
    #: When what runs in the background ran.
    in_background: list[Moment] = field(factory=list)
    #: Whether the application was called, what was reported, and the status and text of log lines.
    served: bool = False
    reported: list[BaseException] = field(factory=list)
    lines: list[tuple[int | None, str]] = field(factory=list)

    @property
    def told(self) -> Moment | None:
        return None if not self.wire else self.wire[0][0]

    def disconnect(self) -> ClientDisconnect:
        return ClientDisconnect()

    @contextmanager
    def handling(self) -> Iterator[None]:
        """Note how the handler ends, or the stream that it has returned."""
        self.began = self.began or self.now()
        try:
            yield
        except BaseException as exc:
            self.error = exc
            self.outcome = "raised"
            if isinstance(exc, trio.Cancelled):
                self.outcome = "cancelled"
            elif isinstance(exc, GeneratorExit):
                self.outcome = "closed"
            raise
        else:
            self.error, self.outcome = None, "returned"
        finally:
            self.ended = self.now()


class _NotingPipe(Pipe):
    """The direction to the client."""

    __slots__ = ("story",)

    story: RouteStory

    def _carry(self, data: bytes | memoryview) -> None:
        self.story.wire.append((self.story.now(), bytes(data)))
        super()._carry(data)

    def _note_closed(self) -> None:
        if self.story.closed is None:
            self.story.closed = self.story.now()

    def end(self) -> None:
        self._note_closed()
        super().end()

    def abort(self) -> None:
        self._note_closed()
        super().abort()


@define
class _Network:
    """Is a :class:`triows.testing._network.Transit` on which everything arrives at once."""

    story: RouteStory
    round_trip = 0.0

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await trio.sleep_forever()

    def pipes(self, size: int) -> tuple[Pipe, Pipe]:
        to_client = _NotingPipe(size)
        to_client.story = self.story
        return Pipe(size), to_client


class _Watch(_calls.Calls):
    """Notes what is reported."""

    def __init__(self, story: RouteStory) -> None:
        super().__init__(raises=True)
        self._story = story

    def began(self, scope: Any) -> None:
        self._story.served = True
        super().began(scope)

    def failed(self, scope: Any, exc: BaseException) -> None:
        self._story.reported.append(exc)


class _Lines(logging.Handler):
    """Notes the lines of the log that tell how a request has ended."""

    def __init__(self, story: RouteStory) -> None:
        super().__init__()
        self._story = story

    def emit(self, record: logging.LogRecord) -> None:
        # Those of refusals have no bytes. The server's own have no route.
        if hasattr(record, "bytes_sent") or getattr(record, "route", None):
            self._story.lines.append((record.status, record.getMessage()))  # type: ignore[attr-defined]

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen to the log, and keep it from everybody else."""
        level, propagate = logger.level, logger.propagate
        logger.addHandler(self)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        try:
            yield
        finally:
            logger.removeHandler(self)
            logger.setLevel(level)
            logger.propagate = propagate


class Item(Struct):
    """What a body has to be."""

    name: str


# What the handler returns, and how that is annotated.
_ANNOTATIONS: dict[Result, Any] = {
    Result.VALUE: dict[str, str],
    Result.NOTHING: None,
    Result.RESPONSE: Response,
    Result.FILE: FileResponse,
    Result.ITERATED: StreamingResponse,
    Result.PARTS: AsyncIterator[bytes],
    Result.EVENTS: EventStream,
}


def _handler_of(world: "Routed") -> Callable[..., Any]:
    """The handler of a case."""
    call, story = world.call, world.story
    size, result = call.size, call.result

    async def work(nursery: Any, body: Any) -> None:
        if call.task is not None:
            nursery.start_soon(run_task, call, story)
        try:
            if call.body.is_streamed:
                async for _ in body:
                    pass
            await trio.sleep(call.handler.waits)
        except trio.Cancelled as exc:
            await die(call, story, nursery, exc)

    def fail() -> None:
        if call.handler.raises is not None:
            raise story.make(call.handler.raises)

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(call.parts):
            await trio.sleep(call.handler.seconds)
            story.produced.append(story.now())
            yield b"x" * size
        fail()

    async def iterated() -> AsyncIterator[bytes]:
        with story.handling():
            async with aclosing(parts()) as made:
                async for part in made:
                    yield part

    async def tidy() -> None:
        story.in_background.append(story.now())
        await trio.sleep(0.5)

    def response() -> Any:
        background = BackgroundTask(tidy) if call.background else None
        match result:
            case Result.VALUE:
                return {"it": "x" * size}
            case Result.RESPONSE:
                return Response(b"x" * size, background=background)
            case Result.FILE:
                return FileResponse(FILES[size], background=background)
            case Result.ITERATED:
                return StreamingResponse(iterated(), background=background)
        return None

    async def handler(nursery: Any = None, body: Any = None, **resources: Any) -> Any:
        with story.handling():
            await work(nursery, body)
            if result is not Result.ITERATED:
                fail()
        return response()

    async def generator(nursery: Any = None, body: Any = None, **resources: Any) -> Any:
        with story.handling():
            await work(nursery, body)
            async with aclosing(parts()) as made:
                async for part in made:
                    yield part if result is Result.PARTS else ServerSentEvent(part.decode())

    chosen: Any = generator if result.is_generator else handler
    chosen.__signature__ = _signature(call, story)
    return chosen  # type: ignore[no-any-return]


def _signature(call: Call, story: RouteStory) -> Signature:
    """What the handler of a case asks for and returns."""
    annotations = asked(call, story)
    if call.body is not Body.NONE:
        annotations["body"] = AsyncIterator[bytes] if call.body.is_streamed else Item
    if call.task is not None:
        annotations["nursery"] = trio.Nursery
    return Signature(
        [
            Parameter(name, Parameter.KEYWORD_ONLY, annotation=annotation)
            for name, annotation in annotations.items()
        ],
        return_annotation=_ANNOTATIONS[call.result],
    )


# What the client sends as its body, in two parts.
_BODIES = {
    Body.NONE: (b"", b""),
    Body.JSON: (b'{"name"', b':"ada"}'),
    Body.WRONG: (b'{"name"', b":7}"),
    Body.LARGE: (b'{"name":"', b"x" * LIMIT + b'"}'),
    Body.STREAMED: (b"one", b"two"),
    Body.STREAMED_LARGE: (b"one", b"x" * LIMIT),
}


@define(eq=False)
class Routed(World[RouteStory]):
    """An application with one route, on its server, and a client that makes one request."""

    last = What.DRAIN

    app: Triows = field(init=False)
    #: The client's end of the connection, when there is one.
    end: MemoryEnd | None = field(default=None, init=False)
    connected: trio.Event = field(factory=trio.Event, init=False)
    #: Around the client that sends its request.
    sending: trio.CancelScope = field(factory=trio.CancelScope, init=False)

    def _begin_story(self) -> RouteStory:
        return RouteStory(self.case)

    @property
    def call(self) -> Call:
        """The case."""
        assert isinstance(self.case, Call)
        return self.case

    @property
    def is_wrapped(self) -> bool:
        """Whether there is a middleware, from which the request may be cancelled."""
        asks = any(event.what is What.CANCEL for event in self.case.events)
        return asks or not self.case.lends

    @app.default
    def _(self) -> Triows:
        def middleware(app: Any) -> Any:
            async def call(scope: Any, receive: Any, send: Any) -> None:
                with self.outside:
                    await app(scope, receive, send)

            return call

        route = Route("/")
        register = route.get if self.call.body is Body.NONE else route.post
        register(_handler_of(self))
        app = Triows(
            route,
            timeouts=self.timeouts,
            limits=Limits(body=LIMIT),
            middlewares=[middleware] if self.is_wrapped else [],
        )
        for entry in app._compiler.entries:
            note_seen(self.case, entry.endpoint.plan)
        return app

    async def run(self) -> None:
        story = self.story
        trigger, watch = trio.Event(), _Watch(story)
        memory = Memory(self.app, "", _Network(story))  # type: ignore[arg-type]
        call = _calls.Call("http://testserver/", secure=False)
        with _Lines(story).listening(), self.app.watched(watch):
            async with trio.open_nursery() as tasks:
                await tasks.start(memory.serve, trigger.wait)
                self.end = await memory.connect(call, BUFFER)  # type: ignore[assignment]
                self.connected.set()
                tasks.start_soon(self.serve, tasks)
                await call.over.wait()
                story.done = story.now()
                story.exchanges_left = self.exchanges
                story.cancelled_outside = self.outside.cancelled_caught
                self.sending.cancel()
                await wait_all_tasks_blocked()
                trigger.set()
        story.raised = story.reported[0] if story.reported else None
        self.over.set()

    async def serve(self, tasks: trio.Nursery) -> None:
        """Send the request."""
        assert self.end is not None
        begun, rest = _BODIES[self.call.body]
        method = b"GET" if self.call.body is Body.NONE else b"POST"
        with self.sending, suppress(*BROKEN):
            head = method + b" / HTTP/1.1\r\nHost: testserver\r\n"
            if not begun:
                await self.end.send_all(head + b"\r\n")
                return
            head += b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            await self.end.send_all(head + _chunk(begun))
            await trio.sleep(self.call.pause)
            await self.end.send_all(_chunk(rest) + b"0\r\n\r\n")

    @property
    def exchanges(self) -> int:
        return len(list(live(self.app)))

    async def drain(self) -> None:
        await self.app.drain()

    async def happen(self, event: Event) -> None:
        await self.connected.wait()
        await super().happen(event)

    async def read(self) -> None:
        await self.connected.wait()
        assert self.end is not None
        with suppress(*BROKEN):
            while await self.end.receive_some(PIECE if self.call.is_slow else None):
                if self.call.is_slow:
                    await trio.sleep(0.5)

    def leave(self, what: What) -> None:
        assert self.end is not None
        self.sending.cancel()
        match what:
            case What.PEER_CLOSES:
                self.end.close()
            case What.PEER_RESETS:
                self.end.reset()

    @property
    def timeouts(self) -> Any:
        # Nothing else is sent while a stream waits.
        return attrs.evolve(super().timeouts, ping_interval=0.7)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
