"""Quart-Trio, for ``hypercorn -k trio``."""

from __future__ import annotations

from quart import Websocket, websocket
from quart_trio import QuartTrio

app = QuartTrio(__name__)
members: set[Websocket] = set()


@app.websocket("/echo")
async def echo() -> None:
    while True:
        await websocket.send(await websocket.receive())


@app.websocket("/fanout")
async def fan_out() -> None:
    await websocket.accept()
    me = websocket._get_current_object()  # behind the proxy
    members.add(me)
    try:
        while True:
            message = await websocket.receive()
            for member in list(members):
                await member.send(message)
    finally:
        members.discard(me)
