"""
What proxies say about their clients: ``Forwarded`` (:rfc:`7239`), or ``X-Forwarded-...``.

Each proxy adds what it knows at the end of such a header. What is before that came from its client,
which may have made it up. So everything here is read from the end, as far as somebody asks for it,
and what can't be read there ends it. What is at the beginning can't change how the end is read.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from .heads import BadRequest, check_authority

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["MOST_HOPS", "Hop", "forwarded_hops", "plain_address", "x_forwarded_hops"]

Headers: TypeAlias = "list[tuple[bytes, bytes]]"

#: How many proxies one after the other are asked. Real chains have fewer than ten. A client can't
#: use it to hide: it writes at the beginning of a header, and the end of it counts.
MOST_HOPS: Final = 32

#: How many commas the quoted strings of one proxy may have, in ``Forwarded``.
_MOST_COMMAS: Final = 8

#: How many bytes an address may have, with its port. The longest one is an IPv6 address with 45.
_LONGEST_NODE: Final = 64


class Hop(NamedTuple):
    """What one proxy says about its client. ``None`` stands for what it doesn't say."""

    #: The client's address, and its port or 0. It is ``None``, too, if that can't be read, or if
    #: the proxy hides it.
    client: tuple[str, int] | None
    #: Whether the client used TLS.
    secure: bool | None
    #: The host that the client asked for, maybe with a port.
    host: bytes | None
    #: The port to which the client connected.
    port: int | None


# Schemes are compared without regard to case (RFC 3986 section 3.1).
_SECURE = {b"http": False, b"https": True, b"ws": False, b"wss": True}

# An address and a port. In Forwarded, a port may be hidden behind a name that begins with "_"
# (RFC 7239 section 6.3). In X-Forwarded-For, an IPv6 address often has no brackets.
_NODE = re.compile(
    r"(?:([0-9]{1,3}(?:\.[0-9]{1,3}){3})|\[([0-9A-Fa-f:.]{2,45})\])"
    r"(?::([0-9]{1,5}|_[0-9A-Za-z._-]+))?"
)
_BARE_IPV6 = re.compile(r"[0-9A-Fa-f:.]{2,45}")

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"((?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+)"'

# A pair of a forwarded-element (RFC 7239 section 4), and what ends it. A pair may be missing. The
# RFC has no spaces around ";", but some proxies write them.
_PAIR = re.compile(
    rb"[ \t]*+(?:(" + _TOKEN + rb")=(?:(" + _TOKEN + rb")|" + _QUOTED + rb")[ \t]*+)?+(;|\Z)"
)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)


def plain_address(text: str) -> IPv4Address | IPv6Address | None:
    """
    Read an address. A system that has one socket for both versions writes IPv4 as IPv6.

    Returns:
        ``None`` if it isn't one.
    """
    try:
        address = ip_address(text.partition("%")[0])  # without the interface
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


# The addresses of proxies come again and again, and those of clients often do.
@lru_cache(maxsize=1024)
def _node(node: bytes) -> tuple[str, int] | None:
    text = node.decode("latin-1")
    match = _NODE.fullmatch(text)
    if match is not None:
        host, port = match[1] or match[2], match[3] or "0"
    elif _BARE_IPV6.fullmatch(text):
        host, port = text, "0"
    else:
        return None  # "unknown", a hidden name, or no address at all
    address = plain_address(host)
    number = 0 if port.startswith("_") else int(port)
    if address is None or number >= 2**16 or (match and bool(match[2]) != (":" in host)):
        return None
    return str(address), number


def _client(node: bytes | None) -> tuple[str, int] | None:
    if node is None or len(node) > _LONGEST_NODE:
        return None
    return _node(node)


def _host(host: bytes | None) -> bytes | None:
    if host is None:
        return None
    try:
        check_authority(host)
    except BadRequest:
        return None
    return host


def _port(port: bytes | None) -> int | None:
    if port is None or not port.isdigit() or len(port) > 5 or not 0 < int(port) < 2**16:
        return None
    return int(port)


# X-Forwarded-...


_X_NAMES = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port")


def x_forwarded_hops(headers: Headers) -> Iterator[Hop]:
    """
    Read ``X-Forwarded-For``, ``-Proto``, ``-Host`` and ``-Port``, the nearest proxy first.

    The four are lists. A proxy that adds to one of them doesn't always add to the others, so there
    are as many hops as the first one has addresses. If there is none, there is one hop.
    """
    told: dict[bytes, list[bytes]] = {name: [] for name in _X_NAMES}
    for name, value in headers:
        if name in told:
            told[name].append(value)
    clients, schemes, hosts, ports = (_from_the_end(told[name]) for name in _X_NAMES)
    for number in range(max(len(clients), 1)):
        yield Hop(
            _client(_at(clients, number)),
            _SECURE.get((_at(schemes, number) or b"").lower()),
            _host(_at(hosts, number)),
            _port(_at(ports, number)),
        )


def _from_the_end(values: Sequence[bytes]) -> list[bytes]:
    """Split the values of a header, the last one first."""
    if not values:
        return []
    # What is before the last so many stays in one piece, which is left out.
    return b",".join(values).rsplit(b",", MOST_HOPS)[::-1][:MOST_HOPS]


def _at(values: Sequence[bytes], number: int) -> bytes | None:
    return values[number].strip(b" \t") if number < len(values) else None


# Forwarded


def forwarded_hops(headers: Headers) -> Iterator[Hop]:
    """Read ``Forwarded`` (:rfc:`7239`), the nearest proxy first, up to what can't be read."""
    for pairs in _elements([value for name, value in headers if name == b"forwarded"]):
        yield Hop(
            _client(pairs.get(b"for")),
            _SECURE.get(pairs.get(b"proto", b"").lower()),
            _host(pairs.get(b"host")),
            None,
        )


def _elements(values: Sequence[bytes]) -> Iterator[dict[bytes, bytes]]:
    """Read the elements of the list, the last one first, each as its pairs."""
    parts = _from_the_end(values)[::-1]
    while parts:
        element = parts.pop()
        pairs = _pairs(element)
        # A comma may be in a quoted string. Its second half is never an element by itself, because
        # it ends with a quotation mark that nothing opens.
        for _ in range(_MOST_COMMAS):
            if pairs is not None or not parts:
                break
            element = parts.pop() + b"," + element
            pairs = _pairs(element)
        if pairs is None:
            return
        if pairs:  # elements may be empty (RFC 9110 section 5.6.1.2)
            yield pairs


def _pairs(element: bytes) -> dict[bytes, bytes] | None:
    """Read the pairs of an element, with names in lower case. ``None`` if it isn't one."""
    pairs: dict[bytes, bytes] = {}
    position, separator = 0, b";"
    while separator:
        match = _PAIR.match(element, position)
        if match is None:
            return None
        name, token, quoted, separator = match.groups()
        position = match.end()
        if name is None:
            continue
        name = name.lower()
        if name in pairs:  # RFC 7239 section 4 forbids it
            return None
        pairs[name] = _ESCAPED.sub(rb"\1", quoted) if token is None else token
    return pairs
