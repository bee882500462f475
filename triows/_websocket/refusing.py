"""Decides how to refuse a handshake that no handler sees, and refuses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from attrs import evolve

from triows._errors import combined

from .verdict import judge

if TYPE_CHECKING:
    from triows._exchange.catchers import Catchers
    from triows._reply import Reply
    from triows._settings import Timeouts
    from triows._transports.interface import Transport
    from triows.types import Scope

__all__ = ["judged", "refuse"]


def judged(
    exc: Exception, scope: Scope, catchers: Catchers, transport: Transport
) -> tuple[Reply, BaseException | None]:
    """
    Decide how to refuse a handshake because of an exception, as if a factory had raised it.

    Returns:
        The refusal, and the error that has to be raised, if there is one.
    """
    raised: list[BaseException] = [exc]
    counting = catchers.replaced(scope, raised) if catchers else raised
    of_all = combined("errors in one connection", counting)
    verdict = judge(of_all, None, accepted=False, own=transport)
    return evolve(verdict.refusal, why=verdict.why or verdict.refusal.why), verdict.error


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
