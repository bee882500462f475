"""
Middleware that speaks to the peer itself: before, beside, after or without the application.

Each case says what the peer gets, whether the handler runs, and what is reported. It is the same on
every server and every kind of connection, so each of them runs through the whole table.
"""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
import trio
from attrs import Factory, define, frozen

from triows import AsyncResource, Triows, WebSocket, WebSocketRoute, use
from triows._errors import leaves

__all__ = ["CASES", "WRAPPED", "Case", "Seen", "Story", "application"]

CONNECT: Any = None
ACCEPT = {"type": "websocket.accept"}
CLOSE = {"type": "websocket.close", "code": 4000}
SEND = {"type": "websocket.send", "text": "from the middleware"}
START = {"type": "websocket.http.response.start", "status": 401, "headers": []}
BODY = {"type": "websocket.http.response.body", "body": b"no"}
PLAIN = {"type": "http.response.start", "status": 401, "headers": []}


@frozen
class Seen:
    """What the peer got: a refusal's status; or messages and a close code."""

    status: int = 101
    messages: tuple[str, ...] = ()
    code: int | None = None


def refused(status: int) -> Seen:
    return Seen(status)


def closed(code: int, *messages: str) -> Seen:
    return Seen(101, messages, code)


#: What the peer gets from the handler.
SERVED = closed(1000, "done: command")


@frozen
class Case:
    name: str
    seen: Seen
    #: A part of the error that is reported, if one is.
    error: str | None = None
    #: What the middleware sends, or receives (``CONNECT``), before it calls the application.
    before: tuple[Any, ...] = ()
    #: How often it calls the application.
    calls: int = 1
    #: What it does while the handler waits.
    beside: tuple[Any, ...] = ()
    #: Whether the handler has accepted by then.
    accepted: bool = True
    after: tuple[Any, ...] = ()
    #: Whether the handler gets the peer's message.
    runs: bool = True


def _too_early(name: str, seen: Seen, error: str, *before: Any) -> Case:
    return Case(f"{name}, then the call", seen, error, before=before, runs=False)


def _alone(name: str, seen: Seen, error: str | None, *before: Any) -> Case:
    return Case(f"{name}, and no call", seen, error, before=before, calls=0, runs=False)


def _late(name: str, error: str, *after: Any) -> Case:
    return Case(f"the call, then {name}", SERVED, error, after=after)


def _beside(name: str, seen: Seen, error: str | None, *beside: Any) -> Case:
    return Case(f"{name} beside the handler", seen, error, beside=beside)


def _ahead(name: str, seen: Seen, error: str | None, *beside: Any) -> Case:
    name = f"{name} ahead of the handler"
    return Case(name, seen, error, beside=beside, accepted=False, runs=False)


TOO_LATE = "comes too late: this connection has ended, with 1000"

#: What has the same result if another middleware, inside, wraps receive and send.
_WRAPPABLE = [
    Case("only the call", SERVED),
    _too_early("a close", refused(403), "a middleware has refused this connection", CLOSE),
    _too_early("connect and a close", refused(403), "a middleware has refused", CONNECT, CLOSE),
    _too_early("a denial", refused(401), "a middleware has refused this connection", START, BODY),
    _too_early("half a denial", refused(500), "the refusal of this connection has begun", START),
    _too_early("both closes", closed(4000), "a middleware has closed", CONNECT, ACCEPT, CLOSE),
    _alone("nothing", refused(500), "nobody has answered this connection"),
    _alone("connect", refused(500), "nobody has answered this connection", CONNECT),
    _alone("an acceptance", closed(1011), "this connection was accepted", CONNECT, ACCEPT),
    _alone("half a denial", refused(500), "the refusal of this connection has begun", START),
    _alone("plain HTTP", refused(500), "belongs to plain HTTP", PLAIN),
    _alone("a message", refused(500), "can't come before the acceptance", SEND),
    _alone("a body", refused(500), "can't come before websocket.http.response.start", BODY),
    _alone("a typo", refused(500), "isn't an event", {"type": "websocket.acept"}),
    _alone("two closes", refused(403), "websocket.close can't follow the refusal", CLOSE, CLOSE),
    _alone("two starts", refused(500), "can't follow websocket.http.response", START, START),
    _alone("a late accept", refused(401), "can't follow the refusal", START, BODY, ACCEPT),
    _alone("two accepts", closed(1011), "can't follow the acceptance", CONNECT, ACCEPT, ACCEPT),
    _alone("a late message", closed(4000), "can't follow the close", CONNECT, ACCEPT, CLOSE, SEND),
    _alone("a refusal", refused(403), None, CONNECT, CLOSE),
    _alone("a denial", refused(401), None, START, BODY),
    _alone("a whole life", closed(4000, SEND["text"]), None, CONNECT, ACCEPT, SEND, CLOSE),
]

_ACCEPTED = "a middleware has accepted this connection"
_BOTH = closed(1000, "done: command", SEND["text"])

CASES = [
    *_WRAPPABLE,
    Case("connect, then the call", SERVED, before=(CONNECT,)),
    _too_early("an acceptance", closed(1011), _ACCEPTED, CONNECT, ACCEPT),
    _too_early("a greeting", closed(1011, SEND["text"]), _ACCEPTED, CONNECT, ACCEPT, SEND),
    Case("two calls", SERVED, "called the application twice", calls=2),
    _late("a message", TOO_LATE, SEND),
    _late("a close", TOO_LATE, CLOSE),
    _late("an acceptance", TOO_LATE, ACCEPT),
    _late("a denial", TOO_LATE, START, BODY),
    Case("the call, then disconnect", SERVED, after=(CONNECT,)),
    _beside("a message", _BOTH, None, SEND),
    _beside("a close", closed(4000, "done: command"), None, CLOSE),
    _beside("an acceptance", closed(1001, "done: command"), "can't follow the accept", ACCEPT),
    _beside("a denial", closed(1001, "done: command"), "can't follow the acceptance", START),
    _beside("receiving", closed(1001, "done: command"), "a `receive` of its own", CONNECT),
    _ahead("an acceptance", closed(1011), "while the handler was running", ACCEPT),
    _ahead("a close", refused(403), None, CLOSE),
    _ahead("a denial", refused(401), None, START, BODY),
    _ahead("a message", refused(503), "can't come before the acceptance", SEND),
    _ahead("receiving", refused(503), "a `receive` of its own", CONNECT),
]

#: The cases behind a middleware that wraps receive and send. It might keep the acceptance from a
#: connection that was accepted before. This one doesn't, so the handler's accept() raises.
WRAPPED = [
    *_WRAPPABLE,
    _too_early("an acceptance", closed(1011), "accept can't follow the acceptance", ACCEPT),
    _too_early("a greeting", closed(1011, SEND["text"]), "accept can't follow", ACCEPT, SEND),
]


@define
class Story:
    """What happened on our side."""

    commands: list[str] = Factory(list)
    entered: int = 0
    exited: int = 0
    accepted: int = 0
    waits: trio.Event = Factory(trio.Event)
    spoken: trio.Event = Factory(trio.Event)


async def _speak(events: tuple[Any, ...], receive: Any, send: Any) -> None:
    for event in events:
        if event is CONNECT:
            await receive()
        else:
            await send(event)


def _middleware(case: Case, story: Story) -> Any:
    def speaking(app: Any) -> Any:
        async def call(scope: Any, receive: Any, send: Any) -> None:
            await _speak(case.before, receive, send)
            async with trio.open_nursery() as nursery:

                async def beside() -> None:
                    await story.waits.wait()
                    await _speak(case.beside, receive, send)
                    story.spoken.set()

                if case.beside:
                    nursery.start_soon(beside)
                for _ in range(case.calls):
                    await app(scope, receive, send)
                nursery.cancel_scope.cancel()
            await _speak(case.after, receive, send)

        return call

    return speaking


def wrapping(app: Any) -> Any:
    """Middleware that makes the endpoint use ASGI events."""

    async def call(scope: Any, receive: Any, send: Any) -> None:
        async def received() -> Any:
            return await receive()

        async def sent(event: Any) -> None:
            await send(event)

        await app(scope, received, sent)

    return call


def application(case: Case, *inside: Callable[[Any], Any]) -> tuple[Triows, Story]:
    """Make an application with the middleware of a case, and others *inside* of it."""
    story = Story()

    async def resource() -> AsyncResource[int]:
        story.entered += 1
        try:
            yield 1
        finally:
            await trio.lowlevel.checkpoint()
            story.exited += 1

    route = WebSocketRoute("x", middlewares=[_middleware(case, story), *inside])

    async def pause() -> None:
        story.waits.set()
        if case.beside:
            await story.spoken.wait()

    @route.endpoint
    async def handler(ws: WebSocket, _: Annotated[int, use(resource)]) -> None:
        if not case.accepted:
            await pause()
        await ws.accept()
        story.accepted += 1
        story.commands.append(command := await ws.receive_text())
        await ws.send_text(f"done: {command}")
        await pause()

    return Triows(route), story


def check(case: Case, story: Story, seen: Seen, caplog: pytest.LogCaptureFixture) -> None:
    """Check what the peer saw, what happened on our side, and what was logged of it."""
    reported = [one.exc_info[1] for one in caplog.records if one.exc_info and one.exc_info[1]]
    errors = [str(leaf) for exc in reported for leaf in leaves(exc)]
    assert (case.name, seen) == (case.name, case.seen)
    assert story.commands == (["command"] if case.runs else [])
    assert story.accepted == case.runs
    assert story.entered == story.exited
    expected = [] if case.error is None else [case.error]
    assert len(errors) == len(expected), (case.name, errors)
    for part, error in zip(expected, errors, strict=True):
        assert part in error
