"""Forms: from a whole body to the texts and files of its fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

__all__ = ["FORM_TYPES", "Form", "form_media", "read_form"]

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
    """
    if body.content_type is None or body.content_length == 0:
        return None
    media = parse_media_type(body.content_type)
    # RFC 7578 section 5.1.2 and https://url.spec.whatwg.org/#urlencoded-parsing: UTF-8.
    if media is None or media.essence not in FORM_TYPES or not media.is_utf_8:
        raise UnsupportedMedia(FORM_TYPES)
    return media


async def read_form(body: RequestBody, limits: Limits) -> Form:
    """
    Wait for a whole form. Its files are held in memory.

    A file without a name and without content is left out: browsers send it if nobody has chosen a
    file. A field ``_charset_`` is a field as any other: forms are UTF-8.

    Raises:
        UnsupportedMedia: The body isn't a form.
        BodyTooLarge: The form has more bytes, or more fields and files, than the limits allow.
        BadBody: The form is malformed.
        ClientDisconnect: The client has left before the end of the body.
        trio.BusyResourceError: Another task reads the body.
    """
    media = form_media(body)
    if media is not None and media.essence == FORM_DATA:
        return await _read_parts(Upload(body, limits), limits.body)
    data = await body.read()
    if data and media is None:
        raise UnsupportedMedia(FORM_TYPES)
    return _parse_urlencoded(data, limits.parts)


def _parse_urlencoded(data: bytes, max_fields: int) -> Form:
    # As in a query, nothing is decoded if there is too much.
    data = data.strip(b"&")
    if data.count(b"&") >= max_fields:
        raise BodyTooLarge(f"the form has more than {max_fields} fields and files")
    pairs = parse_pairs(data, "form")
    return Form(pairs.values, {}, pairs.errors, pairs.unreadable)


async def _read_parts(upload: Upload, max_size: int) -> Form:
    values: dict[str, list[str]] = {}
    files: dict[str, list[UploadFile]] = {}
    problems: dict[str, str] = {}
    async for part in upload:
        content = await part.read(max_size)
        if part.filename is None:
            text = _text(part, content)
            if text is None:
                problems[part.name] = _NOT_UTF_8
            else:
                values.setdefault(part.name, []).append(text)
        elif part.filename or content:
            file = UploadFile(content, part.filename, part.headers)
            files.setdefault(part.name, []).append(file)
    # If one text of a name can be read and another can't, nobody knows which one was meant.
    for name in problems:
        values.pop(name, None)
    errors = [ParamError("form", excerpt(name), text) for name, text in problems.items()]
    return Form(values, files, errors, frozenset(problems))


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
