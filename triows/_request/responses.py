"""Sends responses of Starlette's classes, and keeps their ends until all is done."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncGenerator
from contextlib import aclosing, nullcontext
from functools import partial
from typing import TYPE_CHECKING

import trio
from starlette.requests import ClientDisconnect as StarlettesDisconnect
from starlette.responses import Response

from triows.exceptions import ClientDisconnect

from .bridge import request_of
from .checked import ResponseCheck, check_whole, unfinished
from .response_headers import adding_sender, beneath_response
from .transport import CLIENT_LEFT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable
    from contextlib import AbstractAsyncContextManager

    from triows.types import Message, Receive, Scope, Send

    from .answering import AnsweringLine
    from .response_headers import ResponseHeaders
    from .results import Encoded
    from .transport import RequestTransport

__all__ = ["begin_response", "is_whole", "send_response", "whole_of"]


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

    Raises:
        ValueError: The response can't be sent.
        RuntimeError: It has returned before its end.
        ClientDisconnect: The client has gone.
    """
    transport = line.transport
    background, response.background = response.background, None
    if background is not None:
        line.after = background
    if is_whole(response):
        status, headers, body = whole_of(response, own, method=scope["method"])
        transport.start(status, headers)
        line.finish = partial(transport.send_nowait, body, more=False)
        return
    transport.hold_end()
    held = _HeldEnd(transport, ResponseCheck(scope["method"]))
    await send_response(response, scope, transport.asgi_receive, held.send, own)
    if transport.left and not held.is_ended:
        # On some servers, Starlette only stops, and what has been sent isn't all.
        raise ClientDisconnect(transport.why_left)
    if not held.is_ended:
        raise unfinished(response, is_begun=held.check.is_begun)
    line.finish = held.finish


def whole_of(response: Response, own: ResponseHeaders | None, *, method: str) -> Encoded:
    """
    Return the status, the headers and the body of a whole response.

    Args:
        response: The response.
        own: What the handler set besides, if it asked for that.
        method: The method of the request.

    Raises:
        ValueError: The body isn't as long as the headers say.
    """
    headers = [*_headers_of(response, own)]
    body = bytes(response.body)
    check_whole(response.status_code, headers, body, method=method)
    return response.status_code, headers, body


def _headers_of(response: Response, own: ResponseHeaders | None) -> Iterable[tuple[bytes, bytes]]:
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
        check: Refuses what can't be sent, while there may still be another response.
    """

    def __init__(self, transport: RequestTransport, check: ResponseCheck) -> None:
        self._transport = transport
        self.check = check
        # The end of the body, and trailers.
        self._end: list[Message] = []

    @property
    def is_ended(self) -> bool:
        """Whether the response has ended."""
        return self.check.is_ended

    async def send(self, event: Message) -> None:
        """Send an event, but not the end of the response."""
        if event["type"] == "http.response.pathsend":
            await self._send_file(event)
            return
        try:
            self.check.follow(event)
        except Exception:
            await trio.lowlevel.checkpoint()
            raise
        if event["type"] == "http.response.trailers":
            self._end.append(event)
            await trio.lowlevel.checkpoint()
            return
        if self.check.is_body_over:
            self._end.append(_END)
            event = {**event, "more_body": True}
        await self._transport.asgi_send(event)

    async def _send_file(self, event: Message) -> None:
        self.check.count(await trio.to_thread.run_sync(_size_of, event["path"]), more=False)
        request = request_of(self._transport.asgi_receive, self._transport.asgi_send)
        if request is None:  # nobody else can send only the beginning of a file
            self._end.append(event)
        else:
            self._end.append(_END)
            await request.send_file(event["path"], more=True)

    def finish(self) -> Awaitable[None] | None:
        """Send the end."""
        if self._end == [_END]:
            return self._transport.send_nowait(b"", more=False)
        return self._send_end()

    async def _send_end(self) -> None:
        for event in self._end:
            await self._transport.asgi_send(event)


def _size_of(path: str) -> int:
    """
    Return the size of a file that will be sent.

    Raises:
        OSError: It can't be read, or isn't a regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"{path!r} isn't a regular file")
    return status.st_size


_END: Message = {"type": "http.response.body"}
