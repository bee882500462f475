"""Who has made a request, as the proxies in front of the server say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from triows._protocol.forwarded import forwarded_hops, x_forwarded_hops

from .arrival import Addresses
from .proxy import Trusted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from triows._protocol.forwarded import Hop
    from triows._protocol.heads import Headers
    from triows._protocol.http11 import Request

    from .proxy import Family, Proxy

__all__ = ["Forwarding", "forwarding"]

_HOPS: Mapping[Family, Callable[[Headers], Iterator[Hop]]] = {
    "x-forwarded": x_forwarded_hops,
    "forwarded": forwarded_hops,
}

_DEFAULT_PORTS = {False: 80, True: 443}


def forwarding(proxy: Proxy | None) -> Forwarding | None:
    """Return what reads the headers of proxies, or ``None`` if nobody asks for it."""
    if proxy is None or proxy.headers is None:
        return None
    return Forwarding(Trusted.of(proxy.trusted), _HOPS[proxy.headers])


@frozen
class Forwarding:
    """
    Reads the headers of proxies.

    Args:
        trusted: Who is believed.
        hops: Reads what the proxies say, the nearest one first.
    """

    _trusted: Trusted
    _hops: Callable[[Headers], Iterator[Hop]]

    def read(self, head: Request, ends: Addresses) -> Addresses:
        """
        Find out who has made a request.

        The client is the first address from the end that isn't trusted: a proxy that is trusted has
        added it, and the client has sent what comes before it. If an address can't be read, it is
        the one after that. The scheme and the host are those that the farthest trusted proxy says,
        because it is the nearest to the client. Nothing is read of a client that a proxy has
        introduced without its address, because it may have written the headers itself.

        Args:
            head: The request. If a proxy says for which host it was, that becomes its ``host``.
            ends: The two ends of the connection on which it has come.
        """
        covers, client = self._trusted.covers, ends.client
        if ends.is_hidden or not covers(client):
            return ends
        secure, host, port = ends.secure, None, None
        for hop in self._hops(head.headers):
            secure = secure if hop.secure is None else hop.secure
            host = hop.host or host
            port = hop.port or port
            if hop.client is None:
                break
            client = hop.client
            if not covers(client):
                break
        if host is not None or port is not None:
            _set_host(head.headers, host, port, secure=secure)
        # The proxy's own TLS isn't the client's.
        return Addresses(client, ends.server, secure)


def _set_host(headers: Headers, host: bytes | None, port: int | None, *, secure: bool) -> None:
    """Let the header ``host`` be what the client has written into its own."""
    found = [number for number, (name, _) in enumerate(headers) if name == b"host"]
    if not found:  # HTTP/1.0
        headers.insert(0, (b"host", b""))
    number = found[0] if found else 0
    if host is None:
        host = headers[number][1]
    if port is not None and host:
        host = _without_port(host)
        if port != _DEFAULT_PORTS[secure]:
            host += b":%d" % port
    headers[number] = (b"host", host)


def _without_port(host: bytes) -> bytes:
    name, colon, port = host.rpartition(b":")
    return name if colon and not port.endswith(b"]") else host
