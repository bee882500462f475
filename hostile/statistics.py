"""
The route by which an application that is attacked tells of its process.

Before it counts, garbage is collected, so that what it counts is held by somebody. With
``?trim=1`` it also has the C library give free memory back to the system: what the
process holds after that is what the program holds.
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
        with suppress(AttributeError):  # a C library that has no such thing
            ctypes.CDLL(None).malloc_trim(0)
    await ws.send_json(
        {
            "tasks": trio.lowlevel.current_statistics().tasks_living,
            "connections": sum(isinstance(one, WebSocket) for one in gc.get_objects()),
        }
    )
