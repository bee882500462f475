"""The application against which the cases run."""

from __future__ import annotations

from triows import Compression, Limits, Timeouts, Triows, WebSocket, WebSocketRoute

#: The largest message of the cases (9.1.6 and 9.2.6).
MESSAGE_SIZE = 16 * 2**20

#: The most fragments in a message: 4 MiB in fragments of 64 bytes (9.3.1 and 9.4.1).
FRAGMENTS = 2**16


route = WebSocketRoute("/")


@route.endpoint
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for message in ws:
        await ws.send(message)


# The slowest cases take minutes on a slow machine, and none of them is about a timeout.
app = Triows(
    route,
    limits=Limits(message_size=MESSAGE_SIZE, inbox_size=MESSAGE_SIZE, fragments=FRAGMENTS),
    timeouts=Timeouts(send=120, ping_interval=120),
    compression=Compression(),
)
