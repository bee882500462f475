"""
All or nothing: a transaction that commits only if the handler returned.

    triows run examples.transaction:app

A client announces how many orders it has (``ws://127.0.0.1:8000/orders?number=2``), then
sends them (``{"item": "tea", "quantity": 3}``). If the last one arrives, all are stored. If
anything happens before that (an order that makes no sense, a client that leaves or
vanishes, an error, a shutdown), none is stored. In each case the factory's ``yield`` raises an
exception. If the handler was cancelled, that is ``HandlerCancelled``. The ``await`` that rolls
back always works.

The close frame goes out before the resources exit, so it does not prove that the transaction was
committed.
"""

from __future__ import annotations

import sqlite3
from typing import Annotated, Any

import msgspec
import trio

from triows import AsyncResource, Triows, WebSocket, WebSocketRoute, use


class Database:
    """SQLite in threads, because its calls block. It allows one transaction at a time."""

    def __init__(self) -> None:
        # Without an isolation level, transactions begin where the code says so.
        self._connection = sqlite3.connect(
            ":memory:", check_same_thread=False, isolation_level=None
        )
        self._connection.execute("CREATE TABLE orders (item TEXT, quantity INTEGER)")
        self.lock = trio.Lock()

    async def execute(self, sql: str, *values: Any) -> list[Any]:
        """Execute a statement. A cancellation waits until it has ended."""

        def run() -> list[Any]:
            return self._connection.execute(sql, values).fetchall()

        return await trio.to_thread.run_sync(run)

    def close(self) -> None:
        self._connection.close()


async def open_database() -> AsyncResource[Database]:
    database = Database()
    yield database
    database.close()


SharedDatabase = Annotated[Database, use(open_database, scope="app")]


async def begin(database: SharedDatabase) -> AsyncResource[Database]:
    """Begin a transaction before the handler, and commit it or roll it back afterwards."""
    async with database.lock:
        await database.execute("BEGIN")
        try:
            yield database
        except Exception:
            await database.execute("ROLLBACK")
            raise
        await database.execute("COMMIT")


class Order(msgspec.Struct):
    item: str
    quantity: Annotated[int, msgspec.Meta(gt=0)]


orders = WebSocketRoute("orders")


@orders.endpoint
async def store(
    ws: WebSocket,
    number: Annotated[int, msgspec.Meta(ge=1, le=1000)],
    transaction: Annotated[Database, use(begin)],
) -> None:
    await ws.accept()
    for _ in range(number):
        order = await ws.receive_json(Order)
        await transaction.execute("INSERT INTO orders VALUES (?, ?)", order.item, order.quantity)


app = Triows(orders)
