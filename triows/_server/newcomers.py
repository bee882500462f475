"""How a listening socket gets no newcomers any more, before it is closed."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TypeAlias

    #: The device and the inode of a file, which no other file has.
    Identity: TypeAlias = tuple[int, int]

__all__ = ["LINGER", "QUIET", "identity", "remove_file", "turn_away"]

#: Seconds that a connection may take to make its first request when the server shuts down. A client
#: that has just connected takes milliseconds. A silent one must not hold up the shutdown.
LINGER = 0.5

#: Seconds between the last newcomer and the end of a listener. What had begun before arrives
#: meanwhile: the third packet of a TCP handshake takes one round trip, and within a data center
#: that is a millisecond. A client from farther away may be reset, as without all this.
QUIET = 0.05

#: The number of the option on Linux (socket(7)). Python has no name for it.
_SO_ATTACH_FILTER = 26

# Instructions of the classic packet filter (linux/filter.h): a code, how many instructions to jump
# over if a comparison holds and if it doesn't, and a number.
_LOAD_BYTE, _AND, _JUMP_IF_EQUAL, _RETURN = 0x30, 0x54, 0x15, 0x06

_SYN, _ACK = 0x02, 0x10

#: Drops the first packet of a TCP handshake, and nothing else. On a TCP socket, a filter sees the
#: packet from TCP's header on, with IPv4 and with IPv6. Byte 13 of that has the flags (RFC 9293
#: section 3.1). All other packets have to pass: those of handshakes that have begun.
_NO_NEW_HANDSHAKES = b"".join(
    struct.pack("=HBBI", *instruction)
    for instruction in (
        (_LOAD_BYTE, 0, 0, 13),
        (_AND, 0, 0, _SYN | _ACK),
        (_JUMP_IF_EQUAL, 0, 1, _SYN),
        (_RETURN, 0, 0, 0),  # drop it
        (_RETURN, 0, 0, 0xFFFFFFFF),  # pass all of it
    )
)


def turn_away(listener: socket.socket, file: Identity | None) -> None:
    """
    Let no further client begin to connect. Those in the queue of *listener* stay there.

    The system resets what is in the queue of a socket that is closed. So nobody may come any more
    while the queue is emptied. The first packet of a TCP client is dropped: the client tries
    again after a second, when nobody listens, and is refused. The file of a Unix socket is removed.
    Where the system can't drop packets, this has no effect.

    Args:
        listener: The socket. Nobody may need it afterwards.
        file: What :func:`identity` has returned for it. Another file of that name is left alone.
    """
    if listener.family == socket.AF_UNIX:
        remove_file(listener, file)
    elif sys.platform == "linux":
        program = ctypes.create_string_buffer(_NO_NEW_HANDSHAKES, len(_NO_NEW_HANDSHAKES))
        # struct sock_fprog: how many instructions, and where they are
        described = struct.pack("@HP", len(program) // 8, ctypes.addressof(program))
        with suppress(OSError):  # some sandboxes have no filters
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)


def remove_file(listener: socket.socket, file: Identity | None) -> None:
    """
    Remove the file of a Unix socket that is still open, unless another one has its name.

    As long as the socket is open, no other file gets the same identity.

    Args:
        listener: The socket.
        file: What :func:`identity` has returned for it.
    """
    if file is not None and file == identity(listener):
        with suppress(OSError):  # somebody else was faster, or the folder is not ours to change
            os.unlink(listener.getsockname())


def identity(listener: socket.socket) -> Identity | None:
    """Return the identity of the file at a Unix socket's path, if there is one."""
    path = listener.getsockname() if listener.family == socket.AF_UNIX else ""
    if not path or path[0] in ("\0", 0):  # it has no name, or none in the file system
        return None
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
