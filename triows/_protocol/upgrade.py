"""
The opening handshake, from the server's side (:rfc:`6455#section-4.2`).

The HTTP server has already read the method and the headers. This module checks them and writes
the response.
"""

from __future__ import annotations

import binascii
import hashlib
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from websockets.exceptions import InvalidHeader, NegotiationError
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.headers import (
    build_extension,
    parse_connection,
    parse_extension,
    parse_subprotocol,
    parse_upgrade,
)

from triows._headers import header_lines

from .responses import response_head

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from websockets.extensions.permessage_deflate import PerMessageDeflate
    from websockets.typing import ExtensionHeader

    from triows._settings import Compression

__all__ = [
    "BadUpgrade",
    "Upgrade",
    "acceptance",
    "asks_for_websocket",
    "extension_factories",
    "read_upgrade",
]

Headers = list[tuple[bytes, bytes]]

#: The only version of the protocol (RFC 6455 section 4.1). A client that asks for another is told.
VERSION = b"13"

_VERSION_HEADER = (b"sec-websocket-version", VERSION)

#: What the answer to a key is computed with (section 1.3).
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

# What nearly all clients send, which need not be parsed.
_UPGRADES = ([b"websocket"],)
_CONNECTIONS = ([b"Upgrade"], [b"keep-alive, Upgrade"])


class BadUpgrade(Exception):
    """
    A handshake that can't be accepted.

    Args:
        status: The HTTP status of the answer.
        detail: What is wrong, for the peer.
        headers: Further headers of the answer.
    """

    def __init__(self, status: int, detail: str, *headers: tuple[bytes, bytes]) -> None:
        self.status = status
        self.detail = detail
        self.headers = list(headers)
        super().__init__(detail)


# A Struct, as a request's head is one.
class Upgrade(Struct, frozen=True, gc=False):
    """What a valid handshake asks for."""

    #: The value of the response's ``Sec-WebSocket-Accept``.
    accept: str
    #: The subprotocols that the client offers, in the client's order.
    subprotocols: list[str]
    #: The values of ``Sec-WebSocket-Extensions``.
    extensions: Sequence[str] = ()

    def negotiate(
        self, factories: Sequence[ServerPerMessageDeflateFactory]
    ) -> tuple[list[PerMessageDeflate], str | None]:
        """
        Choose among the extensions that the client offers.

        This declines an offer that can't be read, or that can't be met (:rfc:`7692#section-5`).

        Returns:
            The extensions, and the value of the response's ``Sec-WebSocket-Extensions``.
        """
        accepted: list[PerMessageDeflate] = []
        headers: list[ExtensionHeader] = []
        for name, params in self._offers() if factories else ():
            for factory in factories:
                if factory.name != name:
                    continue
                try:
                    answer, extension = factory.process_request_params(params, accepted)
                except (NegotiationError, ValueError):
                    # ValueError: zlib can't compress with server_max_window_bits=8. The oldest
                    # version of websockets that we allow doesn't check this, so zlib raises.
                    continue
                headers.append((name, answer))
                accepted.append(extension)
                break
        return accepted, build_extension(headers) if headers else None

    def _offers(self) -> list[ExtensionHeader]:
        try:
            return [offer for value in self.extensions for offer in parse_extension(value)]
        except InvalidHeader:
            return []


def extension_factories(
    compression: Compression | None,
) -> list[ServerPerMessageDeflateFactory]:
    """Return the extensions that :meth:`Upgrade.negotiate` may choose under a route's setting."""
    if compression is None:
        return []
    bits, alone = compression.window_bits, not compression.context_takeover
    return [
        ServerPerMessageDeflateFactory(
            server_no_context_takeover=alone,
            client_no_context_takeover=alone,
            server_max_window_bits=bits,
            client_max_window_bits=bits,
            compress_settings={"level": compression.level, "memLevel": compression.memory_level},
        )
    ]


def asks_for_websocket(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """
    Say whether a request asks for a WebSocket.

    It does if it has ``Connection: Upgrade`` and ``Upgrade: websocket``.

    Args:
        headers: The request's headers, with names in lower case.
    """
    fields = _by_name(headers)
    if fields.get(b"upgrade") in _UPGRADES and fields.get(b"connection") in _CONNECTIONS:
        return True
    upgrade = _listed(fields, b"upgrade")
    return "websocket" in upgrade and "upgrade" in _listed(fields, b"connection")


def _by_name(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, list[bytes]]:
    fields: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in fields:
            fields[name].append(value)
        else:
            fields[name] = [value]
    return fields


def _listed(fields: Mapping[bytes, list[bytes]], wanted: bytes) -> list[str]:
    """
    Split the values of a header at their commas, in lower case, without checking them.

    This strips whatever Python counts as whitespace, because Hypercorn does so, too. What
    Hypercorn treats as a handshake must be one here as well. If it is malformed, it is refused.
    """
    values = _values(fields, wanted)
    return [part.strip().lower() for value in values for part in value.split(",")]


def read_upgrade(
    method: bytes, http_version: bytes, headers: Sequence[tuple[bytes, bytes]]
) -> Upgrade:
    """
    Check a handshake (:rfc:`6455#section-4.2.1`).

    If a header whose value is a list comes several times, the lists are joined. Any other header
    that comes several times is refused.

    Args:
        method: The request's method.
        http_version: The request's version of HTTP, such as ``b"1.1"``.
        headers: The request's headers, with names in lower case.

    Raises:
        BadUpgrade: The handshake can't be accepted.
    """
    if method != b"GET":
        raise BadUpgrade(405, "a WebSocket handshake is a GET request", (b"allow", b"GET"))
    if http_version != b"1.1":
        raise BadUpgrade(505, "a WebSocket handshake needs HTTP/1.1")
    fields = _by_name(headers)
    for name in (b"content-length", b"transfer-encoding"):
        if name in fields and any(value.strip() != b"0" for value in fields[name]):
            raise BadUpgrade(400, "a WebSocket handshake has no body")
    try:
        _check_lists(fields)
        # Most handshakes offer neither of the two.
        subprotocols = _subprotocols(fields) if b"sec-websocket-protocol" in fields else []
    except InvalidHeader as exc:
        raise BadUpgrade(400, f"malformed header {exc.name}") from None
    if _only(fields, _VERSION_HEADER[0], "Sec-WebSocket-Version") != VERSION:
        raise BadUpgrade(426, "this server speaks WebSocket version 13", _VERSION_HEADER)
    key = _only(fields, b"sec-websocket-key", "Sec-WebSocket-Key")
    offered = b"sec-websocket-extensions" in fields
    extensions = _values(fields, b"sec-websocket-extensions") if offered else ()
    return Upgrade(_accept(key), subprotocols, extensions)


def _subprotocols(fields: Mapping[bytes, list[bytes]]) -> list[str]:
    values = _values(fields, b"sec-websocket-protocol")
    return [str(one) for value in values for one in parse_subprotocol(value)]


def _check_lists(fields: Mapping[bytes, list[bytes]]) -> None:
    """
    Check the two headers in which :func:`asks_for_websocket` has found what it looks for.

    Raises:
        BadUpgrade: There is more than one protocol.
        InvalidHeader: One is malformed.
    """
    if fields.get(b"connection") not in _CONNECTIONS:
        for value in _values(fields, b"connection"):
            parse_connection(value)
    if fields.get(b"upgrade") not in _UPGRADES:
        protocols = [parse_upgrade(value) for value in _values(fields, b"upgrade")]
        if sum(map(len, protocols)) > 1:
            raise BadUpgrade(400, "Upgrade asks for more than one protocol")


def _values(fields: Mapping[bytes, list[bytes]], wanted: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for value in fields.get(wanted, ())]


def _only(fields: Mapping[bytes, list[bytes]], wanted: bytes, name: str) -> bytes:
    values = fields.get(wanted, ())
    if len(values) != 1:
        how = "several" if values else "no"
        raise BadUpgrade(400, f"{how} {name}", _VERSION_HEADER)
    return values[0].strip()


def _accept(key: bytes) -> str:
    """Return the answer to the client's key, which is 16 bytes in base64 (section 4.2.1)."""
    try:
        raw = binascii.a2b_base64(key, strict_mode=True)
    except binascii.Error:
        raw = b""
    if len(raw) != 16:
        raise BadUpgrade(400, "Sec-WebSocket-Key is not 16 bytes in base64")
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
    return binascii.b2a_base64(digest, newline=False).decode()


def acceptance(
    accept: str,
    subprotocol: str | None,
    extensions: str | None,
    headers: Sequence[tuple[bytes, bytes]],
    own_lines: bytes,
) -> bytes:
    """
    Write the head of the response that accepts a handshake.

    Args:
        accept: See :attr:`Upgrade.accept`.
        subprotocol: The subprotocol that was chosen, if any.
        extensions: The value of ``Sec-WebSocket-Extensions``, if any were chosen.
        headers: Those of the application.
        own_lines: The lines of the server's own headers.
    """
    lines = b""
    if subprotocol is not None:
        lines += b"sec-websocket-protocol: %s\r\n" % subprotocol.encode()
    if extensions is not None:
        lines += b"sec-websocket-extensions: %s\r\n" % extensions.encode()
    if headers:
        lines += header_lines(headers)
    return b"%s%s\r\n%s%s\r\n" % (_ACCEPTANCE, accept.encode(), lines, own_lines)


# The beginning of the response, up to the answer to the client's key.
_ACCEPTANCE: Final = (
    response_head(101, [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")])[:-2]
    + b"sec-websocket-accept: "
)
