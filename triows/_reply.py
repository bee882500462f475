"""
Replies: whole HTTP responses that triows makes itself.

Most of them refuse something, with a problem (:rfc:`9457`) as the body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from triows._headers import encode_headers
from triows._json import encoded
from triows._phrases import PHRASES
from triows.exceptions import HTTPProblem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from triows._headers import HeadersLike
    from triows.exceptions import HTTPException
    from triows.types import Send

__all__ = [
    "Refused",
    "Reply",
    "allowed_methods",
    "check_refusing",
    "from_exception",
    "method_not_allowed",
    "not_acceptable",
    "problem",
    "respond",
    "try_later",
    "upgrade_required",
]

#: How many seconds a 503 asks a client to wait. It is long enough for a restart. Clients that add
#: a random time of their own also spread out.
RETRY_AFTER = 5


@frozen
class Reply:
    """An HTTP response with its whole body."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    #: The reason that the log gives. The peer is told only what is in the body.
    why: str = ""
    #: What is special about this occurrence, if it is a problem: a sentence, or data.
    detail: Any = None


class Refused(Exception):
    """
    An exchange is refused, and triows makes the reply.

    Args:
        reply: What the peer is told.
    """

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        super().__init__(reply.status, reply.why)


def _title(status: int) -> str:
    return PHRASES.get(status, "Refused")


def _told(detail: Any) -> str:
    """Return what the log says about a detail."""
    if isinstance(detail, str):
        return detail
    return "" if detail is None else encoded(detail).decode()


def problem(
    status: int, detail: Any = "", headers: HeadersLike | None = None, **members: Any
) -> Reply:
    """
    Make a reply with a problem+json body (:rfc:`9457`).

    Args:
        status: The HTTP status, 300 to 599 but not 304.
        detail: A sentence for the peer, or anything that JSON can express. It must not tell
            anything internal. ``None`` and ``""`` are left out.
        headers: Further headers.
        members: Further members of the problem. Those that are ``None`` are left out.

    Raises:
        ValueError: The status doesn't refuse a request, or a header can't be sent.
        TypeError: The status isn't an int, or JSON can't express the detail.
    """
    check_refusing(status)
    body: dict[str, Any] = {"type": "about:blank", "title": _title(status), "status": int(status)}
    if isinstance(detail, str):
        detail = str.__str__(detail) or None  # a plain str, even from a subclass or an enum
    if detail is not None:
        body["detail"] = detail
    body |= {name: value for name, value in members.items() if value is not None}
    written = encoded(body)
    own = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(written)).encode()),
    ]
    return Reply(
        int(status),
        [*own, *encode_headers({} if headers is None else headers)],
        written,
        why=_told(detail),
        detail=detail,
    )


def check_refusing(status: Any, remedy: str = "") -> None:
    """
    Check that a status refuses a request, or redirects it.

    Args:
        status: The HTTP status.
        remedy: What to write instead.

    Raises:
        ValueError: It doesn't.
        TypeError: It isn't an int.
    """
    if not isinstance(status, int):
        raise TypeError(f"an HTTP status is an int, not {type(status).__name__}")
    # 304 says that there is no body (RFC 9110 section 15.4.5).
    if not 300 <= status <= 599 or status == 304:
        why = "that one has no body" if status == 304 else remedy
        raise ValueError(
            f"a refusal has a status from 300 to 599, not {int(status)}" + (why and f": {why}")
        )


def try_later(detail: str) -> Reply:
    """Make a 503 with ``Retry-After``."""
    return problem(503, detail, {"Retry-After": str(RETRY_AFTER)})


def allowed_methods(allowed: Iterable[str]) -> Reply:
    """Make the answer to OPTIONS (:rfc:`9110#section-9.3.7`)."""
    return Reply(204, [(b"allow", ", ".join(allowed).encode())], b"")


def method_not_allowed(allowed: Iterable[str]) -> Reply:
    """Make a 405 (:rfc:`9110#section-15.5.6`), which has to say which methods are allowed."""
    methods = ", ".join(allowed)
    return evolve(problem(405, headers={"Allow": methods}), why=f"the route takes {methods}")


def not_acceptable(offered: Sequence[str]) -> Reply:
    """Make a 406 (:rfc:`9110#section-15.5.7`), which should say what can be had."""
    return problem(406, "the response can't have a type that `Accept` allows", offered=offered)


def upgrade_required() -> Reply:
    """Make a 426, the answer to plain HTTP on a WebSocket route (:rfc:`9110#section-15.5.22`)."""
    refusal = problem(426, "this address speaks WebSocket only")
    # Added without encode_headers(), which refuses these two because applications must not set
    # them.
    own = [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")]
    return evolve(refusal, headers=[*refusal.headers, *own])


def from_exception(exc: HTTPException, instance: str | None = None) -> Reply:
    """
    Make the refusal that an :exc:`~triows.HTTPException` asks for.

    Args:
        exc: The exception. An :exc:`~triows.HTTPProblem` has a type and a title of its own.
        instance: A URI reference of the occurrence: the request's path, as it was sent.

    Raises:
        Exception: What :func:`problem` raises, or what a subclass raises when asked for its
            status, detail or headers.
    """
    more: dict[str, Any] = {}
    if isinstance(exc, HTTPProblem):
        more = {"type": exc.problem_type, "title": exc.problem_title, **exc.members}
    return problem(exc.status_code, exc.detail, exc.headers, **more, instance=instance)


async def respond(send: Send, reply: Reply) -> None:
    """Send a reply by ASGI, as the response to a plain HTTP request."""
    await send(
        {
            "type": "http.response.start",
            "status": reply.status,
            "headers": list(reply.headers),
        }
    )
    await send({"type": "http.response.body", "body": reply.body})
