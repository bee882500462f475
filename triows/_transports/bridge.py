"""
Our own connection, shown to ASGI middleware as ``receive`` and ``send``.

Most middleware only looks at the scope and passes ``receive`` and ``send`` on unchanged. Then the
endpoint gets the bridge's own two methods, and uses the transport below them directly. If
middleware wraps one of them, it gets real ASGI events, and the endpoint gets an ASGI transport
that uses the wrapped functions. :func:`open_transport` decides which of the two it is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import trio
from attrs import evolve

from triows._checkpoints import checkpointed
from triows._closing import check_close
from triows._managers import contextmanager
from triows._protocol.handshake import check_raw_headers, check_token
from triows.exceptions import WebSocketDisconnect, WebSocketStateError

from .asgi import ASGITransport
from .interface import Refusal
from .turn import STRETCH, new_turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from triows._settings import Settings
    from triows.types import Message, Receive, Scope, Send

    from .interface import Starter, Transport
    from .turn import Turn

__all__ = ["Bridge", "cancelled_by_shutdown", "open_transport"]


class Bridge:
    """
    ASGI's two functions on a transport that is made when it is first needed.

    Args:
        make: Makes the transport, with the settings of the route that was found.
        nursery: Runs the transport's tasks if somebody asks for ASGI events. Whoever opened the
            nursery calls :meth:`aclose` before leaving it.
        settings: The application's settings. They apply if somebody asks for ASGI events.
        opened: If somebody asks for ASGI events, the bridge adds itself here, so that the server
            can call :meth:`shut_down`.
    """

    def __init__(
        self,
        make: Callable[[Settings], Transport],
        nursery: Starter,
        settings: Settings,
        opened: dict[Bridge, None] | None = None,
    ) -> None:
        self.make = make
        #: Around an application that isn't ours, and is called with the bridge's own methods.
        self.serving: trio.CancelScope | None = None
        #: The nursery of the task that first asked for events.
        self.opened_in: trio.Nursery | None = None
        self._nursery = nursery
        self._settings = settings
        self._opened = {} if opened is None else opened
        self._transport: Transport | None = None
        self._refusal: Refusal | None = None
        self._turn: Turn
        # What the application has been told.
        self._connected = False
        self._disconnect: Message | None = None
        # What the application has asked for.
        self._accepted = self._closed = False
        # When the peer must have answered the application's close.
        self._answer_due = math.inf
        # Around the wait for a slow peer. When the server shuts down, the wait gets a deadline.
        self._delivering: trio.CancelScope | None = None
        self._deliver_by = math.inf

    def _attached(self) -> Transport:
        if self._transport is None:
            self._transport = self.make(self._settings)
            self._transport.start(self._nursery)
            self._turn = new_turn()
            self.opened_in = trio.lowlevel.current_task().parent_nursery
            self._opened[self] = None
        return self._transport

    async def _close(self, transport: Transport, code: int, reason: str) -> None:
        if transport.ended is None:
            self._closed = True
            self._answer_due = trio.current_time() + self._settings.timeouts.close
        await transport.close(code, reason)

    async def shut_down(self, code: int) -> None:
        """
        Tell the peer that the server is shutting down, and the application that the peer is gone.

        If the peer has left or doesn't answer, the application has ``disconnect_grace`` to finish.
        """
        transport, timeouts = self._transport, self._settings.timeouts
        self._deliver_by = trio.current_time() + timeouts.close
        if self._delivering is not None:
            self._delivering.deadline = self._deliver_by
        if transport is None or not self._accepted:
            return
        has_left = transport.ended is not None and not self._closed
        if not has_left:
            with trio.move_on_after(timeouts.close):
                await self._close(transport, code, "")
                await transport.wait_over()
        if self.serving is not None and (has_left or not transport.answered):
            self.serving.deadline = trio.current_time() + timeouts.disconnect_grace

    @property
    def is_open(self) -> bool:
        """Whether there is something to close. The endpoint may use the transport without us."""
        return self._transport is not None

    async def aclose(self, code: int = 1011) -> None:
        """
        End what middleware left open, with *code*.

        A peer that reads slowly still gets what was handed over. Once it has got everything, or
        this is cancelled, or the server shuts down, closing takes ``timeouts.close`` at most.
        """
        transport = self._transport
        if transport is None:
            return
        with trio.CancelScope(shield=True):  # close() and reject() don't wait
            if transport.accepted:
                await transport.close(code, "")
            else:
                await transport.reject(Refusal(500, (), b""))
        try:
            with trio.CancelScope(deadline=self._deliver_by) as self._delivering:
                await transport.wait_delivered()
        finally:
            self._opened.pop(self, None)
            now = trio.current_time()
            until = min(now + self._settings.timeouts.close, self._deliver_by)
            with trio.CancelScope(shield=True):
                await transport.aclose(linger=max(0.0, until - now))

    async def receive(self) -> Message:
        """
        Wait for the next event.

        If an event is already there, this returns it once even in a cancelled scope. ASGI
        applications use that to find out whether there is one.
        """
        if not self._connected:
            self._connected = True
            await trio.lowlevel.cancel_shielded_checkpoint()
            return {"type": "websocket.connect"}
        if self._disconnect is not None:
            await trio.lowlevel.checkpoint()
            return {**self._disconnect}
        try:
            message = await self._receive_message()
        except WebSocketDisconnect as exc:
            return await self._tell_disconnect(exc)
        except Exception:
            await trio.lowlevel.cancel_shielded_checkpoint()
            raise
        key = "text" if isinstance(message, str) else "bytes"
        return {"type": "websocket.receive", key: message}

    async def _receive_message(self) -> str | bytes:
        transport = self._attached()
        try:
            message = transport.receive_nowait()
        except (trio.WouldBlock, trio.BusyResourceError):
            return await transport.receive()
        self._turn.calls += 1
        if self._turn.calls >= STRETCH:
            await self._turn.end()
        return message

    async def _tell_disconnect(self, exc: WebSocketDisconnect) -> Message:
        """
        Return the last event.

        If the application closed the connection, first wait until the peer has answered or left.
        """
        transport = self._attached()
        code, reason = exc.code, exc.reason
        if self._closed:
            if not transport.over:
                with trio.move_on_at(self._answer_due):
                    await transport.wait_over()
            if not transport.answered:
                code, reason = 1006, ""
        self._disconnect = {"type": "websocket.disconnect", "code": code, "reason": reason}
        await trio.lowlevel.cancel_shielded_checkpoint()
        return {**self._disconnect}

    @checkpointed
    async def send(self, event: Message) -> None:
        transport = self._attached()
        if self._accepted and event["type"] == "websocket.send":
            await transport.send(_message_in(event))
            return
        handle = self._send_accepted if self._accepted else self._send_unaccepted
        await handle(transport, event)
        # Often there was nothing to wait for, and the application may call this in a loop.
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def _send_accepted(self, transport: Transport, event: Message) -> None:
        kind = event["type"]
        if kind != "websocket.close":
            raise WebSocketStateError(f"{kind} can't follow the acceptance")
        code, reason = event.get("code", 1000), event.get("reason") or ""
        check_close(code, reason)
        await self._close(transport, code, reason)

    async def _send_unaccepted(self, transport: Transport, event: Message) -> None:
        kind = event["type"]
        if kind == "websocket.accept":
            subprotocol = event.get("subprotocol")
            headers = check_raw_headers(event.get("headers") or ())
            if subprotocol is not None:
                check_token(subprotocol)
            await transport.accept(subprotocol, headers)
            self._accepted = True
        elif kind == "websocket.close":
            await transport.reject(Refusal(403, (), b""))
        elif kind == "websocket.http.response.start":
            headers = check_raw_headers(event.get("headers") or ())
            self._refusal = Refusal(event["status"], headers, b"")
        elif kind == "websocket.http.response.body" and self._refusal is not None:
            body = self._refusal.body + (event.get("body") or b"")
            self._refusal = evolve(self._refusal, body=body)
            if not event.get("more_body"):
                await transport.reject(self._refusal)
        else:
            raise WebSocketStateError(f"{kind} can't come before the acceptance")


def _message_in(event: Message) -> str | bytes:
    text = event.get("text")
    message: str | bytes | None = event.get("bytes") if text is None else text
    if message is None:
        raise ValueError("websocket.send has neither text nor bytes")
    return message


def _owner(method: object) -> Bridge | None:
    owner = getattr(method, "__self__", None)
    return owner if isinstance(owner, Bridge) else None


@contextmanager
def cancelled_by_shutdown(receive: Receive) -> Iterator[None]:
    """
    Let a shutdown cancel the block once the peer has left.

    Use this around an application that isn't ours, because it could hold up the shutdown. It does
    nothing if middleware has wrapped *receive*.
    """
    bridge = _owner(receive)
    if bridge is None:
        yield
        return
    with trio.CancelScope() as bridge.serving:
        yield


def open_transport(scope: Scope, receive: Receive, send: Send, settings: Settings) -> Transport:
    """
    Make the transport for a connection.

    If *receive* and *send* are a bridge's own methods, this is the transport below them.
    Otherwise, it is one that uses the two functions.
    """
    bridge = _owner(receive)
    if bridge is not None and bridge is _owner(send):
        return bridge.make(settings)
    return ASGITransport(scope, receive, send, limits=settings.limits, timeouts=settings.timeouts)
