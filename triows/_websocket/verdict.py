"""How a connection ends, decided from what its handler raised."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from attrs import evolve
from msgspec import Struct
from starlette.websockets import WebSocketDisconnect as StarlettesDisconnect

from triows._closing import check_close
from triows._errors import add_note, is_a, leaves, text_of
from triows._exchange.ends import explain_cancellations, is_end, source_of
from triows._exchange.refusals import agreed, if_all
from triows._reasons import Reason
from triows._reply import Refused, problem, try_later
from triows._traceback import summary
from triows.exceptions import (
    HTTPException,
    InvalidMessage,
    WebSocketClose,
    WebSocketDisconnect,
    WebSocketException,
)

if TYPE_CHECKING:
    from triows._reply import Reply

#: Raised to close the connection: ours, and Starlette's.
_CLOSES: tuple[type[WebSocketClose | WebSocketException], ...] = (
    WebSocketClose,
    WebSocketException,
)

__all__ = ["Verdict", "as_close", "explain", "failed", "judge"]


class Verdict(Struct, frozen=True):
    """What to tell the peer, and what to report."""

    #: The close frame, if the connection was accepted.
    code: int
    reason: str
    #: The response, if it was not.
    refusal: Reply
    #: The error that somebody has to see; ``None`` for a normal end.
    error: BaseException | None = None
    #: What the log says beside the reason, which the peer is not told.
    why: str = ""


# The close code if a handler was cancelled and raised nothing (RFC 6455 section 7.4.1): 1001 going
# away, 1011 unexpected condition. It is sent only if the connection hasn't ended before: at a
# shutdown, an accepted connection has got the application's shutdown_code already.
_CANCELLED = {
    Reason.CANCELLED: 1001,
    Reason.APPLICATION_FAILED: 1001,
    Reason.SHUTDOWN: 1001,
    Reason.PEER_GONE: 1001,
    Reason.TIMEOUT: 1011,
    Reason.TASK_FAILED: 1011,
    Reason.RESOURCE_FAILED: 1011,
}


# Made once: nearly all connections end without one.
_FORBIDDEN = evolve(problem(403), why="the handler ended without accept()")
# The same for a handler that nobody gives the WebSocket to.
_UNACCEPTABLE = evolve(
    problem(403),
    why="the handler ended without accept(), and neither it nor its factories take the WebSocket: "
    "add a parameter `ws: WebSocket`, and call `await ws.accept()`",
)
_FAILED = problem(500)

#: How many errors of one connection its log line tells. They are all logged with their tracebacks.
_MOST_TOLD = 3
_GOING = try_later("the server is shutting down")


def explain(error: BaseException, own: object, *, accepted: bool) -> None:
    """
    Add a note to each exception in *error* that was meant to end the connection, and couldn't.

    Args:
        error: What is reported, maybe a group.
        own: The connection's transport.
        accepted: Whether the connection was accepted.
    """
    explain_cancellations(error, own)
    for leaf in leaves(error):
        if (note := _misunderstanding(leaf, own, accepted=accepted)) is not None:
            add_note(leaf, note)


def _misunderstanding(leaf: BaseException, own: object, *, accepted: bool) -> str | None:
    """Say why an exception that ends connections was an error here, if it is one."""
    if is_a(leaf, WebSocketDisconnect) and source_of(leaf) not in (None, own):
        return (
            "this is about another connection, which had ended, and not about the connection "
            "whose handler failed: where you use the WebSockets of others, catch "
            "WebSocketDisconnect"
        )
    if is_a(leaf, StarlettesDisconnect) and not is_a(leaf, WebSocketDisconnect):
        return (
            "this is Starlette's own WebSocketDisconnect, so your code has raised it, and not "
            "triows: to close the connection, raise triows.WebSocketClose(code, reason)"
        )
    if accepted and is_a(leaf, HTTPException):
        return (
            "HTTPException refuses a handshake, and this connection was accepted before: raise "
            "WebSocketClose(code, reason) or WebSocketException(code, reason) to close it, for "
            "example with code 1008"
        )
    return None


# A close frame has room for this many bytes of a reason (RFC 6455 section 5.5).
_LONGEST_REASON = 123


def as_close(answer: BaseException) -> BaseException:
    """
    Return the close that comes nearest to an answer for a handshake.

    A status below 500 becomes 1008, and the others 1011. If the detail is a text, it is the reason.
    """
    if not isinstance(answer, Refused):
        return answer
    code = 1008 if answer.reply.status < 500 else 1011
    detail = answer.reply.detail if isinstance(answer.reply.detail, str) else ""
    reason = detail.encode()[:_LONGEST_REASON].decode(errors="ignore")
    return WebSocketClose(code, reason)


def failed(error: BaseException) -> Verdict:
    """End a connection because of an error that somebody has to see."""
    why = "; ".join(summary(leaf) for leaf in islice(leaves(error), _MOST_TOLD))
    return Verdict(1011, "", _FAILED, error, why)


def judge(
    error: BaseException | None,
    cancelled: Reason | None,
    *,
    accepted: bool,
    own: object = None,
    could_accept: bool = True,
) -> Verdict:
    """
    Decide how to end a connection.

    Args:
        error: What the handler or a factory raised, if anything.
        cancelled: Why the handler was cancelled, if it was.
        accepted: Whether the handshake is over, so that it can't be refused any more.
        own: The connection's transport.
        could_accept: Whether the handler, or a factory, has the WebSocket.
    """
    found = [] if error is None else [leaf for leaf in leaves(error) if not is_end(leaf, own)]
    if error is None or not found:
        return _judge_quiet(cancelled if error is None else None, could_accept=could_accept)
    # A nursery wraps what passes through it: inside a group the same exceptions mean the same.
    # Several tasks may ask for the same end, or one exception may come from the handler and from
    # its nursery. If they want different ends, none of them is the right one.
    what = "close the connection"
    try:
        verdict = _judge_closes(found, accepted=accepted)
        if verdict is None and not accepted:
            what = "refuse a handshake"
            verdict = _judge_refusals(found)
    except Exception as unusable:  # noqa: BLE001 - it is reported with the other
        # A code, status, header or detail that can't be sent is the application's mistake.
        for exc in found:
            add_note(exc, f"it can't {what}: {text_of(unusable)}")
        verdict = None
    return failed(error) if verdict is None else verdict


def _judge_closes(found: list[BaseException], *, accepted: bool) -> Verdict | None:
    """Do what all of them ask for, if each wants a close and they agree."""
    closes = [(exc.code, exc.reason) for exc in if_all(found, *_CLOSES)]
    for code, reason in closes:
        check_close(code, reason)
    if len(set(closes)) != 1:
        return None
    code, reason = closes[0]
    # Before accept there is no close frame, so the refusal has the code and the reason.
    told = None if code == 1000 else code
    refusal = _FORBIDDEN if accepted else problem(403, reason, close_code=told)
    if not refusal.why:
        refusal = evolve(refusal, why=summary(found[0]))
    details = {exc.detail for exc in found if isinstance(exc, InvalidMessage)}
    return Verdict(code, reason, refusal, why="; ".join(sorted(details)))


def _judge_refusals(found: list[BaseException]) -> Verdict | None:
    """Do what all of them ask for, if each is an HTTPException and they agree."""
    refusal = agreed(found)
    return None if refusal is None else Verdict(1011, "", refusal)


def _judge_quiet(cancelled: Reason | None, *, could_accept: bool) -> Verdict:
    """Decide for a handler that raised nothing: it returned, or was cancelled."""
    if cancelled is None:
        return Verdict(1000, "", _FORBIDDEN if could_accept else _UNACCEPTABLE)
    code = _CANCELLED[cancelled]
    return Verdict(code, "", _FAILED if code == 1011 else _GOING)
