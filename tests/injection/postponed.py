"""A user's module whose annotations are strings until somebody evaluates them (PEP 563)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import trio

from triows import AsyncResource, Ignore, Param, Triows, WebSocket, use

if TYPE_CHECKING:
    from decimal import Decimal


class Database:
    def __init__(self, ws: WebSocket, shard: int = 0) -> None:
        self.shard = shard


class Session:
    def __init__(self, database: Database, user: str) -> None:
        self.database = database
        self.user = user


async def get_session(
    database: Annotated[Database, use()], user: Annotated[str, Param("header")]
) -> AsyncResource[Session]:
    yield Session(database, user)


async def accepted(ws: Ignore[WebSocket]) -> Ignore[AsyncResource[WebSocket]]:
    await ws.accept()
    yield ws


CurrentSession: TypeAlias = Annotated[Session, use(get_session)]
Accepted = Annotated[WebSocket, use(accepted, reuse=True)]


async def handler(
    ws: Accepted, session: CurrentSession, room_id: int, nursery: trio.Nursery, app: Triows
) -> None: ...


async def unresolved(ws: WebSocket, price: Decimal) -> None: ...


def local_handler():
    class Local:
        pass

    async def handler(ws: WebSocket, local: Annotated[Local, use(Local)]) -> None: ...

    return handler
