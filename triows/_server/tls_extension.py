"""
What applications see of a connection's TLS: ASGI's TLS extension.

See https://asgi.readthedocs.io/en/latest/specs/tls.html.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .tls import Credentials

__all__ = ["Described"]

#: The numbers of the versions on the wire (RFC 8446 section 4.2.1).
_VERSIONS = {"TLSv1": 0x0301, "TLSv1.1": 0x0302, "TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


class Described:
    """
    A connection's TLS, as applications see it.

    Args:
        shown: What the server shows the client.
        connection: The connection.
    """

    __slots__ = ("_connection", "_description", "_shown")

    def __init__(self, shown: Credentials, connection: ssl.SSLObject) -> None:
        self._shown = shown
        self._connection = connection
        self._description: dict[str, Any] | None = None

    def extension(self) -> dict[str, Any]:
        """Return the description, for one scope. The handshake must be over."""
        if self._description is None:
            self._description = self._described()
        return {**self._description}

    def _described(self) -> dict[str, Any]:
        chain = _client_chain(self._connection)
        cipher = self._connection.cipher()
        return {
            "server_cert": self._shown.certificate,
            "client_cert_chain": chain,
            "client_cert_name": _name_of(self._connection.getpeercert() or {}) if chain else None,
            # A client whose certificate isn't valid is refused in the handshake.
            "client_cert_error": None,
            "tls_version": _VERSIONS.get(self._connection.version() or ""),
            "cipher_suite": None if cipher is None else self._shown.suites.get(cipher[0]),
        }


def _client_chain(connection: ssl.SSLObject) -> list[str]:
    """Return the client's certificate and, since Python 3.13, those that certify it."""
    own = connection.getpeercert(binary_form=True)
    if own is None:
        return []
    chain: list[bytes] = getattr(connection, "get_verified_chain", list)() or [own]
    return [ssl.DER_cert_to_PEM_cert(certificate) for certificate in chain]


#: The short names of RFC 4514 section 3. Others are written as OpenSSL names them.
_SHORT = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}


def _name_of(certificate: Mapping[str, Any]) -> str | None:
    """Write the subject of a certificate as RFC 4514 says: the last part comes first."""
    parts = (
        "+".join(f"{_SHORT.get(name, name)}={_escaped(value)}" for name, value in part)
        for part in reversed(certificate.get("subject", ()))
    )
    return ",".join(parts) or None


def _escaped(value: str) -> str:
    """Escape what has a meaning in a name (RFC 4514 section 2.4)."""
    text = "".join(f"\\{one}" if one in '"+,;<>\\' else one for one in value)
    text = text.replace("\0", "\\00")
    if text.startswith(("#", " ")):
        text = f"\\{text}"
    return f"{text[:-1]}\\ " if text.endswith(" ") and len(value) > 1 else text
