"""Tokens in the query, a header or a cookie."""

from starlette.applications import Starlette
from starlette.exceptions import WebSocketException
from starlette.responses import JSONResponse
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

USERS = {"secret-ada": "ada", "secret-bob": "bob"}


async def query_user(ws: WebSocket) -> None:
    token = ws.query_params.get("token")
    if token not in USERS:
        raise WebSocketException(1008, "invalid token")
    await greet(ws, USERS[token])


async def header_user(ws: WebSocket) -> None:
    scheme, _, token = ws.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer":
        await ws.send_denial_response(
            JSONResponse({"detail": "who are you?"}, 401, {"WWW-Authenticate": "Bearer"})
        )
    elif token not in USERS:
        await ws.send_denial_response(JSONResponse({"detail": "not with this token"}, 403))
    else:
        await greet(ws, USERS[token])


async def cookie_user(ws: WebSocket) -> None:
    session = ws.cookies.get("session")
    if session not in USERS:
        await ws.close(3000, "log in first")
    else:
        await greet(ws, USERS[session])


async def greet(ws: WebSocket, user: str) -> None:
    await ws.accept()
    await ws.send_json({"user": user})
    async for wish in ws.iter_text():
        if wish == "delete" and user != "ada":
            raise WebSocketException(1008, "only ada may")
        await ws.send_text("done")


app = Starlette(
    routes=[
        WebSocketRoute("/query", query_user),
        WebSocketRoute("/header", header_user),
        WebSocketRoute("/cookie", cookie_user),
    ]
)
