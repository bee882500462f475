"""
The parts of a ``multipart/form-data`` body (:rfc:`7578`), without waiting.

Bytes go in. Heads of parts, pieces of their contents, and their ends come out. The package
``multipart`` finds the boundaries. This module limits what it may hold, and reads the heads more
strictly than it does: if two programs read the same head differently, they see different forms.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from attrs import frozen
from multipart import MultipartSegment, ParserError, ParserLimitReached, PushMultipartParser
from starlette.datastructures import Headers

from triows._param_error import ParamError
from triows.exceptions import HTTPException

from .body import BadBody, BodyTooLarge
from .media import BACKSLASHES, PERCENTS, UnsupportedMedia, parse_parameters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .media import MediaType

__all__ = ["FORM_DATA", "MultipartReader", "PartHead", "boundary_of"]

#: The media type.
FORM_DATA = "multipart/form-data"

# RFC 2046 section 5.1.1.
_MAX_BOUNDARY = 70

# How large the head of a part may be. RFC 7578 section 4.8 knows three headers. A name of 255
# characters, the most that file systems allow, may take 1020 bytes, and a field's name is rarely
# longer. Browsers write less than 200 bytes in all.
_MAX_HEADERS = 8
_MAX_LINE = 4 * 2**10
_MAX_HEAD = 8 * 2**10

_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

# RFC 7578 section 4.7 deprecates other encodings than these three, which change nothing.
_UNCHANGED = frozenset({"7bit", "8bit", "binary"})


@frozen
class PartHead:
    r"""
    The head of a part: all but its content.

    All texts are the client's, as it has sent them. A filename may be a path, such as
    ``..\..\x``, so don't open a file by it.

    Args:
        name: The name of the field.
        filename: The name of the file, if the part is one.
        content_type: What the client says about the content, if it says something.
        headers: All headers of the part.
    """

    name: str
    filename: str | None
    content_type: str | None
    headers: Headers


def boundary_of(media: MediaType | None) -> bytes:
    """
    Return what separates the parts of a body with this media type.

    Raises:
        UnsupportedMedia: It isn't ``multipart/form-data``.
        BadBody: It has no boundary, or none that is allowed (:rfc:`2046#section-5.1.1`).
    """
    if media is None or media.essence != FORM_DATA:
        raise UnsupportedMedia([FORM_DATA])
    boundary = media.parameters.get("boundary", "")
    if not (0 < len(boundary) <= _MAX_BOUNDARY and boundary.isascii() and boundary.isprintable()):
        message = f"Expected a boundary of 1 to {_MAX_BOUNDARY} characters"
        raise BadBody([ParamError("header", "content-type", message)])
    return boundary.encode("ascii")


class _Parser(PushMultipartParser):  # type: ignore[misc]  # mypy doesn't see its types
    # This is private, and there is no other way to see a line as it was sent. The parser takes some
    # lines that end without CR, and which ones depends on how the network has cut the body.
    def _on_segment_headerline(self, line: bytes) -> None:
        if _CONTROL.search(line):
            raise ParserError("A control character in the head of a part")
        super()._on_segment_headerline(line)


class MultipartReader:
    """
    Reads one body. It holds one head, or as much of the content as could be a boundary.

    Args:
        boundary: What separates the parts.
        max_parts: How many there may be.
    """

    def __init__(self, boundary: bytes, max_parts: int) -> None:
        self._parser = _Parser(boundary, max_header_size=_MAX_LINE, max_header_count=_MAX_HEADERS)
        self._opening = b"--" + boundary
        self._max_parts = max_parts
        self._parts_left = max_parts
        # The beginning of the body, as long as it is too short to tell.
        self._beginning: bytes | None = b""
        self._refusal: HTTPException | None = None

    def feed(self, data: bytes) -> Iterator[PartHead | bytes | None]:
        """
        Read more of the body. Take everything from the iterator before you feed more.

        Yields:
            The head of a part, then pieces of its content, then ``None`` at its end.

        Raises:
            BadBody: It is malformed.
            BodyTooLarge: It has too many parts, or the head of a part is too large.
        """
        if self._refusal is not None:
            raise self._refusal
        try:
            yield from self._events(data)
        except ParserLimitReached:
            self._refusal = _head_too_large()
        except ParserError as exc:
            self._refusal = _malformed(str(exc.args[0]))
        except HTTPException as exc:
            self._refusal = exc
        if self._refusal is not None:
            raise self._refusal

    def end(self) -> None:
        """
        Say that there is no more.

        Raises:
            BadBody: The last boundary is missing. It isn't if there was nothing at all.
            HTTPException: What was read before was refused with this.
        """
        if self._refusal is not None:
            raise self._refusal
        if self._beginning == b"":
            return
        try:
            self._parser.close()
        except ParserError:
            raise _malformed("The last boundary is missing") from None

    def _events(self, data: bytes) -> Iterator[PartHead | bytes | None]:
        if self._beginning is not None:
            data = self._beginning + data
            if len(data) < len(self._opening) + 2:
                self._beginning = data
                return
            # The parser would skip text before the first boundary, but not all of it. No client
            # sends any, apart from an empty line.
            if not data.removeprefix(b"\r\n").startswith(self._opening):
                raise _malformed("The first boundary is missing")
            self._beginning = None
        for event in self._parser.parse(data):
            if isinstance(event, MultipartSegment):
                if not self._parts_left:
                    raise BodyTooLarge(f"the form has more than {self._max_parts} fields and files")
                self._parts_left -= 1
                yield _head(event)
            else:
                yield event


def _malformed(message: str) -> BadBody:
    message = message[0].lower() + message[1:]
    return BadBody([ParamError("form", "", f"Malformed {FORM_DATA}: {message}")])


def _head_too_large() -> BodyTooLarge:
    return BodyTooLarge(f"the headers of a part are more than {_MAX_HEADERS}, or too long")


def _head(segment: Any) -> PartHead:
    listed: list[tuple[str, str]] = segment.headerlist
    if sum(len(name) + len(value) for name, value in listed) > _MAX_HEAD:
        raise _head_too_large()
    raw = [(name.lower().encode(), value.encode()) for name, value in listed]
    headers = {name.lower(): value for name, value in listed}
    if len(headers) < len(listed):
        raise _malformed("A header appears twice in a part")
    if headers.get("content-transfer-encoding", "binary").lower() not in _UNCHANGED:
        raise _malformed("A part has a Content-Transfer-Encoding")
    name, filename = _names(headers["content-disposition"])
    return PartHead(name, filename, headers.get("content-type"), Headers(raw=raw))


def _names(disposition: str) -> tuple[str, str | None]:
    """
    Return the name of the field and that of the file.

    Browsers quote names with percent signs and leave backslashes as they are
    (https://html.spec.whatwg.org/#multipart-form-data). A few other clients escape with
    backslashes. Everything else is ignored, and so is ``filename*``, which RFC 7578 section 4.2
    forbids.
    """
    start = disposition.find(";")
    for quoting in (PERCENTS, BACKSLASHES):
        found = parse_parameters(disposition, start, quoting) if start >= 0 else None
        if found is not None and "name" in found:
            return found["name"], found.get("filename")
    raise _malformed("A part has no name")
