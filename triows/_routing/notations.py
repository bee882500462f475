"""
The notations of other frameworks in path templates.

Most of them would be literal text here, so no URL would match the route. This module recognises
them, and the message says how to write the same in triows.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from triows.exceptions import TemplateError

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["advice_on_converter", "check_notation", "key_name", "refused"]

# How other frameworks call the converters. The value is Starlette's name, or empty for any text.
_SYNONYMS = {
    "integer": "int", "number": "int", "num": "int", "long": "int", "digits": "int",
    "double": "float", "decimal": "float", "real": "float",
    "guid": "uuid", "string": "", "text": "", "slug": "", "any": "", "alpha": "", "default": "",
    "rest": "path", "subpath": "path", "catchall": "path",
}  # fmt: skip

_NAME = r"[^\W\d]\w*"
_FOREIGN = "has {found}, which is another framework's notation"
_REST = "for the rest of the path write {here}"

# Each is searched for in the whole template. The first one that is found decides.
_NOTATIONS: list[tuple[re.Pattern[str], str, str]] = [
    (
        re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://"),
        "is a whole URL",
        "leave out the scheme and the host, as in {here}",
    ),
    (re.compile(r"^\s+|\s+$"), "begins or ends with a blank", "write {here}"),
    (re.compile(r"[\x00-\x1f\x7f]"), "has a control character", "write {here}"),
    # ASP.NET, Laravel, Fastify, Express: {id?}, {id:int?}, {id=5}, :id?.
    (
        re.compile(rf"\{{{_NAME}(?::\w+)?\s*[?=][^{{}}]*\}}|:{_NAME}\?"),
        "has an optional key, {found}",
        "a key always matches something, so register the handler at a second path without it, or "
        "make it a query parameter",
    ),
    # Fiber: :id<int>.
    (re.compile(rf":(?P<name>{_NAME})<(?P<converter>\w+)>"), _FOREIGN, "write {here}"),
    # Flask, Quart, Sanic, Django, Bottle: <id>, <int:id>, <id:int>, <re("x"):id>.
    (
        re.compile(rf"(?<!\?P)<(?:(?P<converter>\w+)(?:\([^)]*\))?:)?\s*(?P<name>{_NAME})\s*>"),
        _FOREIGN,
        "write {here}",
    ),
    # Tornado, Django's re_path, Pyramid, aiohttp, Spring, Express: (\d+), {id:[0-9]+}.
    (
        re.compile(
            r"^\^|\(\?|\\[dwsDWSbB.()\[\]{}+*?/^$-]|\[\^|[\])][*+?]|\([^()]*\|"
            rf"|\{{{_NAME}:[^{{}}]*[\[\]\\^$*+?|()]|\{{{_NAME}:[^{{}}/]*\{{"
        ),
        "has a regular expression",
        "write {{name}} or {{name:int}}, and give the expression to the parameter, as in "
        '`name: Annotated[str, Param(pattern="^...$")]`; only a pattern that decides between '
        "routes needs a converter of its own (starlette.convertors.register_url_convertor)",
    ),
    (re.compile(r"\\"), "has a backslash", "write {here}"),
    (re.compile(r"<[^<>/]*>"), "has {found}", "a key is written {{name}}"),
    # ASP.NET, Spring, axum: {*rest}, {**rest}. API gateways, Go: {rest+}, {rest...}.
    (re.compile(rf"\{{\s*(?:\*\*?|\.\.\.)(?P<name>{_NAME})\s*\}}"), _FOREIGN, _REST),
    (re.compile(rf"\{{\s*(?P<name>{_NAME})(?:\*\*?|\+|\.\.\.)\s*\}}"), _FOREIGN, _REST),
    # Next.js, SvelteKit: [...rest], [[...rest]], [id].
    (
        re.compile(rf"(?<![^/])\[{{1,2}}\.\.\.(?P<name>{_NAME})\]{{1,2}}(?![^/])"),
        _FOREIGN,
        _REST,
    ),
    (
        re.compile(rf"(?<![^/])\[{{1,2}}(?P<name>{_NAME})\]{{1,2}}(?![^/])"),
        _FOREIGN,
        "write {here}",
    ),
    # Rails, Phoenix, Express, gin: *rest, and globs.
    (re.compile(rf"(?<![^/])\*\*?(?P<name>{_NAME})"), _FOREIGN, _REST),
    (
        re.compile(r"[^/]*\*[^/]*"),
        "has a `*`, in {found}",
        "it would match only itself: for the rest of the path write {{rest:path}}, for a part of "
        "a segment {{name}}",
    ),
    # Express, Rails, Phoenix, gin: :id. In the middle of a segment a colon is text, as
    # in Google's `/things:batchGet`.
    (re.compile(rf"(?:(?<![^/])|(?<=[-.~,])):(?P<name>{_NAME})"), _FOREIGN, "write {here}"),
]


def check_notation(text: str) -> None:
    """
    Refuse what another framework would read as a key, and what no request would match.

    Raises:
        TemplateError: The message says how to write it here.
    """
    for pattern, problem, remedy in _NOTATIONS:
        if found := pattern.search(text):
            raise refused(
                text,
                problem.format(found=repr(found[0])),
                remedy.format(here=repr(_rewritten(text, pattern))),
            )


def _rewritten(text: str, pattern: re.Pattern[str]) -> str:
    """Write a template as it is here, as far as one pattern goes."""
    if pattern.groups:
        return pattern.sub(_key, text)
    if "://" in text:
        return "/" + text.partition("://")[2].partition("/")[2]
    return text.replace("\\", "/") if pattern.pattern == r"\\" else pattern.sub("", text)


def _key(found: re.Match[str]) -> str:
    """Write the key that another framework's notation stands for."""
    name, converter = found["name"], found.groupdict().get("converter")
    if re.search(r"\*|\+|\.\.\.", found[0]):
        return f"{{{name}:path}}"
    # Sanic writes <id:int>, so that the name is where others have the converter.
    if converter and _starlettes(converter) is None and _starlettes(name) is not None:
        name, converter = converter, name
    return _written(name, _starlettes(converter or "") or "")


def _starlettes(word: str) -> str | None:
    """Return Starlette's name for a converter: empty for its default, ``None`` for no converter."""
    if word in ("", "str"):
        return ""
    return word if word in ("int", "float", "uuid", "path") else _SYNONYMS.get(word.lower())


def advice_on_converter(name: str, converter: str, known: Collection[str]) -> str:
    """Say what to write instead of ``{name:converter}`` if the converter isn't known."""
    meant = _starlettes(converter)
    if meant is None and converter.lower() in known:
        meant = converter.lower()
    if meant is not None:
        return f"write {_written(name, meant)}"
    if converter.isidentifier() and (word := _starlettes(name)) is not None:
        return f"the name comes first, so write {_written(converter, word)}"
    return (
        f"use one of {', '.join(sorted(known))}, or call "
        "starlette.convertors.register_url_convertor before"
    )


def _written(name: str, word: str) -> str:
    return f"{{{name}:{word}}}" if word else f"{{{name}}}"


def key_name(text: str) -> str:
    """Make a Python name out of the name of a key."""
    name = re.sub(r"\W+", "_", text.strip()).strip("_")
    return name if name.isidentifier() else "room_id"


def refused(text: str, problem: str, remedy: str) -> TemplateError:
    """Make the error for a template."""
    return TemplateError(f"the path template {text!r} {problem}: {remedy}")
