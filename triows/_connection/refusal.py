"""Refusals before accept: an HTTP status with an RFC 9457 problem as its body."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from triows._counted import counted
from triows._protocol.handshake import encode_headers
from triows._transports.interface import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triows._injection.params import ParamError
    from triows._protocol.handshake import HeadersLike
    from triows.exceptions import HTTPException

__all__ = ["bad_parameters", "from_exception", "problem", "try_later", "upgrade_required"]

# Python 3.13 uses the name of RFC 9110, older versions another. Peers should always see the same.
_TITLES = {422: "Unprocessable Content"}

#: How many seconds a 503 asks a client to wait. It is long enough for a restart. Clients that add
#: a random time of their own also spread out.
RETRY_AFTER = 5


def _title(status: int) -> str:
    try:
        return _TITLES.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return "Refused"


def _told(detail: Any) -> str:
    """Return what the log says about a detail."""
    if isinstance(detail, str):
        return detail
    return "" if detail is None else msgspec.json.encode(detail).decode()


def problem(
    status: int, detail: Any = "", headers: HeadersLike | None = None, **members: Any
) -> Refusal:
    """
    Make a refusal with a problem+json body (:rfc:`9457`).

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
        detail = str.__str__(detail) or None  # a plain str, even from a subclass or an enum
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
        why=_told(detail),
    )


def bad_parameters(errors: Sequence[ParamError]) -> Refusal:
    """Make a 422 with every error that was found."""
    return problem(
        422,
        f"{counted(len(errors), 'parameter')} of the request can't be used",
        errors=[
            {"location": error.location, "name": error.name, "message": error.message}
            for error in errors
        ],
    )


def try_later(detail: str) -> Refusal:
    """Make a 503 with ``Retry-After``."""
    return problem(503, detail, {"Retry-After": str(RETRY_AFTER)})


def upgrade_required() -> Refusal:
    """Make a 426, the answer to plain HTTP on a WebSocket route (:rfc:`9110#section-15.5.22`)."""
    refusal = problem(426, "this address speaks WebSocket only")
    # Added without encode_headers(), which refuses these two because applications must not set
    # them.
    own = [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")]
    return Refusal(refusal.status, [*refusal.headers, *own], refusal.body)


def from_exception(exc: HTTPException) -> Refusal:
    """
    Make the refusal that an :exc:`~triows.HTTPException` asks for.

    Raises:
        Exception: What :func:`problem` raises, or what a subclass raises when asked for its
            status, detail or headers.
    """
    return problem(exc.status_code, exc.detail, exc.headers)
