"""
The statuses of HTTP, by name, for return annotations.

    @users.post
    async def create(user: User) -> Annotated[User, status.CREATED]: ...

A name is a type, as in lihil, so that type checkers accept it anywhere. Plain numbers and
:class:`http.HTTPStatus` mean the same: ``Annotated[User, 201]``. :func:`code` returns the number of
any of them.

:rfc:`9110#section-15` defines most statuses. Where another document does, the comment says which.
The names are those that Python and other frameworks have. Four of them are older than RFC 9110:
413 is now called Content Too Large, 414 URI Too Long, 416 Range Not Satisfiable, and 422
Unprocessable Content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args, get_origin

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import _SpecialForm

    from typing_extensions import TypeForm

    # What is given for a status: an int, such as an HTTPStatus, or one of the names here. Where a
    # function is overloaded, mypy takes such a name for any special form.
    Status: TypeAlias = int | TypeForm[int] | _SpecialForm

__all__ = [
    "ACCEPTED",
    "ALREADY_REPORTED",
    "BAD_GATEWAY",
    "BAD_REQUEST",
    "CONFLICT",
    "CONTINUE",
    "CREATED",
    "EARLY_HINTS",
    "EXPECTATION_FAILED",
    "FAILED_DEPENDENCY",
    "FORBIDDEN",
    "FOUND",
    "GATEWAY_TIMEOUT",
    "GONE",
    "HTTP_VERSION_NOT_SUPPORTED",
    "IM_A_TEAPOT",
    "IM_USED",
    "INSUFFICIENT_STORAGE",
    "INTERNAL_SERVER_ERROR",
    "LENGTH_REQUIRED",
    "LOCKED",
    "LOOP_DETECTED",
    "METHOD_NOT_ALLOWED",
    "MISDIRECTED_REQUEST",
    "MOVED_PERMANENTLY",
    "MULTIPLE_CHOICES",
    "MULTI_STATUS",
    "NETWORK_AUTHENTICATION_REQUIRED",
    "NON_AUTHORITATIVE_INFORMATION",
    "NOT_ACCEPTABLE",
    "NOT_EXTENDED",
    "NOT_FOUND",
    "NOT_IMPLEMENTED",
    "NOT_MODIFIED",
    "NO_CONTENT",
    "OK",
    "PARTIAL_CONTENT",
    "PAYMENT_REQUIRED",
    "PERMANENT_REDIRECT",
    "PRECONDITION_FAILED",
    "PRECONDITION_REQUIRED",
    "PROCESSING",
    "PROXY_AUTHENTICATION_REQUIRED",
    "REQUESTED_RANGE_NOT_SATISFIABLE",
    "REQUEST_ENTITY_TOO_LARGE",
    "REQUEST_HEADER_FIELDS_TOO_LARGE",
    "REQUEST_TIMEOUT",
    "REQUEST_URI_TOO_LONG",
    "RESERVED",
    "RESET_CONTENT",
    "SEE_OTHER",
    "SERVICE_UNAVAILABLE",
    "SWITCHING_PROTOCOLS",
    "TEMPORARY_REDIRECT",
    "TOO_EARLY",
    "TOO_MANY_REQUESTS",
    "UNAUTHORIZED",
    "UNAVAILABLE_FOR_LEGAL_REASONS",
    "UNPROCESSABLE_ENTITY",
    "UNSUPPORTED_MEDIA_TYPE",
    "UPGRADE_REQUIRED",
    "USE_PROXY",
    "VARIANT_ALSO_NEGOTIATES",
    "code",
]

# Informational (RFC 9110 section 15.2). They precede the response, so no handler returns them.

CONTINUE = Literal[100]  # section 15.2.1
SWITCHING_PROTOCOLS = Literal[101]  # section 15.2.2
PROCESSING = Literal[102]  # RFC 2518 section 10.1
EARLY_HINTS = Literal[103]  # RFC 8297 section 2

# Successful (RFC 9110 section 15.3).

OK = Literal[200]  # section 15.3.1
CREATED = Literal[201]  # section 15.3.2
ACCEPTED = Literal[202]  # section 15.3.3
NON_AUTHORITATIVE_INFORMATION = Literal[203]  # section 15.3.4
NO_CONTENT = Literal[204]  # section 15.3.5
RESET_CONTENT = Literal[205]  # section 15.3.6
PARTIAL_CONTENT = Literal[206]  # section 15.3.7
MULTI_STATUS = Literal[207]  # RFC 4918 section 11.1
ALREADY_REPORTED = Literal[208]  # RFC 5842 section 7.1
IM_USED = Literal[226]  # RFC 3229 section 10.4.1

# Redirections (RFC 9110 section 15.4).

MULTIPLE_CHOICES = Literal[300]  # section 15.4.1
MOVED_PERMANENTLY = Literal[301]  # section 15.4.2
FOUND = Literal[302]  # section 15.4.3
SEE_OTHER = Literal[303]  # section 15.4.4
NOT_MODIFIED = Literal[304]  # section 15.4.5
USE_PROXY = Literal[305]  # section 15.4.6
RESERVED = Literal[306]  # section 15.4.7
TEMPORARY_REDIRECT = Literal[307]  # section 15.4.8
PERMANENT_REDIRECT = Literal[308]  # section 15.4.9

# The client's mistakes (RFC 9110 section 15.5).

BAD_REQUEST = Literal[400]  # section 15.5.1
UNAUTHORIZED = Literal[401]  # section 15.5.2
PAYMENT_REQUIRED = Literal[402]  # section 15.5.3
FORBIDDEN = Literal[403]  # section 15.5.4
NOT_FOUND = Literal[404]  # section 15.5.5
METHOD_NOT_ALLOWED = Literal[405]  # section 15.5.6
NOT_ACCEPTABLE = Literal[406]  # section 15.5.7
PROXY_AUTHENTICATION_REQUIRED = Literal[407]  # section 15.5.8
REQUEST_TIMEOUT = Literal[408]  # section 15.5.9
CONFLICT = Literal[409]  # section 15.5.10
GONE = Literal[410]  # section 15.5.11
LENGTH_REQUIRED = Literal[411]  # section 15.5.12
PRECONDITION_FAILED = Literal[412]  # section 15.5.13
REQUEST_ENTITY_TOO_LARGE = Literal[413]  # section 15.5.14
REQUEST_URI_TOO_LONG = Literal[414]  # section 15.5.15
UNSUPPORTED_MEDIA_TYPE = Literal[415]  # section 15.5.16
REQUESTED_RANGE_NOT_SATISFIABLE = Literal[416]  # section 15.5.17
EXPECTATION_FAILED = Literal[417]  # section 15.5.18
IM_A_TEAPOT = Literal[418]  # section 15.5.19
MISDIRECTED_REQUEST = Literal[421]  # section 15.5.20
UNPROCESSABLE_ENTITY = Literal[422]  # section 15.5.21
LOCKED = Literal[423]  # RFC 4918 section 11.3
FAILED_DEPENDENCY = Literal[424]  # RFC 4918 section 11.4
TOO_EARLY = Literal[425]  # RFC 8470 section 5.2
UPGRADE_REQUIRED = Literal[426]  # section 15.5.22
PRECONDITION_REQUIRED = Literal[428]  # RFC 6585 section 3
TOO_MANY_REQUESTS = Literal[429]  # RFC 6585 section 4
REQUEST_HEADER_FIELDS_TOO_LARGE = Literal[431]  # RFC 6585 section 5
UNAVAILABLE_FOR_LEGAL_REASONS = Literal[451]  # RFC 7725 section 3

# The server's mistakes (RFC 9110 section 15.6).

INTERNAL_SERVER_ERROR = Literal[500]  # section 15.6.1
NOT_IMPLEMENTED = Literal[501]  # section 15.6.2
BAD_GATEWAY = Literal[502]  # section 15.6.3
SERVICE_UNAVAILABLE = Literal[503]  # section 15.6.4
GATEWAY_TIMEOUT = Literal[504]  # section 15.6.5
HTTP_VERSION_NOT_SUPPORTED = Literal[505]  # section 15.6.6
VARIANT_ALSO_NEGOTIATES = Literal[506]  # RFC 2295 section 8.1
INSUFFICIENT_STORAGE = Literal[507]  # RFC 4918 section 11.5
LOOP_DETECTED = Literal[508]  # RFC 5842 section 7.2
NOT_EXTENDED = Literal[510]  # RFC 2774 section 7
NETWORK_AUTHENTICATION_REQUIRED = Literal[511]  # RFC 6585 section 6


# The names that RFC 9110 has given to older statuses, and its numbers.
_NEWER = {
    "CONTENT_TOO_LARGE": 413,
    "URI_TOO_LONG": 414,
    "RANGE_NOT_SATISFIABLE": 416,
    "UNPROCESSABLE_CONTENT": 422,
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Say what to write instead of a name that Starlette, FastAPI or Python has."""
        message = f"module 'triows.status' has no attribute {name!r}"
        kind, _, rest = name.partition("_")
        digits = rest.partition("_")[0] if kind in ("HTTP", "WS") else str(_NEWER.get(name, ""))
        if kind == "WS" and digits.isdecimal():
            message += f": a close code is an int: write {digits}"
        elif (meant := next((one for one in __all__ if _says(one, digits)), None)) is not None:
            message += f": write status.{meant}"
        raise AttributeError(message, name=name)


def _says(name: str, digits: str) -> bool:
    return str(number(globals()[name])) == digits


def code(status: Any) -> int:
    """
    Return the number of a status.

    Args:
        status: One of the names here, an :class:`http.HTTPStatus`, or an int.

    Raises:
        ValueError: It is none of those.
    """
    found = number(status)
    if found is None:
        raise ValueError(f"{status!r} isn't a status: write status.CREATED, for example, or 201")
    return found


def number(mark: object) -> int | None:
    """Return the number of a status, or nothing if it isn't one. ``True`` isn't one, either."""
    if get_origin(mark) is Literal:
        values = get_args(mark)
        return number(values[0]) if len(values) == 1 else None
    return int(mark) if isinstance(mark, int) and not isinstance(mark, bool) else None


#: The name of each status here, by its number.
NAMES: Mapping[int, str] = {code(globals()[name]): name for name in __all__ if name.isupper()}
