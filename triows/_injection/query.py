"""
Decodes what a request carries: its query, its headers and its cookies.

Bytes and strings come in. Text by name comes out, and a :class:`ParamError` for everything that
isn't text. This module doesn't know which names are asked for, or their types.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote_to_bytes

from attrs import define

from triows._cookies import parse_cookies
from triows._param_error import ParamError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from triows._param_error import ParamSource

__all__ = [
    "BadValue",
    "FormData",
    "Query",
    "RequestData",
    "excerpt",
    "parse_pairs",
    "parse_query",
]

# How many characters of a name or message a refusal shows. Names come from the peer, and messages
# may quote the peer's value, so both may have any length. 200 characters are two lines of a log.
MAX_SHOWN = 200

# Headers that a standard defines as UTF-8. A browser sends the id of the last event that it got:
# https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model
_UTF_8_HEADERS = frozenset({"last-event-id"})

# A percent sign without two hexadecimal digits after it (RFC 3986 section 2.1).
_STRAY_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def excerpt(text: str) -> str:
    """Shorten a peer's text so that it can be shown, and replace its control characters."""
    if len(text) > MAX_SHOWN:
        text = text[:MAX_SHOWN] + "..."
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


class BadValue(Exception):
    """A value can't be used. The text says why and becomes a :class:`ParamError`'s message."""


# Not frozen, because one is made for each request, and that takes twice as long.
@define
class Query:
    """
    A decoded query string. Nobody changes it.

    Args:
        values: The values by name, in the order they were given.
        errors: What could not be decoded, at most one error for each name.
        unreadable: Names whose values could not be decoded. They are not in ``values``.
        refused: Whether the query was not decoded at all. ``errors`` then says why.
    """

    values: Mapping[str, list[str]]
    errors: Sequence[ParamError] = ()
    unreadable: frozenset[str] = frozenset()
    refused: bool = False

    def hides(self, name: str) -> bool:
        """Say whether ``name`` may be in the query, but there is an error in its place."""
        return self.refused or name in self.unreadable


def parse_query(query_string: bytes, max_parameters: int) -> Query:
    """
    Decode ``application/x-www-form-urlencoded``, strictly.

    Browsers and most frameworks replace what they can't decode. They keep ``%zz`` as it is, and a
    byte that isn't UTF-8 becomes U+FFFD. If two programs do this differently, they see two
    different requests. So here it is an error. Everything else follows
    https://url.spec.whatwg.org/#urlencoded-parsing.

    This takes time in proportion to the length. If a query has more than ``max_parameters`` pairs,
    nothing of it is decoded.

    Args:
        query_string: The bytes after the question mark.
        max_parameters: How many pairs there may be. Empty pairs count, except at the ends.
    """
    query_string = query_string.strip(b"&")
    if not query_string:
        return Query({})
    if query_string.count(b"&") >= max_parameters:
        message = f"More than {max_parameters} query parameters"
        return Query({}, [ParamError("query", "", message)], refused=True)
    return parse_pairs(query_string, "query")


def parse_pairs(pairs: bytes, source: ParamSource) -> Query:
    """
    Decode ``application/x-www-form-urlencoded``, as :func:`parse_query` does, without a limit.

    Args:
        pairs: The names and values.
        source: Where they come from, for the errors.
    """
    if b"%" in pairs or b"+" in pairs or not pairs.isascii():
        return _collect(pairs, source)
    return Query(_plain_values(pairs.decode("ascii")))


def _plain_values(query: str) -> dict[str, list[str]]:
    """Split a query in which nothing is encoded, as nearly all are. It has no errors."""
    values: dict[str, list[str]] = {}
    for pair in query.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            if name in values:
                values[name].append(value)
            else:
                values[name] = [value]
    return values


def _collect(pairs: bytes, source: ParamSource) -> Query:
    values: dict[str, list[str]] = {}
    problems: dict[str, str] = {}
    for name, value, problem in _pairs(pairs):
        if problem:
            problems.setdefault(name, problem)
        else:
            values.setdefault(name, []).append(value)
    # If one value of a name can be read and another can't, nobody knows which one was meant.
    for name in problems:
        values.pop(name, None)
    errors = [ParamError(source, excerpt(name), text) for name, text in problems.items()]
    return Query(values, errors, frozenset(problems))


def _pairs(query_string: bytes) -> Iterator[tuple[str, str, str]]:
    """Yield the name, the value and the problem (or an empty string) of each pair."""
    for pair in query_string.split(b"&"):
        if not pair:
            continue
        raw_name, _, raw_value = pair.partition(b"=")
        name = value = ""
        try:
            name = _decode(raw_name)
            value = _decode(raw_value)
        except BadValue as exc:
            yield name, "", str(exc)
        else:
            yield name, value, ""


def _decode(raw: bytes) -> str:
    if b"+" in raw:
        raw = raw.replace(b"+", b" ")
    if b"%" in raw:
        if _STRAY_PERCENT.search(raw):
            raise BadValue("Malformed percent-encoding")
        raw = unquote_to_bytes(raw)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BadValue("Not valid UTF-8") from None


def _header_text(name: str, value: bytes) -> str:
    """Decode a header. In one that has to be UTF-8 and isn't, there are surrogates."""
    # RFC 9110 section 5.5 doesn't say what bytes above 127 mean. Latin-1 can express all of them,
    # and ASGI applications expect it.
    if name not in _UTF_8_HEADERS:
        return value.decode("latin-1")
    return value.decode("utf-8", "surrogateescape")


class FormData(Protocol):
    """A form that was sent as the body of a request. What makes it is the kind's matter."""

    @property
    def values(self) -> Mapping[str, list[str]]:
        """The values of its fields by name, in the order they were given."""

    @property
    def files(self) -> Mapping[str, list[Any]]:
        """The files by the names of their fields."""

    @property
    def errors(self) -> Sequence[ParamError]:
        """What could not be decoded."""

    def hides(self, name: str) -> bool:
        """Say whether ``name`` may be in the form, but there is an error in its place."""


class RequestData:
    """
    The parts of one request that parameters are read from.

    The query is decoded at once, because its errors count even if nothing is read from it. Each
    other part is decoded when something first asks for it, and then kept. Make one object for each
    request. Pass it to :func:`read_params` only once, with the parameters of the handler and of
    all its factories, because each call reports the errors in the query itself.

    Args:
        query_string: The bytes after the question mark, as in the ASGI scope.
        headers: Names and values, as in the ASGI scope.
        path_params: The decoded texts of the path's keys.
        max_query_parameters: Refuse a query with more pairs than this.
    """

    def __init__(
        self,
        query_string: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        path_params: Mapping[str, str],
        *,
        max_query_parameters: int,
    ) -> None:
        self.path_params = path_params
        #: What the body has as a form. It is set when the body was read.
        self.form: FormData
        #: The query, and what is wrong with it.
        self.query = parse_query(query_string, max_query_parameters)
        self._raw_headers = headers

    @cached_property
    def headers(self) -> Mapping[str, list[str]]:
        """The values of each header by its name in lower case, one for each line."""
        headers: dict[str, list[str]] = {}
        for raw_name, value in self._raw_headers:
            name = raw_name.decode("latin-1").lower()
            headers.setdefault(name, []).append(_header_text(name, value))
        return headers

    @cached_property
    def cookies(self) -> Mapping[str, str]:
        """The cookies by name. If two have the same name, the last one counts."""
        # HTTP/2 may split the Cookie header into several lines (RFC 9113 section 8.2.3).
        return parse_cookies("; ".join(self.headers.get("cookie", ())))
