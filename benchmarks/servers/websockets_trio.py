"""The websockets library on Trio: ``python -m benchmarks.servers.websockets_trio PORT``."""

from __future__ import annotations

import sys
from contextlib import suppress

import trio
from websockets.exceptions import ConnectionClosedError
from websockets.trio.connection import broadcast
from websockets.trio.server import ServerConnection, serve

members: set[ServerConnection] = set()


async def fan_out(ws: ServerConnection) -> None:
    members.add(ws)
    try:
        async for message in ws:
            await broadcast(members, message)
    finally:
        members.discard(ws)


async def echo(ws: ServerConnection) -> None:
    async for message in ws:
        await ws.send(message)


async def handler(ws: ServerConnection) -> None:
    assert ws.request is not None
    with suppress(ConnectionClosedError):  # the load is gone
        await (echo if ws.request.path == "/echo" else fan_out)(ws)


if __name__ == "__main__":
    trio.run(lambda: serve(handler, int(sys.argv[1]), host="127.0.0.1", compression=None))
