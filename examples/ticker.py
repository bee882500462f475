"""
Prices pushed to every client, each at the speed that the client can take.

    triows run examples.ticker:app

Then connect to ``ws://127.0.0.1:8000/prices/ACME``. The market moves ten times a second,
whoever listens. ``ws.send_json`` waits for a client that is slow to read, and meanwhile
nothing piles up: the handler asks for the newest price only when it can send one. A client
that reads nothing at all for ``Timeouts.send`` is disconnected with 1008.
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
        """Wait for a quote after the one of that number, and skip all but the newest."""
        while self._quotes[symbol].number <= number:
            await self._moved.wait()
        return self._quotes[symbol]


async def open_market() -> AsyncResource[Market]:
    market = Market()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(market.trade)
        yield market
        nursery.cancel_scope.cancel()


# What has been handed to the outbox can't be skipped any more. In one of a single byte,
# only one message waits; behind it is what the system buffers.
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
