"""
A server as one task of a larger Trio program.

    python -m examples.embedded

The program prints an address. Connect to it with any WebSocket client, for example with
``python -m websockets ws://127.0.0.1:8000/countdown``. Then it counts down, and tells everyone
who watches. The program decides when the server ends: at zero it sets an event, every watcher
gets a close frame with 1001, and ``triows.serve`` returns.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import trio
from hypercorn.config import Config

import triows
from triows import Triows, WebSocket, WebSocketDisconnect, WebSocketRoute


class Audience:
    """Everyone who watches."""

    def __init__(self) -> None:
        self.watchers: set[WebSocket] = set()
        self.gathered = trio.Event()

    async def tell(self, text: str) -> None:
        """Tell everyone at the same time. Whoever does not read it within a second misses it."""
        with trio.move_on_after(1):
            async with trio.open_nursery() as nursery:
                for ws in self.watchers:
                    nursery.start_soon(self._tell_one, ws, text)

    async def _tell_one(self, ws: WebSocket, text: str) -> None:
        with suppress(WebSocketDisconnect):
            await ws.send(text)


def audience_of(app: Triows) -> Audience:
    """Give the program's audience to every handler that asks for the type."""
    audience: Audience = app.state.audience
    return audience


countdown = WebSocketRoute("countdown", deps=[audience_of])


@countdown.endpoint
async def watch(ws: WebSocket, audience: Audience) -> None:
    await ws.accept()
    audience.watchers.add(ws)
    audience.gathered.set()
    try:
        async for _ in ws:
            pass  # watchers don't say anything
    finally:
        audience.watchers.remove(ws)


async def main(
    bind: str = "127.0.0.1:8000",
    *,
    start: int = 10,
    tick: float = 1.0,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    app = Triows(countdown)
    audience = app.state.audience = Audience()
    config = Config()
    config.bind = [bind]
    finished = trio.Event()
    async with trio.open_nursery() as nursery:
        urls = await nursery.start(
            partial(triows.serve, app, config, shutdown_trigger=finished.wait)
        )
        print("waiting for somebody at", *(f"{url}/countdown" for url in urls))
        task_status.started(urls)
        await audience.gathered.wait()
        for left in range(start, 0, -1):
            await audience.tell(f"{left}...")
            await trio.sleep(tick)
        await audience.tell("lift-off")
        finished.set()


if __name__ == "__main__":
    trio.run(main)
