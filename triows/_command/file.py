"""Reading a configuration file."""

from __future__ import annotations

import difflib
import os
import tomllib
from typing import TYPE_CHECKING, Any

from .options import OPTIONS
from .settings import INEFFECTIVE, SETTINGS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .kinds import Kind

__all__ = ["KEYS", "UnusableFile", "read_file"]

#: What a file can have.
KEYS: Mapping[str, Kind] = {
    **SETTINGS,
    **{option.key: option.kind for option in OPTIONS if option.is_in_file},
}

#: Other names by which people know a key: the options for it, as they would be written here.
_OTHER_NAMES = {
    option.name.removeprefix("--").replace("-", "_"): option.key
    for option in OPTIONS
    if option.is_in_file
}


class UnusableFile(Exception):
    """A file can't be used. The message is one line that says why."""


def read_file(file: str) -> dict[str, Any]:
    """
    Read the values in a configuration file, by their keys.

    Raises:
        UnusableFile: It can't be read, isn't TOML, or has something that no key takes.
    """
    found = _parsed(file, text_of(file))
    folder = os.path.dirname(os.path.abspath(file))
    values = {}
    for key, value in found.items():
        if key not in KEYS:
            raise UnusableFile(f"{file}: {_remedy(key)}")
        try:
            values[key] = KEYS[key].from_toml(value, folder)
        except ValueError as exc:
            raise UnusableFile(f"{file}: {key}: {exc}") from None
    return values


def text_of(file: str) -> str:
    """
    Read a text.

    Raises:
        UnusableFile: The file can't be read.
    """
    try:
        with open(file, encoding="utf-8") as opened:
            return opened.read()
    except OSError as exc:
        raise UnusableFile(
            f"{file!r} can't be read: {_REASONS.get(type(exc), exc.strerror)}"
        ) from None
    except UnicodeDecodeError:
        raise UnusableFile(f"{file!r} isn't text in UTF-8") from None


_REASONS: dict[type, str] = {
    FileNotFoundError: "there is no such file",
    IsADirectoryError: "it is a folder",
    PermissionError: "permission denied",
}


def _parsed(file: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        kind = " A configuration is a TOML file here." if file.endswith(".py") else ""
        raise UnusableFile(f"{file!r} isn't TOML: {exc}.{kind}") from None


def _remedy(key: str) -> str:
    """Say what to write instead of a key that there isn't."""
    if key in INEFFECTIVE:
        return f"{key} has no effect: {INEFFECTIVE[key]}"
    if key in _OTHER_NAMES:
        return f"there is no {key!r}: write {_OTHER_NAMES[key]}"
    if key in ("host", "port"):
        return f'there is no {key!r}: write bind, as in `bind = "127.0.0.1:8000"`'
    near = difflib.get_close_matches(key.lower().replace("-", "_"), [*KEYS, *_OTHER_NAMES], 1)
    meant = f": did you mean {_OTHER_NAMES.get(near[0], near[0])}?" if near else ""
    return f"there is no {key!r}{meant}"
