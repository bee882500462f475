"""
The requests of one connection (:rfc:`9112`): bytes to heads and bodies, without I/O.

The reader gives the same results however the bytes are cut into packets.
"""

from __future__ import annotations

import re

from .heads import GREATEST_LENGTH, BadRequest, Request, check_characters, read_fields, read_head

__all__ = ["BadRequest", "Request", "RequestReader"]

_CRLF, _END = b"\r\n", b"\r\n\r\n"
_CR = ord("\r")

#: How many empty lines may come before a request. Some clients send one after a body
#: (:rfc:`9112#section-2.2`). llhttp and nginx allow any number.
EMPTY_LINES = 4

#: How many bytes the line before a chunk may have, with its line end. Few clients send
#: extensions. The longest that we know are the signatures of Amazon S3, with 100 bytes.
CHUNK_LINE = 256

#: A client could send much more in these lines than in the chunks. So they may exceed by this many
#: bytes in total what is usual: this many bytes for each chunk, and two for each byte of data. Go
#: has the same rule, since CVE-2023-39326.
MOST_EXCESS, CHUNK_OVERHEAD = 2**14, 16

# The line before a chunk (RFC 9112 section 7.1). int() would also take signs and underscores.
# Extensions are checked and ignored. The RFC allows spaces and tabs around ";" and "=" for the
# sake of old clients, but llhttp doesn't.
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_CHUNK = re.compile(
    rb"([0-9A-Fa-f]{1,16})(?:;" + _TOKEN + rb"(?:=(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?)*"
)

# The beginning of such a line.
_CHUNK_BEGUN = re.compile(rb"[0-9A-Fa-f]{1,16}(?:;[\t -~\x80-\xff]*)?\r?")

#: Trailers that would frame the message or route it, if somebody merged them into the headers
#: (:rfc:`9110#section-6.5.1`). They are refused.
_NEVER_TRAILERS = frozenset(
    b"authorization connection content-encoding content-length content-range content-type expect "
    b"host keep-alive max-forwards proxy-authorization proxy-connection te trailer "
    b"transfer-encoding upgrade".split()
)

# What is read next. A head is 0, which is false.
_HEAD, _SIZED, _CHUNK_LINE, _CHUNK_DATA, _CHUNK_END, _TRAILERS = range(6)


class RequestReader:
    """
    Reads the requests of one connection. It does no I/O and has no clock.

    After each call of :meth:`receive`, ask for what can be read now: :meth:`next_request`, and if
    the request has a body, :meth:`next_body` until :attr:`body_ended`. Then the next request may
    follow. After a :exc:`BadRequest`, the same call raises it again, and nothing more is read.

    Args:
        head_size: How many bytes a head may have, with the empty line that ends it. Trailers have
            the same limit.
    """

    __slots__ = (
        "_empty_lines",
        "_excess",
        "_head_size",
        "_is_first",
        "_left",
        "_next",
        "_position",
        "_searched",
        "trailers",
        "unread",
    )

    def __init__(self, *, head_size: int) -> None:
        #: The trailers after the last body, with names in lower case. They are there until the next
        #: request is asked for.
        self.trailers: list[tuple[bytes, bytes]] | tuple[()] = ()
        self._head_size = head_size
        #: Bytes that were received. It is empty if all of them were read. Otherwise those from a
        #: position on are not read yet. It is a bytearray if bytes were added.
        self.unread: bytes | bytearray = b""
        self._position = 0
        # How many of these bytes aren't part of the head's end. Without it, a head that comes byte
        # by byte would be searched as often.
        self._searched = 0
        self._empty_lines = 0
        self._is_first = True
        self._next = _HEAD
        # How many bytes of the body or the chunk are missing.
        self._left = 0
        # How much the chunks of this body have besides their data.
        self._excess = 0

    @property
    def buffered(self) -> int:
        """How many bytes were received and not read."""
        return len(self.unread) - self._position

    @property
    def body_ended(self) -> bool:
        """Whether the last request was read to its end. It is true before the first one, too."""
        return self._next == _HEAD

    def receive(self, data: bytes) -> None:
        """Take the next bytes of the stream, cut at any place. This reads nothing."""
        if not self.unread:
            self.unread = data
            return
        if isinstance(self.unread, bytearray):
            del self.unread[: self._position]  # this moves nothing in memory
        else:
            self.unread = bytearray(self.unread[self._position :])
        self._position = 0
        self.unread += data

    def receive_request(self, data: bytes) -> Request | None:
        """
        Do :meth:`receive` and :meth:`next_request` in one step.

        Most packets begin with a whole head, and nothing is left of the one before. This reads such
        a head without looking for its beginning.
        """
        end = data.find(_END, 0, self._head_size)
        if end <= 0 or data[0] == _CR or self.unread or self._next:
            self.receive(data)
            return self.next_request()
        self.unread = data  # if it is refused, the next call refuses it again
        request = read_head(data[:end], is_first=self._is_first)
        if end + 4 == len(data):
            self.unread = b""
        else:
            self._position = end + 4
        self.trailers = ()
        self._is_first = False
        self._empty_lines = 0
        if request.content_length or request.chunked:
            self._begin_body(request)
        return request

    def take_rest(self) -> bytes:
        """Take all bytes that were received and not read, such as those after an upgrade."""
        rest = bytes(self.unread[self._position :])
        self._consume(len(self.unread))
        return rest

    def next_request(self) -> Request | None:
        """
        Read the head of the next request.

        Returns:
            The request, or ``None`` if more bytes are needed.

        Raises:
            BadRequest: It is refused.
            RuntimeError: The body of the last request has not ended.
        """
        if self._next != _HEAD:
            raise RuntimeError("read the body first, until body_ended")
        self.trailers = ()
        if not self.unread:
            return None  # nothing has come since the last request
        if self.unread.startswith(_CRLF, self._position):
            self._skip_empty_lines()
        head = self._section()
        if head is None:
            return None
        request = read_head(head, is_first=self._is_first)
        self._is_first = False
        self._consume(self._position + len(head) + len(_END))
        self._empty_lines = 0
        if request.content_length or request.chunked:
            self._begin_body(request)
        return request

    def _begin_body(self, request: Request) -> None:
        if request.chunked:
            self._next, self._excess = _CHUNK_LINE, 0
        else:
            self._next, self._left = _SIZED, request.content_length

    def next_body(self) -> bytes:
        """
        Read what is there of the body. Chunks are joined.

        Returns:
            The next bytes of the body. ``b""`` says that :attr:`body_ended` is true, or that more
            bytes are needed.

        Raises:
            BadRequest: The body is refused. What came before was returned.
        """
        if self._next == _SIZED:
            data = self._take()
            if not self._left:
                self._next = _HEAD
            return data
        parts: list[bytes] = []
        try:
            while self._next != _HEAD and _STEPS[self._next](self, parts):
                pass
        except BadRequest:
            if not parts:
                raise
            # The next call raises it.
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _consume(self, position: int) -> None:
        """Go on at a position. An idle reader holds no memory."""
        self._searched = 0
        if position == len(self.unread):
            self.unread, self._position = b"", 0
        else:
            self._position = position

    # Heads and trailers.

    def _skip_empty_lines(self) -> None:
        while self.unread.startswith(_CRLF, self._position):
            self._empty_lines += 1
            if self._empty_lines > EMPTY_LINES:
                raise BadRequest(400, "too many empty lines before a request")
            self._consume(self._position + len(_CRLF))

    def _section(self) -> bytes | None:
        """Return the lines up to the next empty line, if they are all there."""
        start = self._position
        end = self.unread.find(_END, start + self._searched, start + self._head_size)
        if end < 0:
            self._refuse_early()
            return None
        section = self.unread[start:end]
        return section if isinstance(section, bytes) else bytes(section)

    def _refuse_early(self) -> None:
        """Refuse a head whose end isn't there yet, if nothing can make it a valid one."""
        start = self._position
        begun = bytes(self.unread[start + self._searched : start + self._head_size])
        # What may be the beginning of the end is searched again.
        settled = begun.rstrip(_CRLF)
        check_characters(begun.removesuffix(b"\r"))
        self._searched += len(settled)
        if self.buffered < self._head_size:
            return
        if self._next == _HEAD and _CRLF not in self.unread[start : start + self._head_size]:
            raise BadRequest(414, "the request line is too long")
        raise BadRequest(431, "the head is too long")

    # Bodies.

    def _take(self) -> bytes:
        """Take the bytes of the body that are there, up to the end of the body or the chunk."""
        data, start = self.unread, self._position
        end = start + self._left
        # A slice of bytes that has all of them is the object itself, so a packet isn't copied.
        taken = data[start:end] if isinstance(data, bytes) else bytes(memoryview(data)[start:end])
        self._left -= len(taken)
        self._consume(start + len(taken))
        return taken

    # Each of these reads the next thing of a chunked body. It returns whether it was there.

    def _read_chunk_line(self, parts: list[bytes]) -> bool:
        start = self._position
        end = self.unread.find(_CRLF, start, start + CHUNK_LINE)
        if end < 0:
            begun = self.unread[start : start + CHUNK_LINE]
            if begun and (len(begun) == CHUNK_LINE or not _CHUNK_BEGUN.fullmatch(begun)):
                raise BadRequest(400, "the line before a chunk isn't its size, or is too long")
            return False
        match = _CHUNK.fullmatch(self.unread, start, end)
        if match is None:
            raise BadRequest(400, "the line before a chunk isn't its size, or is too long")
        size = int(match[1], 16)
        if size > GREATEST_LENGTH:
            raise BadRequest(400, "a chunk is too long")
        overhead = end + len(_CRLF) - start
        excess = max(self._excess + overhead - CHUNK_OVERHEAD - 2 * size, 0)
        if excess > MOST_EXCESS:
            raise BadRequest(400, "the chunks have too much besides their data")
        self._left, self._excess = size, excess
        self._next = _CHUNK_DATA if self._left else _TRAILERS
        self._consume(end + len(_CRLF))
        return True

    def _read_chunk_data(self, parts: list[bytes]) -> bool:
        data = self._take()
        if data:
            parts.append(data)
        if not self._left:
            self._next = _CHUNK_END
        return not self._left

    def _read_chunk_end(self, parts: list[bytes]) -> bool:
        found = self.unread[self._position : self._position + len(_CRLF)]
        if not _CRLF.startswith(bytes(found)):
            raise BadRequest(400, "a chunk is longer than its size")
        if len(found) < len(_CRLF):
            return False
        self._next = _CHUNK_LINE
        self._consume(self._position + len(_CRLF))
        return True

    def _read_trailers(self, parts: list[bytes]) -> bool:
        if self.unread.startswith(_CRLF, self._position):
            self._next = _HEAD
            self._consume(self._position + len(_CRLF))
            return True
        section = self._section()
        if section is None:
            return False
        check_characters(section)
        trailers = read_fields(section.split(_CRLF))
        for name, _ in trailers:
            if name in _NEVER_TRAILERS:
                raise BadRequest(400, f"{name.decode()} in the trailers")
        self.trailers = trailers
        self._next = _HEAD
        self._consume(self._position + len(section) + len(_END))
        return True


_STEPS = {
    _CHUNK_LINE: RequestReader._read_chunk_line,
    _CHUNK_DATA: RequestReader._read_chunk_data,
    _CHUNK_END: RequestReader._read_chunk_end,
    _TRAILERS: RequestReader._read_trailers,
}
