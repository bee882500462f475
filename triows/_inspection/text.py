"""Lines with lines below them, to show the tree in a terminal, a file, or a page."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal, TypeAlias

from attrs import frozen

from triows._counted import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.text import Text
    from rich.tree import Tree

__all__ = ["Line", "Outlined", "Part", "Style", "bounded", "indented", "plain", "rich_tree"]

#: What a piece of a line is. Each output chooses the colours for it.
Style: TypeAlias = Literal["", "title", "name", "place", "source", "aside", "good", "busy", "bad"]
Part: TypeAlias = tuple[str, Style]

_RICH: dict[Style, str] = {
    "": "",
    "title": "bold",
    "name": "bold cyan",
    "place": "magenta",
    "source": "italic",
    "aside": "dim",
    "good": "green",
    "busy": "yellow",
    "bad": "bold red",
}

# The width of the terminal that rich should assume, in columns, so that it folds no line. File
# names may have 4096 bytes, and lines of source any length.
_WIDE = 1_000_000


@frozen
class Line:
    """A line of text, and the lines below it."""

    parts: tuple[Part, ...]
    children: tuple[Line, ...] = ()

    @classmethod
    def of(cls, *parts: Part, below: Iterable[Line] = ()) -> Line:
        """Make a line of the *parts* that aren't empty. Outputs put a space between them."""
        return cls(tuple(part for part in parts if part[0]), tuple(below))


class Outlined(ABC):
    """
    Something that can be printed: ``str()`` returns plain text, and ``rich.print`` adds colours.

    No line of the text is folded or cut, whatever the terminal.
    """

    __slots__ = ()

    @abstractmethod
    def outline(self) -> Line:
        """Describe it in lines. The first one describes the whole, and the others are below it."""

    def __str__(self) -> str:
        return plain(self.outline())

    def __rich__(self) -> Tree:
        return rich_tree(self.outline())


def plain(line: Line) -> str:
    """Return a line and all lines below it as plain text, without a line break at the end."""
    from rich.console import Console  # noqa: PLC0415 - only when something is printed

    file = io.StringIO()
    console = Console(
        file=file,
        width=_WIDE,
        color_system=None,
        # What the environment says about terminals does not matter here.
        force_terminal=False,
        force_jupyter=False,
        legacy_windows=False,
        _environ={},
    )
    console.print(rich_tree(line))
    return "\n".join(one.rstrip() for one in file.getvalue().splitlines())


def indented(line: Line, depth: int = 0) -> Iterator[str]:
    """Give a line and all below it as plain lines. This is quick, also the first time."""
    yield "  " * depth + "  ".join(part for part, _ in line.parts)
    for child in line.children:
        yield from indented(child, depth + 1)


def bounded(lines: Sequence[str], most: int) -> list[str]:
    """Cut a text to so many lines, and say so."""
    if len(lines) <= most:
        return list(lines)
    return [*lines[: most - 1], f"  (and {counted(len(lines) - most + 1, 'more line')})"]


def rich_tree(line: Line) -> Tree:
    """Return a line and all lines below it as a tree of rich."""
    from rich.tree import Tree  # noqa: PLC0415

    tree = Tree(_rich_text(line), guide_style="dim", highlight=False)
    waiting = [(tree, line)]
    while waiting:
        above, one = waiting.pop()
        waiting.extend((above.add(_rich_text(child)), child) for child in one.children)
    return tree


def _rich_text(line: Line) -> Text:
    from rich.text import Text  # noqa: PLC0415

    text = Text(overflow="fold")  # a narrow terminal folds the line, so no letter is lost
    for number, (part, style) in enumerate(line.parts):
        text.append("  " if number else "")
        text.append(part, _RICH[style])
    return text
