"""Another server's ``receive`` and ``send``, with a memory of what was said through them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from triows._checkpoints import checkpointed
from triows._where import known_as

from .asgi import ASGITransport
from .connection import ASGIConnection, connection_of
from .order import BODY, CLOSE, START, Phase

if TYPE_CHECKING:
    from triows._reply import Reply
    from triows._settings import Settings
    from triows.types import Message, Receive, Scope, Send

    from .interface import Transport

__all__ = ["Relay"]


class Relay(ASGIConnection):
    """
    A connection of another server, or one that another framework passes on to us.

    Other servers take some events in silence that come too late. This one raises.

    Args:
        scope: The connection's scope.
        receive: The server's function.
        send: The server's function.
        patience: For how many seconds the server may keep the answer to a connection that was
            left open.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, patience: float) -> None:
        super().__init__()
        self.below = connection_of(receive)
        self._extensions = scope.get("extensions") or {}
        self._asgi_receive = receive
        self._asgi_send = send
        self._patience = patience
        self._has_disconnected = False
        # The beginning of a response. It is kept until its body begins, as the server would do, so
        # that a 500 can take its place.
        self._start: Message | None = None

    @property
    def is_gone(self) -> bool:
        return self._has_disconnected

    @known_as("receive")
    async def _receive(self) -> Message:
        self._is_receiving = True
        try:
            event = await self._asgi_receive()
        finally:
            self._is_receiving = False
        if event["type"] == "websocket.connect":
            self.connected = True
        elif event["type"] == "websocket.disconnect":
            self._has_disconnected = True
        return event

    @known_as("send")
    @checkpointed
    async def _send(self, event: Message) -> None:
        phase = self.order.after(event)
        if event["type"] == START:
            self._start = event
        else:
            start, self._start = self._start, None
            if start is not None:
                await self._asgi_send(start)
            await self._asgi_send(event)
        self.order.note(phase)

    def _make_endpoint(self, scope: Scope, settings: Settings) -> Transport:
        return ASGITransport(
            scope,
            self._asgi_receive,
            self._asgi_send,
            limits=settings.limits,
            timeouts=settings.timeouts,
            connected=self.connected,
        )

    async def _close_left(self, code: int) -> bool:
        if self._has_disconnected:
            return False
        return await self._answer({"type": CLOSE, "code": code, "reason": ""})

    async def _refuse_left(self, refusal: Reply) -> bool:
        if self._has_disconnected or self._is_responding:
            return False
        if "websocket.http.response" not in self._extensions:
            return await self._answer({"type": CLOSE, "code": 1000})
        return await self._answer(
            {"type": START, "status": refusal.status, "headers": list(refusal.headers)},
            {"type": BODY, "body": refusal.body},
        )

    @property
    def _is_responding(self) -> bool:
        """Whether a part of another response is on its way. The server cuts that one."""
        return self.order.phase is Phase.RESPONSE and self._start is None

    async def _answer(self, *events: Message) -> bool:
        """Send the last events. The server may have been cancelled, and may not take them."""
        with trio.move_on_after(self._patience, shield=True):
            for event in events:
                await self._asgi_send(event)
            self.order.note(Phase.CLOSED)
            return True
        return False
