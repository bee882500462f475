"""An application that is slow to start, and one that is slow to end."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import trio

from triows import Timeouts, Triows, WebSocket, WebSocketRoute

logger = logging.getLogger("triows")


async def lifespan(app: Any) -> AsyncIterator[None]:
    logger.info("waiting for the database")
    await trio.sleep_forever()
    yield


starting = Triows(lifespan=lifespan)

flood = WebSocketRoute("flood")


@flood.endpoint
async def pour(ws: WebSocket) -> None:
    await ws.accept()
    logger.info("pouring")
    while True:
        await ws.send(bytes(2**20))


ending = Triows(flood, timeouts=Timeouts(close=0.1, teardown=0.1, shutdown_grace=0.1))
