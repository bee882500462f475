"""Checks and writes the headers of a response."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Self, TypeAlias

__all__ = [
    "HeadersLike",
    "SteadyHeaders",
    "check_header",
    "check_raw_headers",
    "check_token",
    "encode_headers",
    "header_lines",
]

HeadersLike: TypeAlias = (
    Mapping[str, str] | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]
)

# RFC 9110 section 5.6.2 defines a token. Section 5.5 defines a field's value: visible characters
# and obs-text, with spaces and tabs only between them.
_TOKEN = re.compile(rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")

# A handshake has some of these (RFC 6455 section 4.2.2). The others would change where the peer
# sees the end of the response.
_RESERVED = frozenset({b"connection", b"upgrade", b"content-length", b"transfer-encoding"})


def encode_headers(headers: HeadersLike) -> list[tuple[bytes, bytes]]:
    """
    Check headers for a response, and encode them as ASGI requires.

    Args:
        headers: A mapping or pairs, of str (latin-1) or bytes.

    Raises:
        ValueError: A name or value is not allowed in a header, for example because it has a line
            break, or the server itself writes the header.
        TypeError: Something is not a pair of str or of bytes.
    """
    pairs: Iterable[tuple[str | bytes, str | bytes]] = (
        headers.items() if isinstance(headers, Mapping) else headers
    )
    return [_encode_header(name, value) for name, value in pairs]


def check_raw_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """
    Check the headers of an ASGI event, so that none has a line break.

    All names are allowed.

    Raises:
        ValueError: A name or value is not allowed in a header.
        TypeError: Something is not a pair of bytes.
    """
    return [check_header(name, value) for name, value in headers]


def header_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """
    Write headers as lines of HTTP/1.1, each with its line end.

    Args:
        headers: The headers. They must be checked already, so that none has a line break.
    """
    return b"".join([b"%s: %s\r\n" % header for header in headers])


class SteadyHeaders(tuple[tuple[bytes, bytes], ...]):
    """
    Headers that are the same for many responses, so that they are checked and written once.

    Args:
        headers: The headers. ``content-length`` and those of the connection can't be among them.

    Raises:
        ValueError: A name or value is not allowed.
    """

    #: Their lines, each with its line end.
    lines: bytes

    def __new__(cls, headers: Iterable[tuple[bytes, bytes]]) -> Self:
        self = super().__new__(cls, encode_headers(headers))
        self.lines = header_lines(self)
        return self


def check_token(text: str) -> str:
    """
    Check that a text, such as a subprotocol, is a token (:rfc:`9110#section-5.6.2`).

    Raises:
        ValueError: It isn't one.
    """
    if not _TOKEN.fullmatch(_latin1(text)):
        raise ValueError(f"{text!r} isn't a token (RFC 9110 section 5.6.2)")
    return text


def _encode_header(name: str | bytes, value: str | bytes) -> tuple[bytes, bytes]:
    raw_name, raw_value = check_header(name, value)
    if raw_name in _RESERVED or raw_name.startswith(b"sec-websocket-"):
        raise ValueError(f"the server writes the header {name!r} itself: leave it out")
    return raw_name, raw_value


def check_header(name: str | bytes, value: str | bytes) -> tuple[bytes, bytes]:
    """
    Check one header, and encode it. All names are allowed.

    Raises:
        ValueError: The name or the value is not allowed in a header.
        TypeError: One of them is neither a str nor bytes.
    """
    raw_name, raw_value = _latin1(name).lower(), _latin1(value)
    if not _TOKEN.fullmatch(raw_name):
        raise ValueError(f"{name!r} can't be a header's name (RFC 9110 section 5.1)")
    if not _VALUE.fullmatch(raw_value):
        raise ValueError(
            f"the value of header {name!r} has characters that are not allowed in a header"
        )
    return raw_name, raw_value


def _latin1(text: str | bytes) -> bytes:
    if isinstance(text, bytes):
        return text
    if not isinstance(text, str):
        raise TypeError(f"headers are str or bytes, not {type(text).__name__}")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(f"{text!r} has characters that are not allowed in a header") from None
