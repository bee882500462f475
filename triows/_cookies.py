"""Reading the ``Cookie`` header."""

from __future__ import annotations

import re

__all__ = ["parse_cookies"]

# What a backslash stands before in a quoted cookie: a byte in octal, or itself.
_COOKIE_ESCAPE = re.compile(r"\\(?:([0-3][0-7][0-7])|(.))")


def parse_cookies(header: str) -> dict[str, str]:
    """
    Read a ``Cookie`` header as browsers and most servers do, more kindly than :rfc:`6265`.

    The result is that of :func:`starlette.requests.cookie_parser`: the last of two cookies
    with one name is kept, text without an equals sign is a cookie without a name, quotes
    are taken off. That one uses the standard library's unquoting, which takes time in
    proportion to the square of the length before Python 3.11.10 and 3.12.6
    (CVE-2024-7592): seconds, for a header that servers let pass.
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
