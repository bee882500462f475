"""One plain request in a test: the client's side of it, and the application's."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import trio

from triows._transports.wire import BROKEN

from ._calls import Call
from ._http_peer import HTTPPeer

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Sequence
    from typing import Self

    from ._stage import Stage

__all__ = ["BODY", "BUFFER", "HTTPExchange"]

#: How many bytes each direction of a connection holds, like the buffers of a system, and how many
#: the client reads ahead. The buffers of systems begin with 16 to 128 KiB.
BUFFER = 64 * 2**10

#: How many bytes of a response's body the client takes. It is far more than a test looks at, and
#: fits into the memory of any machine that runs tests.
BODY = 64 * 2**20


class HTTPExchange:
    """
    A plain request on a connection of its own, until the application has finished with it.

    A connection of its own means that a fault hits one request, and that no idle connection is
    left when the test ends.

    Args:
        stage: The stage on which the application runs.
        peer: The client's side.
        call: The application's side.
    """

    def __init__(self, stage: Stage, peer: HTTPPeer, call: Call) -> None:
        self.peer = peer
        self.call = call
        self._stage = stage

    @classmethod
    async def begin(
        cls,
        stage: Stage,
        method: str,
        url: str,
        *,
        address: tuple[str, int] | None = None,
        buffer: int = BUFFER,
        size: int = BUFFER,
    ) -> Self:
        """
        Open a connection for a request.

        Args:
            stage: The stage on which the application runs.
            method: The method, for messages.
            url: The whole URL.
            address: The peer's address that the application sees. In memory only.
            buffer: How many bytes each direction of the connection holds.
            size: How many bytes of the response the client reads ahead.

        Raises:
            ConnectionRefusedError: The application has been shut down.
        """
        call = Call(url, secure=url.startswith("https:"))
        call.address = address
        stage.calls.requests.add(call)
        try:
            end = await stage.backend.connect(call, buffer)
        except BaseException:
            stage.calls.requests.discard(call)
            raise
        peer = HTTPPeer(end, stage.nursery, size=size, lateness=stage.patience.lateness)
        stage.nursery.start_soon(peer.run, name=f"<client of {method} {url}>")
        return cls(stage, peer, call)

    async def ask(
        self,
        method: bytes | str,
        target: bytes | str,
        headers: Sequence[tuple[bytes, bytes]],
        body: AsyncIterable[bytes],
    ) -> None:
        """
        Send the whole request. If the server closes the connection meanwhile, it may have answered.

        Raises:
            h11.LocalProtocolError: It can't be sent in HTTP/1.1.
        """
        peer = self.peer
        # Read meanwhile, or the application and the client could each wait for the other to read.
        size, peer.size = peer.size, BODY
        parts: Any = aiter(body)
        try:
            with suppress(*BROKEN):
                await peer.send_head(method, target, headers)
                async for part in parts:
                    await peer.send(part)
                await peer.send_end()
        finally:
            peer.size = size
            if hasattr(parts, "aclose"):  # a generator, as most of them are
                await parts.aclose()

    async def wait_over(self) -> None:
        """Wait until the application has finished with the request, even after its response."""
        if self.call.tells_end:
            await self.call.over.wait()

    def take_error(self) -> BaseException | None:
        """Return the error that nobody in the application has handled. It is the caller's now."""
        error, self.call.error = self.call.error, None
        self._stage.note_raised(error)
        return error

    def leave(self) -> None:
        """Close the connection. From now on, errors count as errors of the application."""
        self.peer.close()
        if not self.call.is_left:
            self._stage.calls.leave_request(self.call)

    async def give_up(self, grace: float = 0.0) -> None:
        """
        Cut the connection, and end what the application does.

        Args:
            grace: How many seconds it gets before it is cancelled.
        """
        self.peer.abandon()
        with trio.move_on_after(grace, shield=True):
            await self.wait_over()
        await self._stage.alive.cancel_requests(self.call)
