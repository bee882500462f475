"""Tokens in the query, a header or a cookie."""

from typing import Annotated

from triows import HTTPException, Param, Triows, WebSocket, WebSocketClose, WebSocketRoute, use

USERS = {"secret-ada": "ada", "secret-bob": "bob"}


def by_query(token: str = "") -> str:
    if token not in USERS:
        raise WebSocketClose(1008, "invalid token")
    return USERS[token]


def by_header(authorization: Annotated[str, Param("header")] = "") -> str:
    scheme, _, token = authorization.partition(" ")
    if scheme != "Bearer":
        raise HTTPException(401, "who are you?", {"WWW-Authenticate": "Bearer"})
    if token not in USERS:
        raise HTTPException(403, "not with this token")
    return USERS[token]


def by_cookie(session: Annotated[str, Param("cookie")] = "") -> str:
    if session not in USERS:
        raise WebSocketClose(3000, "log in first")
    return USERS[session]


query, header, cookie = (WebSocketRoute(path) for path in ("query", "header", "cookie"))


@query.endpoint
async def query_user(ws: WebSocket, user: Annotated[str, use(by_query)]) -> None:
    await greet(ws, user)


@header.endpoint
async def header_user(ws: WebSocket, user: Annotated[str, use(by_header)]) -> None:
    await greet(ws, user)


@cookie.endpoint
async def cookie_user(ws: WebSocket, user: Annotated[str, use(by_cookie)]) -> None:
    await greet(ws, user)


async def greet(ws: WebSocket, user: str) -> None:
    await ws.accept()
    await ws.send_json({"user": user})
    # The permission is checked for each message.
    async for wish in ws.iter_text():
        if wish == "delete" and user != "ada":
            raise WebSocketClose(1008, "only ada may")
        await ws.send_text("done")


app = Triows(query, header, cookie)
