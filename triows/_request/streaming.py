"""Sends what an async generator handler yields, part by part."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import trio

from triows._errors import leaves, without_cancelled

from .events import KEEPALIVE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from .streams import Stream
    from .transport import RequestTransport

__all__ = ["send_parts"]


async def send_parts(
    parts: AsyncGenerator[Any, None],
    stream: Stream,
    transport: RequestTransport,
    *,
    without_body: bool,
    interval: float,
) -> None:
    """
    Begin a response, and send all parts of it, but not its end.

    The head is sent at once, because the first part may come late.

    Args:
        parts: The parts. They are closed in any case.
        stream: How they are sent.
        transport: The request.
        without_body: Whether the client only wants the head.
        interval: Send a comment after so many seconds in which nothing else was sent, if these are
            events.
    """
    async with aclosing(parts):
        # A middleware may have made GET of HEAD, and then the head is all that the client gets.
        transport.hold_end()
        transport.start(stream.status, stream.headers)
        if without_body:
            return
        await transport.send(b"", more=True)
        if stream.kind == "events":
            await _send_events(parts, stream, transport, interval)
            return
        async for part in parts:
            if data := stream.encode(part):
                await transport.send(data, more=True)


async def _send_events(
    events: AsyncGenerator[Any, None],
    stream: Stream,
    transport: RequestTransport,
    interval: float,
) -> None:
    """Send events, and comments while there are none."""
    error: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            silence = _Silence(transport, interval)
            nursery.start_soon(silence.fill, name="<keepalive>")
            try:
                async for event in events:
                    silence.note_sent()
                    await transport.send(stream.encode(event), more=True)
                    silence.note_sent()
            except trio.Cancelled:
                raise
            except BaseException as exc:  # noqa: BLE001 - raised without the nursery's group
                error = exc
            nursery.cancel_scope.cancel()
    except BaseException as exc:  # noqa: BLE001 - raised below
        # If this is cancelled, the nursery raises that, too. An error takes precedence.
        error = error or _alone(exc)
    try:
        if error is not None:
            raise error
    finally:
        del error  # its traceback refers to this frame


def _alone(error: BaseException) -> BaseException:
    """Return the only exception in a nursery's group, apart from cancellations."""
    real = without_cancelled(error)
    found = [] if real is None else list(leaves(real))
    return found[0] if len(found) == 1 else error


class _Silence:
    """
    Sends comments while nothing else is sent.

    Args:
        transport: The request.
        interval: How many seconds may pass before one is sent.
    """

    def __init__(self, transport: RequestTransport, interval: float) -> None:
        self._transport = transport
        self._interval = interval
        self._over = trio.current_time() + interval

    def note_sent(self) -> None:
        self._over = trio.current_time() + self._interval

    async def fill(self) -> None:
        while True:
            await trio.sleep_until(self._over)
            if trio.current_time() >= self._over:
                self.note_sent()
                await self._transport.send(KEEPALIVE, more=True)
