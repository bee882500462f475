"""Applications that hang without blocking the loop: in a handler, at the start-up, at the end."""

import logging
import threading
from collections.abc import AsyncIterator
from typing import Any

import trio

from triows import Timeouts, Triows, WebSocket, WebSocketRoute

logger = logging.getLogger("triows")

BRIEF = Timeouts(close=0.1, teardown=0.1, shutdown_grace=0.1)


async def shielded() -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()


room_route = WebSocketRoute("rooms/{room}")


@room_route.endpoint
async def chat(ws: WebSocket, room: str) -> None:
    await ws.accept()
    await ws.send("here")
    await shielded()


async def starts_never(app: Any) -> AsyncIterator[None]:
    logger.info("waiting for nothing")
    await trio.sleep_forever()
    yield


async def ends_never(app: Any) -> AsyncIterator[None]:
    yield
    await trio.sleep_forever()


def work() -> None:
    threading.Event().wait()


async def leaves_a_thread(app: Any) -> AsyncIterator[None]:
    threading.Thread(target=work, name="writes reports").start()
    yield


async def leaves_the_last_thread(app: Any) -> AsyncIterator[None]:
    """Do what Python 3.12 does by itself: start no thread after the main one has ended."""
    start = threading.Thread.start

    def starts_none_at_the_end(thread: threading.Thread) -> None:
        if not threading.main_thread().is_alive():
            raise RuntimeError("can't create new thread at interpreter shutdown")
        start(thread)

    start(threading.Thread(target=work, name="writes reports"))
    yield
    threading.Thread.start = starts_none_at_the_end  # type: ignore[method-assign]


app = Triows(room_route, timeouts=BRIEF)
starting = Triows(lifespan=starts_never)
ending = Triows(lifespan=ends_never, timeouts=BRIEF)
threaded = Triows(lifespan=leaves_a_thread, timeouts=BRIEF)
last_threaded = Triows(lifespan=leaves_the_last_thread, timeouts=BRIEF)
