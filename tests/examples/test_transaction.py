# There is no virtual clock here, because it would jump ahead while SQLite works in its threads.
from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from examples.transaction import Database, SharedDatabase, begin, orders
from tests.connecting import connect, opened
from triows import (
    AsyncResource,
    HandlerCancelled,
    Timeouts,
    Triows,
    WebSocket,
    WebSocketDisconnect,
    WebSocketRoute,
    use,
)
from triows.testing import WebSocketSession

TEA = {"item": "tea", "quantity": 3}
CAKE = {"item": "cake", "quantity": 1}


class Unexpected(Exception):
    pass


stored = WebSocketRoute("stored")


@stored.endpoint
async def list_stored(ws: WebSocket, database: SharedDatabase) -> None:
    await ws.accept()
    # There is only one SQLite connection, so without the lock this would see an open transaction.
    async with database.lock:
        await ws.send_json(await database.execute("SELECT item, quantity FROM orders"))


# The exceptions that were raised at the yield of another resource.
raised: list[BaseException] = []


async def watched(database: Annotated[Database, use(begin)]) -> AsyncResource[Database]:
    try:
        yield database
    except Exception as exc:
        raised.append(exc)
        raise


faulty = WebSocketRoute("faulty/{fault}")


@faulty.endpoint
async def store_and_fail(
    ws: WebSocket, fault: str, transaction: Annotated[Database, use(watched)]
) -> None:
    await ws.accept()
    await transaction.execute("INSERT INTO orders VALUES ('tea', 3)")
    assert len(await transaction.execute("SELECT * FROM orders")) == 1
    await ws.send("inserted")
    if fault == "raises":
        raise Unexpected
    await trio.sleep_forever()


@pytest.fixture
async def app() -> AsyncIterator[Triows]:
    raised.clear()
    app = Triows(orders, stored, faulty, timeouts=Timeouts(disconnect_grace=0))
    async with opened(app):
        yield app


async def stored_in(app: Triows) -> Any:
    async with connect(app, "/stored") as client:
        return await client.receive_json()


async def test_all_orders_are_stored_when_the_last_one_has_arrived(app):
    async with connect(app, "/orders?number=2") as client:
        await client.send_json(TEA)
        await client.send_json(CAKE)
        with pytest.raises(WebSocketDisconnect) as closed:
            await client.receive()
    assert closed.value.code == 1000
    assert await stored_in(app) == [["tea", 3], ["cake", 1]]


@pytest.mark.parametrize(
    "end", [WebSocketSession.close, WebSocketSession.reset], ids=["leaves", "breaks off"]
)
async def test_no_order_is_stored_when_the_client_goes_before_the_last_one(app, end):
    async with connect(app, "/orders?number=2") as client:
        await client.send_json(TEA)
        if (closing := end(client)) is not None:
            await closing
    assert await stored_in(app) == []


async def test_no_order_is_stored_when_one_makes_no_sense(app):
    async with connect(app, "/orders?number=2") as client:
        await client.send_json(TEA)
        await client.send_json({"item": "cake", "quantity": -1})
        with pytest.raises(WebSocketDisconnect) as closed:
            await client.receive()
    assert closed.value.code == 1007
    assert await stored_in(app) == []


async def test_an_error_of_the_handler_rolls_back(app):
    with pytest.raises(Unexpected):
        async with connect(app, "/faulty/raises") as client:
            assert await client.receive() == "inserted"
    assert [type(exc) for exc in raised] == [Unexpected]
    assert await stored_in(app) == []


async def test_a_client_that_goes_while_the_handler_is_busy_rolls_back(app):
    async with connect(app, "/faulty/hangs") as client:
        assert await client.receive() == "inserted"
        client.reset()
    (cancelled,) = raised
    assert isinstance(cancelled, HandlerCancelled)
    assert cancelled.reason == "peer gone"
    assert await stored_in(app) == []


async def test_the_next_transaction_begins_when_the_one_before_is_over(app):
    async with connect(app, "/orders?number=1") as first, trio.open_nursery() as nursery:

        async def order_cake() -> None:
            async with connect(app, "/orders?number=1") as second:
                await second.send_json(CAKE)
                with pytest.raises(WebSocketDisconnect):
                    await second.receive()

        nursery.start_soon(order_cake)
        await wait_all_tasks_blocked()
        await first.send_json(TEA)
    assert await stored_in(app) == [["tea", 3], ["cake", 1]]
