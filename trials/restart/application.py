"""The application that is restarted."""

from __future__ import annotations

import os

import trio
from attrs import frozen

from triows import HTTPException, Request, Route, Triows, WebSocket, WebSocketRoute

#: Where the servers write which POSTs they have carried out. A single small write is atomic.
ledger = os.open(os.environ["TRIALS_RESTART_LEDGER"], os.O_WRONLY | os.O_APPEND)


@frozen
class Answer:
    """Says which request is answered, and by which process."""

    number: int
    process: int


talk_route = WebSocketRoute("talk")
orders_route = Route("orders")
ready_route = Route("ready")


@talk_route.endpoint
async def talk(ws: WebSocket) -> None:
    await ws.accept()
    async for message in ws:
        await ws.send(message)


@orders_route.get
async def look(number: int) -> Answer:
    return Answer(number, os.getpid())


@orders_route.post
async def order(number: int) -> Answer:
    """Work for a moment, so that some restarts come in the middle of a request."""
    await trio.sleep(0.005)
    os.write(ledger, b"%d\n" % number)
    return Answer(number, os.getpid())


@ready_route.get
async def ready(request: Request) -> None:
    if not request.app.ready:
        raise HTTPException(503)


app = Triows(talk_route, orders_route, ready_route)
