"""Subprotocols, close codes, binary messages."""

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

closes: list[list] = []


async def choose(ws: WebSocket) -> None:
    offered = ws.scope["subprotocols"]
    best = next((one for one in ("v2", "v1") if one in offered), None)
    await ws.accept(best, headers=[(b"x-offered", str(len(offered)).encode())])
    await ws.send_json(offered)


async def close(ws: WebSocket) -> None:
    await ws.accept()
    try:
        wish = await ws.receive_json()
        await ws.close(**wish)
    except WebSocketDisconnect as exc:
        closes.append([exc.code, exc.reason])


async def reverse(ws: WebSocket) -> None:
    await ws.accept()
    async for data in ws.iter_bytes():
        await ws.send_bytes(data[::-1])


async def tell_closes(request):
    return JSONResponse(closes)


app = Starlette(
    routes=[
        Route("/closes", tell_closes),
        WebSocketRoute("/chosen", choose),
        WebSocketRoute("/closing", close),
        WebSocketRoute("/binary", reverse),
    ]
)
