"""A chat with rooms."""

from collections import defaultdict
from contextlib import suppress

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from triows import Triows, WebSocket, WebSocketClose, WebSocketDisconnect, WebSocketRoute

rooms: dict[str, dict[str, WebSocket]] = defaultdict(dict)


async def broadcast(room: str, text: str) -> None:
    for ws in list(rooms[room].values()):
        with suppress(WebSocketDisconnect):  # the member's own handler sees it, too
            await ws.send_text(text)


chat = WebSocketRoute("rooms/{room}")


@chat.endpoint
async def talk(ws: WebSocket, room: str, name: str) -> None:
    if name in rooms[room]:
        raise WebSocketClose(1008, "this name is taken")
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


app = Triows(chat)
app.mount("/", Starlette(routes=[Route("/members/{room}", members)]))
