"""triows: handlers for WebSockets and for typed requests, and a mounted application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Struct

from triows import AsyncResource, Ignore, Route, Triows, WebSocket, WebSocketRoute, use
from triows._transports.fan_out import FanOut

if TYPE_CHECKING:
    from triows._transports.interface import Transport

from . import bare_http

echo_route = WebSocketRoute("echo")
fan_out_route = WebSocketRoute("fanout")
user_route = Route("u/{user_id}")
members: set[Transport] = set()
everyone = FanOut()


@echo_route.endpoint
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for message in ws:
        await ws.send(message)


@fan_out_route.endpoint
async def to_everyone(ws: WebSocket) -> None:
    # There is no public name for this yet.
    transport = ws._transport
    await ws.accept()
    members.add(transport)
    try:
        async for message in ws:
            for full in await everyone.send(members, message):
                await full.send(message)
    finally:
        members.discard(transport)


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


async def session() -> Ignore[AsyncResource[Session]]:
    yield Session()


@user_route.get
async def find(user_id: int, q: str) -> Found:
    return Found(user_id, q)


@user_route.post
async def save(user_id: int, user: User, session: Annotated[Session, use(session)]) -> User:
    return session.save(user_id, user)


app = Triows(echo_route, fan_out_route, user_route)
app.mount("/", bare_http.app)
