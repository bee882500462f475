"""What a type checker makes of the interface between transports and those who own them."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_type

import trio

from triows._transports.asgi import ASGITransport
from triows._transports.interface import Ended, Starter, Transport
from triows._transports.stream import StreamTransport


def stand_for_one_another(asgi: ASGITransport, stream: StreamTransport) -> list[Transport]:
    return [asgi, stream]


def start_in_a_nursery(nursery: trio.Nursery, transport: Transport) -> None:
    starter: Starter = nursery
    transport.start(starter)


async def own(transport: Transport, tell: Callable[[], None]) -> None:
    transport.on_gone = tell
    assert_type(await transport.receive(), str | bytes)
    assert_type(transport.receive_nowait(), str | bytes)
    assert_type(transport.ended, Ended | None)
    assert_type(transport.latency, float | None)


def leave_alone_what_only_the_transport_knows(transport: Transport) -> None:
    transport.delivered = True  # type: ignore[misc]
    transport.over = True  # type: ignore[misc]
