"""Subprotocols, close codes, binary messages."""

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from triows import Triows, WebSocket, WebSocketDisconnect, WebSocketRoute

closes: list[list] = []

chosen = WebSocketRoute("chosen")
closing = WebSocketRoute("closing")
binary = WebSocketRoute("binary")


@chosen.endpoint
async def choose(ws: WebSocket) -> None:
    offered = ws.scope["subprotocols"]
    best = next((one for one in ("v2", "v1") if one in offered), None)
    await ws.accept(best, headers=[(b"x-offered", str(len(offered)).encode())])
    await ws.send_json(offered)


@closing.endpoint
async def close(ws: WebSocket) -> None:
    await ws.accept()
    try:
        wish = await ws.receive_json()
        await ws.close(**wish)
    except WebSocketDisconnect as exc:
        closes.append([exc.code, exc.reason])


@binary.endpoint
async def reverse(ws: WebSocket) -> None:
    await ws.accept()
    async for data in ws.iter_bytes():
        await ws.send_bytes(data[::-1])


async def tell_closes(request):
    return JSONResponse(closes)


app = Triows(chosen, closing, binary)
app.mount("/", Starlette(routes=[Route("/closes", tell_closes)]))
