"""A request that comes through functions of others: another server's, or a middleware's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from triows._errors import is_a
from triows._reply import respond
from triows._where import known_as
from triows.exceptions import ClientDisconnect

from .checked import check_head
from .kept import KeptEnd
from .transport import CLIENT_LEFT, DISCONNECTS, nobody

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from triows._exchange.line import Timer
    from triows._headers import SteadyHeaders
    from triows._reply import Reply
    from triows.types import Message, Receive, Send

    from .transport import EngineRequest

__all__ = ["ForeignRequest"]

#: What the log says if a middleware lets nobody have the response.
UNHEARD = "a middleware has ended the request without this response"

# What some servers take before a response.
_BEFORE = ("http.response.early_hint", "http.response.push")


class ForeignRequest:
    """
    Counts what passes. It is a :class:`~triows._request.transport.RequestTransport`.

    An ASGI application gets :meth:`asgi_receive` and :meth:`asgi_send` in place of the two
    functions. Events are passed on as they are.

    Args:
        receive: ASGI's function.
        send: ASGI's function.
        method: The method of the request.
    """

    __slots__ = (
        "_ahead",
        "_head",
        "_is_ending",
        "_is_unheard",
        "_kept",
        "_method",
        "_receive",
        "_send",
        "complete",
        "has_more",
        "hold_below",
        "left",
        "on_left",
        "received",
        "sent",
        "server",
        "status",
        "why_left",
    )

    #: It lends no scope.
    timer: Timer | None = None
    now = staticmethod(trio.current_time)

    def __init__(self, receive: Receive, send: Send, method: str) -> None:
        self.on_left: Callable[[], None] = nobody
        self.status: int | None = None
        self.complete = self.left = False
        self.why_left = CLIENT_LEFT
        self.received = self.sent = 0
        self.has_more = True  # as far as is known
        #: The request to our own server below the middlewares, if there is one.
        self.server: EngineRequest | None = None
        #: Makes what is below the middlewares keep the end, too. They may have changed the method,
        #: and may change the response.
        self.hold_below: Callable[[], None] = nobody
        # The beginning of the response, until it is sent together with the first part.
        self._head: Message | None = None
        # Whether the end of the response was handed over, or is being so.
        self._is_ending = False
        # Whether nobody can get the response any more.
        self._is_unheard = False
        self._ahead: _Ahead | None = None
        self._kept: KeptEnd | None = None
        self._method = method
        self._receive = receive
        self._send = send

    @property
    def begun(self) -> bool:
        return self.status is not None

    @property
    def refused_with(self) -> int | None:
        return None if self.server is None else self.server.refused_with

    @property
    def receive_timeout(self) -> float | None:
        return None if self.server is None else self.server.receive_timeout

    @receive_timeout.setter
    def receive_timeout(self, seconds: float | None) -> None:
        if self.server is not None:
            self.server.receive_timeout = seconds

    @property
    def needs_watch(self) -> bool:
        return self.server is None

    def watch(self) -> Awaitable[None]:
        self._ahead = _Ahead(self._receive, self._note_disconnected)
        return self._ahead.run()

    @known_as("receive")
    async def asgi_receive(self) -> Message:
        event = await (self._receive() if self._ahead is None else self._ahead.receive())
        if event["type"] == "http.disconnect":
            self.note_left()
        else:
            self.received += len(event.get("body") or b"")
            self.has_more = event.get("more_body", False)
        return event

    @known_as("send")
    async def asgi_send(self, event: Message) -> None:
        # As checkpointed() does it, without another coroutine for each call.
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            if self._is_unheard and (event.get("more_body", False) or not self.begun):
                # A server would refuse it. Some middlewares would take any number of parts, and
                # drop them.
                raise self._disconnect(UNHEARD)
            events = (event,) if self._kept is None else self._kept.pass_on(event)
            for one in events:
                await self._pass_on(one)
        except Exception:
            await trio.lowlevel.cancel_shielded_checkpoint()
            raise
        if not events:
            await trio.lowlevel.cancel_shielded_checkpoint()

    async def _pass_on(self, event: Message) -> None:
        status = self.status
        try:
            kind = event["type"]
            if kind == "http.response.start":
                status = event.get("status")
            elif kind not in _BEFORE:
                self._is_ending |= not event.get("more_body", False)
            await self._send(event)
        except Exception as exc:
            if is_a(exc, ClientDisconnect):
                self._note_disconnect(exc)
            else:
                status = self.status  # the server has refused it
            raise
        finally:
            # If it was cancelled, some of it may have been sent.
            self.status = status
        if kind == "http.response.body":
            self.sent += len(event.get("body") or b"")
            self.complete = not event.get("more_body", False)
        elif kind == "http.response.pathsend":
            self.complete = True
            if self.server is not None:
                self.sent = self.server.sent

    def _note_disconnected(self) -> None:
        # Servers also send http.disconnect after a whole response, maybe before its send returns.
        if not self._is_ending:
            self.note_left()

    def _note_disconnect(self, exc: ClientDisconnect) -> None:
        if exc.source is None:
            exc.source = self
        self.note_left()

    def note_left(self, why: str = CLIENT_LEFT) -> None:
        """
        Note that the client has left, if it hasn't the whole response.

        Args:
            why: What the log says.
        """
        # Servers also send http.disconnect after a whole response. The client hasn't left early
        # then, so the application keeps its whole grace.
        if not (self.complete or self.left):
            self.left = True
            self.why_left = why
            self.on_left()

    def note_unheard(self) -> None:
        """Note that the client has another response, or that the middlewares have returned."""
        if not self._is_ending:
            self._is_unheard = True
            self.note_left(UNHEARD)

    def lend_scope(self) -> trio.CancelScope | None:
        return None

    async def respond(self, reply: Reply) -> None:
        self._head = self._kept = None
        await respond(self.asgi_send, reply)

    async def receive(self) -> bytes:
        while self.has_more:
            event = await self.asgi_receive()
            if event["type"] == "http.disconnect":
                raise self._disconnect("the client has left before the end of its request")
            if part := event.get("body"):
                return bytes(part)
        await trio.lowlevel.checkpoint()
        return b""

    def _disconnect(self, why: str) -> ClientDisconnect:
        error = ClientDisconnect(why)
        error.source = self
        return error

    def hold_end(self) -> None:
        self._kept = KeptEnd(self._method)
        self.hold_below()

    def start(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], *, trailers: bool = False
    ) -> None:
        if self.begun:
            raise ValueError("the response has begun already")
        # A server may only refuse it after the exits, and a middleware may hide what it raises.
        check_head(status, headers)
        self._head = {"type": "http.response.start", "status": status, "headers": list(headers)}
        if trailers:
            self._head["trailers"] = True

    async def send(self, body: bytes, *, more: bool) -> None:
        if self._head is not None:
            head, self._head = self._head, None
            if not more and (body or self._method != "HEAD"):
                _tell_length(head, body)
            await self.asgi_send(head)
        await self.asgi_send({"type": "http.response.body", "body": body, "more_body": more})

    def send_nowait(self, body: bytes, *, more: bool) -> Awaitable[None]:
        return self.send(body, more=more)

    def answer_nowait(self, status: int, headers: SteadyHeaders, body: bytes) -> Awaitable[None]:
        self.start(status, headers)
        return self.send(body, more=False)


def _tell_length(head: Message, body: bytes) -> None:
    """
    Say how long a whole body is. Our own server says it itself.

    An application that sends nothing to ``HEAD`` may only have saved itself the work.
    """
    has_none = head["status"] in (204, 304)  # RFC 9110 section 8.6
    if not has_none and all(name.lower() != b"content-length" for name, _ in head["headers"]):
        head["headers"].append((b"content-length", b"%d" % len(body)))


class _Ahead:
    """
    Receives one event ahead of the application, to notice that the client has left.

    Args:
        receive: ASGI's function. Nobody else may call it from now on.
        on_disconnect: Called when the client has left.
    """

    def __init__(self, receive: Receive, on_disconnect: Callable[[], None]) -> None:
        self._receive = receive
        self._on_disconnect = on_disconnect
        self._into, self._events = trio.open_memory_channel[Any](1)
        self._error: Exception | None = None

    async def run(self) -> None:
        """Receive until the client has left. It is cancelled when the request is over."""
        with self._into:
            try:
                while (event := await self._receive())["type"] != "http.disconnect":
                    await self._into.send(event)
            except DISCONNECTS:
                pass
            except Exception as exc:  # noqa: BLE001 - raised by receive()
                self._error = exc
                return
            self._on_disconnect()

    async def receive(self) -> Message:
        """Return the next event."""
        try:
            event: Message = await self._events.receive()
        except trio.EndOfChannel:
            if self._error is not None:
                raise self._error from None
            return {"type": "http.disconnect"}
        return event
