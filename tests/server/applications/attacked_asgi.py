"""
The routes of ``attacked.py`` in plain ASGI, written by somebody who trusts the server.

With plain Hypercorn, it shows which promises triows keeps even there.
"""

import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

import trio
from attacked import reports, witness

Event = dict[str, Any]


class Disconnected(Exception):
    pass


class Connection:
    """The part of a WebSocket connection that a handler needs."""

    def __init__(
        self,
        scope: Event,
        receive: Callable[[], Awaitable[Event]],
        send: Callable[[Event], Awaitable[None]],
    ) -> None:
        self.scope = scope
        self.code: int | None = None
        self.reason: str | None = None
        self.send_event = send
        self._receive = receive
        query = parse_qs(scope["query_string"].decode())
        self.query = {name: values[0] for name, values in query.items()}

    async def accept(self, **fields: Any) -> None:
        await self._receive()
        await self.send_event({"type": "websocket.accept", **fields})

    async def receive(self) -> str | bytes:
        event = await self._receive()
        if event["type"] == "websocket.disconnect":
            self.code, self.reason = event.get("code"), event.get("reason")
            raise Disconnected
        text = event.get("text")
        message: str | bytes = event["bytes"] if text is None else text
        return message

    async def send(self, message: str | bytes) -> None:
        kind = "text" if isinstance(message, str) else "bytes"
        await self.send_event({"type": "websocket.send", kind: message})

    async def close(self, code: int, reason: str) -> None:
        await self.send_event({"type": "websocket.close", "code": code, "reason": reason})

    async def refuse(self, status: int) -> None:
        await self._receive()
        await self.send_event({"type": "websocket.http.response.start", "status": status})
        await self.send_event({"type": "websocket.http.response.body", "body": b"not you"})

    @contextmanager
    def reported(self, **facts: Any) -> Iterator[None]:
        started = trio.current_time()
        facts["error"] = None
        try:
            yield
        except Disconnected:
            pass
        except BaseException as exc:
            facts["error"] = type(exc).__name__
            raise
        finally:
            seconds = trio.current_time() - started
            key = self.query.get("key", "")
            reports.make(key, **facts, seconds=seconds, code=self.code, reason=self.reason)


async def echo(ws: Connection) -> None:
    await ws.accept()
    with ws.reported():
        while True:
            await ws.send(await ws.receive())


async def census(ws: Connection) -> None:
    await ws.accept()
    with ws.reported():
        while True:
            await ws.send(await witness(str(await ws.receive())))


async def collecting(ws: Connection) -> None:
    await ws.accept()
    messages: list[str | int] = []
    with ws.reported(messages=messages):
        while True:
            message = await ws.receive()
            messages.append(message if isinstance(message, str) else len(message))


async def deaf(ws: Connection) -> None:
    await ws.accept()
    with ws.reported():
        await trio.sleep_forever()


async def distracted(ws: Connection) -> None:
    await ws.accept()
    with ws.reported():
        await ws.receive()
        await trio.sleep(0.2)


async def pour(ws: Connection) -> None:
    await ws.accept()
    message = bytes(int(ws.query.get("size", 2**16)))
    with ws.reported():
        while True:
            await ws.send(message)


async def impatient(ws: Connection) -> None:
    await ws.accept()
    with ws.reported(), trio.move_on_after(1):
        while True:
            await ws.send(bytes(2**16))


async def slow(ws: Connection) -> None:
    await trio.sleep(0.3)
    await echo(ws)


async def refusing(ws: Connection) -> None:
    await ws.refuse(int(ws.scope["path"].rpartition("/")[2]))
    await trio.sleep(0.3)


async def closing(ws: Connection) -> None:
    await ws.accept()
    await ws.close(int(ws.scope["path"].rpartition("/")[2]), ws.query.get("reason", ""))


async def late(ws: Connection) -> None:
    await ws.accept()
    await trio.sleep(1)
    for _ in range(2000):
        await ws.receive()
    await ws.send("received them all")


async def mistaken(ws: Connection) -> None:
    match ws.scope["path"].rpartition("/")[2]:
        case "subprotocol":
            await ws.accept(subprotocol="never-offered")
        case "header":
            await ws.accept(headers=[("x-a", "1\r\nset-cookie: b=2")])
        case "exit":
            raise SystemExit(3)
        case "exit-later":
            await ws.accept()
            raise SystemExit(3)
    await ws.accept()
    raise RuntimeError("a mistake")


async def chosen(ws: Connection) -> None:
    offered = list(ws.scope.get("subprotocols") or ())
    await ws.accept(subprotocol=offered[-1] if offered else None)
    await ws.send(json.dumps(offered))


async def guarded(ws: Connection) -> None:
    await ws.accept()
    try:
        await ws.send("here")
        with ws.reported():
            while True:
                await ws.receive()
    finally:
        await trio.lowlevel.checkpoint()
        print(f"cleaned up after {ws.code}", flush=True)


HANDLERS = {
    "echo": echo,
    "census": census,
    "collecting": collecting,
    "deaf": deaf,
    "distracted": distracted,
    "pour": pour,
    "impatient": impatient,
    "slow": slow,
    "refusing": refusing,
    "raising": refusing,
    "closing": closing,
    "watched": echo,
    "late": late,
    "mistaken": mistaken,
    "chosen": chosen,
    "guarded": guarded,
}


async def app(scope: Event, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for stage in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{stage}.complete"})
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 426})
        await send({"type": "http.response.body", "body": b""})
    else:
        words = scope["path"].strip("/").split("/")
        handler = HANDLERS.get(words[-1]) or HANDLERS.get(words[0])
        ws = Connection(scope, receive, send)
        await (ws.refuse(404) if handler is None else handler(ws))


compressing = crowded = named = app


async def failing(scope: Event, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        raise RuntimeError("there is no database")
    await app(scope, receive, send)
