"""lihil, for uvicorn."""

# No `from __future__ import annotations`: lihil does not evaluate annotations that are text.

from collections.abc import AsyncIterator
from typing import Annotated

from lihil import Lihil, Route, Struct, Text, WebSocket, WebSocketRoute, use

echo_route = WebSocketRoute("echo")
fan_out_route = WebSocketRoute("fanout")
small_route = Route("small")
user_route = Route("u/{user_id}")
members: set[WebSocket] = set()


@echo_route.endpoint
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for message in ws.iter_text():
        await ws.send_text(message)


@small_route.get
async def small() -> Text:
    return "Hello, world!"


class Found(Struct):
    id: int
    q: str


class User(Struct):
    name: str
    age: int
    tags: list[str]


class Session:
    def save(self, user_id: int, user: User) -> User:
        assert user_id
        return user


async def session() -> AsyncIterator[Session]:
    yield Session()


@user_route.get
async def find(user_id: int, q: str) -> Found:
    return Found(user_id, q)


@user_route.post
async def save(
    user_id: int, user: User, session: Annotated[Session, use(session, reuse=False)]
) -> User:
    return session.save(user_id, user)


@fan_out_route.endpoint
async def fan_out(ws: WebSocket) -> None:
    await ws.accept()
    members.add(ws)
    try:
        async for message in ws.iter_text():
            for member in list(members):
                await member.send_text(message)
    finally:
        members.discard(ws)


app = Lihil()
app.include_routes(echo_route, fan_out_route, small_route, user_route)
