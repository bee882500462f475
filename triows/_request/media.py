"""What a request says about the form of its body: media types and their parameters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import frozen

from triows.exceptions import HTTPException

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = [
    "BACKSLASHES",
    "PERCENTS",
    "MediaType",
    "Quoting",
    "UnsupportedMedia",
    "parse_media_type",
    "parse_parameters",
]

_TOKEN = r"[-!#$%&'*+.^_`|~0-9A-Za-z]+"
_ESSENCE = re.compile(rf"[ \t]*({_TOKEN}/{_TOKEN})", re.ASCII)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_PERCENTS = re.compile(r"%22|%0D|%0A")

# What people write who mean UTF-8. ASCII is a part of it.
_UTF_8 = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


@frozen(eq=False)
class Quoting:
    """
    A way to quote the value of a parameter.

    Args:
        parameter: A semicolon and a parameter: its name, its value if that is a token, or its
            value without the quotes. There may be nothing between two semicolons.
        unquote: Makes the value of what was between the quotes.
    """

    parameter: re.Pattern[str]
    unquote: Callable[[str], str]

    @classmethod
    def of(cls, quoted: str, unquote: Callable[[str], str]) -> Quoting:
        """Make one of the pattern for what is between the quotes."""
        parameter = rf'[ \t]*;[ \t]*(?:({_TOKEN})=(?:({_TOKEN})|"({quoted})"))?[ \t]*'
        return cls(re.compile(parameter, re.ASCII | re.DOTALL), unquote)


#: As headers have it (:rfc:`9110#section-5.6.4`).
BACKSLASHES = Quoting.of(r'(?:[^"\\]|\\.)*', lambda text: _ESCAPED.sub(r"\1", text))

#: As browsers have it in the heads of parts: a quote and the ends of lines are escaped.
PERCENTS = Quoting.of(
    r'[^"]*', lambda text: _PERCENTS.sub(lambda found: chr(int(found[0][1:], 16)), text)
)


class UnsupportedMedia(HTTPException):
    """
    The body is in a format that the handler doesn't take: 415 (:rfc:`9110#section-15.5.16`).

    Args:
        accepted: The media types that it takes. The header ``Accept`` of the answer lists them.
        detail: A sentence for the peer.
    """

    def __init__(self, accepted: Iterable[str], detail: str = "") -> None:
        listed = ", ".join(accepted)
        detail = detail or f"the body must have one of these types: {listed}"
        super().__init__(415, detail, headers={"Accept": listed})


@frozen
class MediaType:
    """
    A media type (:rfc:`9110#section-8.3.1`).

    Args:
        essence: Type and subtype, in lower case, as in ``"text/plain"``.
        parameters: The values of its parameters, by name in lower case.
    """

    essence: str
    parameters: Mapping[str, str]

    @property
    def is_utf_8(self) -> bool:
        """Whether it names no other charset than UTF-8."""
        return self.parameters.get("charset", "utf-8").lower() in _UTF_8


def parse_media_type(value: bytes) -> MediaType | None:
    """
    Read the value of a ``Content-Type`` header.

    Returns:
        The type, or ``None`` if this isn't one. A parameter that appears twice is a mistake, too,
        because nobody knows which value was meant.
    """
    text = value.decode("latin-1")
    essence = _ESSENCE.match(text)
    if essence is None:
        return None
    parameters = parse_parameters(text, essence.end())
    return None if parameters is None else MediaType(essence[1].lower(), parameters)


def parse_parameters(
    text: str, start: int, quoting: Quoting = BACKSLASHES
) -> dict[str, str] | None:
    """
    Read the parameters of a header's value (:rfc:`9110#section-5.6.6`).

    Args:
        text: The value.
        start: Where its parameters begin, with a semicolon.
        quoting: How values are quoted.

    Returns:
        The values by name in lower case, or ``None`` if something is malformed or appears twice.
    """
    parameters: dict[str, str] = {}
    while start < len(text):
        found = quoting.parameter.match(text, start)
        if found is None:
            return None if text[start:].strip(" \t") else parameters
        name, token, quoted = found.groups()
        if name is not None:
            name = name.lower()
            if name in parameters:
                return None
            parameters[name] = quoting.unquote(quoted) if token is None else token
        start = found.end()
    return parameters
