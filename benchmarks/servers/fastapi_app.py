"""FastAPI, for uvicorn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, FastAPI, WebSocket
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

app = FastAPI()
members: set[WebSocket] = set()


@app.websocket("/echo")
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for message in ws.iter_text():
        await ws.send_text(message)


@app.get("/small", response_class=PlainTextResponse)
async def small() -> str:
    return "Hello, world!"


class Found(BaseModel):
    id: int
    q: str


class User(BaseModel):
    name: str
    age: int
    tags: list[str]


class Session:
    def save(self, user_id: int, user: User) -> User:
        assert user_id
        return user


async def session() -> AsyncIterator[Session]:
    yield Session()


@app.get("/u/{user_id}")
async def find(user_id: int, q: str) -> Found:
    return Found(id=user_id, q=q)


@app.post("/u/{user_id}")
async def save(user_id: int, user: User, session: Annotated[Session, Depends(session)]) -> User:
    return session.save(user_id, user)


@app.websocket("/fanout")
async def fan_out(ws: WebSocket) -> None:
    await ws.accept()
    members.add(ws)
    try:
        async for message in ws.iter_text():
            for member in list(members):
                await member.send_text(message)
    finally:
        members.discard(ws)
