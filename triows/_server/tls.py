"""The TLS settings of the server, and errors in its certificate."""

from __future__ import annotations

import os
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hypercorn.config import Config

__all__ = ["CertificateError", "Credentials", "credentials"]


class CertificateError(OSError):
    """
    A certificate or its key can't be used.

    Args:
        setting: ``certfile``, ``keyfile``, ``ca_certs`` or ``ciphers``.
        reason: What is wrong with it. It names the file.
    """

    def __init__(self, setting: str, reason: str) -> None:
        super().__init__(reason)
        self.setting = setting


@frozen(eq=False)
class Credentials:
    """What the server shows its clients, as it was in the files when they were read."""

    context: ssl.SSLContext
    #: The server's own certificate, in PEM format.
    certificate: str | None
    #: The number of each cipher suite (RFC 8446 appendix B.4) by the name that OpenSSL has for it.
    suites: Mapping[str, int]


def credentials(config: Config) -> Credentials | None:
    """
    Read the certificate, if there is one. Offer only HTTP/1.1, whatever else is configured.

    OpenSSL never asks for the password of an encrypted key, because nobody could interrupt that,
    and a service has no terminal.

    Args:
        config: Hypercorn's configuration.

    Raises:
        CertificateError: A file can't be read, or isn't a certificate or key that fits.
    """
    if config.ssl_enabled:
        for setting in _SETTINGS:
            if (file := getattr(config, setting)) is not None:
                _check_readable(setting, file)
        if config.keyfile_password is None:
            _check_not_encrypted(config)
    try:
        context = config.create_ssl_context()
    except OSError as exc:  # ssl's errors are OSErrors
        raise _explained(config, exc) from exc
    if context is None:
        return None
    context.set_alpn_protocols(["http/1.1"])
    suites = {suite["name"]: suite["id"] & 0xFFFF for suite in context.get_ciphers()}
    return Credentials(context, _first_certificate(config), suites)


def _first_certificate(config: Config) -> str | None:
    assert config.certfile is not None
    with suppress(OSError), open(config.certfile, encoding="latin-1") as file:
        _, begin, rest = file.read().partition("-----BEGIN CERTIFICATE-----\n")
        body, end, _ = rest.partition("-----END CERTIFICATE-----")
        return f"{begin}{body}{end}\n" if end else None
    return None


_SETTINGS = ("certfile", "keyfile", "ca_certs")


def _check_readable(setting: str, file: str) -> None:
    reason = None
    if not os.path.exists(file):
        reason = "there is no such file"
    elif os.path.isdir(file):
        reason = "it is a folder"
    elif not os.access(file, os.R_OK):
        reason = "permission denied"
    if reason is not None:
        raise CertificateError(setting, f"{file!r} can't be read: {reason}")


class _EncryptedKeyError(Exception):
    """Raised through OpenSSL when it asks for the key's password."""


def _check_not_encrypted(config: Config) -> None:
    def refuse() -> str:
        raise _EncryptedKeyError

    assert config.certfile is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Other mistakes are found later.
        with suppress(OSError):
            context.load_cert_chain(config.certfile, config.keyfile, password=refuse)
    except _EncryptedKeyError:
        raise CertificateError(
            "keyfile",
            f"the key in {config.keyfile!r} is encrypted: give its password, by "
            "--keyfile-password-file or by config.keyfile_password",
        ) from None


def _explained(config: Config, exc: OSError) -> CertificateError:
    """Say which file OpenSSL could not use, and why. Its own errors name no file."""
    if getattr(exc, "reason", None) == "KEY_VALUES_MISMATCH":
        reason = f"the key in {config.keyfile!r} doesn't fit the certificate in {config.certfile!r}"
        return CertificateError("keyfile", reason)
    if not _has_ciphers(config):
        return CertificateError("ciphers", f"OpenSSL has none of the ciphers {config.ciphers!r}")
    for setting in ("certfile", "ca_certs"):
        file = getattr(config, setting)
        if file is not None and not _has_certificate(file):
            return CertificateError(setting, f"{file!r} has no certificate in PEM format")
    if "PEM" in str(exc):
        password = "" if config.keyfile_password is None else ", or its password is another"
        reason = f"{config.keyfile!r} has no private key in PEM format{password}"
        return CertificateError("keyfile", reason)
    return CertificateError("certfile", f"{config.certfile!r} can't be used: {exc}")


def _has_ciphers(config: Config) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ciphers(config.ciphers)
    except ssl.SSLError:
        return False
    return True


def _has_certificate(file: str) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with suppress(OSError):
        context.load_verify_locations(file)
    return bool(context.get_ca_certs() or context.cert_store_stats()["x509"])
