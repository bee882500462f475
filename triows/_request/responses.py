"""Sends responses of Starlette's classes, and keeps their ends until all is done."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, nullcontext
from functools import partial
from typing import TYPE_CHECKING

import trio
from starlette.requests import ClientDisconnect as StarlettesDisconnect
from starlette.responses import Response

from triows.exceptions import ClientDisconnect

from .bridge import request_of
from .response_headers import adding_sender, beneath_response
from .transport import CLIENT_LEFT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable
    from contextlib import AbstractAsyncContextManager

    from triows.types import Message, Receive, Scope, Send

    from .answering import AnsweringLine
    from .response_headers import ResponseHeaders
    from .transport import RequestTransport

__all__ = ["begin_response", "headers_of", "is_whole", "send_response"]


def is_whole(response: Response) -> bool:
    """Say whether a response is nothing but a status, headers and a body."""
    return type(response).__call__ is Response.__call__


async def begin_response(
    response: Response, scope: Scope, line: AnsweringLine, own: ResponseHeaders | None
) -> None:
    """
    Send a response up to its end, and let the line send the end when all is done.

    What Starlette runs in the background after a response runs after that.

    Args:
        response: The response.
        scope: The request.
        line: The line of the request.
        own: What the handler set besides, if it asked for that.
    """
    transport = line.transport
    background, response.background = response.background, None
    if background is not None:
        line.after = background
    if is_whole(response):
        transport.start(response.status_code, headers_of(response, own))
        line.finish = partial(transport.send_nowait, bytes(response.body), more=False)
        return
    transport.hold_end()
    held = _HeldEnd(transport)
    await send_response(response, scope, transport.asgi_receive, held.send, own)
    if transport.left and not held.is_ended:
        # On some servers, Starlette only stops, and what has been sent isn't all.
        raise ClientDisconnect(transport.why_left)
    line.finish = held.finish


def headers_of(response: Response, own: ResponseHeaders | None) -> Iterable[tuple[bytes, bytes]]:
    """
    Return the headers of a whole response.

    The response isn't changed, because another request may get the same object.

    Args:
        response: The response.
        own: What the handler set besides, if it asked for that.
    """
    headers = response.raw_headers
    return headers if own is None else beneath_response(own, headers)


async def send_response(
    response: Response,
    scope: Scope,
    receive: Receive,
    send: Send,
    own: ResponseHeaders | None,
) -> None:
    """
    Let a response send itself.

    Args:
        response: The response.
        scope: The request.
        receive: ASGI's function.
        send: ASGI's function.
        own: What the handler set besides, if it asked for that.

    Raises:
        ClientDisconnect: The client has gone.
    """
    if own is not None:
        send = adding_sender(own, send)
    # Starlette doesn't close what it iterates over if the client leaves, and what is iterated over
    # must not outlive the resources that it uses.
    async with _closing(getattr(response, "body_iterator", None)):
        try:
            await response(scope, receive, send)
        except StarlettesDisconnect as exc:
            # It stands for our own error, which resources know.
            raise _own_of(exc) from None


def _closing(parts: object) -> AbstractAsyncContextManager[object]:
    """Close an async generator in any case. Leave everything else as it is."""
    return aclosing(parts) if isinstance(parts, AsyncGenerator) else nullcontext()


def _own_of(error: StarlettesDisconnect) -> ClientDisconnect:
    """Return triows' error for which one of Starlette's was raised."""
    cause = error.__context__
    return cause if isinstance(cause, ClientDisconnect) else ClientDisconnect(CLIENT_LEFT)


class _HeldEnd:
    """
    ASGI's ``send`` for a response, which keeps its end.

    Args:
        transport: The request.
    """

    def __init__(self, transport: RequestTransport) -> None:
        self._transport = transport
        self._end: Message | None = None

    @property
    def is_ended(self) -> bool:
        """Whether the response has ended."""
        return self._end is not None

    async def send(self, event: Message) -> None:
        """Send an event, but not the end of the response."""
        kind = event["type"]
        if kind == "http.response.pathsend":
            await self._send_file(event)
            return
        if kind == "http.response.body" and not event.get("more_body", False):
            self._end = _END
            event = {**event, "more_body": True}
        await self._transport.asgi_send(event)

    async def _send_file(self, event: Message) -> None:
        request = request_of(self._transport.asgi_receive, self._transport.asgi_send)
        if request is None:  # nobody else can send only the beginning of a file
            self._end = event
            await trio.lowlevel.checkpoint()
        else:
            self._end = _END
            await request.send_file(event["path"], more=True)

    def finish(self) -> Awaitable[None] | None:
        """Send the end."""
        if self._end is _END:
            return self._transport.send_nowait(b"", more=False)
        return None if self._end is None else self._transport.asgi_send(self._end)


_END: Message = {"type": "http.response.body"}
