"""Our own connection, shown to ASGI middleware and mounted applications as events."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import trio

from triows._checkpoints import checkpointed
from triows._managers import contextmanager
from triows._reply import Reply
from triows._where import known_as
from triows.exceptions import WebSocketDisconnect

from .asgi import ASGITransport
from .connection import ASGIConnection, connection_of, message_in
from .order import SEND, Phase
from .turn import STRETCH, current_turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from triows._settings import Settings
    from triows.types import Message, Receive, Scope

    from .interface import Ended, Starter, Transport
    from .turn import Turn

__all__ = ["Bridge", "cancelled_by_shutdown"]


class Bridge(ASGIConnection):
    """
    ASGI's two functions on a transport that is made when it is first needed.

    It is made once: for the endpoint, or for whoever asks for events first.

    Args:
        make_transport: Makes the transport, with the settings of the route that was found. It is
            called once.
        nursery: Runs the transport's tasks. Whoever opened the nursery calls :meth:`aclose` before
            leaving it.
        settings: The application's settings. They apply if somebody asks for ASGI events.
        opened: If somebody asks for ASGI events, the bridge adds itself here, so that the server
            can call :meth:`shut_down`.
        turn: The server's turn.
        around: A scope around the task that serves the connection, to be lent to the endpoint.
    """

    def __init__(
        self,
        make_transport: Callable[[Settings], Transport],
        nursery: Starter,
        settings: Settings,
        opened: dict[Bridge, None] | None = None,
        turn: Turn | None = None,
        around: trio.CancelScope | None = None,
    ) -> None:
        super().__init__()
        self.around = around
        #: Around an application that isn't ours, and is called with the bridge's own methods.
        self.serving: trio.CancelScope | None = None
        #: The nursery of the task that first asked for events.
        self.opened_in: trio.Nursery | None = None
        self._make_transport = make_transport
        self._nursery = nursery
        self._settings = settings
        self._opened = {} if opened is None else opened
        # The transport for events. The endpoint may have another one, and then this is None.
        self._transport: Transport | None = None
        self._turn = current_turn() if turn is None else turn
        self._disconnect: Message | None = None
        # Whether we have closed the connection.
        self._closed = False
        # When the peer must have answered the application's close.
        self._answer_due = math.inf
        # Around the wait for a slow peer. When the server shuts down, the wait gets a deadline.
        self._delivering: trio.CancelScope | None = None
        self._deliver_by = math.inf

    @property
    def has_events(self) -> bool:
        """Whether somebody has asked for ASGI events. If not, there is nothing to close."""
        return self._transport is not None

    def _attached(self) -> Transport:
        if self._transport is None:
            self._transport = self._started(self._settings)
            self.opened_in = trio.lowlevel.current_task().parent_nursery
            self._opened[self] = None
        return self._transport

    def _started(self, settings: Settings) -> Transport:
        transport = self._make_transport(settings)
        transport.start(self._nursery)
        return transport

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
        if transport is None or not transport.accepted:
            return
        has_left = transport.ended is not None and not self._closed
        if not has_left:
            with trio.move_on_after(timeouts.close):
                await self._close(transport, code, "")
                await transport.wait_over()
        if self.serving is not None and (has_left or not transport.answered):
            self.serving.deadline = trio.current_time() + timeouts.disconnect_grace

    def _make_endpoint(self, scope: Scope, settings: Settings) -> Transport:
        if self._transport is None:
            # No middleware has asked for an event: the endpoint gets the connection itself.
            transport = self._started(settings)
            transport.around, self.around = self.around, None
            return transport
        # A middleware has waited for an event, so there is a transport already. The endpoint gets
        # its events, as from any other server, and ends by itself at a shutdown.
        self._opened.pop(self, None)
        return ASGITransport(
            scope,
            self._receive,
            self._send,
            limits=settings.limits,
            timeouts=settings.timeouts,
            connected=self.connected,
        )

    @property
    def is_gone(self) -> bool:
        return self._transport is not None and self._transport.ended is not None

    @property
    def ended(self) -> Ended | None:
        return None if self._transport is None else self._transport.ended

    async def _close_left(self, code: int) -> bool:
        transport = self._attached()
        if transport.ended is not None:
            return False
        await transport.close(code, "")
        return True

    async def _refuse_left(self, refusal: Reply) -> bool:
        transport = self._attached()
        if transport.ended is not None:
            return False
        await transport.reject(refusal)
        return True

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
                await transport.reject(Reply(500, (), b""))
        try:
            with trio.CancelScope(deadline=self._deliver_by) as self._delivering:
                await transport.wait_delivered()
        finally:
            self._opened.pop(self, None)
            now = trio.current_time()
            until = min(now + self._settings.timeouts.close, self._deliver_by)
            await transport.aclose(linger=max(0.0, until - now))

    @known_as("receive")
    async def _receive(self) -> Message:
        """
        Wait for the next event.

        If an event is already there, this returns it once even in a cancelled scope. ASGI
        applications use that to find out whether there is one.
        """
        if not self.connected:
            self.connected = True
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
            return await self._wait_for_message(transport)
        self._turn.calls += 1
        if self._turn.calls >= STRETCH:
            await self._turn.end()
        return message

    async def _wait_for_message(self, transport: Transport) -> str | bytes:
        self._is_receiving = True
        try:
            return await transport.receive()
        finally:
            self._is_receiving = False

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

    @known_as("send")
    @checkpointed
    async def _send(self, event: Message) -> None:
        if self.order.phase is not Phase.ACCEPTED or event["type"] != SEND:
            self.order.after(event)  # raises before there is a transport
            await self._hand_over(self._attached(), event)
            # Often there was nothing to wait for, and the application may call this in a loop.
            await trio.lowlevel.cancel_shielded_checkpoint()
            return
        await self._attached().send(message_in(event))


@contextmanager
def cancelled_by_shutdown(receive: Receive) -> Iterator[None]:
    """
    Let a shutdown cancel the block once the peer has left.

    Use this around an application that isn't ours, because it could hold up the shutdown. It does
    nothing if middleware has wrapped *receive*.
    """
    bridge = connection_of(receive)
    while bridge is not None and bridge.below is not None:
        bridge = bridge.below
    if not isinstance(bridge, Bridge):
        yield
        return
    with trio.CancelScope() as bridge.serving:
        yield
