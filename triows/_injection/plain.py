"""
The short way to read the parameters of most requests: one text each, from the path or the query.

:func:`read_plain` says nothing about what is wrong. If anything is unusual, it returns nothing, and
the general way of :mod:`.readers` decides. A property test holds both to the same results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .query import BadValue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["PlainText", "read_plain"]


# A tuple, because taking it apart is faster than asking it.
class PlainText(NamedTuple):
    """A parameter that is made from one text of the path or the query."""

    #: Whether it is read from the path.
    is_path: bool
    #: Its name in the request.
    alias: str
    #: Makes the value, or raises :exc:`.BadValue`.
    convert: Callable[[Any], Any]
    #: Makes the value if the request doesn't have it. ``None`` if it is required.
    default: Callable[[], Any] | None


def read_plain(
    texts: Sequence[PlainText],
    path_params: Mapping[str, str],
    query_string: bytes,
    max_parameters: int,
) -> list[Any] | None:
    """
    Read parameters, if that is simple.

    Args:
        texts: The parameters.
        path_params: The texts of the path's keys.
        query_string: The bytes after the question mark.
        max_parameters: How many pairs the query may have.

    Returns:
        The values, or ``None`` if they have to be read in the general way.
    """
    values: dict[str, str] = {}
    if query_string:
        if b"%" in query_string or b"+" in query_string or not query_string.isascii():
            return None
        pairs = query_string.decode("ascii").split("&")
        if len(pairs) > max_parameters:
            return None
        for pair in pairs:
            name, _, value = pair.partition("=")
            if name in values or not pair:
                return None
            values[name] = value
    found = []
    try:
        for is_path, alias, convert, default in texts:
            text = (path_params if is_path else values).get(alias)
            if text is not None:
                found.append(convert(text))
            elif default is not None:
                found.append(default())
            else:
                return None
    except BadValue:
        return None
    return found
