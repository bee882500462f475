"""An application that notes what it sees of a connection, for tests about how connections end."""

import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
import trio
from attrs import Factory, define, evolve

from triows import (
    HandlerCancelled,
    Limits,
    Timeouts,
    Triows,
    WebSocket,
    WebSocketDisconnect,
    WebSocketRoute,
    use,
)
from triows.testing import WebSocketSession

__all__ = [
    "HEARTBEAT",
    "TIMEOUTS",
    "Seen",
    "closed",
    "echo",
    "exited",
    "in_memory",
    "line_of",
    "listen",
    "listen_late",
    "push",
    "pushed",
    "sit",
    "told",
    "watched",
]

#: These are short, because tests on sockets wait in real time.
TIMEOUTS = Timeouts(send=0.5, disconnect_grace=0.4, close=0.4, shutdown_grace=0.4, teardown=1)

#: With pings, for tests about pings. Other tests have none, because a busy machine may be late
#: with a pong.
HEARTBEAT = evolve(TIMEOUTS, ping_interval=0.2, ping_timeout=0.2)


#: For tests about code that doesn't depend on where the bytes come from.
in_memory = pytest.mark.parametrize("place", ["memory"], indirect=True)


@define
class Seen:
    """What an application has noticed of a connection."""

    messages: list[str | bytes] = Factory(list)
    #: How the handler ended.
    handler: object = None
    #: What the resource saw at its ``yield``, and how often it has exited.
    resource: object = None
    exits: int = 0
    #: Set when the handler begins, and when the resource has exited.
    begun: trio.Event = Factory(trio.Event)
    exited: trio.Event = Factory(trio.Event)
    #: Set by a test to let its handler go on.
    go: trio.Event = Factory(trio.Event)
    latency: float | None = None

    @property
    def end(self) -> tuple[object, object, int]:
        """The end of the handler, what the resource saw of it, and how often it exited."""
        return self.handler, self.resource, self.exits

    def note(self, exc: BaseException) -> object:
        if isinstance(exc, WebSocketDisconnect):
            return int(exc.code), exc.reason
        return exc.reason if isinstance(exc, HandlerCancelled) else type(exc).__name__


def told(code: int, reason: str = "") -> tuple[object, object, int]:
    """The :attr:`Seen.end` if both the handler and the resource saw how the connection ended."""
    return (code, reason), (code, reason), 1


def closed(ws: WebSocketSession) -> tuple[int | None, str | None]:
    """What the client knows about the end."""
    return ws.close_code, ws.close_reason


def watched(
    handler: Callable[[WebSocket, Seen], Awaitable[None]],
    *,
    accepts: bool = True,
    timeouts: Timeouts = TIMEOUTS,
    options: dict[str, Any] | None = None,
    **limits: Any,
) -> tuple[Triows, Seen]:
    """
    Make an application that notes how its handler and its resource end.

    Args:
        handler: The handler of the connection at ``/ws``.
        accepts: Whether the resource accepts the connection. If not, the handler has to.
        timeouts: The application's timeouts.
        options: Further options of the application.
        limits: The limits that differ from the defaults.
    """
    seen = Seen()

    async def resource(ws: WebSocket):
        if accepts:
            await ws.accept()
        try:
            yield "resource"
        except BaseException as exc:
            seen.resource = seen.note(exc)
            raise
        finally:
            await trio.sleep(0.01)  # this shows that `await` works here
            seen.exits += 1
            seen.exited.set()

    route = WebSocketRoute("ws")

    @route.endpoint
    async def endpoint(ws: WebSocket, _held: Annotated[str, use(resource)]):
        seen.begun.set()
        try:
            await handler(ws, seen)
            seen.handler = "returned"
        except BaseException as exc:
            seen.handler = seen.note(exc)
            raise

    return Triows(route, timeouts=timeouts, limits=Limits(**limits), **(options or {})), seen


def line_of(function: Callable[..., object], mark: str) -> str:
    """Return the file and the number of the line in a function that ends with a comment."""
    lines, first = inspect.getsourcelines(function)
    (found,) = [number for number, line in enumerate(lines) if line.rstrip().endswith(f"# {mark}")]
    return f"{Path(inspect.getfile(function)).name}:{first + found}"


# What handlers do.


async def listen(ws: WebSocket, seen: Seen) -> None:
    while True:
        seen.messages.append(await ws.receive())


async def listen_late(ws: WebSocket, seen: Seen) -> None:
    await seen.go.wait()
    await listen(ws, seen)


async def echo(ws: WebSocket, seen: Seen) -> None:
    async for message in ws:
        seen.messages.append(message)
        await ws.send(message)


async def sit(ws: WebSocket, seen: Seen) -> None:
    await trio.sleep_forever()


async def push(ws: WebSocket, seen: Seen) -> None:
    while True:
        await ws.send(bytes(2**18))
        seen.messages.append(b"")


async def pushed(seen: Seen) -> None:
    """Wait until a handler that pushes can't send any more."""
    with trio.fail_after(5):
        await seen.begun.wait()
        before = -1
        while before < len(seen.messages):
            before = len(seen.messages)
            await trio.sleep(0.03)


async def exited(seen: Seen) -> None:
    """Wait until the resource has exited. The connection may still wait for its peer."""
    with trio.fail_after(5):
        await seen.exited.wait()
