"""trio-websocket: ``python -m benchmarks.servers.trio_websocket_server PORT``."""

from __future__ import annotations

import sys
from contextlib import suppress

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

members: set[WebSocketConnection] = set()


async def echo(ws: WebSocketConnection) -> None:
    while True:
        await ws.send_message(await ws.get_message())


async def fan_out(ws: WebSocketConnection) -> None:
    members.add(ws)
    try:
        while True:
            message = await ws.get_message()
            for member in list(members):
                await member.send_message(message)
    finally:
        members.discard(ws)


async def handler(request: WebSocketRequest) -> None:
    ws = await request.accept()
    with suppress(ConnectionClosed):  # the load is gone
        await (echo if ws.path == "/echo" else fan_out)(ws)


if __name__ == "__main__":
    trio.run(serve_websocket, handler, "127.0.0.1", int(sys.argv[1]), None)
