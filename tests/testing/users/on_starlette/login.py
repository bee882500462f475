"""Log in by HTTP, listen by WebSocket."""

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, WebSocketRoute
from starlette.websockets import WebSocket

from tests.testing.users.login_pages import SESSIONS, listeners, pages


async def listen(ws: WebSocket) -> None:
    user = SESSIONS.get(ws.cookies.get("session", ""))
    if user is None:
        await ws.send_denial_response(JSONResponse({"detail": "log in first"}, 401))
        return
    await ws.accept()
    listeners.append(ws)
    await ws.send_text(f"hello {user}")
    try:
        async for _ in ws.iter_text():
            pass
    finally:
        listeners.remove(ws)


app = Starlette(routes=[WebSocketRoute("/news", listen), Mount("/", pages)])
