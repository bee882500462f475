"""
Becomes a server: ``python -m benchmarks.launch CORE FOLDER COMMAND ...``.

First it changes to its folder, moves to its core ("any" or a number), and asks the kernel to end it
together with the process that started it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from .cores import pin

_PR_SET_PDEATHSIG = 1


def main(core: str, folder: str, *command: str) -> None:
    os.chdir(folder)
    pin(None if core == "any" else int(core))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
