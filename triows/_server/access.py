"""
Hypercorn's access log, made safe: nothing that a peer sends can begin a new line.

Hypercorn decodes the path of a request and writes it as it is. So do loggers that an application
configures in its place. Here they get the request with everything escaped that can't be printed:
line breaks, control characters, and characters that control a terminal.

What Hypercorn has for a line also includes the environment of the process, and so its secrets. Only
what the format names is ever written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from hypercorn.logging import AccessLogAtoms, Logger

from triows._log import peer_of
from triows._printable import printable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from hypercorn.config import Config
    from hypercorn.typing import ResponseSummary, WWWScope

    from triows.types import Scope

__all__ = ["access_logger", "check_format", "keep_lines_whole"]


def access_logger(config: Config) -> Callable[[Scope, Any, float], Awaitable[None]] | None:
    """
    Return what writes the line of a request into the access log, or ``None`` if nobody wants it.

    A configuration may have a class of its own for its log, which counts requests, for example. So
    it is asked even if there is no file for the access log.
    """
    log: Any = config.log
    inner = log._log if isinstance(log, _AccessLog) else log
    if type(inner) is Logger and inner.access_logger is None:
        return None
    access: Callable[[Scope, Any, float], Awaitable[None]] = log.access
    return access


def keep_lines_whole(config: Config) -> None:
    """Make sure that nothing that a peer sends can begin a line in the access log of *config*."""
    log: Any = config.log
    if isinstance(log, _AccessLog):
        return
    if type(log).atoms is Logger.atoms:
        log.atoms = _Atoms
    config._log = cast("Logger", _AccessLog(log))


class _Atoms(AccessLogAtoms):
    """
    What a line of the access log can have, by the names in its format.

    If a line can't be written, logging shows what it was made of.
    """

    def __repr__(self) -> str:
        return "<what the server knows about the request>"


def check_format(text: str) -> None:
    """
    Refuse a format with which no line of the access log could be written.

    Raises:
        ValueError: It is such a format. The message says what to write.
    """
    try:
        _ = text % _Sample(_REQUEST, _RESPONSE, 0.5)
    except (TypeError, ValueError, OverflowError) as exc:
        raise ValueError(
            f"give a format such as '%(h)s %(r)s %(s)s', with %% for a percent sign, not {text!r}: "
            f"{exc}"
        ) from None


class _Sample(AccessLogAtoms):
    """Takes part in a trial. A ``%s`` without a name would write all of it."""

    def __repr__(self) -> str:
        raise ValueError("each value needs a name in parentheses")


_REQUEST: Any = {
    "type": "http",
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/",
    "query_string": b"",
    "headers": [],
    "client": ("127.0.0.1", 1),
}
_RESPONSE: Any = {"status": 200, "headers": []}


class _AccessLog:
    """
    A logger with Hypercorn's interface.

    Args:
        log: Hypercorn's logger, or one of the configuration's ``logger_class``.
    """

    def __init__(self, log: Logger) -> None:
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def access(
        self, request: WWWScope, response: ResponseSummary | None, request_time: float
    ) -> None:
        """Write the line of one request."""
        # Hypercorn's own class has no logger if the access log is off.
        if getattr(self._log, "access_logger", self) is not None:
            request = cast("WWWScope", _escaped(cast("dict[str, Any]", request)))
            if response is not None:
                response = {**response, "headers": _escaped_headers(response.get("headers", ()))}
            await self._log.access(request, cast("ResponseSummary", response), request_time)


def _escaped(request: dict[str, Any]) -> dict[str, Any]:
    """Copy a scope with its strings, headers and peer's address escaped."""
    escaped = {
        key: printable(value) if isinstance(value, str) else value for key, value in request.items()
    }
    escaped["query_string"] = _escaped_bytes(request["query_string"], "ascii")  # read as UTF-8
    escaped["headers"] = _escaped_headers(request["headers"])
    # Middleware may have taken the address from a header.
    if client := request.get("client"):
        escaped["client"] = (printable(str(client[0])), *client[1:])
    else:
        escaped["client"] = (peer_of(request),)  # Hypercorn would write "None"
    return escaped


def _escaped_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(_escaped_bytes(name), _escaped_bytes(value)) for name, value in headers]


def _escaped_bytes(value: bytes, encoding: str = "latin1") -> bytes:
    return printable(value.decode("latin1")).encode(encoding, "backslashreplace")
