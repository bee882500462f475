"""
Listening sockets with a path: who may connect, and whose file it is.

Nobody takes the path of a server that lives.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hypercorn.config import Config

__all__ = ["bind_path", "is_abstract", "named", "path_of", "reason"]

#: What the mode of a socket's file leaves out if ``config.umask`` doesn't say it. So the mode is
#: 666, as uvicorn has it: who may connect needs the right to write. With the usual umask of a
#: process the mode would be 755, and a proxy that runs as another user could not connect. Who
#: shall be kept out is kept out by the folder, or by a umask.
UMASK: Final = 0o111

#: How many bytes a path may have on Linux: there is room for 108, with a zero byte at the end
#: (unix(7)). Elsewhere it is 103.
LONGEST: Final = 107

#: How an address begins that has a name and no file (unix(7), "abstract").
_ABSTRACT: Final = "@"


def path_of(address: str) -> str | None:
    """Return the path of an address ``unix:path``, and ``None`` for other addresses."""
    return address.removeprefix("unix:") if address.startswith("unix:") else None


def is_abstract(path: str) -> bool:
    """Say whether the path of an address is a name without a file."""
    return path.startswith(_ABSTRACT)


def named(name: str | bytes) -> str:
    """Write the name of a Unix socket, as the system tells it, as in an address."""
    # An abstract name is bytes, and begins with a zero byte.
    text = os.fsdecode(name)
    return _ABSTRACT + text[1:] if text.startswith("\0") else text


def bind_path(sock: socket.socket, path: str, config: Config) -> None:
    """
    Bind a Unix socket, which must not listen yet: nobody can connect before its mode is set.

    Args:
        sock: The socket.
        path: Its path, or ``@name`` for a name without a file.
        config: Hypercorn's configuration: ``umask``, and ``user`` and ``group`` together.

    Raises:
        OSError: Somebody listens there, or something else is there, or it can't be made.
    """
    if is_abstract(path):
        sock.bind("\0" + path[1:])
        return
    _remove_dead(path)
    # The application may change its folder before the file is removed.
    whole = os.path.abspath(path)
    sock.bind(whole if len(os.fsencode(whole)) <= LONGEST else path)
    try:
        if config.user is not None and config.group is not None:
            os.chown(path, config.user, config.group)
        os.chmod(path, 0o777 & ~(UMASK if config.umask is None else config.umask))
    except OSError:
        os.unlink(path)
        raise


def _remove_dead(path: str) -> None:
    """
    Remove the file that a server has left behind. One that isn't a socket stays.

    Raises:
        OSError: Somebody listens there, or nobody can tell.
    """
    if not _is_socket(path):
        return
    with socket.socket(socket.AF_UNIX) as sock:
        sock.setblocking(False)  # the listener's queue may be full
        code = sock.connect_ex(path)
    if code == errno.ECONNREFUSED:
        os.unlink(path)
    elif code in {0, errno.EAGAIN, errno.EINPROGRESS, errno.EPROTOTYPE}:
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    elif code != errno.ENOENT:
        raise OSError(code, os.strerror(code))


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def reason(path: str, exc: OSError) -> str | None:
    """Say in plain words why a path can't be bound, if there is more to say than the error does."""
    if "too long" in str(exc):
        size = len(os.fsencode(path))
        return f"the path is too long for a Unix socket: it has {size} bytes, of at most {LONGEST}"
    if exc.errno in {errno.EADDRINUSE, errno.EISDIR} and os.path.exists(path):
        if not _is_socket(path):
            return f"there is a {'folder' if os.path.isdir(path) else 'file'} of that name"
    elif exc.errno in {errno.EACCES, errno.EPERM}:
        return f"permission denied to create {path!r}"
    elif exc.errno == errno.ENOENT:
        return f"there is no folder {os.path.dirname(path)!r}"
    return None
