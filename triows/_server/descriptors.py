"""The descriptors with which a process starts: the standard streams, and a manager's sockets."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import MutableMapping

__all__ = ["open_missing_streams", "passed_addresses"]

#: The standard streams, in the order of their descriptors.
_STREAMS: Final = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))

#: The number of the first socket that a manager passes, after the standard streams
#: (sd_listen_fds(3)).
_FIRST_PASSED: Final = len(_STREAMS)


def open_missing_streams() -> None:
    """
    Open what is missing of the standard streams. What is written there is dropped.

    A process can be started without them. The next thing that it opens would have the number of the
    missing one. So a child process that logs to its standard error would write to a connection.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) < len(_STREAMS):
        os.set_inheritable(number, True)
    os.close(number)
    for descriptor, (name, mode) in enumerate(_STREAMS):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))


def passed_addresses(variables: MutableMapping[str, str]) -> list[str]:
    """
    Return the addresses of the sockets that a manager passes, as ``systemd.socket(5)`` says.

    Child processes must not take them for their own. So they don't inherit them, and what describes
    them is taken out of the environment.

    Args:
        variables: ``os.environ``.
    """
    count = variables.pop("LISTEN_FDS", "")
    is_ours = variables.pop("LISTEN_PID", None) == str(os.getpid())
    variables.pop("LISTEN_FDNAMES", None)
    if not is_ours or not count.isdecimal():
        return []
    numbers = range(_FIRST_PASSED, _FIRST_PASSED + int(count))
    for number in numbers:
        with suppress(OSError):  # whoever listens there will notice that there is none
            os.set_inheritable(number, False)
    return [f"fd://{number}" for number in numbers]
