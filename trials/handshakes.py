"""Opening handshakes as bytes (RFC 6455 section 4.1)."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["DEFLATE", "handshake", "header_lines"]

DEFLATE = ("Sec-WebSocket-Extensions", "permessage-deflate")


def header_lines(
    host: str = "127.0.0.1", extra: Iterable[tuple[str, str]] = ()
) -> list[tuple[str, str]]:
    """Return the header lines that make a request a handshake."""
    return [
        ("Host", host),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
        *extra,
    ]


def handshake(path: str = "/", *extra: tuple[str, str], host: str = "127.0.0.1") -> bytes:
    """Make a valid request, with further header lines."""
    lines = [f"GET {path} HTTP/1.1", *map(": ".join, header_lines(host, extra)), "", ""]
    return "\r\n".join(lines).encode("latin-1")
