"""Conversions from text that msgspec doesn't have: addresses, paths, times without seconds."""

from __future__ import annotations

import abc
import re
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from pathlib import Path, PosixPath, PurePath, PurePosixPath, PureWindowsPath
from typing import Any

__all__ = ["TEXT_TYPES", "read_text", "text_union", "with_seconds"]

#: Types that are made by calling them with a text, and what an error calls them.
TEXT_TYPES: dict[Any, str] = {
    IPv4Address: "IPv4 address",
    IPv6Address: "IPv6 address",
    IPv4Network: "IPv4 network",
    IPv6Network: "IPv6 network",
    IPv4Interface: "IPv4 interface",
    IPv6Interface: "IPv6 interface",
    Path: "path",
    PosixPath: "path",
    PurePath: "path",
    PurePosixPath: "path",
    PureWindowsPath: "path",
}

# The hours and minutes of a time, or of a date and time, that has no seconds.
_WITHOUT_SECONDS = re.compile(r"(?:\d{4}-\d\d-\d\d[Tt ])?\d\d:\d\d(?=[Zz+-]|\Z)", re.ASCII)


def text_union(*members: Any) -> Any:
    """Make one class for several of :data:`TEXT_TYPES`, because msgspec takes only one."""
    union = _TextUnion("TextUnion", (), {"members": members})
    for member in members:
        # msgspec looks whether what `read_text` made is an instance of the union.
        union.register(member)
    return union


class _TextUnion(abc.ABCMeta):
    members: tuple[Any, ...]


def read_text(type_: Any, text: Any) -> Any:
    """
    Convert a text to one of :data:`TEXT_TYPES`, or of a :func:`text_union`.

    Raises:
        ValueError: The text can't be converted. The peer may see the message.
    """
    members = type_.members if isinstance(type_, _TextUnion) else (type_,)
    for member in members:
        # An empty path would be the current directory, and no file's name has a NUL.
        if issubclass(member, PurePath) and (not text or "\0" in text):
            continue
        try:
            return member(text)
        except ValueError:
            continue
    raise ValueError(f"Invalid {' or '.join(dict.fromkeys(map(TEXT_TYPES.get, members)))}")  # type: ignore[arg-type]


def with_seconds(text: str) -> str:
    """
    Add the seconds to a time that is written without them, as in ``10:30``.

    :rfc:`3339`, and so msgspec, requires them. The inputs ``time`` and ``datetime-local`` of an
    HTML form leave them out.
    """
    found = _WITHOUT_SECONDS.match(text)
    return f"{found[0]}:00{text[found.end() :]}" if found else text
