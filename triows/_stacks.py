"""Stacks: the functions that a task is in, and the line that each of them has reached."""

from __future__ import annotations

import functools
import linecache
import os
import sysconfig
from typing import TYPE_CHECKING, Literal, TypeAlias

import outcome
import trio
from attrs import frozen

from ._counted import counted
from ._errors import add_note, children_of, exc_info
from ._printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import CodeType, FrameType, TracebackType

__all__ = [
    "Frame",
    "RawFrame",
    "add_stack",
    "describe",
    "frame_at",
    "frames_of",
    "innermost",
    "lines",
    "relative",
    "shown",
]

#: Whose code a frame runs. ``"system"`` is Trio and the standard library.
Owner: TypeAlias = Literal["application", "library", "triows", "system"]

#: A frame, and the line that it has reached.
RawFrame: TypeAlias = "tuple[FrameType, int]"


@frozen
class Frame:
    """A function that is running, and the line that it has reached."""

    #: The path of the file. It is absolute if there is a file.
    file: str
    line: int
    #: The function's name, with the classes or functions that it is defined in.
    function: str
    #: Whose code it is: ``"application"``, ``"library"`` (an installed package), ``"triows"`` or
    #: ``"system"`` (Trio, the standard library).
    owner: Owner

    @property
    def where(self) -> str:
        """The place, as ``file:line in function``."""
        return f"{self.file}:{self.line} in {self.function}"

    @property
    def source(self) -> str:
        """The line's text, or ``""`` if the file can't be read."""
        return printable(linecache.getline(self.file, self.line).strip())


def describe(frames: Iterable[RawFrame]) -> tuple[Frame, ...]:
    """Describe frames, in their order."""
    return tuple(frame_at(frame.f_code, line) for frame, line in frames)


def frame_at(code: CodeType, line: int) -> Frame:
    """Describe a frame by its *code* and the *line* at which it stands."""
    file, owner = _file(code.co_filename)
    return Frame(file, line, printable(code.co_qualname), owner)


def innermost(frames: Sequence[Frame]) -> Frame | None:
    """The frame that says most: the innermost of the application, if there is one."""
    for owner in ("application", "library", "triows"):
        for frame in reversed(frames):
            if frame.owner == owner:
                return frame
    return frames[0] if frames else None


_TRIO = os.path.dirname(trio.__file__) + os.sep
# What a task does when it waits or is cancelled, which explains nothing.
_INSIDE_TRIO = (_TRIO, os.path.dirname(outcome.__file__) + os.sep)
_TRIOWS = os.path.dirname(__file__) + os.sep
_SYSTEM = (
    _TRIO,
    sysconfig.get_path("stdlib") + os.sep,
    sysconfig.get_path("platstdlib") + os.sep,
)
# Where packages are installed, which is inside the standard library's folder.
_INSTALLED = tuple(os.sep + name + os.sep for name in ("site-packages", "dist-packages"))


@functools.lru_cache(maxsize=4096)
def _file(name: str) -> tuple[str, Owner]:
    """Give the absolute name of a source file, and whose it is."""
    if name.startswith("<"):
        # A prompt's input or a text that was compiled is somebody's, unlike what Python and
        # attrs make themselves.
        own = not name.startswith(("<frozen", "<attrs"))
        return printable(name), "application" if own else "system"
    file = os.path.abspath(name)
    return printable(file), _owner(file)


def _owner(file: str) -> Owner:
    # From the inner folders to the outer ones.
    if file.startswith(_TRIOWS):
        return "triows"
    if file.startswith(_TRIO):
        return "system"
    if any(part in file for part in _INSTALLED):
        return "library"
    return "system" if file.startswith(_SYSTEM) else "application"


def frames_of(error: BaseException) -> tuple[Frame, ...]:
    """Describe where an error came from: the frames that it has left, the outermost first."""
    one: BaseException | None = error
    frames: list[Frame] = []
    while one is not None:
        frames += _left_by(exc_info(one)[2])
        # Behind a nursery, it goes on in a task there.
        one = next(iter(children_of(one)), None)
    return tuple(frames)


def _left_by(traceback: TracebackType | None) -> Iterator[Frame]:
    while traceback is not None:
        yield frame_at(traceback.tb_frame.f_code, traceback.tb_lineno)
        traceback = traceback.tb_next


# As text.

#: How many frames are shown, at both ends, because a function that calls itself has many.
_OUTERMOST, _INNERMOST = 5, 15


def shown(frames: Sequence[Frame]) -> tuple[Frame, ...]:
    """Return the application's frames, its libraries' below, and what the innermost calls."""
    frames = [one for one in frames if not one.file.startswith(_INSIDE_TRIO)] or frames
    owners = [one.owner for one in frames]
    theirs = [n for n, owner in enumerate(owners) if owner in ("application", "library")]
    if "application" in owners:
        theirs = [n for n in theirs if n >= owners.index("application")]
    last = theirs[-1] if theirs else -1
    return tuple(one for n, one in enumerate(frames) if n in theirs or n > last)


def lines(frames: Sequence[Frame]) -> list[str]:
    """Write frames for people, a line for each, the outermost first."""
    written = [f"  {relative(one.where)}  {one.source}".rstrip() for one in frames]
    if (more := len(written) - _OUTERMOST - _INNERMOST) > 0:
        written[_OUTERMOST:-_INNERMOST] = [f"  ({counted(more, 'more call')})"]
    return written


def add_stack(error: BaseException, frames: Sequence[Frame]) -> None:
    """Let an error say where something waited."""
    if frames:
        # A note for each line, because a log escapes the line breaks in a note.
        for line in ("It waited at", *lines(shown(frames))):
            add_note(error, line)


def relative(place: str) -> str:
    """Shorten a place in a file, as seen from the current folder."""
    try:
        return place.removeprefix(os.getcwd() + os.sep)
    except OSError:  # the folder was removed
        return place
