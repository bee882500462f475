"""
Reading ``Accept``: which of the media types on offer a client likes best.

:rfc:`9110#section-12.5.1` has the rules. Bytes come in, and one of the offers comes out.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["preferred"]

_TOKEN = rb"[-!#$%&'*+.^_`|~0-9A-Za-z]++"
_QUOTED = rb'"(?:[^"\\]|\\.)*+"'
_PARAMETER = re.compile(rb"[ \t]*+;[ \t]*+(?:(%s)=(%s|%s))?+" % (_TOKEN, _TOKEN, _QUOTED))
# Possessive quantifiers (`*+`) never try again, so a hostile header takes linear time.
_ELEMENT = re.compile(
    rb"(%s)/(%s)((?:%s)*+)[ \t]*+(?:,[ \t,]*+|$)" % (_TOKEN, _TOKEN, _PARAMETER.pattern)
)
_BEFORE = re.compile(rb"[ \t,]*+")
# Section 12.4.2 allows three digits.
_WEIGHT = re.compile(rb"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


@frozen
class _Range:
    """One of the media ranges in a header, or a media type on offer."""

    type: bytes
    subtype: bytes
    parameters: Mapping[bytes, bytes]
    weight: float = 1.0
    #: The range that says most about an offer decides, so ``text/html`` precedes ``text/*``.
    precedence: tuple[bool, bool, int] = field(init=False)

    @precedence.default
    def _precedence(self) -> tuple[bool, bool, int]:
        return (self.type != b"*", self.subtype != b"*", len(self.parameters))

    def includes(self, offer: _Range) -> bool:
        return (
            self.type in (b"*", offer.type)
            and self.subtype in (b"*", offer.subtype)
            and self.parameters.items() <= offer.parameters.items()
        )


def preferred(accept: bytes | None, offers: Sequence[str]) -> str | None:
    """
    Return the offer that a client likes best: the first of those with the highest weight.

    A header that can't be read is ignored, as if there were none. A client that sends one still
    gets a response that it can probably use. Java's ``HttpURLConnection`` is such a client, since
    its default header has the range ``*``.

    Args:
        accept: The value of ``Accept``. Several headers are joined with commas. ``None`` and a
            header without ranges accept everything.
        offers: Media types, with their parameters. The best one comes first.

    Returns:
        One of the offers, or ``None`` if the client accepts none of them.
    """
    ranges = _ranges(accept or b"")
    if not ranges:
        return offers[0] if offers else None
    weights = [_weight(offer, ranges) for offer in offers]
    best = max(weights, default=0.0)
    return offers[weights.index(best)] if best > 0 else None


def _weight(offer: str, ranges: Iterable[_Range]) -> float:
    offered = _read(offer)
    matching = [(one.precedence, one.weight) for one in ranges if one.includes(offered)]
    return max(matching)[1] if matching else 0.0


@lru_cache(maxsize=256)  # an application has few, and they don't change
def _read(offer: str) -> _Range:
    found = _ranges(offer.encode())
    assert found is not None, f"{offer} is a media type"
    return found[0]


def _ranges(header: bytes) -> list[_Range] | None:
    """Read all ranges of a header. Return nothing if it breaks the grammar."""
    found: list[_Range] = []
    position = _end(_BEFORE.match(header))
    while position < len(header):
        element = _ELEMENT.match(header, position)
        one = element and _range(*element.groups()[:3])
        if element is None or one is None:
            return None
        found.append(one)
        position = element.end()
    return found


def _end(match: re.Match[bytes] | None) -> int:
    return match.end() if match else 0


def _range(type_: bytes, subtype: bytes, rest: bytes) -> _Range | None:
    if type_ == b"*" and subtype != b"*":
        return None
    parameters = {
        name.lower(): _unquoted(value).lower() for name, value in _PARAMETER.findall(rest) if name
    }
    weight = parameters.pop(b"q", b"1")
    if not _WEIGHT.fullmatch(weight):
        return None
    # Many clients ask for JSON in UTF-8, though JSON has no such parameter. All our text is UTF-8.
    if parameters.get(b"charset") == b"utf-8":
        del parameters[b"charset"]
    return _Range(type_.lower(), subtype.lower(), parameters, float(weight))


def _unquoted(value: bytes) -> bytes:
    return re.sub(rb"\\(.)", rb"\1", value[1:-1]) if value.startswith(b'"') else value
