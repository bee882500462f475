"""Checks what a handshake offers: subprotocols and origins."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

__all__ = [
    "MOST_SHOWN",
    "Origins",
    "check_origins",
    "check_subprotocol",
    "origin_allowed",
    "why_not_allowed",
]

Origins: TypeAlias = Sequence[str]

#: The entry in a list of origins that allows all of them.
ANY_ORIGIN = "*"


def check_subprotocol(subprotocol: str, offered: Sequence[str]) -> None:
    """
    Refuse a subprotocol that the client did not offer (:rfc:`6455#section-4.2.2`).

    Raises:
        ValueError: The client did not offer it.
    """
    if subprotocol not in offered:
        offers = ", ".join(map(repr, offered)) or "none"
        raise ValueError(
            f"subprotocol {subprotocol!r} was not offered by the client (it offered: {offers})"
        )


def check_origins(origins: Origins) -> None:
    """
    Refuse a setting that could never match, or that would match more than was meant.

    Raises:
        ValueError: An entry isn't an origin (:rfc:`6454#section-6.2`), with or without ``*.``
            before its host.
        TypeError: An entry isn't a str, or *origins* itself is a str, whose letters would be taken
            for the entries.
    """
    if isinstance(origins, str):
        raise TypeError(f"origins takes a list: write origins=[{origins!r}]")
    for origin in origins:
        if not isinstance(origin, str):
            raise TypeError(f"an origin is a str such as 'https://example.org', not {origin!r}")
        remedy = None if origin == ANY_ORIGIN else _remedy(origin)
        if remedy is not None:
            raise ValueError(f"{origin!r} isn't an origin: {remedy}")


# Scheme, host and port. The host is as browsers send it (WHATWG's URL standard): ASCII, with other
# letters in Punycode, or an IPv6 address in brackets.
_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://"
    r"(?P<host>[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?",
    re.ASCII,
)

# The scheme that browsers send in place of a WebSocket's own.
_PAGES = {"ws": "http", "wss": "https"}


def _remedy(entry: str) -> str | None:
    """Say what to write in place of an entry. Return ``None`` if the entry is right."""
    scheme, separator, rest = entry.lower().partition("://")
    if not separator:
        return f"write scheme and host, as in 'https://{entry.strip('/') or 'example.org'}'"
    if scheme in _PAGES:
        return f"browsers send the page's own origin, so write '{_PAGES[scheme]}://{rest}'"
    host, *more = re.split(r"[/?#]", rest, maxsplit=1)
    if more:
        return f"an origin has no path, so write '{scheme}://{host}'"
    is_wildcard = host.startswith("*.")
    match = _ORIGIN.fullmatch(f"{scheme}://{host.removeprefix('*.')}")
    if match is None:
        return _remedy_of_host(scheme, host)
    if match["port"] is not None and not 0 < int(match["port"]) < 2**16:
        return "a port is from 1 to 65535"
    if is_wildcard:
        name = match["host"].rstrip(".")
        *above, last = name.split(".")
        if name.startswith("[") or last.isdigit():
            return "an address has no subdomains, so write it whole"
        if not above and last != "localhost":
            return f"that is every domain in '{last}', so write at least '*.example.{last}'"
    return None


def _remedy_of_host(scheme: str, host: str) -> str:
    if "*" in host.removeprefix("*."):
        return f"'*' means all subdomains, and may only be at the beginning: '{scheme}://*.example.org'"
    if "@" in host:
        return f"an origin has no user, so write '{scheme}://{host.rpartition('@')[2]}'"
    if not host.isascii():
        try:
            encoded = host.encode("idna").decode()
        except UnicodeError:
            encoded = "xn--..."
        return f"browsers send the host in ASCII, so write '{scheme}://{encoded}'"
    return "write scheme and host, as in 'https://example.org' or 'https://example.org:8443'"


def origin_allowed(origin: str | None, host: str | None, allowed: Origins | None) -> bool:
    """
    Decide whether a page of *origin* may connect (:rfc:`6455#section-10.2`).

    Args:
        origin: The request's ``Origin``. Only browsers send one, and they always do.
        host: The request's ``Host``.
        allowed: The origins that may connect. ``None`` allows only pages of the same host, by http
            or https. ``"*"`` allows all. ``https://*.example.org`` allows all subdomains of
            example.org, of any depth, but not example.org itself.
    """
    if origin is None:
        return True
    if allowed is None:
        return host is not None and _same_host(origin, host)
    if ANY_ORIGIN in allowed:
        return True
    wanted = _normal(origin)
    return wanted is not None and any(_fits(wanted, _entry(entry)) for entry in allowed)


def why_not_allowed(origin: str, host: str | None, allowed: Origins | None) -> str:
    """
    Say for the log why a page of *origin* may not connect.

    Args:
        origin: The request's ``Origin``. It comes from the peer, and so does *host*.
        host: The request's ``Host``.
        allowed: The origins that may connect.
    """
    page = repr(origin[:MOST_SHOWN])
    if allowed is not None:
        return f"origins does not allow the page at {page}"
    if host is None:
        return f"the page is at {page}, and there is no Host header"
    return f"the page is at {page}, and the Host header is {host[:MOST_SHOWN]!r}"


#: Characters of an origin or a host that the log shows. A browser's are rarely longer than 50.
MOST_SHOWN = 100

_DEFAULT_PORTS = {"http": ":80", "https": ":443", "ws": ":80", "wss": ":443"}


def _normal(origin: str) -> tuple[str, str] | None:
    """Return an origin's scheme and host, without a default port; ``None`` if it isn't one."""
    scheme, separator, host = origin.lower().partition("://")
    if not separator or not host or "/" in host:
        return None
    return scheme, host.removesuffix(_DEFAULT_PORTS.get(scheme, "://"))


# The entries of settings are few and never change, so the results are kept.
_entry = lru_cache(maxsize=1024)(_normal)


def _fits(wanted: tuple[str, str], entry: tuple[str, str] | None) -> bool:
    if wanted == entry:
        # No browser sends a host that begins with "*". It must not match the setting's own text.
        return not wanted[1].startswith("*")
    if entry is None or not entry[1].startswith("*."):
        return False
    scheme, host = wanted
    # The part before the setting's domain must consist of valid names. The domain and the port
    # are the setting's.
    return (
        scheme == entry[0]
        and host.endswith(entry[1][1:])
        and _ORIGIN.fullmatch(f"{scheme}://{host}") is not None
    )


def _same_host(origin: str, host: str) -> bool:
    normal = _normal(origin)
    # A browser extension, for example, has an origin with a scheme of its own, and can choose the
    # host in it.
    if normal is None or normal[0] not in ("http", "https"):
        return False
    # Behind a proxy that ends TLS, we don't know the scheme of the request. So only the default
    # port of the origin's own scheme may be missing on either side.
    scheme, origin_host = normal
    return origin_host == host.lower().removesuffix(_DEFAULT_PORTS.get(scheme, "://"))
