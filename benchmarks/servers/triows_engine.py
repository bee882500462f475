"""
The bare engine, for ``triows run``: the server and the transport, without what is above them.

No routes, no arguments, no resources, no keepalive, no log line: what these cost is the
difference to the other two servers of ours. Plain requests go to bare ASGI, which isn't mounted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from triows import Triows, WebSocketDisconnect
from triows._transports.connection import open_transport

from . import bare_http

if TYPE_CHECKING:
    from triows.types import Receive, Scope, Send


class Engine(Triows):
    """An application that speaks to the transport itself."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await bare_http.app(scope, receive, send)
            return
        if scope["type"] != "websocket":
            await super().__call__(scope, receive, send)
            return
        transport = open_transport(scope, receive, send, self.settings)
        async with trio.open_nursery() as nursery:
            transport.start(nursery)
            try:
                await transport.accept(None, ())
                while True:
                    await transport.send(await transport.receive())
            except WebSocketDisconnect:
                pass
            finally:
                with trio.CancelScope(shield=True):  # bounded by linger
                    await transport.aclose(linger=self.timeouts.close)


app = Engine()
