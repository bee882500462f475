"""
The applications that hostile peers attack.

Commands that run in this folder serve them, and so does the tests' own process.

Another connection, the bystander's at ``/census``, asks what a handler saw. So each test has a
witness, which notices if anybody is harmed. ``attacked_asgi.py`` has the same routes in plain ASGI.
"""

import json
import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import trio

from triows import (
    Compression,
    HTTPException,
    Limits,
    Timeouts,
    Triows,
    WebSocket,
    WebSocketRoute,
)

# The state of the process


def _status(name: str) -> int:
    """Read a number of kB from the process's status, and return it in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


#: Counts what a server has open: file descriptors, or connections in memory.
descriptors: ContextVar[Callable[[], int]] = ContextVar("descriptors", default=_descriptors)


def census() -> dict[str, int]:
    """Count what a connection has to give back at its end."""
    return {
        "descriptors": descriptors.get()(),
        "tasks": trio.lowlevel.current_statistics().tasks_living,
    }


def reset_peak() -> None:
    """Reset the system's VmHWM, so that it says how much memory is used at most from now on."""
    Path("/proc/self/clear_refs").write_text("5")


class Reports:
    """What handlers report when they end, by the key that their client gave them."""

    def __init__(self) -> None:
        self._reports: dict[str, Any] = {}
        self._made: defaultdict[str, trio.Event] = defaultdict(trio.Event)

    def make(self, key: str, **facts: Any) -> None:
        self._reports[key] = facts
        # Print it for tests that can't connect any more.
        print(f"report of {key}: {json.dumps(facts)}", flush=True)
        self._made[key].set()

    async def wait(self, key: str) -> Any:
        await self._made[key].wait()
        return self._reports[key]


reports = Reports()


async def witness(question: str) -> str:
    """Answer a bystander's question. Echo anything else."""
    word, _, rest = question.partition(" ")
    answer: Any
    if word == "census":
        answer = census()
    elif word == "settle":
        answer = await settled(**json.loads(rest))
    elif word == "report":
        answer = await reports.wait(rest)
    elif word == "memory":
        reset_peak()
        answer = _status("VmRSS")
    elif word == "peak":
        answer = _status("VmHWM")
    else:
        return question
    return json.dumps(answer)


async def settled(level: dict[str, int], seconds: float) -> dict[str, int]:
    """Wait until there is no more of anything than at *level*. Return what there is then."""
    with trio.move_on_after(seconds):
        # The system doesn't report when a descriptor is closed.
        while any(  # noqa: ASYNC110
            count > level[name] for name, count in census().items()
        ):
            await trio.sleep(0.01)
    return census()


@contextmanager
def reported(ws: WebSocket, key: str, **facts: Any) -> Iterator[dict[str, Any]]:
    """Report how the block ended, with the facts that it puts into the dictionary."""
    started = trio.current_time()
    facts["error"] = None
    try:
        yield facts
    except BaseException as exc:
        facts["error"] = type(exc).__name__
        raise
    finally:
        if key:
            reports.make(
                key,
                **facts,
                seconds=trio.current_time() - started,
                code=ws.close_code,
                reason=ws.close_reason,
            )


# Routes

echo_route = WebSocketRoute("echo")


@echo_route.endpoint
async def echo(ws: WebSocket, key: str = "") -> None:
    with reported(ws, key):
        await ws.accept()
        async for message in ws:
            await ws.send(message)


census_route = WebSocketRoute("census")


@census_route.endpoint
async def bystander(ws: WebSocket) -> None:
    await ws.accept()
    async for message in ws:
        assert isinstance(message, str)
        await ws.send(await witness(message))


collecting_route = WebSocketRoute("collecting")


@collecting_route.endpoint
async def collecting(ws: WebSocket, key: str) -> None:
    """Send nothing, and report what came."""
    messages: list[str | int] = []
    with reported(ws, key, messages=messages):
        await ws.accept()
        while True:
            message = await ws.receive()
            messages.append(message if isinstance(message, str) else len(message))


deaf_route = WebSocketRoute("deaf")


@deaf_route.endpoint
async def deaf(ws: WebSocket, key: str) -> None:
    """Never receive."""
    with reported(ws, key):
        await ws.accept()
        await trio.sleep_forever()


distracted_route = WebSocketRoute("distracted")


@distracted_route.endpoint
async def distracted(ws: WebSocket) -> None:
    """Leave messages unread: take one, and return when the last one must have come."""
    await ws.accept()
    await ws.receive()
    await trio.sleep(0.2)


pour_route = WebSocketRoute("pour")


@pour_route.endpoint
async def pour(ws: WebSocket, key: str, size: int = 2**16) -> None:
    """Send forever, and never receive."""
    message = bytes(size)
    with reported(ws, key):
        await ws.accept()
        while True:
            await ws.send(message)


# A message may wait for longer than the handler does.
impatient_route = WebSocketRoute(
    "impatient", timeouts=Timeouts(send=20, close=0.5, ping_interval=math.inf)
)


@impatient_route.endpoint
async def impatient(ws: WebSocket, key: str) -> None:
    """Send until a second is over."""
    message = bytes(2**16)
    with reported(ws, key):
        await ws.accept()
        with trio.move_on_after(1):
            while True:
                await ws.send(message)


slow_route = WebSocketRoute("slow")


@slow_route.endpoint
async def slow(ws: WebSocket) -> None:
    """Take a while to accept."""
    await trio.sleep(0.3)
    await ws.accept()
    async for message in ws:
        await ws.send(message)


refusing_route = WebSocketRoute("refusing/{status}")


@refusing_route.endpoint
async def refusing(ws: WebSocket, status: int) -> None:
    """Refuse, and go on for a while."""
    await ws.reject(status, "not you", {"x-reason": "a test"})
    await trio.sleep(0.3)


raising_route = WebSocketRoute("raising/{status}")


@raising_route.endpoint
async def raising(ws: WebSocket, status: int) -> None:
    raise HTTPException(status, "not you")


closing_route = WebSocketRoute("closing/{code}")


@closing_route.endpoint
async def closing(ws: WebSocket, code: int, reason: str = "") -> None:
    """Close first."""
    await ws.accept()
    await ws.close(code, reason)


# Here, sends have more time than pings.
WATCHED = Timeouts(
    ping_interval=0.3, ping_timeout=0.3, send=20, close=0.5, disconnect_grace=0.1, teardown=0.5
)

watched_route = WebSocketRoute("watched", timeouts=WATCHED)


@watched_route.endpoint
async def watched(ws: WebSocket, key: str) -> None:
    with reported(ws, key):
        await ws.accept()
        async for message in ws:
            await ws.send(message)


watched_deaf_route = WebSocketRoute("watched/deaf", timeouts=WATCHED)
watched_deaf_route.endpoint(deaf)

watched_pour_route = WebSocketRoute("watched/pour", timeouts=WATCHED)
watched_pour_route.endpoint(pour)

watched_late_route = WebSocketRoute("watched/late", timeouts=WATCHED)


@watched_late_route.endpoint
async def late(ws: WebSocket) -> None:
    """Begin to receive so late that unanswered pings would have ended the connection."""
    await ws.accept()
    await trio.sleep(1)
    for _ in range(2000):
        await ws.receive()
    await ws.send("received them all")


mistaken_route = WebSocketRoute("mistaken/{how}")


@mistaken_route.endpoint
async def mistaken(ws: WebSocket, how: str) -> None:
    """Do something that would break a server without checks."""
    if how == "subprotocol":
        await ws.accept("never-offered")
    elif how == "header":
        await ws.accept(headers={"x-a": "1\r\nset-cookie: b=2"})
    elif how == "exit":
        raise SystemExit(3)
    await ws.accept()
    if how == "exit-later":
        raise SystemExit(3)
    raise RuntimeError("a mistake")


chosen_route = WebSocketRoute("chosen")


@chosen_route.endpoint
async def chosen(ws: WebSocket) -> None:
    """Choose the last subprotocol that was offered, and say which ones were."""
    offered = list(ws.scope.get("subprotocols") or ())
    await ws.accept(offered[-1] if offered else None)
    await ws.send_json(offered)


pinging_route = WebSocketRoute("pinging")


@pinging_route.endpoint
async def pinging(ws: WebSocket) -> None:
    await ws.accept()
    await ws.send_json(await ws.ping())


guarded_route = WebSocketRoute("guarded")


@guarded_route.endpoint
async def guarded(ws: WebSocket) -> None:
    """Clean up with an ``await``, as handlers do, and print that to standard output."""
    await ws.accept()
    try:
        await ws.send("here")
        async for _ in ws:
            pass
        await trio.sleep(0.01)
    finally:
        print(f"cleaned up after {ws.close_code}", flush=True)


routes = [
    echo_route,
    census_route,
    collecting_route,
    deaf_route,
    distracted_route,
    pour_route,
    impatient_route,
    slow_route,
    refusing_route,
    raising_route,
    closing_route,
    watched_route,
    watched_deaf_route,
    watched_pour_route,
    watched_late_route,
    mistaken_route,
    chosen_route,
    pinging_route,
    guarded_route,
]

# Those that a test waits for are short. There are no pings, because raw peers would have to
# answer them.
TIMEOUTS = Timeouts(
    handshake=1,
    accept=2,
    ping_interval=math.inf,
    send=1,
    close=0.5,
    disconnect_grace=0.1,
    teardown=0.5,
    shutdown_grace=0.5,
)

app = Triows(*routes, timeouts=TIMEOUTS)
compressing = Triows(*routes, timeouts=TIMEOUTS, compression=Compression())
crowded = Triows(*routes, timeouts=TIMEOUTS, limits=Limits(connections=3))
#: For a server with ``server_names``.
named = Triows(*routes, timeouts=TIMEOUTS)
