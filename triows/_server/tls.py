"""What the server speaks under TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

    from hypercorn.config import Config

__all__ = ["tls_context"]


def tls_context(config: Config) -> ssl.SSLContext | None:
    """
    Read the certificate, if there is one, and offer HTTP/1.1 only, whatever else is configured.

    Raises:
        OSError: a file can't be read, or is no certificate or key.
    """
    try:
        context = config.create_ssl_context()
    except OSError as exc:  # ssl's errors are some, and name no file
        exc.add_note(f"while reading {config.certfile!r} and {config.keyfile!r}")
        raise
    if context is not None:
        context.set_alpn_protocols(["http/1.1"])
    return context
