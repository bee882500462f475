"""
Files with environment variables for the application.

A line is ``NAME=value``, as in systemd's and Docker's files. What python-dotenv writes can be read,
too: ``export`` before a name, quotes around a value, a comment after it. Nothing is expanded.
"""

from __future__ import annotations

import os
import re

from .file import UnusableFile, text_of

__all__ = ["read_environment", "set_missing"]

_LINE = re.compile(
    r"""
    \s* (?:export\s+)? (?P<name>[A-Za-z_][A-Za-z0-9_]*) \s*=\s*
    (?: '(?P<literal>[^']*)' | "(?P<quoted>(?:[^"\\]|\\.)*)" | (?P<plain>[^'"].*?)? )
    (?:\s+\#.*)? \s*
    """,
    re.VERBOSE,
)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}


def read_environment(file: str) -> dict[str, str]:
    """
    Read the variables in a file.

    Raises:
        UnusableFile: The file can't be read, or a line isn't one of a variable. The message has
            the line's number, and not the line, which may have a password.
    """
    variables = {}
    for number, line in enumerate(text_of(file).splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if (found := _LINE.fullmatch(line)) is None or "\0" in line:
            raise UnusableFile(f"{file!r}, line {number}: write NAME=value")
        variables[found["name"]] = _value(found)
    return variables


def _value(found: re.Match[str]) -> str:
    if (quoted := found["quoted"]) is not None:
        return re.sub(r"\\(.)", lambda escape: _ESCAPED.get(escape[1], escape[1]), quoted)
    return found["literal"] or found["plain"] or ""


def set_missing(file: str) -> None:
    """
    Set the variables in a file that aren't set.

    Raises:
        UnusableFile: As in :func:`read_environment`.
    """
    for name, value in read_environment(file).items():
        os.environ.setdefault(name, value)
