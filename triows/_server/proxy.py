"""The proxies in front of a server: who they are, and what is believed of what they say."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from attrs import field, frozen

from triows._protocol.forwarded import plain_address

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from ipaddress import IPv4Network, IPv6Network

    from hypercorn.config import Config

__all__ = ["FAMILIES", "Family", "Proxy", "Trusted", "check_listeners", "is_introduced"]

Family: TypeAlias = Literal["x-forwarded", "forwarded"]

FAMILIES: tuple[Family, ...] = ("x-forwarded", "forwarded")

ANYBODY, UNIX = "*", "unix"

_THIS_MACHINE = ("127.0.0.1", "::1")


def _strings(name: str, given: Any) -> tuple[str, ...]:
    """
    Read a list of addresses.

    Raises:
        TypeError: It isn't a list of strings.
    """
    if isinstance(given, str):
        raise TypeError(f"Proxy.{name} takes a list: write {name}=[{given!r}]")
    if not isinstance(given, list | tuple) or not all(isinstance(one, str) for one in given):
        raise TypeError(f"Proxy.{name} takes a list of addresses, not {given!r}")
    return tuple(given)


def _trusted(given: Any) -> tuple[str, ...]:
    return _strings("trusted", given)


def _listeners(given: Any) -> bool | tuple[str, ...]:
    return given if isinstance(given, bool) else _strings("protocol", given) or False


@frozen(kw_only=True)
class Proxy:
    """
    The proxies in front of the server, and how they say who their clients are.

    Then the client's address, the scheme and the host are those of the client's own connection: in
    the scope, in URLs, in the log and in the check of origins. Without this, they are those of the
    connection between the proxy and the server.

    Raises:
        ValueError: A value can't be used. The message says what to write instead.
        TypeError: A value has a type that isn't allowed.
    """

    #: The addresses and networks of the proxies, such as ``"10.0.0.1"`` and ``"10.0.0.0/8"``, and
    #: ``"unix"`` for whoever connects to a Unix socket. Nobody else is believed. ``"*"`` trusts
    #: everybody. Write it only if nobody but the proxy can connect, because a client can write any
    #: address into a header. By default, only programs on this machine that connect by TCP are
    #: trusted, as in uvicorn. So a proxy that connects to a Unix socket needs ``"unix"``.
    trusted: Sequence[str] = field(default=_THIS_MACHINE, converter=_trusted)

    #: Which headers the proxies set: ``"x-forwarded"`` for ``X-Forwarded-For``, ``-Proto``,
    #: ``-Host`` and ``-Port``, or ``"forwarded"`` for the one of :rfc:`7239`. No header of the
    #: other family is read, because a proxy that sets one of them usually passes on the other as
    #: its client has sent it. ``None``, the default, reads none of them.
    headers: Family | None = field(default=None)

    #: Whether connections begin with a header of the PROXY protocol, version 1 or 2. ``True`` means
    #: all listeners. A list means those of ``config.bind`` that it names. Such a listener serves
    #: nobody else: a connection without the header, or from somebody who isn't trusted, is closed.
    protocol: bool | Sequence[str] = field(default=False, converter=_listeners)

    @trusted.validator
    def _check_trusted(self, _: Any, trusted: tuple[str, ...]) -> None:
        Trusted.of(trusted)

    @headers.validator
    def _check_headers(self, _: Any, headers: object) -> None:
        if headers is not None and headers not in FAMILIES:
            names = "' or '".join(FAMILIES)
            raise ValueError(f"Proxy.headers is '{names}', not {headers!r}")

    def __attrs_post_init__(self) -> None:
        if self.headers is None and not self.protocol:
            raise ValueError(
                "this Proxy reads nothing: write headers='x-forwarded', headers='forwarded' or "
                "protocol=True"
            )


Network: TypeAlias = "IPv4Network | IPv6Network"


def _network(entry: str) -> Network:
    """
    Read an address or a network.

    Raises:
        ValueError: It isn't one. The message says what to write instead.
    """
    try:
        return ip_network(entry)
    except ValueError:
        pass
    try:
        whole = ip_network(entry, strict=False)
    except ValueError:
        raise ValueError(f"{entry!r} can't be trusted: {_remedy(entry)}") from None
    raise ValueError(f"{entry!r} has bits of a host: for the whole network, write '{whole}'")


def _remedy(entry: str) -> str:
    if entry == "localhost":
        return "names aren't looked up, so write '127.0.0.1' and '::1'"
    if entry.startswith("unix:") or "/" in entry.partition("/")[2] or entry[:1] == "/":
        return "write 'unix' for all Unix sockets"
    if entry.startswith("["):
        return "write an address without brackets and port"
    host, _, port = entry.rpartition(":")
    if port.isdecimal() and plain_address(host) is not None:
        return f"a proxy's port changes, so write '{host}'"
    return (
        "write an address such as '10.0.0.1', a network such as '10.0.0.0/8', 'unix', or '*' for "
        "everybody"
    )


@frozen
class Trusted:
    """Who is believed."""

    _networks: tuple[Network, ...]
    _unix: bool
    _anybody: bool
    _includes: Callable[[str], bool] = field(init=False, eq=False, repr=False)

    @classmethod
    def of(cls, entries: Sequence[str]) -> Trusted:
        """
        Read a list as in :attr:`Proxy.trusted`.

        Raises:
            ValueError: An entry can't be read, or the list is empty.
        """
        if not entries:
            raise ValueError("Proxy.trusted is empty, so nobody would be believed: name the proxy")
        anybody = ANYBODY in entries
        if anybody and len(entries) > 1:
            raise ValueError("'*' trusts everybody: leave the other addresses out, or leave it out")
        networks = [_network(one) for one in entries if one not in (ANYBODY, UNIX)]
        return cls(tuple(networks), anybody or UNIX in entries, anybody)

    @classmethod
    def by(cls, proxy: Proxy | None) -> Trusted:
        """
        Return who is believed by a server.

        Args:
            proxy: The proxies in front of it. A worker may have none although its parent's
                listeners expect the PROXY protocol: somebody has changed the configuration.
        """
        return cls.of(_THIS_MACHINE if proxy is None else proxy.trusted)

    @_includes.default
    def _make_includes(self) -> Callable[[str], bool]:
        return lru_cache(maxsize=1024)(self._decide)

    def _decide(self, host: str) -> bool:
        address = plain_address(host)
        return address is not None and any(address in network for network in self._networks)

    def covers(self, client: tuple[str, int] | None) -> bool:
        """
        Say whether somebody is believed.

        Args:
            client: The address. ``None`` stands for a Unix socket.
        """
        if self._anybody or client is None:
            return self._unix
        return self._includes(client[0])


def is_introduced(proxy: Proxy | None, address: str | None) -> bool:
    """
    Say whether connections to a listener begin with a header of the PROXY protocol.

    Args:
        proxy: The proxies in front of the server.
        address: That of ``config.bind``; ``None`` if the listener is a socket that was given.
    """
    protocol = proxy is not None and proxy.protocol
    return protocol if isinstance(protocol, bool) else address in protocol


def check_listeners(proxy: Proxy, config: Config, sockets: object) -> None:
    """
    Refuse addresses at which the server doesn't listen, because the user relies on them.

    Args:
        proxy: The proxies.
        config: Hypercorn's configuration.
        sockets: Sockets that were given instead of addresses, or ``None``.

    Raises:
        ValueError: The message says what to write instead.
    """
    if isinstance(proxy.protocol, bool):
        return
    if sockets is not None:
        raise ValueError(
            "Proxy.protocol names addresses, and sockets=[...] have none: write protocol=True"
        )
    for address in proxy.protocol:
        if address not in (known := _addresses(config)):
            listed = ", ".join(map(repr, known))
            raise ValueError(
                f"Proxy.protocol has {address!r}, at which the server doesn't listen: write it as "
                f"in config.bind, which has {listed}"
            )


def _addresses(config: Config) -> list[str]:
    """Return where the server listens, in the order of its listeners."""
    return [*config.bind, *(config.insecure_bind if config.ssl_enabled else ())]
