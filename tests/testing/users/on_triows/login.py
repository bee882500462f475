"""Log in by HTTP, listen by WebSocket."""

from tests.testing.users.login_pages import SESSIONS, listeners, pages
from triows import HTTPException, Triows, WebSocket, WebSocketRoute

news = WebSocketRoute("news")


@news.endpoint
async def listen(ws: WebSocket) -> None:
    user = SESSIONS.get(ws.cookies.get("session", ""))
    if user is None:
        raise HTTPException(401, "log in first")
    await ws.accept()
    listeners.append(ws)
    await ws.send_text(f"hello {user}")
    try:
        async for _ in ws:
            pass
    finally:
        listeners.remove(ws)


app = Triows(news)
app.mount("/", pages)
