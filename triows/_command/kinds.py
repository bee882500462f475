"""
Kinds of values that settings take: how they are read, and what is said about other values.

Each of them reads text of the command line, and a value of a configuration file, with the same
rules. So both get the same message. A path in a file is relative to the file's folder.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

from attrs import frozen

from triows._request_ids import RequestIds
from triows._server.access import check_format
from triows._server.addresses import check_address
from triows._server.unix import is_abstract, path_of

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "SECONDS",
    "AccessFormat",
    "Address",
    "Choice",
    "Flag",
    "HeaderName",
    "Kind",
    "Listening",
    "Many",
    "Mask",
    "Number",
    "Output",
    "Path",
    "RootPath",
    "Table",
    "Text",
    "Workers",
]


class Kind(Protocol):
    """What a setting takes."""

    def from_text(self, text: str) -> Any:
        """
        Read a value as it is written on the command line.

        Raises:
            ValueError: It isn't of this kind. The message says what to write.
        """

    def from_toml(self, value: object, folder: str) -> Any:
        """
        Read a value as a configuration file has it.

        Args:
            value: What the file has.
            folder: The file's folder.

        Raises:
            ValueError: It isn't of this kind. The message says what to write.
        """


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"give text in quotes, not {_named(value)}")  # noqa: TRY004
    return value


def _named(value: object) -> str:
    """Name the type of a value, and not the value, which may be a password."""
    return _TYPES.get(type(value), "a date or time")


_TYPES: dict[type, str] = {
    bool: "true or false",
    dict: "a table",
    float: "a number",
    int: "a number",
    list: "a list",
    str: "text",
}


@frozen
class Flag:
    """On or off. The command line has two options for it."""

    def from_text(self, text: str) -> Any:
        """Refuse text, because there is none."""
        raise ValueError(f"give no value, and not {text!r}")

    def from_toml(self, value: object, folder: str) -> bool:
        """Take ``true`` or ``false``."""
        if not isinstance(value, bool):
            raise ValueError(f"give true or false, not {_named(value)}")  # noqa: TRY004
        return value


@frozen
class Text:
    """Any text."""

    def from_text(self, text: str) -> str:
        """Take it as it is."""
        return text

    def from_toml(self, value: object, folder: str) -> str:
        """Take it as it is."""
        return _text(value)


@frozen
class AccessFormat:
    """The format of a line in the access log."""

    def from_text(self, text: str) -> str:
        """Check that a line can be written with it."""
        check_format(text)
        return text

    def from_toml(self, value: object, folder: str) -> str:
        """Check that a line can be written with it."""
        return self.from_text(_text(value))


@frozen
class Path:
    """The path of a file or a folder."""

    def from_text(self, text: str) -> str:
        """Take it as it is. It is relative to the current folder."""
        if not text:
            raise ValueError("give a path, and not nothing")
        return text

    def from_toml(self, value: object, folder: str) -> str:
        """Make it relative to the file's folder."""
        return os.path.join(folder, self.from_text(_text(value)))


@frozen
class RootPath:
    """The path at which a proxy has put the application."""

    def from_text(self, text: str) -> str:
        """Check that the path of a request can begin with it."""
        if text and not text.startswith("/"):
            raise ValueError(f"give a path that begins with a slash, as in {'/' + text!r}")
        if (decoded := unquote(text)) != text:
            raise ValueError(f"give the path without percent-encoding: {decoded!r}")
        return text

    def from_toml(self, value: object, folder: str) -> str:
        """Check that the path of a request can begin with it."""
        return self.from_text(_text(value))


@frozen
class Output:
    """A file to write to, or ``-`` for the standard output."""

    def from_text(self, text: str) -> str:
        """Take it as it is."""
        return Path().from_text(text)

    def from_toml(self, value: object, folder: str) -> str:
        """Make it relative to the file's folder."""
        return value if value == "-" else Path().from_toml(value, folder)


@frozen
class Address:
    """An address to listen at."""

    def from_text(self, text: str) -> str:
        """Check that Hypercorn would read it as it is meant."""
        check_address(text)
        return text

    def from_toml(self, value: object, folder: str) -> str:
        """Check it, and make the path of a Unix socket relative to the file's folder."""
        return _from_folder(self.from_text(_text(value)), folder)


def _from_folder(address: str, folder: str) -> str:
    path = path_of(address)
    if path is None or is_abstract(path):
        return address
    return f"unix:{os.path.join(folder, path)}"


@frozen
class Listening:
    """One of the addresses at which the server listens, or a word for all of them."""

    def from_text(self, text: str) -> str:
        """Take it as it is. Who knows the addresses checks it."""
        return text

    def from_toml(self, value: object, folder: str) -> str:
        """Make the path of a Unix socket relative to the file's folder."""
        return _from_folder(_text(value), folder)


@frozen
class Choice:
    """One of a few words, in capitals or not."""

    words: Sequence[str]

    def from_text(self, text: str) -> str:
        """Find the word."""
        word = text.lower()
        if word not in self.words:
            raise ValueError(f"give one of {', '.join(self.words)}, not {text!r}")
        return word

    def from_toml(self, value: object, folder: str) -> str:
        """Find the word."""
        return self.from_text(_text(value))


@frozen
class Mask:
    """Permissions that a file doesn't get."""

    def from_text(self, text: str) -> int:
        """Read an octal number, as ``chmod`` and ``umask`` do."""
        if not 0 < len(text) <= 4 or text.strip("01234567"):
            raise ValueError(f"give an octal number such as 117, not {text!r}")
        return int(text, 8)

    def from_toml(self, value: object, folder: str) -> int:
        """Read an octal number in quotes, or take one that can only be meant as it is."""
        if isinstance(value, str):
            return self.from_text(value)
        if type(value) is not int or not 0 <= value <= 0o777:
            shown = value if type(value) is int else _named(value)
            raise ValueError(f'give an octal number such as "117" or 0o117, not {shown}')
        # TOML tells nobody whether a number was written as 0o117 or as 79.
        digits = str(value)
        if value >= 8 and not digits.strip("01234567"):
            raise ValueError(
                f'{digits} without 0o in front is {value:o} in octal: give "{digits}" or '
                f'"{value:o}", in quotes, whichever you mean'
            )
        return value


@frozen
class HeaderName:
    """The name of a header that has the id of a request."""

    def from_text(self, text: str) -> str:
        """Take the name."""
        try:
            RequestIds(text)
        except ValueError:
            raise ValueError(f"give the name of a header, not {text!r}") from None
        return text

    def from_toml(self, value: object, folder: str) -> str:
        """Take the name."""
        return self.from_text(_text(value))


@frozen
class Number:
    """A number within bounds."""

    least: float = 0
    most: float = math.inf
    #: What it counts, for the message: ``seconds``.
    unit: str = ""
    #: Whether it can't have a fraction.
    whole: bool = True

    def from_text(self, text: str) -> float:
        """Read the number."""
        try:
            # Python refuses to convert thousands of digits, with a ValueError.
            number: float = int(text) if self.whole else float(text)
        except ValueError:
            raise ValueError(f"{self._wanted}, not {text!r}") from None
        return self._checked(number, repr(text))

    def from_toml(self, value: object, folder: str) -> float:
        """Check the number."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else (int, float)):
            raise ValueError(f"{self._wanted}, not {_named(value)}")  # noqa: TRY004
        return self._checked(value, repr(value))

    def _checked(self, number: float, shown: str) -> float:
        if not self.least <= number <= self.most or math.isinf(number):
            raise ValueError(f"{self._wanted}, not {shown}")
        return number

    @property
    def _wanted(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        bounds = f"{self.least:g} or more"
        if self.most != math.inf:
            bounds = f"{self.least:g} to {self.most:g}"
        return f"give {kind}{' of ' if self.unit else ''}{self.unit}, {bounds}"


#: Seconds, or a part of one.
SECONDS = Number(unit="seconds", whole=False)


@frozen
class Workers:
    """A number of workers."""

    def from_text(self, text: str) -> int:
        """Read the number."""
        if text.isdecimal() and len(text) > 9:  # Python refuses to convert thousands of digits
            return self._checked(10**9)
        return self._checked(int(Number(1).from_text(text)))

    def from_toml(self, value: object, folder: str) -> int:
        """Check the number."""
        return self._checked(int(Number(1).from_toml(value, folder)))

    def _checked(self, number: int) -> int:
        if number > MAX_WORKERS:
            raise ValueError(
                f"each worker is a process of its own, and {MAX_WORKERS} is the most: give about "
                f"as many as this machine has cores, which is {os.cpu_count() or 1}"
            )
        return number


#: Each worker is a process with an interpreter and the application in it, for one core. No machine
#: has many more cores than this. A number above it is a typo, and starting all those processes
#: would take all memory.
MAX_WORKERS = 1024


@frozen
class Many:
    """Several values of one kind. The command line has an option for each."""

    kind: Kind
    #: Whether a file may have an empty list.
    or_none: bool = True

    def from_text(self, text: str) -> Any:
        """Read one of them."""
        return self.kind.from_text(text)

    def from_toml(self, value: object, folder: str) -> list[Any]:
        """Read a list of them, or one alone."""
        values = value if isinstance(value, list) else [value]
        if not (values or self.or_none):
            raise ValueError("give one or several, and not an empty list")
        return [self.kind.from_toml(one, folder) for one in values]


@frozen
class Table:
    """A table, which only a file can have."""

    def from_text(self, text: str) -> Any:
        """Refuse text."""
        raise ValueError("write it into a configuration file")

    def from_toml(self, value: object, folder: str) -> dict[str, Any]:
        """Take it as it is."""
        if not isinstance(value, dict):
            raise ValueError(f"give a table, not {_named(value)}")  # noqa: TRY004
        return value
