"""A chat with rooms."""

from collections import defaultdict

from starlette.applications import Starlette
from starlette.exceptions import WebSocketException
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

rooms: dict[str, dict[str, WebSocket]] = defaultdict(dict)


async def broadcast(room: str, text: str) -> None:
    for ws in list(rooms[room].values()):
        await ws.send_text(text)


async def talk(ws: WebSocket) -> None:
    room, name = ws.path_params["room"], ws.query_params["name"]
    if name in rooms[room]:
        raise WebSocketException(1008, "this name is taken")
    await ws.accept()
    rooms[room][name] = ws
    await broadcast(room, f"{name} joined")
    try:
        async for message in ws.iter_text():
            await broadcast(room, f"{name}: {message}")
    finally:
        del rooms[room][name]
    await broadcast(room, f"{name} left")


async def members(request):
    return JSONResponse(sorted(rooms[request.path_params["room"]]))


app = Starlette(routes=[Route("/members/{room}", members), WebSocketRoute("/rooms/{room}", talk)])
