"""A terminal of a server's own, which a test can close."""

from __future__ import annotations

import os
import pty
import sys
from typing import Any, Self

__all__ = ["Terminal"]

#: A process that leads a session gets the first terminal that it opens as its own.
_TAKE_IT = "import os, sys; os.open(sys.argv[1], os.O_RDWR); os.execvp(sys.argv[2], sys.argv[2:])"


#: Standard streams at the terminal.
_USE_IT = "import os, sys; [os.dup2(os.open(sys.argv[1], os.O_RDWR), n) for n in range(3)]"


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

    def command_with_streams(self, command: list[str]) -> list[str]:
        """Return the same, but its standard streams are at the terminal, too."""
        terminal = os.ttyname(self._process)
        return [sys.executable, "-c", f"{_USE_IT}; {_TAKE_IT}", terminal, *command]

    def wait_for(self, text: bytes) -> None:
        """Wait until the process has written *text*."""
        seen = b""
        while text not in seen:
            seen += os.read(self._person, 4096)

    def press(self, keys: bytes) -> None:
        """Press keys, which the terminal sends as these bytes."""
        os.write(self._person, keys)

    def close(self) -> None:
        """Close it, as a person closes the window."""
        if self._person >= 0:
            os.close(self._process)
            os.close(self._person)
            self._person = -1
