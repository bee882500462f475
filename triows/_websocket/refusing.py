"""Refuses a handshake that no handler sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from triows._reply import Reply
    from triows._settings import Timeouts
    from triows._transports.interface import Transport

__all__ = ["refuse"]


async def refuse(transport: Transport, refusal: Reply, timeouts: Timeouts) -> None:
    """Refuse a handshake. All of this takes ``timeouts.close`` at most."""
    if not transport.needs_nursery:
        await _refuse(transport, refusal, timeouts.close)
        return
    async with trio.open_nursery() as nursery:
        transport.start(nursery)
        await _refuse(transport, refusal, timeouts.close)


async def _refuse(transport: Transport, refusal: Reply, seconds: float) -> None:
    until = trio.current_time() + seconds
    try:
        with trio.move_on_at(until):
            await transport.reject(refusal)
            await transport.wait_delivered()
    finally:
        await transport.aclose(linger=max(0.0, until - trio.current_time()))
