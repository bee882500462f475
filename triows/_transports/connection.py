"""
One connection as ASGI: what middleware gets as ``receive`` and ``send``.

Most middleware only looks at the scope and passes ``receive`` and ``send`` on unchanged. Then the
endpoint gets back our own two methods, and :func:`open_transport` gives it a transport that doesn't
go through them. If middleware wraps one of the two, the endpoint gets a transport that uses the
wrapped functions.

There is one connection and one state, whoever speaks: a middleware that sends events itself,
before, during or after its call of the application, uses the same transport as the endpoint. What
has been sent decides what may follow.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import trio
from attrs import evolve

from triows._checkpoints import checkpointed
from triows._closing import check_close
from triows._headers import check_raw_headers, check_token
from triows._reply import Reply
from triows._where import known_as
from triows.exceptions import WebSocketStateError

from .asgi import ASGITransport
from .interface import Ended
from .order import START, Order, Phase

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from triows._settings import Settings
    from triows.types import Message, Receive, Scope, Send

    from .interface import Transport

__all__ = [
    "ASGIConnection",
    "connection_of",
    "connection_of_both",
    "current",
    "message_in",
    "open_transport",
]


class ASGIConnection(ABC):
    """ASGI's two functions, and what was said through them."""

    def __init__(self) -> None:
        self.order = Order()
        #: Whether ``websocket.connect`` was received.
        self.connected = False
        #: The endpoint's transport, if the endpoint uses none of our two functions.
        self.endpoint: Transport | None = None
        #: Whether somebody inside writes the connection's line: an endpoint with a transport here,
        #: or a mounted application.
        self.has_line = False
        #: Who is answering, for messages.
        self.who = "the application"
        #: A scope around the task that serves the connection, until it is lent to the endpoint, or
        #: code that isn't ours runs around the endpoint.
        self.around: trio.CancelScope | None = None
        # Whether a middleware waits for an event.
        self._is_receiving = False
        #: The connection that this one uses.
        self.below: ASGIConnection | None = None
        #: What somebody on our side did wrong here. Middleware may have caught the error.
        self.misuse: WebSocketStateError | None = None
        # A refusal whose body isn't complete.
        self._refusal: Reply | None = None

    # Plain functions that return what is to be awaited, so that a message goes through no other
    # coroutine.

    def receive(self) -> Coroutine[Any, Any, Message]:
        """Wait for the next event."""
        return self._receive() if self.endpoint is None else self._receive_beside()

    def send(self, event: Message) -> Coroutine[Any, Any, None]:
        """Send an event."""
        return self._send(event) if self.endpoint is None else self._send_beside(event)

    @abstractmethod
    async def _receive(self) -> Message:
        """Receive, while no endpoint has a transport."""

    @abstractmethod
    async def _send(self, event: Message) -> None:
        """Send, while no endpoint has a transport."""

    # Middleware that speaks beside an endpoint.

    @known_as("receive")
    @checkpointed
    async def _receive_beside(self) -> Message:
        assert self.endpoint is not None
        if (ended := self.endpoint.ended) is not None:
            await trio.lowlevel.checkpoint()
            return {"type": "websocket.disconnect", "code": ended.code, "reason": ended.reason}
        raise WebSocketStateError(
            "the application receives the events of this connection: a middleware that wants to "
            "see them gives the application a `receive` of its own"
        )

    @known_as("send")
    @checkpointed
    async def _send_beside(self, event: Message) -> None:
        transport = self.endpoint
        assert transport is not None
        ended = transport.ended
        if ended is not None:
            end = ended.code if ended.status is None else ended.status
            raise WebSocketStateError(
                f"{event['type']} comes too late: this connection has ended, with {end}"
            )
        if transport.accepted:
            self.order.phase = Phase.ACCEPTED
        await self._hand_over(transport, event)
        if transport.ended is not None:
            transport.on_gone()  # the endpoint has to end, as if the peer had left

    async def _hand_over(self, transport: Transport, event: Message) -> None:
        """Do with a transport what an event asks for."""
        phase = self.order.after(event)
        match event["type"]:
            case "websocket.send":
                await transport.send(message_in(event))
            case "websocket.accept":
                await self._accept(transport, event)
            case "websocket.close" if phase is Phase.CLOSED:
                code, reason = event.get("code", 1000), event.get("reason") or ""
                check_close(code, reason)
                await self._close(transport, code, reason)
            case "websocket.close":
                await transport.reject(Reply(403, (), b"", self._why))
            case _:
                await self._refuse(transport, event, phase)
        self.order.note(phase)

    @staticmethod
    async def _accept(transport: Transport, event: Message) -> None:
        subprotocol = event.get("subprotocol")
        headers = check_raw_headers(event.get("headers") or ())
        if subprotocol is not None:
            check_token(subprotocol)
        await transport.accept(subprotocol, headers)

    async def _close(self, transport: Transport, code: int, reason: str) -> None:
        await transport.close(code, reason)

    async def _refuse(self, transport: Transport, event: Message, phase: Phase) -> None:
        if event["type"] == START:
            headers = check_raw_headers(event.get("headers") or ())
            self._refusal = Reply(event["status"], headers, b"", self._why)
            return
        assert self._refusal is not None
        body = self._refusal.body + (event.get("body") or b"")
        self._refusal = evolve(self._refusal, body=body)
        if phase is Phase.REFUSED:
            await transport.reject(self._refusal)

    @property
    def _why(self) -> str:
        """What the endpoint's line in the log says about a refusal."""
        return "" if self.endpoint is None else "a middleware has refused it"

    # The endpoint.

    def check_usable(self) -> None:
        """
        Refuse an endpoint on a connection that is refused or closed.

        Raises:
            WebSocketStateError: A middleware has refused or closed it.
        """
        if self.order.phase is not Phase.ACCEPTED:
            self._check(self.order.too_late)

    def open(self, scope: Scope, settings: Settings) -> Transport:
        """
        Make the transport of an endpoint.

        Raises:
            WebSocketStateError: A middleware has answered already, or receives at the same time,
                or it calls the application for the second time.
        """
        twice = receiving = None
        if self.endpoint is not None:
            twice = WebSocketStateError(
                "a middleware has called the application twice for one connection: call it once"
            )
        if self._is_receiving:
            receiving = WebSocketStateError(
                "a middleware receives from this connection, and calls the application with the "
                "same `receive`: give the application a `receive` of your own, which passes the "
                "events on"
            )
        self._check(twice or self.order.too_late or receiving)
        self.has_line = True
        self.endpoint = self._make_endpoint(scope, settings)
        return self.endpoint

    def _check(self, misuse: WebSocketStateError | None) -> None:
        if misuse is not None:
            self.misuse = misuse
            raise misuse

    @abstractmethod
    def _make_endpoint(self, scope: Scope, settings: Settings) -> Transport:
        """Make a transport that uses neither :meth:`receive` nor :meth:`send`."""

    # The end.

    @property
    @abstractmethod
    def is_gone(self) -> bool:
        """Whether the peer has left, or the server has closed the connection."""

    @property
    def ended(self) -> Ended | None:
        """How the connection has ended that no endpoint has served, if that is known."""
        return None

    def check_answered(self) -> None:
        """
        Check what is left when the application has returned.

        Raises:
            WebSocketStateError: It hasn't answered, or hasn't closed what was accepted; or an error
                of :meth:`open` was caught on its way.
        """
        left = None
        if self.endpoint is None and not self.is_gone:
            left = self.order.left(self.who)
        self._check(self.misuse or left)

    async def finish(self, code: int, refusal: Reply) -> Ended | None:
        """
        End what the application has left open. This doesn't wait for the peer.

        Args:
            code: The close code, if it was accepted.
            refusal: The response, if it was not.

        Returns:
            How it ended, or ``None`` if there was nothing to end.
        """
        phase = self.order.phase
        if self.endpoint is not None or phase in (Phase.REFUSED, Phase.CLOSED):
            return None
        if phase is Phase.ACCEPTED:
            return Ended(code) if await self._close_left(code) else None
        if not await self._refuse_left(refusal):
            return None
        return Ended(1006, "refused", refusal.status, refusal.why)

    @abstractmethod
    async def _close_left(self, code: int) -> bool:
        """Close, if the peer is still there."""

    @abstractmethod
    async def _refuse_left(self, refusal: Reply) -> bool:
        """Refuse, if the peer is still there and that is still possible."""


#: The connection that the calling task serves. It is known behind middleware that wraps the two
#: functions, too.
current: ContextVar[ASGIConnection | None] = ContextVar("current", default=None)


def message_in(event: Message) -> str | bytes:
    """Return the message of a ``websocket.send``."""
    text = event.get("text")
    message: str | bytes | None = event.get("bytes") if text is None else text
    if message is None:
        raise ValueError("websocket.send has neither text nor bytes")
    return message


def connection_of(method: object) -> ASGIConnection | None:
    """
    Return the connection whose own ``receive`` or ``send`` this is.

    Middleware that only looks at the scope passes on the bound method that it got, and a bound
    method knows its object. A function that wraps it belongs to no connection.
    """
    owner = getattr(method, "__self__", None)
    return owner if isinstance(owner, ASGIConnection) else None


def connection_of_both(receive: object, send: object) -> ASGIConnection | None:
    """Return the connection whose own ``receive`` and ``send`` these are."""
    connection = connection_of(receive)
    return connection if getattr(send, "__self__", None) is connection else None


def open_transport(scope: Scope, receive: Receive, send: Send, settings: Settings) -> Transport:
    """
    Make the transport for a connection.

    If *receive* and *send* are a connection's own methods, this is a transport beside them.
    Otherwise, it is one that uses the two functions.

    Raises:
        WebSocketStateError: A middleware has already answered this connection.
    """
    owner = connection_of_both(receive, send)
    if owner is not None:
        return owner.open(scope, settings)
    owner = connection_of(receive)
    around = current.get()
    if around is not None:
        around.check_usable()
        around.has_line = True
    connected = owner is not None and owner.connected
    return ASGITransport(
        scope,
        receive,
        send,
        limits=settings.limits,
        timeouts=settings.timeouts,
        connected=connected,
    )
