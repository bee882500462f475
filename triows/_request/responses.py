"""Sends responses of Starlette's classes, and keeps their ends until all is done."""

from __future__ import annotations

import math
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
    from .transport import EngineRequest, RequestTransport

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
    request = request_of(transport.asgi_receive, transport.asgi_send)
    held = _KeptEvent(transport) if request is None else _HeldEnd(request)
    await send_response(response, scope, transport.asgi_receive, held.send, own)
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
    """Return the error of ours for which one of Starlette's was raised."""
    cause = error.__context__
    return cause if isinstance(cause, ClientDisconnect) else ClientDisconnect(CLIENT_LEFT)


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

    A client that was told a ``content-length`` has the whole response with its last byte. So that
    is kept, too.

    Args:
        transport: The request.
    """

    def __init__(self, transport: RequestTransport) -> None:
        self._transport = transport
        self._kept: Message | None = None
        self._is_ended = False
        # How many bytes are to come, if that was announced.
        self._missing = math.inf

    async def send(self, event: Message) -> None:
        """Send an event, but keep the last one."""
        kind = event["type"]
        if kind == "http.response.pathsend":
            self._is_ended = True
        elif kind == "http.response.body":
            event = self._with_kept(event)
            self._is_ended = not event.get("more_body", False)
            self._missing -= len(event["body"])
        elif kind == "http.response.start":
            self._missing = _announced(event.get("headers", ())) or math.inf
        if self._is_ended or self._missing <= 0:
            self._kept = event
            await trio.lowlevel.checkpoint()
        else:
            await self._transport.asgi_send(event)

    def _with_kept(self, event: Message) -> Message:
        """Put what was kept before a part of the body. Usually, it is nothing."""
        kept = b"" if self._kept is None else self._kept["body"]
        return {**event, "body": kept + event.get("body", b"")}

    def finish(self) -> Awaitable[None] | None:
        """Send the last event."""
        if self._kept is None or not self._is_ended:
            return None
        return self._transport.asgi_send(self._kept)


def _announced(headers: Iterable[tuple[bytes, bytes]]) -> float:
    """Return the length of a body that headers announce, or infinity."""
    for name, value in headers:
        if name.lower() == b"content-length" and value.isdigit():
            return int(value)
    return math.inf
