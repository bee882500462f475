"""Sends responses of Starlette's classes, and keeps their ends until all is done."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from triows.types import Message, Scope

    from .answering import AnsweringLine
    from .transport import RequestTransport

__all__ = ["begin_response", "is_whole"]


def is_whole(response: Response) -> bool:
    """Say whether a response is nothing but a status, headers and a body."""
    return type(response).__call__ is Response.__call__


async def begin_response(response: Response, scope: Scope, line: AnsweringLine) -> None:
    """
    Send a response up to its end, and let the line send the end when all is done.

    What Starlette runs in the background after a response runs after that.

    Args:
        response: The response.
        scope: The request.
        line: The line of the request.
    """
    transport = line.transport
    background, response.background = response.background, None
    if background is not None:
        line.after = background
    if is_whole(response):
        transport.start(response.status_code, response.raw_headers)
        line.finish = partial(transport.send_nowait, bytes(response.body), more=False)
        return
    held = _HeldEnd(transport)
    await response(scope, transport.asgi_receive, held.send)
    line.finish = held.finish


class _HeldEnd:
    """
    ASGI's ``send``, which keeps the last part of a response.

    Args:
        transport: The request.
    """

    def __init__(self, transport: RequestTransport) -> None:
        self._transport = transport
        self._end: Message | None = None

    async def send(self, event: Message) -> None:
        """Send an event, unless it is the end of the response."""
        if self._is_end(event):
            self._end = event
            return
        await self._transport.asgi_send(event)

    @staticmethod
    def _is_end(event: Message) -> bool:
        kind = event["type"]
        return kind == "http.response.pathsend" or (
            kind == "http.response.body" and not event.get("more_body", False)
        )

    def finish(self) -> Awaitable[None] | None:
        """Send the end."""
        end: Any = self._end
        return None if end is None else self._transport.asgi_send(end)
