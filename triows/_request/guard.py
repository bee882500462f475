"""Keeps a middleware from ending a response properly that was cut."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

import trio

from triows._where import known_as
from triows.exceptions import ClientDisconnect

if TYPE_CHECKING:
    from triows.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["cut_response", "guarded"]


class _Guard:
    """A server's ``send``, which refuses everything once the response was cut."""

    def __init__(self, send: Send) -> None:
        self.is_cut = False
        self._send = send

    @known_as("send")
    async def send(self, event: Message) -> None:
        """Pass an event on."""
        if self.is_cut:
            await trio.lowlevel.checkpoint()
            raise ClientDisconnect(_CUT)
        await self._send(event)


_CUT = "the response was cut, because the application was cancelled in the middle of it"

#: The guard around the middlewares of the request that the calling task serves.
_current: ContextVar[_Guard | None] = ContextVar("guard", default=None)


async def guarded(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """
    Call middlewares and what is in them.

    Starlette's BaseHTTPMiddleware ends a response properly even if the application has failed in
    the middle of it. So it isn't enough to raise an error there.

    Args:
        app: The outermost middleware.
        scope: The request.
        receive: The server's function.
        send: The server's function.
    """
    if _current.get() is not None:  # a triows application that is mounted in another one
        await app(scope, receive, send)
        return
    guard = _Guard(send)
    token = _current.set(guard)
    try:
        await app(scope, receive, guard.send)
    finally:
        _current.reset(token)


def cut_response() -> ClientDisconnect:
    """Let nothing more be sent for the request of this task. Return the error that says so."""
    guard = _current.get()
    if guard is not None:
        guard.is_cut = True
    return ClientDisconnect(_CUT)
