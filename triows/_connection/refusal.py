"""Refusals before accept: an HTTP status with an RFC 9457 problem as its body."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from triows._protocol.handshake import encode_headers
from triows._transports.interface import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triows._injection.params import ParamError
    from triows._protocol.handshake import HeadersLike
    from triows.exceptions import HTTPException

__all__ = ["bad_parameters", "from_exception", "problem", "try_later", "upgrade_required"]

# Python 3.13 renamed it with RFC 9110; peers should see one name.
_TITLES = {422: "Unprocessable Content"}

#: Seconds that a 503 asks a client to wait. Long enough for a restart, and for a crowd of
#: clients to spread out when each adds its own jitter.
RETRY_AFTER = 5


def _title(status: int) -> str:
    try:
        return _TITLES.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return "Refused"


def problem(
    status: int, detail: Any = "", headers: HeadersLike | None = None, **members: Any
) -> Refusal:
    """
    Make a refusal with a problem+json body (:rfc:`9457`).

    Args:
        status: The HTTP status, 300 to 599 but not 304.
        detail: A sentence for the peer, or anything that JSON can express; nothing internal.
            ``None`` and ``""`` are left out.
        headers: Further headers.
        members: Further members of the problem. Those that are ``None`` are left out.

    Raises:
        ValueError: a status that can't refuse anything, or a header that can't be sent.
        TypeError: a status that isn't an int, or a detail that JSON can't express.
    """
    if not isinstance(status, int):
        raise TypeError(f"an HTTP status is an int, not {type(status).__name__}")
    # 304 says that there is no body (RFC 9110 section 15.4.5).
    if not 300 <= status <= 599 or status == 304:
        raise ValueError(
            f"a refusal has a status from 300 to 599, not {int(status)}"
            + (": that one has no body" if status == 304 else "")
        )
    body: dict[str, Any] = {"type": "about:blank", "title": _title(status), "status": int(status)}
    if isinstance(detail, str):
        detail = str.__str__(detail) or None  # also of a subclass, or an enum
    if detail is not None:
        body["detail"] = detail
    body |= {name: value for name, value in members.items() if value is not None}
    encoded = msgspec.json.encode(body)
    own = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(encoded)).encode()),
    ]
    return Refusal(
        int(status),
        [*own, *encode_headers({} if headers is None else headers)],
        encoded,
        why=detail if isinstance(detail, str) else "",
    )


def bad_parameters(errors: Sequence[ParamError]) -> Refusal:
    """422 with every error that was found."""
    number = len(errors)
    return problem(
        422,
        f"{number} parameter{'s' if number > 1 else ''} of the request can't be used",
        errors=[
            {"location": error.location, "name": error.name, "message": error.message}
            for error in errors
        ],
    )


def try_later(detail: str) -> Refusal:
    """503 with ``Retry-After``."""
    return problem(503, detail, {"Retry-After": str(RETRY_AFTER)})


def upgrade_required() -> Refusal:
    """426: a plain HTTP request where only WebSockets are served (:rfc:`9110#section-15.5.22`)."""
    refusal = problem(426, "this address speaks WebSocket only")
    # Written here, because encode_headers() rightly refuses them to applications.
    own = [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")]
    return Refusal(refusal.status, [*refusal.headers, *own], refusal.body)


def from_exception(exc: HTTPException) -> Refusal:
    """
    What an :exc:`~triows.HTTPException` asks for.

    Raises:
        Exception: as :func:`problem`, or what a subclass raises when it is asked for its status,
            its detail or its headers.
    """
    return problem(exc.status_code, exc.detail, exc.headers)
