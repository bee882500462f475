"""What the options of ``triows run`` say about the proxies in front of the server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from triows._server.proxy import Proxy
from triows._server.unix import is_abstract, path_of

from .choosing import UnusableCommand

if TYPE_CHECKING:
    from .choosing import Chosen

__all__ = ["proxy_of"]

_ALL = "all"


def proxy_of(values: Chosen, *, is_worker: bool = False) -> Proxy | None:
    """
    Make the proxies of the options' values. Return ``None`` if nothing is to be read of them.

    Args:
        values: The options' values.
        is_worker: Whether this process doesn't choose where it listens. Its parent has told it
            which of the sockets expect the PROXY protocol.

    Raises:
        UnusableCommand: They can't be used. The message says what to write instead.
    """
    name_of = values.name_of
    if values["proxy_headers"] and values["forwarded_header"]:
        names = f"{name_of('proxy_headers')} and {name_of('forwarded_header')}"
        raise UnusableCommand(f"{names}: leave out the one whose headers the proxy doesn't set")
    trusted, protocol = values["forwarded_allow_ips"], values["proxy_protocol"]
    if not (values["proxy_headers"] or values["forwarded_header"] or protocol):
        # One that is off on purpose, such as by --no-proxy-headers, isn't forgotten.
        if trusted is None or any(map(values.is_said, ("proxy_headers", "forwarded_header"))):
            return None
        raise UnusableCommand(
            f"{name_of('forwarded_allow_ips')} has an effect only with --proxy-headers, "
            "--forwarded-header or --proxy-protocol: add one of them"
        )
    settings: dict[str, Any] = {"protocol": True}
    if _ALL not in protocol:
        settings["protocol"] = list(protocol) if is_worker else _listening(values)
    if values["proxy_headers"]:
        settings["headers"] = "x-forwarded"
    elif values["forwarded_header"]:
        settings["headers"] = "forwarded"
    if trusted is not None:
        settings["trusted"] = [one.strip() for one in trusted.split(",")]
    try:
        return Proxy(**settings)
    except ValueError as exc:
        raise UnusableCommand(f"{name_of('forwarded_allow_ips')}: {exc}") from None


def _listening(values: Chosen) -> list[str]:
    """
    Return where proxies introduce their clients, written as the server's own addresses are.

    Raises:
        UnusableCommand: The server doesn't listen there. The message says what to write instead.
    """
    own = [*values["bind"], *(values["insecure_bind"] or ())]
    by_place = {_place(address): address for address in own}
    for address in values["proxy_protocol"]:
        if _place(address) not in by_place:
            raise UnusableCommand(
                f"{values.name_of('proxy_protocol')}: {address!r} isn't one of the addresses of "
                f"--bind, which are {', '.join(own)}: write one of them as it is there, or 'all'"
            )
    return [by_place[_place(address)] for address in values["proxy_protocol"]]


def _place(address: str) -> str:
    """Write each file in one way, because paths in a configuration file have its folder."""
    path = path_of(address)
    return address if path is None or is_abstract(path) else f"unix:{os.path.abspath(path)}"
