"""Forms: from a whole body to the texts and files of its fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from attrs import define, field

from triows._injection.query import excerpt, parse_pairs
from triows._param_error import ParamError

from .body import BodyTooLarge
from .media import UnsupportedMedia, parse_media_type
from .multipart import FORM_DATA
from .upload import Upload, UploadFile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from triows._settings import Limits

    from .body import RequestBody
    from .media import MediaType
    from .upload import Part

__all__ = ["FORM_TYPES", "Form", "FormReader", "form_media"]

_URLENCODED = "application/x-www-form-urlencoded"

#: The media types of forms, the preferred one first.
FORM_TYPES = (FORM_DATA, _URLENCODED)


@define
class Form:
    """
    A decoded form. Nobody changes it.

    Args:
        values: The texts by name, in the order they were given.
        files: The files by name, in that order.
        errors: What could not be decoded, at most one error for each name.
        unreadable: Names whose texts could not be decoded. They are not in ``values``.
    """

    values: Mapping[str, list[str]]
    files: Mapping[str, list[UploadFile]] = field(factory=dict)
    errors: Sequence[ParamError] = ()
    unreadable: frozenset[str] = frozenset()

    def hides(self, name: str) -> bool:
        """Say whether ``name`` is in the form, but there is an error in its place."""
        return name in self.unreadable


def form_media(body: RequestBody) -> MediaType | None:
    """
    Return the type of a form, before it is read.

    Returns:
        The type, or ``None`` if there is none. Then the body has to turn out to be empty.

    Raises:
        UnsupportedMedia: The body isn't a form.
        UnsupportedCoding: It is compressed.
    """
    if body.content_type is None or body.content_length == 0:
        return None
    body.refuse_coded()
    media = parse_media_type(body.content_type)
    # RFC 7578 section 5.1.2 and https://url.spec.whatwg.org/#urlencoded-parsing: UTF-8.
    if media is None or media.essence not in FORM_TYPES or not media.is_utf_8:
        raise UnsupportedMedia(FORM_TYPES)
    return media


class FormReader:
    """
    Reads the form of one request. Its files are held in memory.

    A file without a name and without content is left out: browsers send it if nobody has chosen a
    file. A field ``_charset_`` is a field as any other: forms are UTF-8.

    Args:
        body: The body of the request. If it is taken part by part, all parts are for the form.
        limits: How much there may be.
    """

    def __init__(self, body: RequestBody, limits: Limits) -> None:
        self._body = body
        self._limits = limits
        self._parts: _Parts | None = None
        self._form: Form | None = None
        self._is_busy = False

    async def read(self) -> Form:
        """
        Wait for the whole form. A further call returns the same one, or raises the same error.

        If this is cancelled, what has come is kept, and another call continues.

        Raises:
            UnsupportedMedia: The body isn't a form.
            BodyTooLarge: The form has more bytes, or more fields and files, than the limits allow.
            BadBody: The form is malformed.
            ClientDisconnect: The client has left before the end of the body.
            RuntimeError: Some of the body was taken in another way.
            trio.BusyResourceError: Another task reads the form, or the body.
        """
        if self._form is not None:
            await trio.lowlevel.checkpoint()
            return self._form
        if self._is_busy:
            await trio.lowlevel.checkpoint()
            raise trio.BusyResourceError("another task reads this form")
        self._is_busy = True
        try:
            self._form = await self._read()
        finally:
            self._is_busy = False
        return self._form

    async def _read(self) -> Form:
        media = form_media(self._body)
        if media is not None and media.essence == FORM_DATA:
            if self._parts is None:
                self._parts = _Parts(self._body, self._limits)
            return await self._parts.read()
        data = await self._body.read()
        if data and media is None:
            raise UnsupportedMedia(FORM_TYPES)
        return _parse_urlencoded(data, self._limits.parts)


def _parse_urlencoded(data: bytes, max_fields: int) -> Form:
    # As in a query, nothing is decoded if there is too much.
    data = data.strip(b"&")
    if data.count(b"&") >= max_fields:
        raise BodyTooLarge(f"the form has more than {max_fields} fields and files")
    pairs = parse_pairs(data, "form")
    return Form(pairs.values, {}, pairs.errors, pairs.unreadable)


class _Parts(Upload):
    """All parts of a form. It keeps those that have come while others haven't."""

    _way = "as a form"

    def __init__(self, body: RequestBody, limits: Limits) -> None:
        super().__init__(body, limits)
        self._max_size = limits.body
        self._current: Part | None = None
        self._values: dict[str, list[str]] = {}
        self._files: dict[str, list[UploadFile]] = {}
        self._problems: dict[str, str] = {}

    async def read(self) -> Form:
        # A task may be cancelled wherever it waits. So what it has waited for goes into an
        # attribute before it waits again.
        await self._finish(self._current)
        async for part in self:
            self._current = part
            await self._finish(part)
        return self._whole()

    async def _finish(self, part: Part | None) -> None:
        """Read the rest of a part. There is none if nobody was cancelled in it."""
        if part is not None:
            content = await part.read(self._max_size)
            self._add(part, content)
            self._current = None

    def _add(self, part: Part, content: bytes) -> None:
        if part.filename is None:
            text = _text(part, content)
            if text is None:
                self._problems[part.name] = _NOT_UTF_8
            else:
                self._values.setdefault(part.name, []).append(text)
        elif part.filename or content:
            file = UploadFile(content, part.filename, part.headers)
            self._files.setdefault(part.name, []).append(file)

    def _whole(self) -> Form:
        # If one text of a name can be read and another can't, nobody knows which one was meant.
        for name in self._problems:
            self._values.pop(name, None)
        errors = [ParamError("form", excerpt(name), text) for name, text in self._problems.items()]
        return Form(self._values, self._files, errors, frozenset(self._problems))


_NOT_UTF_8 = "Not valid UTF-8"


def _text(part: Part, content: bytes) -> str | None:
    """Decode a field. It may name a charset (RFC 7578 section 4.5), but hardly any client does."""
    media = parse_media_type((part.content_type or "").encode())
    if media is not None and not media.is_utf_8:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None
