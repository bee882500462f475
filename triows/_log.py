"""The logger ``triows``, in which nothing that a peer sends can begin a new line."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING

from ._printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["logger"]

logger = logging.getLogger("triows")


class _WholeLines(logging.Filter):
    """
    Writes the tracebacks of errors, with their messages escaped.

    A handler's error often quotes what the peer has sent. Written as it is, a line break in it
    would begin a line that looks like any other line of the log.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and record.exc_info[1] is not None and not record.exc_text:
            written = traceback.TracebackException(*record.exc_info, compact=True)
            for one in _all_in(written):
                one._str = printable(one._str)  # type: ignore[attr-defined]  # has no other name
                if notes := one.__notes__:
                    one.__notes__ = [printable(str(note)) for note in notes]
            # Formatters use this text and make none of their own.
            record.exc_text = "".join(written.format()).rstrip("\n")
        return True


def _all_in(written: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """Give an error, its causes, and those it is a group of."""
    waiting = [written]
    while waiting:
        one = waiting.pop()
        yield one
        below = (one.__cause__, one.__context__, *(one.exceptions or ()))
        waiting.extend(error for error in below if error is not None)


logger.addFilter(_WholeLines())
