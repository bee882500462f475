"""FastAPI, for uvicorn."""

from __future__ import annotations

from fastapi import FastAPI, WebSocket
from fastapi.responses import PlainTextResponse

app = FastAPI()
members: set[WebSocket] = set()


@app.websocket("/echo")
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for message in ws.iter_text():
        await ws.send_text(message)


@app.get("/small", response_class=PlainTextResponse)
async def small() -> str:
    return "Hello, world!"


@app.websocket("/fanout")
async def fan_out(ws: WebSocket) -> None:
    await ws.accept()
    members.add(ws)
    try:
        async for message in ws.iter_text():
            for member in list(members):
                await member.send_text(message)
    finally:
        members.discard(ws)
