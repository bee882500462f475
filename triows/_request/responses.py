"""Sends responses of Starlette's classes, and keeps their ends until all is done."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import partial
from typing import TYPE_CHECKING

import trio
from starlette.responses import Response

from .bridge import request_of

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from triows.types import Message, Receive, Scope, Send

    from .answering import AnsweringLine
    from .transport import EngineRequest, RequestTransport

__all__ = ["begin_response", "is_whole", "send_response"]


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
    request = request_of(transport.asgi_receive, transport.asgi_send)
    held = _KeptEvent(transport) if request is None else _HeldEnd(request)
    await send_response(response, scope, transport.asgi_receive, held.send)
    line.finish = held.finish


async def send_response(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """
    Let a response send itself, and close what its content comes from.

    Starlette leaves a generator open if the response ends early, for example because the client has
    left. Its ``finally`` would run when the garbage is collected, and couldn't await.
    """
    content = getattr(response, "body_iterator", None)
    try:
        await response(scope, receive, send)
    finally:
        if isinstance(content, AsyncGenerator):
            await content.aclose()


class _HeldEnd:
    """
    ASGI's ``send`` for a request to our own server, which holds the end of the response.

    Args:
        request: The request.
    """

    def __init__(self, request: EngineRequest) -> None:
        self._request = request
        self._is_ended = False

    async def send(self, event: Message) -> None:
        """Send an event, but not the end of the response."""
        kind = event["type"]
        if kind == "http.response.pathsend":
            self._is_ended = True
            await self._request.send_file(event["path"], more=True)
            return
        if kind == "http.response.body" and not event.get("more_body", False):
            self._is_ended = True
            event = {**event, "more_body": True}
        await self._request.asgi_send(event)
        if kind == "http.response.start":
            self._request.hold_end()

    def finish(self) -> Awaitable[None] | None:
        """Send the end."""
        return self._request.send_nowait(b"", more=False) if self._is_ended else None


class _KeptEvent:
    """
    ASGI's ``send`` for a request through other functions, which keeps the last event.

    Args:
        transport: The request.
    """

    def __init__(self, transport: RequestTransport) -> None:
        self._transport = transport
        self._last: Message | None = None

    async def send(self, event: Message) -> None:
        """Send an event, but keep the last one."""
        kind = event["type"]
        is_last = kind == "http.response.body" and not event.get("more_body", False)
        if is_last or kind == "http.response.pathsend":
            self._last = event
            await trio.lowlevel.checkpoint()
        else:
            await self._transport.asgi_send(event)

    def finish(self) -> Awaitable[None] | None:
        """Send the last event."""
        return None if self._last is None else self._transport.asgi_send(self._last)
