"""How a connection ends, seen from what its handler raised."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from triows._errors import leaves
from triows.exceptions import HandlerCancelled, HTTPException, WebSocketClose, WebSocketDisconnect

from .refusal import from_exception, problem, try_later

if TYPE_CHECKING:
    from triows._transports.interface import Refusal

__all__ = ["Verdict", "judge"]


@frozen
class Verdict:
    """What to tell the peer, and what to report."""

    #: The close frame, if the connection was accepted.
    code: int
    reason: str
    #: The response, if it was not.
    refusal: Refusal
    #: The error that somebody has to see; ``None`` for a normal end.
    error: BaseException | None = None


# Why a handler was cancelled, and the code that is true then (RFC 6455 section 7.4.1:
# 1001 going away, 1011 unexpected condition).
_CANCELLED = {
    "cancelled": 1001,
    "shutdown": 1001,
    "peer gone": 1001,
    "timeout": 1011,
    "task failed": 1011,
    "resource failed": 1011,
}


def judge(error: BaseException | None, cancelled: str | None, *, accepted: bool) -> Verdict:
    """
    Decide how to end a connection.

    Args:
        error: What the handler or a factory raised, if anything.
        cancelled: Why the handler was cancelled, if it was.
        accepted: Whether the handshake is over, so that it can't be refused any more.
    """
    found = [] if error is None else [leaf for leaf in leaves(error) if not _is_end(leaf)]
    if error is None or not found:
        return _judge_quiet(cancelled if error is None else None)
    # A nursery wraps what passes through it; inside a group the same exceptions mean the
    # same. The same one may come twice, from the handler and from its nursery.
    if len({id(leaf) for leaf in found}) == 1:
        (only, *_) = found
        if isinstance(only, WebSocketClose):
            return Verdict(only.code, only.reason, problem(403))
        if isinstance(only, HTTPException) and not accepted:
            return _judge_refusal(only, error)
    return Verdict(1011, "", problem(500), error)


def _is_end(error: BaseException) -> bool:
    """A peer that left, and a cancellation passed on, are ends; several tasks may notice."""
    return isinstance(error, WebSocketDisconnect | HandlerCancelled)


def _judge_quiet(cancelled: str | None) -> Verdict:
    """Nothing was raised: the handler returned, or was cancelled."""
    if cancelled is None:
        return Verdict(1000, "", problem(403))
    code = _CANCELLED[cancelled]
    refusal = problem(500) if code == 1011 else try_later("the server is shutting down")
    return Verdict(code, "", refusal)


def _judge_refusal(exc: HTTPException, error: BaseException) -> Verdict:
    try:
        return Verdict(1011, "", from_exception(exc))
    except Exception as unusable:  # noqa: BLE001 - it is reported with the other
        # A status or header that can't be sent is the application's mistake, not an answer.
        exc.add_note(f"it can't refuse a handshake: {unusable}")
        return Verdict(1011, "", problem(500), error)
