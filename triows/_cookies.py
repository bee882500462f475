"""Reading the ``Cookie`` header."""

from __future__ import annotations

import re

__all__ = ["parse_cookies"]

# An escape in a quoted cookie: a backslash before a byte in octal, or before any character.
_COOKIE_ESCAPE = re.compile(r"\\(?:([0-3][0-7][0-7])|(.))")


def parse_cookies(header: str) -> dict[str, str]:
    """
    Read a ``Cookie`` header as browsers and most servers do. :rfc:`6265` is stricter.

    The result is the same as that of :func:`starlette.requests.cookie_parser`. If two cookies have
    the same name, the last one counts. Text without an equals sign is a cookie without a name.
    Quotes are removed. Starlette uses the standard library to remove them. Before Python 3.11.10
    and 3.12.6, that takes time in proportion to the square of the length (CVE-2024-7592), which
    can be seconds for a header that servers accept.
    """
    cookies = {}
    for chunk in header.split(";"):
        name, equals, value = chunk.partition("=")
        if not equals:
            name, value = "", chunk
        name, value = name.strip(), value.strip()
        if name or value:
            cookies[name] = _unquote_cookie(value)
    return cookies


def _unquote_cookie(value: str) -> str:
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    return _COOKIE_ESCAPE.sub(_unescape, value[1:-1])


def _unescape(match: re.Match[str]) -> str:
    octal, char = match.groups()
    return chr(int(octal, 8)) if octal else char
