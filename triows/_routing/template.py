"""
Path templates: ``/rooms/{room_id:int}/files/{name}.{ending}``.

The syntax and the converters are Starlette's. Starlette makes one regular expression from the
whole template. Here, a template is read one segment at a time. So the tree can find a route
without trying all of them, and an encoded slash stays inside its segment.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import field, frozen
from starlette.convertors import CONVERTOR_TYPES, Convertor

from triows.exceptions import TemplateError

from .notations import advice_on_converter, check_notation, key_name, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

__all__ = ["Key", "Segment", "Template"]

Pattern: TypeAlias = re.Pattern[str]

# The name of the converter that takes the rest of the path. The tree knows no other converter by
# name.
REST = "path"

# How many characters a segment may have if the template's segment has several keys. Finding where
# the keys end takes time in proportion to the square of the length. At 255 characters, two keys
# take next to no time, and each further one up to about 20 ms. The usual file systems also limit
# the name of a file to 255.
MAX_AMBIGUOUS = 255

# Two of Starlette's expressions are for a whole path. For one decoded segment, they mean
# "anything". A slash in it was %2F, and a newline is a character like any other.
_ANYTHING: dict[str, Pattern] = {
    "[^/]+": re.compile(r".+", re.DOTALL),
    ".*": re.compile(r".*", re.DOTALL),
}

# The most specific has the lowest number. The user has registered all other converters.
_LITERAL, _REGISTERED, _COMPOSED = 0, 4, 5
_PRECEDENCE = {"int": 1, "float": 2, "uuid": 3, "str": 6, REST: 7}

_BRACED = re.compile(r"\{([^{}]*)\}")
# These begin the parts of a URL that are never compared with a template.
_BEYOND_THE_PATH = (
    ("?", "query parameters are parameters of the handler, so leave the query out"),
    ("#", "clients don't send the fragment, so leave it out"),
)
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")


@frozen
class Key:
    """
    One ``{name:converter}``.

    Two keys are equal if they have the same name and match the same texts.

    Attributes:
        name: Its name, which is that of a parameter.
        converter_name: What is written after the colon, or "str".
        pattern: What it matches.
        converter: Makes the value from the text, and the reverse. Starlette spells it "convertor".
    """

    name: str
    converter_name: str
    pattern: Pattern
    converter: Convertor[Any] = field(eq=False, repr=False)

    @property
    def shape(self) -> Hashable:
        """What it matches, whatever its name is."""
        # The expression is part of it, because somebody may register a name again with another.
        return (self.converter_name, self.pattern)

    @property
    def builtin(self) -> bool:
        """Whether the converter is one of Starlette's own."""
        return type(self.converter).__module__ == Convertor.__module__

    @property
    def is_rest(self) -> bool:
        """Whether this is a ``{name:path}``, which takes all segments that are left."""
        return self.converter_name == REST

    def accepts(self, text: str) -> bool:
        """Say whether the converter accepts a text."""
        return self.pattern.fullmatch(text) is not None


Part: TypeAlias = str | Key


@frozen
class Segment:
    """The part between two slashes: literal text, a key, or several of both."""

    text: str = field(eq=False)
    parts: tuple[Part, ...]
    # What a text has to match if the segment is nothing but a key.
    _alone: Callable[[str], Any] | None = field(init=False, eq=False, repr=False)

    @_alone.default
    def _(self) -> Callable[[str], Any] | None:
        part = self.parts[0] if len(self.parts) == 1 else ""
        return part.pattern.fullmatch if isinstance(part, Key) else None

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """The keys, in order."""
        return tuple(part for part in self.parts if isinstance(part, Key))

    @property
    def literal(self) -> str | None:
        """The text, if there is nothing else in this segment."""
        return None if self.keys else "".join(part for part in self.parts if isinstance(part, str))

    @property
    def is_rest(self) -> bool:
        """Whether this is a ``{name:path}``, which takes all segments that are left."""
        return any(key.is_rest for key in self.keys)

    @property
    def shape(self) -> Hashable:
        """What it matches. Equal shapes match the same texts, whatever the keys' names are."""
        return tuple(part.shape if isinstance(part, Key) else part for part in self.parts)

    @property
    def precedence(self) -> tuple[int, int, tuple[int, ...]]:
        """
        The sort key of the segments at one place, the most specific first.

        If several have literal text and keys, the one with more literal text comes first, then the
        one with the more specific keys.
        """
        ranks = tuple(_PRECEDENCE.get(key.converter_name, _REGISTERED) for key in self.keys)
        if not ranks:
            return (_LITERAL, 0, ())
        if len(self.parts) == 1:
            return (ranks[0], 0, ())
        return (_COMPOSED, -sum(len(part) for part in self.parts if isinstance(part, str)), ranks)

    def match(self, text: str) -> tuple[str, ...] | None:
        """
        Find the keys' values in one decoded segment of a request.

        Keys are greedy from left to right, as in Starlette. With one key, the time is linear in
        the length of the text. With several keys it is quadratic, so a text of more than
        :data:`MAX_AMBIGUOUS` characters doesn't match. (A user's converter may take longer. That
        depends on its regular expression.)

        Returns:
            The texts in the order of the keys, or ``None``.
        """
        if self._alone is not None:
            return (text,) if self._alone(text) else None
        if len(self.parts) == 1:
            return () if text == self.parts[0] else None
        if len(self.keys) == 1:
            return self._match_one_key(text, self.keys[0])
        if len(text) > MAX_AMBIGUOUS:
            return None
        values = _Split(self.parts, text).find()
        return None if values is None else tuple(values)

    def _match_one_key(self, text: str, key: Key) -> tuple[str, ...] | None:
        at = self.parts.index(key)
        before = "".join(part for part in self.parts[:at] if isinstance(part, str))
        after = "".join(part for part in self.parts[at + 1 :] if isinstance(part, str))
        if len(text) < len(before) + len(after):
            return None
        if not (text.startswith(before) and text.endswith(after)):
            return None
        value = text[len(before) : len(text) - len(after)]
        return (value,) if key.accepts(value) else None


class _Split:
    """
    The search for the places at which the keys of a segment begin and end.

    A regular expression of the whole segment would do the same, but in time that grows with the
    length to the power of the number of keys. This search remembers each (part, position) that led
    nowhere, and doesn't try it twice.
    """

    def __init__(self, parts: tuple[Part, ...], text: str) -> None:
        self._parts = parts
        self._text = text
        self._hopeless: set[tuple[int, int]] = set()

    def find(self, index: int = 0, start: int = 0) -> list[str] | None:
        """Match the parts from ``index`` on against the text from ``start`` on."""
        if index == len(self._parts):
            return [] if start == len(self._text) else None
        if (index, start) in self._hopeless:
            return None
        part = self._parts[index]
        if isinstance(part, str):
            found = self._after_literal(part, index, start)
        else:
            found = self._after_key(part, index, start)
        if found is None:
            self._hopeless.add((index, start))
        return found

    def _after_literal(self, literal: str, index: int, start: int) -> list[str] | None:
        if not self._text.startswith(literal, start):
            return None
        return self.find(index + 1, start + len(literal))

    def _after_key(self, key: Key, index: int, start: int) -> list[str] | None:
        for end in self._ends(index, start):
            rest = self.find(index + 1, end)
            # The key's expression comes last, because it costs more than looking up what is known.
            if rest is not None and key.accepts(value := self._text[start:end]):
                return [value, *rest]
        return None

    def _ends(self, index: int, start: int) -> Iterator[int]:
        """Yield where the key could end, the greediest first: only where the next part begins."""
        if index + 1 == len(self._parts):
            yield len(self._text)
            return
        following = self._parts[index + 1]
        if isinstance(following, Key):
            yield from range(len(self._text), start - 1, -1)
            return
        end = self._text.rfind(following, start)
        while end != -1:
            yield end
            # Up to one character less than last time, so that overlaps count.
            end = self._text.rfind(following, start, end + len(following) - 1)


@frozen
class Template:
    """
    A path template that has been read and checked.

    Equal templates have equal shapes and the same names of keys.
    """

    segments: tuple[Segment, ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """
        Read a template.

        A key is ``{name}`` or ``{name:converter}``, with Starlette's converters: ``str``
        (the default), ``int``, ``float``, ``uuid``, ``path``, and those registered with
        :func:`starlette.convertors.register_url_convertor` before. A segment may have literal text
        around a key, and several keys. A converter's expression is matched against the decoded
        text of one segment. ``str`` matches any text, even with a slash that was sent as ``%2F``.
        ``path`` must be the last segment. It takes all segments that are left, with slashes
        between them, so an encoded slash in it looks like a plain one.

        Write literal text decoded: ``/café au lait``, not ``/caf%C3%A9%20au%20lait``.

        Args:
            text: The template. If it has no leading slash, one is added, so ``""`` means ``"/"``.

        Raises:
            TemplateError: It can't be read. The message says what to write instead.
        """
        if not isinstance(text, str):
            raise TemplateError(
                f"a path template is a str such as '/rooms/{{room_id}}', not {text!r}"
            )
        check_notation(text)
        inner = text.removeprefix("/")
        if not inner:
            return cls(())
        if inner.endswith("/"):
            raise refused(text, "ends with a slash", "leave the last slash out")
        return cls._checked(text, [_segment(text, part) for part in inner.split("/")])

    @classmethod
    def _checked(cls, text: str, segments: Iterable[Segment]) -> Template:
        template = cls(tuple(segments))
        if any(segment.is_rest for segment in template.segments[:-1]):
            raise refused(
                text,
                "has a {name:path} before its end",
                "`path` takes the rest of the path, so let it be the last segment",
            )
        for index, name in enumerate(template.keys):
            if name in template.keys[:index]:
                raise refused(
                    text, f"has the key {name!r} twice", "give each key a name of its own"
                )
        return template

    @property
    def path(self) -> str:
        """The template as text, with its leading slash."""
        return "/" + "/".join(segment.text for segment in self.segments)

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of the keys, in order."""
        return tuple(key.name for segment in self.segments for key in segment.keys)

    @property
    def by_name(self) -> dict[str, Key]:
        """The keys, by name."""
        return {key.name: key for segment in self.segments for key in segment.keys}

    @property
    def shape(self) -> Hashable:
        """What it matches. Two templates of equal shape match exactly the same paths."""
        return tuple(segment.shape for segment in self.segments)

    def join(self, child: Template) -> Template:
        """
        Put another template below this one.

        Raises:
            TemplateError: A key's name is in both, or this one ends with ``{name:path}``.
        """
        text = Template((*self.segments, *child.segments)).path
        return self._checked(text, (*self.segments, *child.segments))

    def relative_to(self, prefix: Template) -> Template | None:
        """Return what is left below the prefix, or ``None`` if this isn't below it."""
        count = len(prefix.segments)
        if self.segments[:count] != prefix.segments:
            return None
        return Template(self.segments[count:])

    def __str__(self) -> str:
        return self.path


def _segment(template: str, text: str) -> Segment:
    if not text:
        raise refused(template, "has an empty segment", "write one slash, not two in a row")
    if text in (".", ".."):
        raise refused(
            template,
            f"has the segment {text!r}",
            "clients resolve it before they send the request, so write the path that you mean",
        )
    parts = tuple(_parts(template, text))
    if len(parts) > 1 and any(
        isinstance(part, Key) and part.converter_name == REST for part in parts
    ):
        raise refused(
            template,
            f"has {text!r}, a `path` key that shares its segment",
            "`path` takes the rest of the path, so let {name:path} be a segment alone",
        )
    return Segment(text, parts)


def _parts(template: str, text: str) -> Iterator[Part]:
    # Because the expression has a group, every second piece is the text from inside braces.
    for index, piece in enumerate(_BRACED.split(text)):
        if index % 2:
            yield _key(template, piece)
        elif piece:
            _check_literal(template, piece)
            yield piece


def _check_literal(template: str, literal: str) -> None:
    if "{" in literal or "}" in literal:
        raise refused(
            template,
            f"has a brace without its pair in {literal!r}",
            "a key is written {name} or {name:converter}, within one segment",
        )
    if escape := _ESCAPE.search(literal):
        raise refused(
            template,
            f"has the escape {escape[0]!r}",
            "paths are decoded before they are matched, so write the decoded character",
        )
    for mark, reason in _BEYOND_THE_PATH:
        if mark in literal:
            raise refused(
                template,
                f"has a {mark!r} in {literal!r}",
                f"{reason}; to match the character itself, use a key such as {{name}}",
            )


def _key(template: str, text: str) -> Key:
    name, colon, converter_name = text.partition(":")
    if not colon:
        converter_name = "str"
    if not name.isidentifier():
        suggestion = key_name(name)
        raise refused(
            template,
            f"has the key {name!r}, which isn't a name in Python",
            f"use letters, digits and underscores, as in {{{suggestion}}}",
        )
    if converter_name not in CONVERTOR_TYPES:
        raise refused(
            template,
            f"has the unknown converter {converter_name!r}",
            advice_on_converter(name, converter_name, CONVERTOR_TYPES),
        )
    converter = CONVERTOR_TYPES[converter_name]
    pattern = _pattern(template, converter_name, converter.regex)
    return Key(name, converter_name, pattern, converter)


def _pattern(template: str, converter_name: str, regex: str) -> Pattern:
    if regex in _ANYTHING:
        return _ANYTHING[regex]
    try:
        return re.compile(regex)
    except re.error as exc:
        raise refused(
            template,
            f"has the converter {converter_name!r}, whose regular expression {regex!r} is invalid",
            str(exc),
        ) from exc
