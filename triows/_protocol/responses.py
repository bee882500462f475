"""
HTTP/1.1 responses: heads, bodies and their framing as bytes (:rfc:`9112`), without I/O.

A response that is known at once is one piece of bytes, and so one system call.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from triows._headers import SteadyHeaders, check_raw_headers, header_lines
from triows._phrases import PHRASES

from .heads import IN_LINES, IN_TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from triows._reply import Reply

    from .heads import Request

__all__ = [
    "CONTINUE",
    "ResponseWriter",
    "response_head",
    "whole_response",
]

#: The interim response that makes a client send its body (:rfc:`9110#section-15.2.1`).
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

#: Bodies and chunks of up to this many bytes are copied to what comes before them, so that they are
#: one piece. Copying 16 KiB takes about a microsecond, which is less than a second system call.
JOINED = 2**14

_STATUS_LINES = {
    status: b"HTTP/1.1 %d %s\r\n" % (status, phrase.encode()) for status, phrase in PHRASES.items()
}

# Names as applications send them, with what they become. All other names are checked each time.
_PREFIXES = {
    name: name + b": "
    for name in (
        b"accept-ranges access-control-allow-credentials access-control-allow-headers "
        b"access-control-allow-methods access-control-allow-origin access-control-expose-headers "
        b"access-control-max-age age allow alt-svc cache-control content-disposition "
        b"content-encoding content-language content-location content-range "
        b"content-security-policy content-type cross-origin-opener-policy etag expires "
        b"last-modified link location permissions-policy pragma referrer-policy retry-after "
        b"sec-websocket-accept sec-websocket-extensions sec-websocket-protocol "
        b"sec-websocket-version set-cookie strict-transport-security upgrade vary "
        b"www-authenticate x-content-type-options x-frame-options x-request-id"
    ).split()
}

# Headers whose values are the same for many responses, and no secrets.
_STEADY = frozenset(
    b"accept-ranges access-control-allow-credentials access-control-allow-headers "
    b"access-control-allow-methods access-control-allow-origin access-control-expose-headers "
    b"access-control-max-age allow alt-svc cache-control content-encoding content-language "
    b"content-security-policy content-type cross-origin-opener-policy permissions-policy pragma "
    b"referrer-policy strict-transport-security vary x-content-type-options x-frame-options".split()
)

#: Lines of such headers are remembered if their values have up to this many bytes, and so many of
#: them.
LONGEST_KNOWN, MOST_KNOWN = 256, 256

# The lines, by the headers as applications send them.
_KNOWN: dict[tuple[bytes, ...], bytes] = {}

# Lengths as small responses have them, and the lines that tell them.
_LENGTHS = {b"%d" % length: length for length in range(2048)}
_LENGTH_LINES = [b"content-length: %s\r\n" % length for length in _LENGTHS]

_NO_OPTIONS: tuple[bytes, ...] = ()

# These have no body, and what an application sends as one is dropped. A client wouldn't read it,
# but take it for the next response (RFC 9112 section 6.3, RFC 9110 section 15.3.6).
_BODILESS = frozenset({204, 205, 304})

_USUAL_LINES = {
    status: line
    for status, line in _STATUS_LINES.items()
    if status >= 200 and status not in _BODILESS
}


class _Phase(Enum):
    """How far the application is, in words for its mistakes."""

    HEAD = "has not been started"
    BODY = "has been started already"
    TRAILERS = "has had its body already, and only trailers may follow"
    DROPPED_TRAILERS = "has had its body, and only trailers may follow"
    ENDED = "has ended already"


class _Framing(Enum):
    """How the end of a body is told."""

    NOTHING = auto()
    LENGTH = auto()
    CHUNKED = auto()
    CLOSE = auto()


# Looking them up in their classes each time would take a tenth of the time of a response.
_HEAD, _BODY, _TRAILERS, _DROPPED_TRAILERS, _ENDED = _Phase
_NOTHING, _LENGTH, _CHUNKED, _CLOSE = _Framing


def response_head(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """
    Write the status line and the headers of a response, and the empty line after them.

    Args:
        status: The HTTP status. :class:`http.HTTPStatus` need not know it.
        headers: The headers. They must be checked already, so that none has a line break.
    """
    return b"%s%s\r\n" % (_status_line(status), header_lines(headers))


def whole_response(reply: Reply, own: bytes, request: Request | None = None) -> bytes:
    """
    Write a response that is the last one on its connection.

    Args:
        reply: The response.
        own: As in :class:`ResponseWriter`.
        request: As in :class:`ResponseWriter`.
    """
    writer = ResponseWriter(request, own)
    writer.keep_alive = False
    writer.start(reply.status, reply.headers)
    return b"".join(writer.body(reply.body, more=False))


def _status_line(status: int) -> bytes:
    # The phrase may be missing, but not the space before it (RFC 9112 section 4).
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


class ResponseWriter:
    """
    Writes one response. What its methods return has to be sent in the same order.

    The head is held back until the body begins, because then it may be known how long the body is.

    Args:
        request: The request that is answered. ``None`` means one that could not be read: then the
            response is the last one on the connection.
        own: The lines of the server's own headers, see :func:`header_lines`. Those that the
            application sets itself are left out.
    """

    __slots__ = (
        "_after_body",
        "_declared",
        "_framing",
        "_is_current",
        "_is_usual",
        "_kept",
        "_lines",
        "_options",
        "_own",
        "_phase",
        "_request",
        "_status",
        "begun",
        "ended",
        "keep_alive",
        "sent",
    )

    # These are there when the response is started.

    _status: int
    #: The status line and the headers.
    _lines: tuple[bytes, ...]
    #: The options of Connection, apart from those that we set.
    _options: tuple[bytes, ...]
    #: How long the body is, as the application says. As the body is written, it becomes how much
    #: of it is missing.
    _declared: int | None

    def __init__(self, request: Request | None, own: bytes) -> None:
        #: Whether another request may follow on the connection. It may be set to ``False`` before
        #: the body begins, and then the client is told so.
        self.keep_alive = request is not None and request.keep_alive
        #: Whether something of the response was returned to be sent, and whether all of it was.
        self.begun = self.ended = False
        #: How many bytes of the body were returned to be sent.
        self.sent = 0
        self._request = request
        self._is_current = request is None or request.http_version == "1.1"
        self._own = own
        self._phase = _HEAD
        self._framing = _LENGTH
        self._after_body = _ENDED
        # Whether nothing has to be said but how long the body is, if that is given at once.
        self._is_usual = False
        # What is kept until the end, if the end is held: the last part of the body, or the head if
        # there is no body.
        self._kept: bytes | None = None

    @property
    def ends_by_close(self) -> bool:
        """Whether the end of the connection is the end of the body, if it isn't reset."""
        return self._framing is _Framing.CLOSE

    # The head.

    def start(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], *, trailers: bool = False
    ) -> None:
        """
        Take the head of the response, without sending it.

        Args:
            status: The HTTP status.
            headers: The headers, in any case. This ignores ``transfer-encoding``, and takes
                ``connection: close`` as what it means.
            trailers: Whether :meth:`trailers` will be called after the body.

        Raises:
            ValueError: The status isn't that of a final response. Or a header can't be sent, for
                example because it has a line break, or ``content-length`` isn't one number.
            TypeError: A header isn't a pair of bytes. A bytearray isn't one either, because the
                application may change it.

        After an error, the response can be started again, as if nothing had happened.
        """
        if self._phase is not _HEAD:
            raise self._mistake()
        if not 200 <= status <= 999:
            raise ValueError(f"a response has a status from 200 to 999, not {status}")
        self._declared, self._options = None, _NO_OPTIONS
        status_line = _STATUS_LINES.get(status) or _status_line(status)
        if type(headers) is SteadyHeaders:
            self._lines = status_line, headers.lines
        else:
            self._lines = status_line, *self._read_all(headers)
        self._phase, self._status = _BODY, status
        if trailers:
            self._after_body = _TRAILERS
        elif status not in _BODILESS and not self._options and self._is_current:
            self._is_usual = self._request is not None and self._request.method != "HEAD"

    def _read_all(self, headers: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
        """Read headers, and return their lines."""
        lines: list[bytes] = []
        known, own, keep_alive = _KNOWN, self._own, self.keep_alive
        try:
            for header in headers:
                # Only bytes can be looked up, and not a bytearray.
                line = known.get(header if type(header) is tuple else tuple(header))
                if line is None:
                    name, value = header
                    if name == b"content-length" and self._declared is None and value in _LENGTHS:
                        self._declared = _LENGTHS[value]
                        continue
                    line = self._read(name, value)
                lines.append(line)
        except Exception as exc:
            self._own, self.keep_alive = own, keep_alive
            if isinstance(exc, AttributeError | TypeError):
                raise TypeError("a header is a pair of bytes: a name and a value") from None
            raise
        return lines

    def _read(self, name: bytes, value: bytes) -> bytes:
        """Read a header, and return its line, if it gets one."""
        prefix = _PREFIXES.get(name)
        if prefix is None and not (prefix := self._read_other(name, value)):
            return b""
        if value.translate(None, IN_LINES):
            raise ValueError(
                f"the value of header {name!r} has characters that are not allowed in a header"
            )
        line = b"%s%s\r\n" % (prefix, value)
        if name in _STEADY and len(value) <= LONGEST_KNOWN:
            if len(_KNOWN) >= MOST_KNOWN:
                _KNOWN.clear()
            _KNOWN[name, value] = line
        return line

    def _read_other(self, name: bytes, value: bytes) -> bytes:
        """Read a header that the table doesn't have. Return the beginning of its line, if any."""
        lowered = name.lower()
        special = _SPECIAL.get(lowered)
        if special is not None:
            return special(self, lowered, value)
        if not name or name.translate(None, IN_TOKENS):
            raise ValueError(f"{name!r} can't be a header's name (RFC 9110 section 5.1)")
        return lowered + b": "

    def _read_length(self, name: bytes, value: bytes) -> bytes:
        digits = value.strip(b" \t")
        if self._declared is not None or not digits.isdigit() or len(digits) > 19:
            raise ValueError(f"content-length is one number of bytes, not {value!r}")
        self._declared = int(digits)
        return b""

    def _read_connection(self, name: bytes, value: bytes) -> bytes:
        options = [option.strip(b" \t") for option in value.split(b",")]
        if any(option.translate(None, IN_TOKENS) for option in options):
            raise ValueError(f"connection is a list of tokens, not {value!r}")
        if b"close" in [option.lower() for option in options]:
            self.keep_alive = False
        ours = {b"", b"close", b"keep-alive"}
        self._options += tuple(option for option in options if option.lower() not in ours)
        return b""

    def _read_coding(self, name: bytes, value: bytes) -> bytes:
        return b""  # an application isn't asked how its body is framed

    def _read_own(self, name: bytes, value: bytes) -> bytes:
        """Let an application set what the server would set."""
        lines = self._own.splitlines(keepends=True)
        prefix = name + b": "
        self._own = b"".join([line for line in lines if not line.startswith(prefix)])
        return prefix

    # The body.

    def whole(self, data: bytes) -> bytes | None:
        """
        Write a whole body, if the response is as most are.

        Args:
            data: The body.

        Returns:
            What :meth:`body` would return, in one piece. If it is ``None``, nothing has changed,
            and :meth:`body` has to be called.
        """
        if not (self._is_usual and self.keep_alive) or type(data) is not bytes:
            return None
        size = len(data)
        if size > JOINED or (self._declared is not None and self._declared != size):
            return None
        self._phase, self._is_usual = _ENDED, False
        self.begun = self.ended = True
        self.sent = size
        length = _LENGTH_LINES[size] if size < 2048 else b"content-length: %d\r\n" % size
        return b"".join((*self._lines, length, self._own, b"\r\n", data))

    def at_once(self, status: int, headers: SteadyHeaders, data: bytes) -> bytes | None:
        """
        Write a response in one step, if it is as most are.

        Returns:
            What :meth:`start` and :meth:`whole` would write, or ``None``, and nothing has changed.
        """
        request = self._request
        line = _USUAL_LINES.get(status)
        size = len(data)
        if (
            line is None
            or self._phase is not _HEAD
            or not (self.keep_alive and self._is_current)
            or size > JOINED
            or request is None
            or request.method == "HEAD"
        ):
            return None
        self._phase = _ENDED
        self.begun = self.ended = True
        self.sent = size
        length = _LENGTH_LINES[size] if size < 2048 else b"content-length: %d\r\n" % size
        return b"".join((line, headers.lines, length, self._own, b"\r\n", data))

    def body(self, data: bytes | bytearray | memoryview, *, more: bool) -> list[bytes]:
        """
        Write a part of the body.

        Args:
            data: The next bytes. They are dropped if the response can't have a body.
            more: Whether another part follows.

        Returns:
            The pieces to send. Large data are not copied. After :meth:`hold_end`, the last part may
            only be returned by the call that ends the body.

        Raises:
            ValueError: See :meth:`around`.
            TypeError: The data aren't bytes.
        """
        if type(data) is not bytes:
            data = bytes(memoryview(data))  # the application may change a bytearray
        if self._kept is not None and self._phase is _BODY and self.has_body:
            data, self._kept = self._kept + data, b""
            if more and self.keeps(len(data)):
                self._kept, self._is_usual = data, False
                return []
        before, after = self.around(len(data), more=more)
        if self._framing is _NOTHING:
            data = b""
        if len(data) > JOINED:
            return [piece for piece in (before, data, after) if piece]
        whole = before + data + after if data else before + after
        return [whole] if whole else []

    def around(self, size: int, *, more: bool) -> tuple[bytes, bytes]:
        """
        Write what is around a part of the body that the caller sends itself, such as a file.

        If :attr:`has_body` is false, the part must not be sent.

        Args:
            size: How many bytes the part has.
            more: Whether another part follows.

        Returns:
            What has to be sent before the part, and what after it.

        Raises:
            ValueError: The response isn't started, or its body has ended. Or the body is longer or
                shorter than its ``content-length``. If :attr:`begun` is true, the connection has
                to be cut then, so that the client notices. Otherwise there may be another response.
        """
        if self._phase is not _BODY:
            raise self._mistake()
        # A head that is kept is written already.
        is_begun = self.begun or (self._framing is _NOTHING and self._kept)
        before = b"" if is_begun else self._begin(size, more)
        after = b""
        if self._framing is _LENGTH:
            self._count(size, more)
        elif self._framing is _CHUNKED:
            if size:
                before += b"%x\r\n" % size
                after = b"\r\n"
            if not more:
                after += b"0\r\n" if self._after_body is _TRAILERS else b"0\r\n\r\n"
        if self._kept is not None:
            before, self._kept = self._hold(before, self._kept, more=more)
        if self._framing is not _NOTHING:
            self.sent += size
        self.begun = not (more and self._framing is _NOTHING and self._kept)
        self._is_usual = False
        if not more:
            self._phase = self._after_body
            self.ended = self._phase is _ENDED
        return before, after

    def hold_end(self) -> None:
        """
        Keep the client from taking the response for complete before its body is ended.

        A client that was told a length has the whole response with its last byte. So what would
        be the last part is kept, and the head if there is no body. Call this before the body.
        """
        self._kept = b""

    def keeps(self, size: int) -> bool:
        """Say whether the next part of the body is kept until the end, if it has so many bytes."""
        if self._kept is None or self._declared is None or not self.has_body:
            return False
        return self._declared <= size

    def _hold(self, before: bytes, kept: bytes, *, more: bool) -> tuple[bytes, bytes]:
        """Return what is sent before a part, and what is kept: the head if there is no body."""
        if self._framing is _NOTHING:
            return (b"", kept + before) if more else (kept + before, b"")
        if kept:
            raise ValueError("the body is longer than its content-length")
        return before, kept

    @property
    def has_body(self) -> bool:
        """Whether the body is sent, once the response is started."""
        request = self._request
        return self._status not in _BODILESS and (request is None or request.method != "HEAD")

    def trailers(
        self, headers: Iterable[tuple[bytes, bytes]], *, more: bool = False
    ) -> list[bytes]:
        """
        Write trailers.

        They are dropped if the client hasn't said that it takes them, or if the body isn't chunked
        (:rfc:`9110#section-6.5.1`).

        Args:
            headers: The trailers.
            more: Whether more trailers follow.

        Returns:
            The pieces to send.

        Raises:
            ValueError: A trailer can't be sent, or :meth:`start` wasn't told of trailers, or the
                body hasn't ended.
            TypeError: A trailer isn't a pair of bytes.
        """
        lines = header_lines(check_raw_headers(headers))
        is_dropped = self._phase is _DROPPED_TRAILERS
        if not is_dropped and self._phase is not _TRAILERS:
            raise self._mistake()
        if not more:
            self._phase, self.ended = _ENDED, True
            lines += b"\r\n"
        return [lines] if lines and not is_dropped else []

    def _mistake(self) -> ValueError:
        return ValueError(f"the response {self._phase.value}")

    def _begin(self, size: int, more: bool) -> bytes:
        """Settle how the body is framed, and write the head."""
        framing = self._frame(size, more)
        connection = b""
        if self._options or not (self.keep_alive and self._is_current):
            connection = self._connection_line()
        return b"".join((*self._lines, framing, connection, self._own, b"\r\n"))

    def _connection_line(self) -> bytes:
        """Say whether the connection ends (:rfc:`9112#section-9.3`), and what else is there."""
        options = self._options
        if not self.keep_alive:
            options += (b"close",)
        elif not self._is_current:
            options += (b"keep-alive",)
        return b"connection: " + b", ".join(options) + b"\r\n"

    def _frame(self, size: int, more: bool) -> bytes:
        """Settle how the body is framed (:rfc:`9112#section-6`). Return the header for that."""
        declared = self._declared
        if not self.has_body:
            self._framing = _NOTHING
        if self._after_body is _TRAILERS and not self._may_have_trailers():
            self._after_body = _DROPPED_TRAILERS
        if self._framing is _NOTHING:
            return self._frame_nothing(size, more)
        if declared is None and not more and self._after_body is not _TRAILERS:
            self._declared = declared = size
        if declared is not None:
            return b"content-length: %d\r\n" % declared
        if self._is_current:
            self._framing = _CHUNKED
            return b"transfer-encoding: chunked\r\n"
        self._framing = _CLOSE
        self.keep_alive = False
        return b""

    def _frame_nothing(self, size: int, more: bool) -> bytes:
        """Return the length that a response without a body may still tell."""
        if self._status == 204:
            return b""  # it must not tell one (RFC 9110 section 8.6)
        if self._status == 205:
            return b"content-length: 0\r\n"  # section 15.3.6
        # To HEAD and with 304, it is what the response to GET would have. An application that sends
        # nothing may only have saved itself the work.
        declared = size or None if self._declared is None and not more else self._declared
        return b"" if declared is None else b"content-length: %d\r\n" % declared

    def _may_have_trailers(self) -> bool:
        """Say whether the body can be chunked, and the client takes trailers."""
        request = self._request
        if request is None or not self._is_current or self._declared is not None:
            return False
        if self._framing is _NOTHING:
            return False
        accepted = [value.lower().split(b",") for name, value in request.headers if name == b"te"]
        return any(one.strip() == b"trailers" for values in accepted for one in values)

    def _count(self, size: int, more: bool) -> None:
        """Check that the body is as long as was declared."""
        left = (self._declared or 0) - size
        if left < 0:
            raise ValueError("the body is longer than its content-length")
        if left and not more:
            raise ValueError("the body is shorter than its content-length")
        self._declared = left


_SPECIAL: dict[bytes, Callable[[ResponseWriter, bytes, bytes], bytes]] = {
    b"content-length": ResponseWriter._read_length,
    b"connection": ResponseWriter._read_connection,
    b"transfer-encoding": ResponseWriter._read_coding,
    b"date": ResponseWriter._read_own,
    b"server": ResponseWriter._read_own,
}
