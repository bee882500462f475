"""
The server with which ours is compared: the same echo, by websockets on asyncio.

    python -m trials.compliance.reference / --bind 127.0.0.1:9001

It takes the arguments of ``triows run``, and says in the same way where it serves.
"""

from __future__ import annotations

import argparse
import asyncio

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from .echo import MESSAGE_SIZE


async def echo(connection: ServerConnection) -> None:
    try:
        async for message in connection:
            await connection.send(message)
    except ConnectionClosed:
        pass  # a case ended the connection without a close frame


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("--bind", default="127.0.0.1:9001")
    host, _, port = parser.parse_args().bind.rpartition(":")
    async with serve(
        echo, host, int(port), max_size=MESSAGE_SIZE, ping_interval=None, close_timeout=5
    ) as server:
        host, port = server.sockets[0].getsockname()[:2]
        print(f"serving on http://{host}:{port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
