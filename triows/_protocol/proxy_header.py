"""
The header of the PROXY protocol, with which a proxy introduces its client, without I/O.

It comes before everything else on a connection, even before TLS. The text is at
https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, and its sections are named here. A
connection either has this header or not: a server that guesses would let clients choose their own
addresses (section 2).
"""

from __future__ import annotations

import os
import re
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final, TypeAlias

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LONGEST", "BadProxyHeader", "ProxyHeader", "ProxyHeaderReader", "Whose"]

#: How many bytes a header may have. The text allows 64 KiB, but an address takes at most 216 bytes,
#: and few proxies add much more. nginx has the same limit.
LONGEST: Final = 4096

#: How many bytes a header of version 1 may have, with its line end (section 2.1).
_LONGEST_LINE: Final = 107

_LINE_BEGIN: Final = b"PROXY "
_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"

#: How many bytes of version 2 come before the addresses. The last two say how many follow.
_FIXED: Final = len(_SIGNATURE) + 4

_Address: TypeAlias = "IPv4Address | IPv6Address"

_NUMBER = "(0|[1-9][0-9]{0,4})"
_LINE = re.compile(rf"PROXY TCP([46]) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) {_NUMBER} {_NUMBER}")
_UNKNOWN = re.compile(r"PROXY UNKNOWN(?: .*)?")

# How IP addresses are read, by the digit of version 1, and by the family of version 2.
_LINES: dict[str, Callable[[str], _Address]] = {"4": IPv4Address, "6": IPv6Address}
_FAMILIES: dict[int, tuple[Callable[[bytes], _Address], int]] = {
    1: (IPv4Address, 4),
    2: (IPv6Address, 16),
}
_UNIX: Final = 3

#: How many bytes each of the two paths of Unix sockets has (section 2.2).
_PATH: Final = 108


class BadProxyHeader(Exception):
    """A connection doesn't begin with a valid header. The message says why, for the log."""


class Whose(Enum):
    """For whom a proxy has made a connection."""

    #: For a client, whose address is told.
    CLIENT = "a client's"
    #: For a client whose address the proxy doesn't know or can't write, or which isn't on a stream
    #: (``UNKNOWN``, or ``UNSPEC``).
    UNKNOWN = "an unknown client's"
    #: For itself, for example to see whether the server lives (``LOCAL``).
    PROXY = "the proxy's own"


@frozen
class ProxyHeader:
    """What a proxy says about the connection of its client."""

    whose: Whose
    #: The client's end. It is ``None`` on a Unix socket.
    client: tuple[str, int] | None = None
    #: The proxy's end. On a Unix socket, it is the path and ``None``.
    server: tuple[str, int | None] | None = None


class ProxyHeaderReader:
    """Reads the header of one connection. It gives the same result however the bytes are cut."""

    __slots__ = ("_begun", "header")

    def __init__(self) -> None:
        #: The header, when all of it was received.
        self.header: ProxyHeader | None = None
        self._begun = b""

    @property
    def has_begun(self) -> bool:
        """Whether anything was received."""
        return self._begun != b""

    def receive(self, data: bytes) -> int:
        """
        Take the next bytes of the connection. Don't call it when :attr:`header` is there.

        Returns:
            How many of them belong to the header. If it isn't complete, all of them do.

        Raises:
            BadProxyHeader: It isn't valid, or it is missing.
        """
        before = len(self._begun)
        begun = self._begun + data
        # Looking at no more than this keeps the work small, whatever comes after the header.
        size = _size(begun[: LONGEST + 1])
        self._begun = begun[:size]
        if len(begun) < size:
            return len(data)
        self.header = _read(self._begun)
        return size - before


def _size(begun: bytes) -> int:
    """Return how many bytes the header has, or at least one more than there are."""
    if _SIGNATURE.startswith(begun[: len(_SIGNATURE)]):
        if len(begun) < _FIXED:
            return _FIXED
        _check_fixed(begun)
        size = _FIXED + int.from_bytes(begun[14:16], "big")
        if size > LONGEST:
            raise BadProxyHeader(f"the PROXY header is longer than {LONGEST} bytes")
        return size
    if not _LINE_BEGIN.startswith(begun[: len(_LINE_BEGIN)]):
        raise BadProxyHeader("the PROXY header is missing")
    end = begun.find(b"\n", 0, _LONGEST_LINE)
    if end < 0 and len(begun) >= _LONGEST_LINE:
        raise BadProxyHeader(f"the PROXY header is longer than {_LONGEST_LINE} bytes")
    return end + 1 if end >= 0 else len(begun) + 1


def _check_fixed(begun: bytes) -> None:
    """Refuse values that the text doesn't have. It wants that (section 2.2)."""
    version, command = divmod(begun[12], 16)
    family, transport = divmod(begun[13], 16)
    if version != 2 or command > 1 or family > _UNIX or transport > 2:
        raise BadProxyHeader("the PROXY header has a version, command or family that is unknown")


def _read(header: bytes) -> ProxyHeader:
    return _read_line(header) if header.startswith(_LINE_BEGIN) else _read_binary(header)


def _read_line(header: bytes) -> ProxyHeader:
    """Read version 1 (section 2.1)."""
    line = header.decode("latin-1").removesuffix("\n")
    if not line.endswith("\r"):
        raise BadProxyHeader("the PROXY header doesn't end with CRLF")
    line = line[:-1]
    if _UNKNOWN.fullmatch(line):
        return ProxyHeader(Whose.UNKNOWN)
    match = _LINE.fullmatch(line)
    if match is None:
        raise BadProxyHeader("the PROXY header isn't two addresses and two ports")
    read = _LINES[match[1]]
    try:
        client, server = str(read(match[2])), str(read(match[3]))
    except ValueError:
        raise BadProxyHeader("the PROXY header has an address that is invalid") from None
    ports = int(match[4]), int(match[5])
    if max(ports) >= 2**16:
        raise BadProxyHeader("the PROXY header has a port that is invalid")
    return ProxyHeader(Whose.CLIENT, (client, ports[0]), (server, ports[1]))


def _read_binary(header: bytes) -> ProxyHeader:
    """Read version 2 (section 2.2). What follows the addresses is ignored (section 2.2.7)."""
    if header[12] & 15 == 0:
        return ProxyHeader(Whose.PROXY)
    family, transport = divmod(header[13], 16)
    if not family or transport != 1:  # the text leaves it to us what to do then
        return ProxyHeader(Whose.UNKNOWN)
    told = header[_FIXED:]
    if family == _UNIX:
        _check_long_enough(told, 2 * _PATH)
        return ProxyHeader(Whose.CLIENT, server=(_path(told[_PATH : 2 * _PATH]), None))
    read, size = _FAMILIES[family]
    _check_long_enough(told, 2 * size + 4)
    client, server = read(told[:size]), read(told[size : 2 * size])
    ports = told[2 * size : 2 * size + 4]
    return ProxyHeader(
        Whose.CLIENT,
        (str(client), int.from_bytes(ports[:2], "big")),
        (str(server), int.from_bytes(ports[2:], "big")),
    )


def _path(told: bytes) -> str:
    """Read the path of a Unix socket. A name without a file begins with a zero byte (unix(7))."""
    rest = os.fsdecode(told[1:].partition(b"\0")[0])
    if told[0]:
        return os.fsdecode(told[:1]) + rest
    return f"@{rest}" if rest else ""


def _check_long_enough(told: bytes, size: int) -> None:
    if len(told) < size:
        raise BadProxyHeader("the PROXY header is too short for its addresses")
