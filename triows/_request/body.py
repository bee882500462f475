"""The body of a plain request, as it comes, within its limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from triows._counted import counted
from triows._param_error import ParamError
from triows.exceptions import HTTPException, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

__all__ = ["BadBody", "BodyTooLarge", "RequestBody", "UnsupportedCoding"]

# A number with more digits is above every limit. Python refuses to read thousands of digits.
_MAX_DIGITS = 20

# What says that a body isn't coded. "identity" should not be sent, and some clients send it.
_UNCODED = (b"identity", b"")


class BodyTooLarge(HTTPException):
    """
    There is more in a body than the server takes: 413 (:rfc:`9110#section-15.5.14`).

    Args:
        detail: A sentence for the peer, with the limit.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(413, detail)


class UnsupportedCoding(HTTPException):
    """A body is compressed, and triows doesn't uncompress it: 415 (:rfc:`9110#section-15.5.16`)."""

    def __init__(self) -> None:
        detail = "the body must have no Content-Encoding"
        super().__init__(415, detail, headers={"Accept-Encoding": "identity"})


class BadBody(InvalidRequest):
    """
    A body can't be used: 422 (:rfc:`9110#section-15.5.21`).

    It is 422 also if the body isn't well-formed. So a mistake in the body is answered as one in the
    query is, and both may be in one answer.
    """


class RequestBody:
    """
    The body of one request. It can be read whole, or part by part, but only once.

    To get it part by part, iterate over it. You can stop, and go on later: each iteration
    continues where the last one has stopped. Only one task may read at a time. If a task is
    cancelled while it reads, nothing is lost: whoever reads next gets what has come.

    Whoever takes parts does so in one way, such as for a form. The others would only get the rest,
    and take that for all of it. So they are refused, and so is an iteration that begins when
    another one has had the end.

    Args:
        receive: Returns the next part. It returns nothing only at the end, and raises
            :exc:`~triows.ClientDisconnect` if the rest won't come.
        headers: The request's, with names in lower case.
        limit: How many bytes the body may have.
    """

    __slots__ = (
        "_is_busy",
        "_is_end_taken",
        "_is_over",
        "_is_refused",
        "_kept",
        "_limit",
        "_malformed_length",
        "_receive",
        "_received",
        "_taken",
        "_whole",
        "content_length",
        "content_type",
        "is_coded",
    )

    def __init__(
        self,
        receive: Callable[[], Awaitable[bytes]],
        *,
        headers: Sequence[tuple[bytes, bytes]],
        limit: int,
    ) -> None:
        known = dict(headers)
        if len(known) != len(headers) or b"host" not in known:
            known = _joined(headers)
        #: The value of the header, if there is one. Several are joined, and then mean nothing.
        self.content_type = known.get(b"content-type")
        #: How many bytes the client has announced, if it has.
        self.content_length: int | None = None
        length = known.get(b"content-length")
        # Our own server has refused a request whose length is malformed. Others may pass it on.
        self._malformed_length = length is not None and not length.isdigit()
        if length is not None and not self._malformed_length:
            self.content_length = int(length.lstrip(b"0")[:_MAX_DIGITS] or b"0")
        #: Whether the bytes are a coding of the content, such as gzip (:rfc:`9110#section-8.4`).
        self.is_coded = known.get(b"content-encoding", b"identity").lower() not in _UNCODED
        self._receive = receive
        self._limit = limit
        self._received = 0
        # What has come and wasn't taken. A body may come in very many parts, so they aren't kept
        # one by one.
        self._kept = bytearray()
        self._whole: bytes | None = None
        self._is_busy = False
        # The way in which parts of it were taken, if any were.
        self._taken: str | None = None
        # Whether whoever took parts has been told that there are no more.
        self._is_end_taken = False
        self._is_over = self.content_length == 0
        # Whether what it has announced can't be taken.
        self._is_refused = self._malformed_length or (self.content_length or 0) > limit

    def refuse_early(self) -> None:
        """
        Refuse a body that has announced too much, before anything of it is read.

        Raises:
            BodyTooLarge: The announced length is above the limit.
            BadBody: The announced length isn't a number.
        """
        if self._malformed_length:
            raise BadBody([ParamError("header", "content-length", "Expected a whole number")])
        if self._is_refused:
            raise self._too_large()

    def refuse_coded(self) -> None:
        """
        Refuse a body that somebody would have to uncompress first.

        Raises:
            UnsupportedCoding: It is compressed.
        """
        if self.is_coded and self.content_length != 0:
            raise UnsupportedCoding

    async def read(self) -> bytes:
        """
        Wait for the whole body. A further call returns the same bytes.

        If this is cancelled, what has come is kept, and another call continues.

        Raises:
            BodyTooLarge: It has more bytes than the limit allows.
            BadBody: The client has announced a length that isn't a number.
            ClientDisconnect: The client has left before the end of the body.
            RuntimeError: Some of it was taken part by part.
            trio.BusyResourceError: Another task reads.
        """
        if self._whole is not None:
            await trio.lowlevel.checkpoint()
            return self._whole
        if self._taken is not None:
            await trio.lowlevel.checkpoint()
            raise self._taken_already()
        self._kept += await self._next()
        while not self._is_over:
            self._kept += await self._next()
        self._whole = bytes(self._kept)
        return self._whole

    def __aiter__(self) -> RequestBody:
        self.begin_iteration()
        return self

    def begin_iteration(self) -> None:
        """
        Note that somebody begins to take parts.

        Raises:
            RuntimeError: All parts were taken. Nothing would look like an empty body.
        """
        if self._is_end_taken:
            raise self._taken_already()

    def __anext__(self) -> Coroutine[Any, Any, bytes]:
        """Wait for the next part. See :meth:`take`."""
        return self.take("part by part")

    async def take(self, way: str) -> bytes:
        """
        Wait for the next part. It is never empty.

        Args:
            way: How the body is read, for the messages to those who read it in another way.

        Raises:
            StopAsyncIteration: That was all.
            BodyTooLarge: The body has more bytes than the limit allows.
            BadBody: The client has announced a length that isn't a number.
            ClientDisconnect: The client has left before the end of the body.
            RuntimeError: Some of it was taken in another way.
            trio.BusyResourceError: Another task reads.
        """
        if self._taken not in (None, way):
            await trio.lowlevel.checkpoint()
            raise self._taken_already()
        if self._kept and not self._is_busy:
            await trio.lowlevel.checkpoint()
            part = bytes(self._kept)
            self._kept.clear()
        else:
            # A server doesn't have to wait for a part that is there.
            await trio.lowlevel.checkpoint_if_cancelled()
            part = await self._next()
        self._taken = way
        if not part:
            self._is_end_taken = True
            await trio.lowlevel.cancel_shielded_checkpoint()
            raise StopAsyncIteration
        return part

    async def _next(self) -> bytes:
        """Receive the next part. It is empty only at the end."""
        if self._is_busy:
            await trio.lowlevel.checkpoint()
            raise trio.BusyResourceError("another task reads this body")
        if self._is_over:
            await trio.lowlevel.checkpoint()
            return b""
        if self._received > self._limit:
            await trio.lowlevel.checkpoint()
            raise self._too_large()
        if self._is_refused:
            await trio.lowlevel.checkpoint()
            self.refuse_early()
        self._is_busy = True
        try:
            part = await self._receive()
        except Exception:
            await trio.lowlevel.cancel_shielded_checkpoint()
            raise
        finally:
            self._is_busy = False
        self._received += len(part)
        if self._received > self._limit:
            await trio.lowlevel.cancel_shielded_checkpoint()
            raise self._too_large()
        # The next part would be empty. So most bodies need only one call.
        self._is_over = not part or self._received == self.content_length
        return part

    def _taken_already(self) -> RuntimeError:
        return RuntimeError(
            f"the body of the request was read {self._taken}, and it comes only once: read it in "
            "one way, or call body() of a Request first and keep what that returns"
        )

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"the body has more than {counted(self._limit, 'byte')}")


def _joined(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return headers by their names in lower case. Different values of one are joined."""
    known: dict[bytes, bytes] = {}
    for name, value in headers:
        before = known.get(name.lower(), value)
        known[name.lower()] = value if before == value else b"%s, %s" % (before, value)
    return known
