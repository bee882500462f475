"""A TLS client for tests. It shows, and lets a test change, the bytes that pass."""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import trio
import trustme
from attrs import frozen

from tests.transports.sockets import PATIENCE, MiB, trio_socket

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

__all__ = ["Certificates", "Client"]

T = TypeVar("T")


@frozen
class Certificates:
    """Makes the contexts of both sides."""

    ours: trustme.CA
    foreign: trustme.CA

    @classmethod
    def make(cls) -> Certificates:
        return cls(trustme.CA(), trustme.CA())

    def server(self, *, asks: bool = False, alpn: str | None = None) -> ssl.SSLContext:
        """
        Make the context of a server for ``localhost``.

        Args:
            asks: Whether clients need a certificate.
            alpn: The protocol that it offers.
        """
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.ours.issue_cert("localhost").configure_cert(context)
        if asks:
            context.verify_mode = ssl.CERT_REQUIRED
            self.ours.configure_trust(context)
        if alpn is not None:
            context.set_alpn_protocols([alpn])
        return context

    def client(
        self, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, by: trustme.CA | None = None
    ) -> ssl.SSLContext:
        """
        Make the context of a client.

        Args:
            version: The only version that it speaks.
            by: Who has issued its certificate, if it has one.
        """
        context = ssl.create_default_context()
        self.ours.configure_trust(context)
        context.minimum_version = context.maximum_version = version
        context.set_alpn_protocols(["http/1.1"])
        if by is not None:
            by.issue_cert("client@example.org").configure_cert(context)
        return context


class Client:
    """
    The client's side of a connection, after :meth:`shake_hands`.

    Args:
        sock: A connected, non-blocking socket.
        context: The client's context.
        slice_size: How many bytes to send at a time.
    """

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, *, slice_size: int = MiB
    ) -> None:
        self.below = trio_socket(sock)
        self.slice_size = slice_size
        #: Encrypted bytes that nobody has sent yet.
        self.outgoing = ssl.MemoryBIO()
        #: Encrypted bytes that nobody has read yet.
        self.incoming = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    async def shake_hands(self, *, keep_last: bool = False) -> None:
        """Shake hands. The last flight can be kept, to be sent by the next :meth:`flush`."""
        await self._do(self.tls.do_handshake, flush=not keep_last)

    async def send(self, data: bytes) -> None:
        self.tls.write(data)
        await self.flush()

    async def flush(self) -> None:
        """Send what is encrypted."""
        data = memoryview(self.outgoing.read())
        while data:
            sent = await self.below.send(data[: self.slice_size])
            data = data[sent:]

    async def receive(self) -> bytes:
        """Return some bytes, or none after the server's ``close_notify``."""
        return await self._do(lambda: self.tls.read(MiB))

    async def receive_exactly(self, size: int) -> bytes:
        got = bytearray()
        while len(got) < size and (more := await self.receive()):
            got += more
        return bytes(got)

    async def say_goodbye(self) -> None:
        """Send ``close_notify``."""
        with suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        await self.flush()

    async def _do(self, step: Callable[[], T], *, flush: bool = True) -> T:
        with trio.fail_after(PATIENCE):
            while True:
                try:
                    result = step()
                except ssl.SSLWantReadError:
                    await self.flush()
                    if data := await self.below.recv(MiB):
                        self.incoming.write(data)
                    else:
                        self.incoming.write_eof()
                else:
                    if flush:
                        await self.flush()
                    return result
