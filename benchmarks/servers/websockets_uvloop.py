"""
The websockets library on asyncio with uvloop.

python -m benchmarks.servers.websockets_uvloop PORT
"""

from __future__ import annotations

import sys
from contextlib import suppress

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosedError

members: set[ServerConnection] = set()


async def fan_out(ws: ServerConnection) -> None:
    members.add(ws)
    try:
        async for message in ws:
            broadcast(members, message)
    finally:
        members.discard(ws)


async def echo(ws: ServerConnection) -> None:
    async for message in ws:
        await ws.send(message)


async def handler(ws: ServerConnection) -> None:
    assert ws.request is not None
    with suppress(ConnectionClosedError):  # the load is gone
        await (echo if ws.request.path == "/echo" else fan_out)(ws)


async def main() -> None:
    async with serve(handler, "127.0.0.1", int(sys.argv[1]), compression=None) as server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
