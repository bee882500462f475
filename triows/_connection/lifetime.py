"""
The life of one connection: factories, handler, and the end of all of it.

One task runs the factories that need no exit, and the handler, inside a cancel scope,
*the body*. Everything that may end a connection cancels the body, at once or after a
grace, and says why. What follows is always the same, in this order, each step bounded and
shielded from cancellation:

1. the connection's nursery is cancelled and waited for;
2. the peer is told, by a close frame with a true code or by a refusal;
3. the resources exit, the last entered first;
4. the transport finishes the closing handshake and stops.

Then the log line is written, and what went wrong is raised.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import trio

from triows._errors import combined, leaves
from triows._injection.call import make_arguments
from triows._injection.resources import Host, ResourceStack
from triows.exceptions import WebSocketDisconnect
from triows.websocket import WebSocketState

from .verdict import Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from triows._injection.plan import Plan
    from triows._settings import Timeouts
    from triows._transports.interface import Transport
    from triows.websocket import WebSocket

__all__ = ["Lifetime"]


class Lifetime:
    """
    Runs one connection's handler, once its parameters are known to be good.

    Args:
        transport: Not started yet.
        timeouts: All of them.
    """

    def __init__(self, transport: Transport, timeouts: Timeouts) -> None:
        self.transport = transport
        self.started = math.nan
        self.error: BaseException | None = None
        #: Set when everything of the connection is over.
        self.done = trio.Event()
        self._timeouts = timeouts
        self._body = trio.CancelScope()
        self._stack: ResourceStack | None = None
        self._ws: WebSocket | None = None
        self._nursery: trio.Nursery | None = None
        self._nursery_left = trio.Event()
        self._nursery_error: BaseException | None = None
        # Why the body is cancelled, and why it will be at its deadline.
        self._cancelled: str | None = None
        self._at_deadline = "timeout"

    # What may end a connection. All of these are synchronous and may come at any time.

    def note_accepted(self) -> None:
        """The handshake is over: its deadline no longer holds."""
        if self._at_deadline == "timeout":
            self._body.deadline = math.inf

    def note_gone(self) -> None:
        """The peer is gone: what works for it stops, and the handler may finish."""
        self._end_after(self._timeouts.disconnect_grace, "peer gone")

    async def shut_down(self, code: int) -> None:
        """
        End it because the server is going: a close frame, then as if the peer were gone.

        The handler has ``shutdown_grace`` to finish. A handshake that is not over yet is
        refused when the handler is cancelled.
        """
        self._end_after(self._timeouts.shutdown_grace, "shutdown")
        if self._ws is not None and self._ws.client_state is WebSocketState.CONNECTED:
            with trio.move_on_after(self._timeouts.close):
                await self.transport.close(code, "")

    def _end_after(self, grace: float, why: str) -> None:
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()
        deadline = trio.current_time() + grace
        if deadline < self._body.deadline:
            self._body.deadline = deadline
            self._at_deadline = why

    def cancel(self, why: str) -> None:
        """Cancel the handler at once."""
        if self._cancelled is None:
            self._cancelled = why
        self._body.cancel()

    def _note_expired(self, host: Host) -> None:
        self.cancel("resource failed")

    # The life.

    async def run(
        self,
        handler: Callable[..., Awaitable[None]],
        plan: Plan,
        values: Callable[[trio.Nursery | None], list[Any]],
        *,
        wants_nursery: bool,
        ws: WebSocket,
    ) -> None:
        """
        Make the arguments, call the handler, and end the connection whatever happens.

        Args:
            handler: The user's, with its plugins around it.
            plan: What it needs.
            values: Makes the plan's first values, given the connection's nursery.
            wants_nursery: Whether anything of the plan asks for that nursery.
            ws: The connection as the handler sees it.

        Raises:
            BaseException: all that went wrong, as one; it is :attr:`error` too.
            trio.Cancelled: cancelled from outside, and nothing went wrong.

        In either case everything is closed by then.
        """
        self.started = trio.current_time()
        self._body.deadline = self.started + self._timeouts.accept
        try:
            async with trio.open_nursery() as tasks:
                self.transport.start(tasks)
                self._stack = ResourceStack(tasks, self._note_expired)
                error: BaseException | None = None
                try:
                    with self._body:
                        await self._start_helpers(tasks, ws, wants_nursery=wants_nursery)
                        arguments = await make_arguments(
                            plan,
                            values(self._nursery),
                            self._stack,
                            patience=self._timeouts.teardown,
                        )
                        await handler(**arguments)
                except BaseException as exc:  # noqa: BLE001 - raised when all is closed
                    error = self._without_cancelled(exc)
                if self._body.cancelled_caught and self._cancelled is None:
                    self._cancelled = self._at_deadline
                self.error = await self._finish(error, ws)
                # The transport's tasks and the keepalive are all that is left.
                tasks.cancel_scope.cancel()
        except BaseException as exc:
            # Nothing but our own tasks' Cancelled can come here. An error of the connection
            # goes before it: a cancellation is raised again by the next checkpoint of
            # whoever was cancelled, and the error would be lost.
            if self.error is None or self._without_cancelled(exc) is not None:
                raise
        finally:
            self.done.set()
        if self.error is not None:
            raise self.error

    async def _start_helpers(
        self, tasks: trio.Nursery, ws: WebSocket, *, wants_nursery: bool
    ) -> None:
        if self.transport.can_ping and self._timeouts.ping_interval < math.inf:
            tasks.start_soon(self._keep_alive, ws, name="<triows keepalive>")
        if wants_nursery:
            self._nursery = await tasks.start(self._hold_nursery, name="<connection nursery>")

    async def _hold_nursery(self, task_status: trio.TaskStatus[trio.Nursery]) -> None:
        """
        Keep the nursery that the handler may ask for.

        It is not around the handler, so that it can be cancelled at once when the peer
        leaves, while the handler gets its grace.
        """
        try:
            async with trio.open_nursery() as nursery:
                task_status.started(nursery)
                await trio.sleep_forever()
        except BaseException as exc:  # noqa: BLE001 - it is the connection's error
            self._nursery_error = self._without_cancelled(exc)
            if self._nursery_error is not None and not _is_disconnect(self._nursery_error):
                self.cancel("task failed")
        finally:
            self._nursery_left.set()

    async def _keep_alive(self, ws: WebSocket) -> None:
        """Ping every ``ping_interval``; a peer that does not answer is gone (1011)."""
        while self.transport.ended is None:
            await trio.sleep(self._timeouts.ping_interval)
            if ws.client_state is not WebSocketState.CONNECTED:
                continue
            with trio.move_on_after(self._timeouts.ping_timeout) as scope:
                try:
                    await ws.ping()
                except WebSocketDisconnect:
                    return
            if scope.cancelled_caught:
                self.transport.fail(1011, "ping timeout")

    def _without_cancelled(self, error: BaseException) -> BaseException | None:
        """Keep what is no cancellation, and remember that there was one."""
        if isinstance(error, trio.Cancelled):
            rest: BaseException | None = None
        elif isinstance(error, BaseExceptionGroup):
            rest = error.split(trio.Cancelled)[1]
        else:
            rest = error
        if rest is not error and self._cancelled is None:
            self._cancelled = "cancelled"
        return rest

    # The end.

    async def _finish(self, error: BaseException | None, ws: WebSocket) -> BaseException | None:
        """Close everything, in order; return all that has to be reported, as one."""
        timeouts = self._timeouts
        # Each of the awaits below is bounded by a deadline of its own.
        with trio.CancelScope(shield=True):
            last = trio.current_time() + timeouts.teardown
            await self._leave_nursery()
            verdict = self._judge(error, ws)
            closed_by = trio.current_time() + timeouts.close
            with trio.move_on_at(closed_by):
                await self._tell_peer(verdict, ws)
            errors = [] if verdict.error is None else [verdict.error]
            if self._stack is not None and self._stack.hosts:
                errors += await self._stack.aclose(
                    seconds=max(last - trio.current_time(), timeouts.teardown / 2),
                    error=error,
                    cancelled=self._cancelled if error is None else None,
                )
            # Cancelled from outside, so is the server below, which no longer reads: the
            # peer's answer to our close frame would not come.
            lingers = self.transport.accepted and self._cancelled != "cancelled"
            linger = max(0.0, closed_by - trio.current_time()) if lingers else 0.0
            await self.transport.aclose(linger=linger)
        return combined("errors in one connection", errors)

    async def _leave_nursery(self) -> None:
        """End the connection's nursery; its tasks may clean up within the teardown's time."""
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()
            with trio.move_on_after(self._timeouts.teardown / 2):
                await self._nursery_left.wait()

    def _judge(self, error: BaseException | None, ws: WebSocket) -> Verdict:
        accepted = ws.client_state is not WebSocketState.CONNECTING
        cancelled = self._cancelled
        if error is None and self._nursery_error is None and cancelled == "timeout":
            error = trio.TooSlowError(
                f"no accept() and no refusal within {self._timeouts.accept:g} s"
            )
        found = [exc for exc in (error, self._nursery_error) if exc is not None]
        return judge(combined("errors in one connection", found), cancelled, accepted=accepted)

    async def _tell_peer(self, verdict: Verdict, ws: WebSocket) -> None:
        if ws.client_state is WebSocketState.CONNECTED:
            await self.transport.close(verdict.code, verdict.reason)
        elif ws.client_state is WebSocketState.CONNECTING:
            await self.transport.reject(verdict.refusal)


def _is_disconnect(error: BaseException) -> bool:
    return all(isinstance(leaf, WebSocketDisconnect) for leaf in leaves(error))
