"""The order in which a connection's ASGI events may be sent, and who has sent those before."""

from __future__ import annotations

import sys
from enum import Enum
from typing import TYPE_CHECKING

import trio

from triows._stacks import frame_at
from triows.exceptions import WebSocketStateError

if TYPE_CHECKING:
    from types import FrameType

    from triows._stacks import Frame
    from triows.types import Message

__all__ = ["ACCEPT", "BODY", "CLOSE", "SEND", "START", "Order", "Phase"]

ACCEPT = "websocket.accept"
SEND = "websocket.send"
CLOSE = "websocket.close"
START = "websocket.http.response.start"
BODY = "websocket.http.response.body"


class Phase(Enum):
    """How far a connection has come. The value says what came last, for messages."""

    HANDSHAKE = "the request"
    #: A refusal has begun, and its body isn't complete.
    RESPONSE = START
    REFUSED = "the refusal"
    ACCEPTED = "the acceptance"
    CLOSED = "the close"


#: What each event leads to, in each phase. The last part of a body ends the response.
_NEXT = {
    Phase.HANDSHAKE: {ACCEPT: Phase.ACCEPTED, CLOSE: Phase.REFUSED, START: Phase.RESPONSE},
    Phase.RESPONSE: {BODY: Phase.REFUSED},
    Phase.REFUSED: {},
    Phase.ACCEPTED: {SEND: Phase.ACCEPTED, CLOSE: Phase.CLOSED},
    Phase.CLOSED: {},
}

#: Why the application can't be called any more, and what its caller has to do instead.
_TOO_LATE = {
    Phase.RESPONSE: (
        "the refusal of this connection has begun{at}, so the application can't serve it: send "
        f"{BODY}, and return without calling the application"
    ),
    Phase.REFUSED: (
        "a middleware has refused this connection{at}, so the application can't serve it: `return` "
        "after the refusal"
    ),
    Phase.ACCEPTED: (
        "a middleware has accepted this connection{at}, so the application can't answer it: don't "
        f"send {ACCEPT}, or give the application a `receive` and a `send` of your own"
    ),
    Phase.CLOSED: (
        "a middleware has closed this connection{at}, so the application can't serve it: `return` "
        "after the close"
    ),
}

#: What is wrong if everything that could answer has returned.
_LEFT = {
    Phase.HANDSHAKE: (
        "nobody has answered this connection: {who} returned without sending anything, and without "
        "calling the application, or forgot to `await` it"
    ),
    Phase.RESPONSE: (
        f"the refusal of this connection has begun{{at}}, and nobody has sent {BODY}, which ends it"
    ),
    Phase.ACCEPTED: (
        f"this connection was accepted{{at}}, and nobody has closed it: send {CLOSE}, or leave the "
        "acceptance to the application"
    ),
}


class Order:
    """What was sent on one connection, and what may follow."""

    __slots__ = ("_sender", "phase")

    def __init__(self) -> None:
        self.phase: Phase = Phase.HANDSHAKE
        # Who has sent the event that led here.
        self._sender: Frame | None = None

    def after(self, event: Message) -> Phase:
        """
        Return the phase that an event leads to.

        Raises:
            WebSocketStateError: It can't be sent now.
        """
        kind = event["type"]
        phase = _NEXT[self.phase].get(kind)
        if phase is None:
            raise WebSocketStateError(out_of_order(kind, self.phase, self._at))
        return Phase.RESPONSE if kind == BODY and event.get("more_body") else phase

    def note(self, phase: Phase) -> None:
        """Note that an event was sent."""
        if phase is not self.phase:
            self.phase, self._sender = phase, _sender()

    @property
    def too_late(self) -> WebSocketStateError | None:
        """The error for an application that is called now, unless nothing has been sent."""
        text = _TOO_LATE.get(self.phase)
        return None if text is None else WebSocketStateError(text.format(at=self._at))

    def left(self, who: str) -> WebSocketStateError | None:
        """
        Make the error for a connection that is left as it is, unless it is over.

        Args:
            who: Who should have answered it.
        """
        text = _LEFT.get(self.phase)
        return None if text is None else WebSocketStateError(text.format(at=self._at, who=who))

    @property
    def _at(self) -> str:
        return "" if self._sender is None else f" ({self._sender.where})"


def out_of_order(kind: str, phase: Phase, at: str = "") -> str:
    """Say why an event can't be sent in a phase."""
    if kind.startswith("http."):
        return f"{kind} belongs to plain HTTP, and this is a WebSocket: write websocket.{kind}"
    if phase is Phase.HANDSHAKE and kind == SEND:
        return f"{kind} can't come before the acceptance"
    if phase is Phase.HANDSHAKE and kind == BODY:
        return f"{kind} can't come before {START}"
    if not any(kind in kinds for kinds in _NEXT.values()):
        return f"{kind} isn't an event that a WebSocket application sends"
    return f"{kind} can't follow {phase.value}{at}"


def _sender() -> Frame | None:
    """Find the innermost function of the calling task that is neither ours nor the system's."""
    bottom: FrameType | None = getattr(trio.lowlevel.current_task().coro, "cr_frame", None)
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        found = frame_at(frame.f_code, frame.f_lineno)
        if found.owner in ("application", "library"):
            return found
        if frame is bottom:
            return None
        frame = frame.f_back
    return None
