"""An application whose lifespan fails while it is served."""

import logging
import signal
from collections.abc import AsyncIterator
from typing import Annotated, Any

import trio

from triows import AsyncResource, Triows, WebSocket, WebSocketRoute, use

logger = logging.getLogger("triows")

poison = WebSocketRoute("poison")
deadly = trio.Event()


async def fail() -> None:
    await deadly.wait()
    raise RuntimeError("the feed is gone")


async def read_feed(app: Any) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fail)
        yield


async def pool() -> AsyncResource[str]:
    yield "pool"
    with trio.open_signal_receiver(signal.SIGWINCH) as signals:
        logger.info("closing the pool")
        async for _ in signals:
            break


@poison.endpoint
async def take_poison(ws: WebSocket, pool: Annotated[str, use(pool, scope="app")]) -> None:
    await ws.accept()
    deadly.set()
    await trio.sleep_forever()


app = Triows(poison, lifespan=read_feed)
