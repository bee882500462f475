"""What is kept of a response until its end, so that no client takes it for complete before."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from triows.types import Message

__all__ = ["KeptEnd"]

# Their responses end with the head (RFC 9112 section 6.3).
_BODILESS = frozenset({204, 304})


class KeptEnd:
    """
    Keeps what would complete a response, until the application ends it.

    A client that was told a ``content-length`` has the whole response with its last byte. Without a
    body, it has it with the head: if it has asked with ``HEAD``, if the length is 0, or because of
    the status. So these are kept, and passed on together with the end. Otherwise, the head is
    passed on with the first part. Until then, there may be another response. Our own server does
    the same by :meth:`.ResponseWriter.hold_end`.

    Args:
        method: The method of the request.
    """

    __slots__ = ("_has_body", "_head", "_method", "_missing", "_part")

    def __init__(self, method: str) -> None:
        self._method = method
        self._has_body = True
        # How many bytes are to come, if that was announced.
        self._missing = math.inf
        # What is kept.
        self._head: Message | None = None
        self._part = b""

    def pass_on(self, event: Message) -> Sequence[Message]:
        """
        Take an event of the response, and return those that the client may have now.

        Raises:
            ValueError: The body is longer than its ``content-length``.
        """
        kind = event["type"]
        if kind == "http.response.start":
            return self._begin(event)
        if kind == "http.response.body":
            return self._take_part(event)
        return self._release(event) if kind == "http.response.pathsend" else (event,)

    def _begin(self, head: Message) -> Sequence[Message]:
        self._has_body = self._method != "HEAD" and head["status"] not in _BODILESS
        self._missing = _announced(head.get("headers", ()))
        self._head = head
        return ()

    def _take_part(self, event: Message) -> Sequence[Message]:
        more = event.get("more_body", False)
        if self._has_body:
            data = event.get("body", b"")
            self._missing -= len(data)
            if self._missing < 0:
                raise ValueError("the body is longer than its content-length")
            if more and not self._missing:
                self._part += bytes(data)
                return ()
            if self._part:
                event = {**event, "body": self._part + data}
        elif more:
            return ()  # no server would send it
        return self._release(event)

    def _release(self, event: Message) -> Sequence[Message]:
        """Return what was kept, and an event."""
        if self._head is None:
            return (event,)
        head, self._head = self._head, None
        return head, event


def _announced(headers: Iterable[tuple[bytes, bytes]]) -> float:
    """Return the length of a body that headers announce, or infinity."""
    for name, value in headers:
        if name.lower() == b"content-length" and value.strip().isdigit():
            return int(value)
    return math.inf
