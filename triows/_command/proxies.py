"""What the options of ``triows run`` say about the proxies in front of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triows._server.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["proxy_of"]

_ALL = "all"


def proxy_of(values: Mapping[str, Any]) -> Proxy | None:
    """
    Make the proxies of the options' values. Return ``None`` if nothing is to be read of them.

    Raises:
        ValueError: They can't be used. The message says what to write instead.
    """
    if values["proxy_headers"] and values["forwarded_header"]:
        raise ValueError(
            "--proxy-headers and --forwarded-header: give the one whose headers the proxy sets"
        )
    trusted, protocol = values["forwarded_allow_ips"], values["proxy_protocol"]
    if not (values["proxy_headers"] or values["forwarded_header"] or protocol):
        if trusted is None:
            return None
        raise ValueError(
            "--forwarded-allow-ips has an effect only with --proxy-headers, --forwarded-header or "
            "--proxy-protocol: add one of them"
        )
    _check_listening(protocol, values["bind"])
    settings: dict[str, Any] = {"protocol": True if _ALL in protocol else list(protocol)}
    if values["proxy_headers"]:
        settings["headers"] = "x-forwarded"
    elif values["forwarded_header"]:
        settings["headers"] = "forwarded"
    if trusted is not None:
        settings["trusted"] = [one.strip() for one in trusted.split(",")]
    try:
        return Proxy(**settings)
    except ValueError as exc:
        raise ValueError(f"--forwarded-allow-ips: {exc}") from None


def _check_listening(protocol: Sequence[str], bind: Sequence[str]) -> None:
    """
    Refuse addresses at which the server doesn't listen.

    Raises:
        ValueError: The message says what to write instead.
    """
    for address in protocol:
        if address not in (_ALL, *bind):
            raise ValueError(
                f"--proxy-protocol: {address!r} isn't one of the addresses of --bind, which are "
                f"{', '.join(bind)}: write one of them as it is there, or 'all'"
            )
