"""
The parts of a request that parameters are read from, one row for each.

A row says all that is different about a source. To add a source, add its name to
:data:`~triows.types.ParamSource`, and a row here. Nothing else asks which source a parameter has,
with one exception: the names of the path are those of the route's template, so :mod:`.params` and
:mod:`.planner` compare them with :data:`PATH`.
"""

from __future__ import annotations

import re
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from attrs import frozen

from .query import BadValue, RequestData

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from triows.types import ParamSource

__all__ = ["COOKIE", "FORM", "HEADER", "PATH", "QUERY", "SOURCES", "Source", "UnusableName"]

# RFC 9110 section 5.1: a field name is a token.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

# Browsers send more than the tokens of RFC 6265 section 4.1.1. The header has a `;` after each
# cookie, and an `=` after each name. Spaces around a name are taken off. Other characters than
# those of ASCII arrive in different encodings.
_COOKIE_NAME = re.compile(r"[!-:<>-~](?:[ -:<>-~]*[!-:<>-~])?")


class UnusableName(Exception):
    """A name can't be used in a source. The message says what to do instead."""


def _as_it_is(name: str, alias: str | None) -> str:
    return alias or name


def _encodable(name: str, alias: str | None) -> str:
    name = alias or name
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UnusableName(
            f"{name!r} can't arrive, because UTF-8 has no bytes for half of a surrogate pair: give "
            "another name with alias="
        ) from None
    return name


def _cookie_name(name: str, alias: str | None) -> str:
    name = alias or name
    if not _COOKIE_NAME.fullmatch(name):
        raise UnusableName(
            f"{name!r} can't be the name of a cookie: give one of ASCII characters without `;` and "
            "`=` with alias="
        )
    return name


def _header_name(name: str, alias: str | None) -> str:
    # Headers are written with hyphens, and some proxies drop headers with underscores.
    header = alias or name.replace("_", "-")
    if not _HEADER_NAME.fullmatch(header):
        raise UnusableName(
            f"{header!r} can't be the name of a header: give one of letters, digits and hyphens "
            "with alias="
        )
    return header.lower()


def _nothing_hidden(_data: RequestData, _name: str) -> bool:
    return False


@frozen(eq=False)
class Source:
    """
    One part of a request.

    Args:
        name: What ``Param()``, messages and errors call it.
        values: Returns what a request has there, by name: one text for each name, or a list of
            texts if :attr:`joined` is given.
        joined: Makes one text of the texts that have the same name, or raises :exc:`BadValue`.
            ``None`` if a name has only one text.
        checked: Returns these texts if all of them can be used, or raises :exc:`BadValue`. ``None``
            if that goes without saying.
        named: Makes the name in the request from the parameter's name and its alias, or raises
            :exc:`UnusableName`.
        hides: Says whether a name may be there, although :attr:`values` doesn't have it, because
            an error was reported in its place.
        instead_of_list: What to write if a parameter is a list, and a name has only one text.
            ``{alias}`` stands for the name.
        no_default: Why a parameter can't have a default. Empty if it can.
        packs: Whether the fields of a class can be read from it.
        closed_packs: Whether such a class may forbid all other names. It can't if clients send
            names of which the application knows nothing.
        has_blanks: Whether browsers send fields that nobody has filled in (:mod:`.blanks`).
    """

    name: ParamSource
    values: Callable[[RequestData], Mapping[str, Any]]
    joined: Callable[[list[str]], str] | None = None
    checked: Callable[[list[str]], list[str]] | None = None
    named: Callable[[str, str | None], str] = _as_it_is
    hides: Callable[[RequestData, str], bool] = _nothing_hidden
    instead_of_list: str = ""
    no_default: str = ""
    packs: bool = True
    closed_packs: bool = False
    has_blanks: bool = False


def _utf_8(values: list[str]) -> list[str]:
    # A header that isn't what its standard says has surrogates.
    try:
        for value in values:
            value.encode()
    except UnicodeEncodeError:
        raise BadValue("Not valid UTF-8") from None
    return values


def _one_line(values: list[str]) -> str:
    # RFC 9110 section 5.3: several lines of one name are one value, joined with commas.
    return ", ".join(_utf_8(values))


def _one_value(values: list[str]) -> str:
    # Proxies and servers differ on which value counts, and attackers use the difference (HTTP
    # parameter pollution).
    if len(values) != 1:
        raise BadValue(f"Given {len(values)} times, expected once")
    return values[0]


PATH = Source(
    "path",
    attrgetter("path_params"),
    instead_of_list="take {{{alias}}} out of the path, so that it is read from the query",
    no_default=(
        "it is part of the path, which doesn't match without it, so its default would never be "
        "used: take it out"
    ),
    packs=False,
)

QUERY = Source(
    "query",
    attrgetter("query.values"),
    named=_encodable,
    joined=_one_value,
    hides=lambda data, name: data.query.hides(name),
    closed_packs=True,
)

HEADER = Source(
    "header",
    attrgetter("headers"),
    joined=_one_line,
    checked=_utf_8,
    named=_header_name,
)

COOKIE = Source(
    "cookie",
    attrgetter("cookies"),
    named=_cookie_name,
    instead_of_list='read it from the query with Param("query")',
)

FORM = Source(
    "form",
    attrgetter("form.values"),
    named=_encodable,
    joined=_one_value,
    hides=lambda data, name: data.form.hides(name),
    closed_packs=True,
    has_blanks=True,
)

#: All of them, by name. The body as a whole isn't one: it has no names.
SOURCES: Mapping[str, Source] = {one.name: one for one in (PATH, QUERY, HEADER, COOKIE, FORM)}
