"""Refusals before accept: an HTTP status with an RFC 9457 problem as its body."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from triows._protocol.handshake import encode_headers
from triows._transports.interface import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from triows._injection.params import ParamError
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
    status: int, detail: str = "", headers: Mapping[str, str] | None = None, **members: Any
) -> Refusal:
    """
    Make a refusal with a problem+json body (:rfc:`9457`).

    Args:
        status: The HTTP status, 300 to 599.
        detail: A sentence for the peer; nothing internal.
        headers: Further headers.
        members: Further members of the problem, but for those that are ``None``.

    Raises:
        ValueError: a status that is no refusal, or a header that can't be sent.
    """
    # 304 says that there is no body (RFC 9110 section 15.4.5).
    if not 300 <= status <= 599 or status == 304:
        raise ValueError(f"a handshake is refused with a status from 300 to 599, not {status}")
    body: dict[str, Any] = {"type": "about:blank", "title": _title(status), "status": status}
    if detail:
        body["detail"] = detail
    body |= {name: value for name, value in members.items() if value is not None}
    encoded = msgspec.json.encode(body)
    own = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(encoded)).encode()),
    ]
    return Refusal(status, [*own, *encode_headers(headers or {})], encoded)


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
        ValueError: a status that is no refusal, or a header that can't be sent.
    """
    return problem(exc.status_code, str(exc.detail), exc.headers)
