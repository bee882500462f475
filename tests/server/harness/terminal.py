"""A terminal of a server's own, which a test can close."""

from __future__ import annotations

import os
import pty
import sys
from typing import Any, Self

__all__ = ["Terminal"]

#: A process that leads a session gets the first terminal that it opens as its own.
_TAKE_IT = "import os, sys; os.open(sys.argv[1], os.O_RDWR); os.execvp(sys.argv[2], sys.argv[2:])"


class Terminal:
    """A terminal. At the end of the block, it is closed, and the system signals its process."""

    def __enter__(self) -> Self:
        self._person, self._process = pty.openpty()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.close()

    def command(self, command: list[str]) -> list[str]:
        """Return the command that runs *command* at this terminal. Its output goes elsewhere."""
        return [sys.executable, "-c", _TAKE_IT, os.ttyname(self._process), *command]

    def press(self, keys: bytes) -> None:
        """Press keys, which the terminal sends as these bytes."""
        os.write(self._person, keys)

    def close(self) -> None:
        """Close it, as a person closes the window."""
        if self._person >= 0:
            os.close(self._process)
            os.close(self._person)
            self._person = -1
