"""
A connection of our own, offered to ASGI middleware, and taken back behind it.

Most middleware only looks at the scope and passes ``receive`` and ``send`` on. Then the
endpoint finds the bridge's own two methods in its hands and uses the transport under
them directly; :func:`open_transport` decides it. Middleware that wraps one of them gets
real ASGI events, and the endpoint an ASGI transport on top of those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from attrs import evolve

from triows.exceptions import WebSocketDisconnect

from .asgi import ASGITransport
from .interface import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from triows._settings import Settings
    from triows.types import Message, Receive, Scope, Send

    from .interface import Starter, Transport

__all__ = ["Bridge", "open_transport"]


class Bridge:
    """
    ASGI's two functions over a transport that is made when it is first needed.

    Args:
        make: Makes the transport, with the settings of the route that was found.
        nursery: For the transport's tasks, when ASGI events are wanted. Whoever opened it
            calls :meth:`aclose` before leaving it.
        settings: For the same case: the application's.
        opened: Where it puts itself in that case, for :meth:`shut_down`.
    """

    def __init__(
        self,
        make: Callable[[Settings], Transport],
        nursery: Starter,
        settings: Settings,
        opened: set[Bridge] | None = None,
    ) -> None:
        self.make = make
        self._nursery = nursery
        self._settings = settings
        self._opened = set() if opened is None else opened
        self._transport: Transport | None = None
        self._refusal: Refusal | None = None
        self._connected = False
        self._accepted = False

    def _attached(self) -> Transport:
        if self._transport is None:
            self._transport = self.make(self._settings)
            self._transport.start(self._nursery)
            self._opened.add(self)
        return self._transport

    async def shut_down(self, code: int) -> None:
        """Tell the peer that the server is going, and the application that the peer is gone."""
        if self._transport is not None and self._accepted:
            with trio.move_on_after(self._settings.timeouts.close):
                await self._transport.close(code, "")

    @property
    def is_open(self) -> bool:
        """Whether there is something to close; not where the transport was taken back."""
        return self._transport is not None

    async def aclose(self, code: int = 1011) -> None:
        """End what middleware left open, with *code*; it takes ``timeouts.close`` at most."""
        if self._transport is None:
            return
        self._opened.discard(self)
        until = trio.current_time() + self._settings.timeouts.close
        with trio.move_on_at(until):
            if self._accepted:
                await self._transport.close(code, "")
            else:
                await self._transport.reject(Refusal(500, (), b""))
        await self._transport.aclose(linger=max(0.0, until - trio.current_time()))

    async def receive(self) -> Message:
        if not self._connected:
            self._connected = True
            await trio.lowlevel.checkpoint()
            return {"type": "websocket.connect"}
        try:
            message = await self._attached().receive()
        except WebSocketDisconnect as exc:
            return {"type": "websocket.disconnect", "code": exc.code, "reason": exc.reason}
        key = "text" if isinstance(message, str) else "bytes"
        return {"type": "websocket.receive", key: message}

    async def send(self, event: Message) -> None:
        transport = self._attached()
        kind = event["type"]
        if kind == "websocket.accept":
            self._accepted = True
            await transport.accept(event.get("subprotocol"), list(event.get("headers") or ()))
        elif kind == "websocket.send":
            text = event.get("text")
            await transport.send(event.get("bytes") or b"" if text is None else text)
        elif kind == "websocket.close" and not self._accepted:
            await transport.reject(Refusal(403, (), b""))
        elif kind == "websocket.close":
            await transport.close(event.get("code", 1000), event.get("reason") or "")
        elif kind == "websocket.http.response.start":
            self._refusal = Refusal(event["status"], list(event.get("headers") or ()), b"")
        elif kind == "websocket.http.response.body" and self._refusal is not None:
            body = self._refusal.body + (event.get("body") or b"")
            self._refusal = evolve(self._refusal, body=body)
            if not event.get("more_body"):
                await transport.reject(self._refusal)


def _owner(method: object) -> Bridge | None:
    owner = getattr(method, "__self__", None)
    return owner if isinstance(owner, Bridge) else None


def open_transport(scope: Scope, receive: Receive, send: Send, settings: Settings) -> Transport:
    """Make the transport for a connection: our own if it is one, else one on ASGI."""
    bridge = _owner(receive)
    if bridge is not None and bridge is _owner(send):
        return bridge.make(settings)
    return ASGITransport(scope, receive, send, limits=settings.limits, timeouts=settings.timeouts)
