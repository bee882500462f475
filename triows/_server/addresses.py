"""Addresses to listen at, as people write them."""

from __future__ import annotations

import ipaddress
import re

__all__ = ["address_of", "check_address"]

#: The port of a host alone, as in Hypercorn.
DEFAULT_PORT = 8000

# What Hypercorn reads as it is meant. It takes the brackets and the text after the last colon away,
# so that it reads "::1" as port 1, for example.
_NAME = r"[^\s\[\]:/,@*]+"
_WITH_PORT = re.compile(rf"({_NAME}|\[[^\s\[\]/,]+\]):(\d{{1,5}})", re.ASCII)
_HOST = re.compile(_NAME)
_UNIX = re.compile(r"unix:.+")
_DESCRIPTOR = re.compile(r"fd://\d{1,9}", re.ASCII)

_PREFIXED = re.compile(r"(unix|fd)[: ](.*)", re.IGNORECASE)  # as people may write the last two


def check_address(address: str) -> None:
    """
    Refuse an address that would be read as another one, or as all addresses.

    Args:
        address: As in ``config.bind``: ``host:port``, ``[host]:port``, a host alone (port 8000, as
            in Hypercorn), ``unix:path`` or ``fd://number``.

    Raises:
        ValueError: The address can't be read. The message says what to write instead.
    """
    if not _is_address(address):
        raise ValueError(f"{address!r} isn't an address: {_remedy(address)}")


def address_of(host: str, port: int) -> str:
    """
    Put a host and a port together.

    Raises:
        ValueError: The host isn't a name or an address. The message says what to write instead.
    """
    address = f"[{host}]:{port}" if _is_v6(host) else f"{host}:{port}"
    if host.lower() in ("unix", "fd") or not _is_address(address):
        raise ValueError(
            f"{host!r} isn't a host: write a name or an address, such as '127.0.0.1' for this "
            "machine alone, or '0.0.0.0' for all that can reach it"
        )
    return address


def _is_address(text: str) -> bool:
    if text.startswith(("unix:", "fd:")):
        return bool((_UNIX.fullmatch(text) and "\0" not in text) or _DESCRIPTOR.fullmatch(text))
    if found := _WITH_PORT.fullmatch(text):
        return int(found[2]) <= 65535 and not found[1].isdecimal()
    return bool(_HOST.fullmatch(text)) and not text.isdecimal() and not _is_path(text)


def _is_path(text: str) -> bool:
    return text.endswith(".sock") or text.startswith(("/", "./", "../", "~"))


def _remedy(text: str) -> str:
    """Say what to write instead."""
    text = text.strip()
    port = text.removeprefix(":")
    if port.isdecimal() and _is_address(f"127.0.0.1:{port}"):
        return (
            f"write the host, too: '127.0.0.1:{port}' for this machine alone, or '0.0.0.0:{port}' "
            "for all that can reach it"
        )
    if "," in text:
        return "give each address by itself"
    scheme, found, rest = text.partition("://")
    is_url = bool(found) and scheme.lower() not in ("unix", "fd")
    if _is_address(meant := _meant(rest if is_url else text)):
        return f"write it without '{scheme}://', as in {meant!r}" if is_url else f"write {meant!r}"
    return (
        "write 'host:port' with a port up to 65535, '[::1]:8000', 'unix:/run/app.sock' or 'fd://3'"
    )


def _meant(text: str) -> str:
    """Guess the address that is meant by something else. The guess may be no address, either."""
    if found := _PREFIXED.fullmatch(text):
        kind, rest = found[1].lower(), found[2]
        return f"unix:{rest}" if kind == "unix" else f"fd://{rest.strip('/')}"
    if _is_path(text):
        return f"unix:{text}"
    text = text.replace(" ", ":", 1)
    text = text.partition("/")[0]  # without the path of a URL
    if text.startswith("[") and "]" in text:
        host, _, port = text[1:].partition("]")
        return f"[{host}]:{port.strip(':') or DEFAULT_PORT}"
    if text.startswith("*"):
        text = f"0.0.0.0{text[1:]}"
    without_port = f"{text.removesuffix(':')}:{DEFAULT_PORT}"
    return _meant_v6(text) or (text if _is_address(text) else without_port)


def _meant_v6(text: str) -> str | None:
    """Put brackets around an address of IPv6. A number after it is its port if it looks like it."""
    host, _, port = text.rpartition(":")
    is_whole = _is_v6(text)
    if _is_v6(host) and (not is_whole or len(port) > 3 or host in ("::", "::1")):
        return f"[{host}]:{port or DEFAULT_PORT}"
    return f"[{text}]:{DEFAULT_PORT}" if is_whole else None


def _is_v6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
