"""A calculator that speaks JSON."""

import json

import msgspec
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect


class Sum(msgspec.Struct, forbid_unknown_fields=True):
    id: int
    add: list[int]


async def calculate(ws: WebSocket) -> None:
    await ws.accept()
    async for text in ws.iter_text():
        try:
            wish = msgspec.json.decode(text, type=Sum)
        except msgspec.DecodeError:
            await ws.close(1007, "invalid message")
            return
        await ws.send_json({"id": wish.id, "sum": sum(wish.add)})


async def try_to_calculate(ws: WebSocket) -> None:
    await ws.accept()
    async for text in ws.iter_text():
        try:
            wish = msgspec.json.decode(text, type=Sum)
        except msgspec.DecodeError:
            await ws.send_json({"error": "what?"})
        else:
            await ws.send_json({"id": wish.id, "sum": sum(wish.add)})


async def repeat(ws: WebSocket) -> None:
    await ws.accept()
    try:
        while True:
            message = await ws.receive()
            if message["type"] == "websocket.disconnect":
                break
            data = message.get("text") or message["bytes"].decode()
            await ws.send_json(json.loads(data), ws.query_params.get("mode", "text"))
    except WebSocketDisconnect:
        pass


app = Starlette(
    routes=[
        WebSocketRoute("/strict", calculate),
        WebSocketRoute("/lenient", try_to_calculate),
        WebSocketRoute("/echo", repeat),
    ]
)
