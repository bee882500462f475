"""
A ticker: every client gets prices as fast as it can read them.

    triows run examples.ticker:app

Then connect to ``ws://127.0.0.1:8000/prices/ACME``. The market moves ten times a second,
whether anybody listens or not. ``ws.send_json`` waits for a client that reads slowly, and
nothing piles up meanwhile, because the handler fetches the newest price only when it can send
one. A client that reads nothing at all for ``Timeouts.send`` is disconnected with 1008.
"""

from __future__ import annotations

import random
from typing import Annotated, Literal

import msgspec
import trio

from triows import AsyncResource, Limits, Triows, WebSocket, WebSocketRoute, use

Symbol = Literal["ACME", "HOOLI"]


class Quote(msgspec.Struct):
    symbol: Symbol
    number: int
    price: float


class Market:
    """The newest quote of each symbol, and a way to wait for the next."""

    def __init__(self) -> None:
        self._quotes: dict[Symbol, Quote] = {
            "ACME": Quote("ACME", 1, 100.0),
            "HOOLI": Quote("HOOLI", 1, 250.0),
        }
        self._moved = trio.Event()

    async def trade(self) -> None:
        while True:
            await trio.sleep(0.1)
            for symbol, old in self._quotes.items():
                price = round(old.price * random.uniform(0.99, 1.01), 2)
                self._quotes[symbol] = Quote(symbol, old.number + 1, price)
            self._moved.set()
            self._moved = trio.Event()

    async def newer(self, symbol: Symbol, number: int) -> Quote:
        """Wait until there is a quote after that number, and return the newest one."""
        while self._quotes[symbol].number <= number:
            await self._moved.wait()
        return self._quotes[symbol]


async def open_market() -> AsyncResource[Market]:
    market = Market()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(market.trade)
        yield market
        nursery.cancel_scope.cancel()


# The handler can't skip a price that is already in the outbox. With a limit of one byte, only one
# message waits there. The system's own buffers come after it.
prices = WebSocketRoute("prices/{symbol}", limits=Limits(outbox=1))


@prices.endpoint
async def push(
    ws: WebSocket, symbol: Symbol, market: Annotated[Market, use(open_market, scope="app")]
) -> None:
    await ws.accept()
    number = 0
    while True:
        quote = await market.newer(symbol, number)
        await ws.send_json(quote)
        number = quote.number


app = Triows(prices)
