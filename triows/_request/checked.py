"""Checks that a response can be sent, while there may still be another one in its place."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from triows._headers import SteadyHeaders, check_raw_headers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.responses import Response

    from triows.types import Message

__all__ = ["ResponseCheck", "check_head", "check_whole", "unfinished"]

# These have no body, and what an application sends as one is dropped (RFC 9112 section 6.3,
# RFC 9110 section 15.3.6).
_BODILESS = frozenset({204, 205, 304})

_LONGER = "the body is longer than its content-length"
_SHORTER = "the body is shorter than its content-length"


def check_head(status: int, headers: Iterable[tuple[bytes, bytes]]) -> float:
    """
    Check the head of a response, and return the length of the body that it announces, or infinity.

    Raises:
        ValueError: The status isn't that of a final response, or a header can't be sent.
        TypeError: The status isn't an int, or a header isn't a pair of bytes.
    """
    if not isinstance(status, int):
        raise TypeError(f"the status of a response is an int, not {type(status).__name__}")
    if not 200 <= status <= 999:
        raise ValueError(f"a response has a status from 200 to 999, not {status}")
    if type(headers) is SteadyHeaders:
        return math.inf  # they are checked already, and tell no length
    return _announced(check_raw_headers(headers))


def check_whole(
    status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes, *, method: str
) -> None:
    """
    Check that a body is as long as its headers say, if the client gets it.

    Raises:
        ValueError: It is longer or shorter, or a header tells no length.
    """
    if method == "HEAD" or status in _BODILESS:
        return
    announced = _announced(headers)
    if announced not in (math.inf, len(body)):
        raise ValueError(_LONGER if announced < len(body) else _SHORTER)


class ResponseCheck:
    """
    Follows the events of a response, and refuses what can't be sent.

    Args:
        method: The method of the request.
    """

    __slots__ = ("_has_body", "_has_trailers", "_is_told", "_method", "_missing", "is_begun")

    def __init__(self, method: str) -> None:
        self._method = method
        #: Whether the response has been started.
        self.is_begun = False
        self._is_told = self._has_body = self._has_trailers = False
        # How many bytes are to come, if that was announced.
        self._missing = math.inf

    @property
    def is_ended(self) -> bool:
        """Whether the response has had its end."""
        return self._is_told and not self._has_trailers

    @property
    def is_body_over(self) -> bool:
        """Whether the body has had its end. Trailers may follow."""
        return self._is_told

    def follow(self, event: Message) -> None:
        """
        Check the next event, apart from a file.

        Raises:
            ValueError: It can't be sent, or not now, or the body isn't as long as was announced.
            TypeError: Something isn't made of bytes.
        """
        kind = event["type"]
        if kind == "http.response.start":
            self._begin(event)
        elif kind == "http.response.body":
            size = memoryview(event.get("body", b"")).nbytes
            self.count(size, more=event.get("more_body", False))
        elif kind == "http.response.trailers":
            self._take_trailers(event)

    def _begin(self, head: Message) -> None:
        if self.is_begun:
            raise ValueError("the response has been started already")
        status = head["status"]
        self._missing = check_head(status, head.get("headers", ()))
        self._has_body = self._method != "HEAD" and status not in _BODILESS
        self._has_trailers = bool(head.get("trailers", False))
        self.is_begun = True

    def count(self, size: int, *, more: bool) -> None:
        """
        Check a part of the body.

        Args:
            size: How many bytes it has.
            more: Whether another part follows.

        Raises:
            ValueError: See :meth:`follow`.
        """
        if not self.is_begun or self._is_told:
            why = "has ended already" if self._is_told else "has not been started"
            raise ValueError(f"the response {why}")
        if self._has_body:
            self._missing -= size
            if self._missing < 0:
                raise ValueError(_LONGER)
            if not more and 0 < self._missing < math.inf:
                raise ValueError(_SHORTER)
        self._is_told = not more

    def _take_trailers(self, event: Message) -> None:
        if not (self._is_told and self._has_trailers):
            raise ValueError(
                "trailers come after a body, if the start of the response has announced them"
            )
        check_raw_headers(event.get("headers", ()))
        self._has_trailers = event.get("more_trailers", False)


def unfinished(response: Response, *, is_begun: bool) -> RuntimeError:
    """
    Make the error for a response that has returned before it had sent its end.

    Args:
        response: The response.
        is_begun: Whether it has sent a start.
    """
    what = "the end of its response" if is_begun else "a response"
    return RuntimeError(f"{type(response).__name__} has returned before it had sent {what}")


def _announced(headers: Iterable[tuple[bytes, bytes]]) -> float:
    found = [value.strip(b" \t") for name, value in headers if name.lower() == b"content-length"]
    if not found:
        return math.inf
    if len(found) > 1 or not found[0].isdigit() or len(found[0]) > 19:
        raise ValueError(f"content-length is one number of bytes, not {b', '.join(found)!r}")
    return int(found[0])
