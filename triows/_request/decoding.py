"""
From the bytes of a body to the type that a handler asks for.

A :class:`BodyDecoder` is made at registration. It knows which media types it takes, and refuses
others. What is wrong with a body becomes a :class:`~triows.ParamError` for each
place.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from attrs import frozen

from triows._injection.conversion import decoded, error_text
from triows._injection.packs import unwrapped
from triows._injection.query import BadValue, excerpt
from triows._param_error import ParamError
from triows._structured import AS_IT_IS, JSON, MESSAGE_PACK, Format, Reading, reading_of

from .body import BadBody
from .media import UnsupportedMedia, parse_media_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .body import RequestBody

__all__ = ["BodyDecoder", "Decode", "body_decoder"]

#: Makes a value of a body, or raises :exc:`.BadBody`.
Decode: TypeAlias = "Callable[[bytes], Any]"

# MessagePack has been registered with IANA for a short time. Its older names are still in use.
_FORMATS: dict[str, Format] = {
    "application/json": JSON,
    "application/msgpack": MESSAGE_PACK,
    "application/vnd.msgpack": MESSAGE_PACK,
    "application/x-msgpack": MESSAGE_PACK,
}
# Every type of application/*+json is JSON, too (RFC 6839 section 3.1).
_SUFFIX = "+json"

# The charsets of text, all of which Python knows by these names. This is a list, because Python
# remembers every name that it was ever asked for, and a few of its codecs are slow.
_CHARSETS = frozenset(
    {"utf-8", "utf8", "us-ascii", "ascii", "latin1", "utf-16", "utf-16le", "utf-16be", "utf-32"}
    | {f"iso-8859-{part}" for part in range(1, 17) if part != 12}
    | {f"windows-125{part}" for part in range(9)}
    | {"koi8-r", "koi8-u", "big5", "gb2312", "gbk", "gb18030", "shift_jis", "euc-jp", "euc-kr"}
)
_TEXT = "text/plain; charset=utf-8"

_BY_HAND = "ask for bytes and convert them yourself"


@frozen(eq=False)
class BodyDecoder:
    """
    Makes one type of the bodies of requests.

    Args:
        media_types: The types of body that it takes, the preferred one first. ``*/*`` means all.
        for_type: Returns what decodes a body with a ``Content-Type``, or raises
            :exc:`.UnsupportedMedia`.
        known: What it returns for the usual values of that header, and for none.
        is_raw: Whether it hands on the bytes as they are, also if they are compressed.
    """

    media_types: tuple[str, ...]
    for_type: Callable[[bytes | None], Decode]
    known: Mapping[bytes | None, Decode]
    is_raw: bool = False

    def choose(self, body: RequestBody) -> Decode:
        """
        Choose how to decode a body, before it is read.

        A body without a ``Content-Type`` may turn out to be empty, so that is refused only when it
        is decoded.

        Raises:
            UnsupportedMedia: The body has another type than those in :attr:`media_types`.
            UnsupportedCoding: It is compressed.
        """
        if body.is_coded and not self.is_raw:
            body.refuse_coded()
        # What has no bytes has no type, whatever the header says. Browsers send one with "".
        content_type = None if body.content_length == 0 else body.content_type
        return self.known.get(content_type) or self.for_type(content_type)


def body_decoder(
    type_: Any,
    *,
    default: Callable[[], Any] | None = None,
    own: Callable[[Any], Any] | None = None,
) -> BodyDecoder:
    """
    Compile how to make a type of a body.

    ``bytes`` and ``str`` take the body as it is, whatever its media type says. Everything else is
    read as JSON or as MessagePack. The request has to say which: a page of another site can send
    a body without a ``Content-Type``, or with the type of a form, together with the cookies of
    whoever looks at the page, and no browser asks the server before.

    Args:
        type_: The type, with its constraints.
        default: Makes the value for an empty body. Without it, an empty body is a mistake, but for
            ``bytes`` and ``str``, which may be empty.
        own: The application's function that makes the value of the bytes, whatever their media
            type. What it says in a :exc:`ValueError` is for the peer.

    Raises:
        TypeError: No body can be made into this type. The text says why.
    """
    if own is not None:
        return BodyDecoder(("*/*",), partial(_own_decoder, decoded(own), default), {}, is_raw=True)
    plain = unwrapped(type_)
    if plain is bytes or plain is str:
        return _raw_decoder(type_, default, is_text=plain is str)
    decoders = {
        form: partial(_decode, reading_of(type_, form, _BY_HAND), default)
        for form in (JSON, MESSAGE_PACK)
    }
    by_type: dict[str, Decode] = {media: decoders[form] for media, form in _FORMATS.items()}
    media_types = ("application/json", "application/msgpack")
    known: dict[bytes | None, Decode] = {
        media.encode(): decode for media, decode in by_type.items()
    }
    known[None] = partial(_untyped, media_types, default)
    return BodyDecoder(media_types, partial(_for_type, by_type, media_types), known)


def _for_type(
    by_type: Mapping[str, Decode], accepted: tuple[str, ...], content_type: bytes | None
) -> Decode:
    media = parse_media_type(content_type or b"")
    # RFC 8259 section 8.1: JSON is UTF-8.
    if media is None or not media.is_utf_8:
        raise UnsupportedMedia(accepted)
    essence = media.essence
    if essence.startswith("application/") and essence.endswith(_SUFFIX):
        essence = "application/json"
    decode = by_type.get(essence)
    if decode is None:
        raise UnsupportedMedia(accepted)
    return decode


def _decode(reading: Reading, default: Callable[[], Any] | None, data: bytes) -> Any:
    return _read(reading, data) if data else _missing(default)


def _read(reading: Reading, data: Any) -> Any:
    try:
        return reading.read(data)
    except reading.faults as exc:
        problems = reading.problems(exc, data, error_text)
    raise BadBody(
        [
            ParamError("body", excerpt(".".join(map(str, place))), excerpt(text))
            for place, text in problems
        ]
    )


def _untyped(accepted: tuple[str, ...], default: Callable[[], Any] | None, data: bytes) -> Any:
    """Decode a body that has no type. It must be empty."""
    if data:
        raise UnsupportedMedia(accepted)
    return _missing(default)


def _missing(default: Callable[[], Any] | None) -> Any:
    if default is None:
        _refuse("Missing required body")
    return default()


def _refuse(message: str) -> NoReturn:
    raise BadBody([ParamError("body", "", message)])


def _own_decoder(
    convert: Callable[[Any], Any], default: Callable[[], Any] | None, _content_type: bytes | None
) -> Decode:
    def decode(data: bytes) -> Any:
        if not data and default is not None:
            return default()
        try:
            return convert(data)
        except BadValue as exc:
            _refuse(excerpt(str(exc)))

    return decode


# Bodies that are taken as they are.


def _raw_decoder(type_: Any, default: Callable[[], Any] | None, *, is_text: bool) -> BodyDecoder:
    reading = reading_of(type_, AS_IT_IS, _BY_HAND)

    def as_text(content_type: bytes | None) -> Decode:
        return partial(_take, reading, default, partial(_text, _charset_of(content_type)))

    def as_bytes(_content_type: bytes | None) -> Decode:
        return partial(_take, reading, default, bytes)

    return BodyDecoder(("*/*",), as_text if is_text else as_bytes, {}, is_raw=not is_text)


def _take(
    reading: Reading,
    default: Callable[[], Any] | None,
    convert: Callable[[bytes], Any],
    data: bytes,
) -> Any:
    return _read(reading, convert(data)) if data or default is None else default()


def _charset_of(content_type: bytes | None) -> str:
    if content_type is None:
        return "utf-8"
    media = parse_media_type(content_type)
    if media is None:
        raise UnsupportedMedia([_TEXT], "the Content-Type isn't a media type")
    charset = media.parameters.get("charset", "utf-8").lower()
    if charset not in _CHARSETS:
        raise UnsupportedMedia([_TEXT], "the charset of the body is unknown: use UTF-8")
    return charset


def _text(charset: str, data: bytes) -> str:
    try:
        return data.decode(charset)
    except UnicodeError:
        _refuse(f"Not valid {charset.upper()}")
