"""
The route on which an attacked application reports about its process.

It collects garbage before it counts, so that it counts only what something refers to. With
``?trim=1``, it also makes the C library give free memory back to the system. What the process holds
after that is what the program uses.
"""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

import trio

from triows import WebSocket, WebSocketRoute

__all__ = ["route"]

route = WebSocketRoute("statistics")


@route.endpoint
async def tell(ws: WebSocket, trim: int = 0) -> None:
    await ws.accept()
    gc.collect()
    if trim:
        with suppress(AttributeError):  # this C library can't do that
            ctypes.CDLL(None).malloc_trim(0)
    await ws.send_json(
        {
            "tasks": trio.lowlevel.current_statistics().tasks_living,
            "connections": sum(isinstance(one, WebSocket) for one in gc.get_objects()),
        }
    )
