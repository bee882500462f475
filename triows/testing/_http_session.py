"""A plain request that a test makes step by step: what it sends, what comes, and the faults."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, Self

import h11  # Hypercorn's
import trio
from starlette.datastructures import Headers

from triows._checkpoints import checkpointed
from triows._errors import is_a, leaves
from triows._managers import asynccontextmanager
from triows._transports.wire import BROKEN

from ._conversation import Conversation, ReceiveTimeout
from ._http_exchange import BODY, HTTPExchange
from ._http_peer import HTTPDisconnect, HTTPPeer
from ._raising import raise_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from ._stage import Stage

__all__ = ["HTTPSession", "requesting"]


class HTTPSession(Conversation[HTTPPeer]):
    """
    The client's side of one plain request, which goes on. :meth:`AppClient.stream` makes it.

    Every receive and send fails if nothing moves for *timeout* seconds on Trio's clock. In virtual
    time that takes no time at all.
    """

    @property
    def status_code(self) -> int:
        """
        The status of the response.

        Raises:
            RuntimeError: The response has not begun.
        """
        return self._head.status_code

    @property
    def headers(self) -> Headers:
        """The headers of the response. It raises the same error as :attr:`status_code`."""
        return Headers(raw=list(self._head.headers))

    @property
    def _head(self) -> h11.Response | h11.InformationalResponse:
        if self._peer.head is None:
            raise RuntimeError("the response has not begun: await receive_head() first")
        return self._peer.head

    # Sending.

    @checkpointed
    async def send(self, data: bytes) -> None:
        """
        Send a part of the request's body. It waits while the connection's buffers have no room.

        Raises:
            SendTimeout: The application did not read in time. The connection is then cut.
            HTTPDisconnect: The connection is over.
            ValueError: It is more than ``Content-Length`` says, or the body has ended.
            TypeError: *data* isn't bytes.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"a part of a body is bytes, not {data!r}")
        await self._send(self._sent, self._peer.send, bytes(data))

    @checkpointed
    async def send_end(self) -> None:
        """
        Send the end of the request's body. See :meth:`send`.

        Raises:
            ValueError: It is less than the request's ``Content-Length`` says.
        """
        await self._send(self._sent, self._peer.send_end)

    @checkpointed
    async def send_raw(self, data: bytes) -> None:
        """Send bytes as they are. See :meth:`send`."""
        await self._send(self._sent, self._peer.write, data)

    async def _sent(self, send: Callable[..., Awaitable[None]], *args: Any) -> None:
        try:
            await send(*args)
        except BROKEN:
            raise self._peer.disconnect() from None
        except h11.LocalProtocolError as exc:
            raise ValueError(f"this can't be sent: {exc}") from exc

    def send_eof(self) -> None:
        """Close the client's side of the connection. What the server sends can still be read."""
        self._peer.events.add("closed its side of the connection")
        self._peer.send_eof()

    # Receiving.

    async def _receive(
        self, what: str, fn: Callable[[], Awaitable[Any]], timeout: float | None
    ) -> Any:
        seconds = self._timeout if timeout is None else timeout
        with trio.move_on_after(seconds):
            return await fn()
        raise self._missed(ReceiveTimeout, f"the application {what} for {seconds:g} s")

    @checkpointed
    async def receive_head(self, timeout: float | None = None) -> int:
        """
        Wait until the response begins, and return its status.

        Args:
            timeout: How many seconds to wait, if not as many as the session says.

        Raises:
            HTTPDisconnect: The connection ended before.
            ReceiveTimeout: It did not begin in time.
        """
        await self._receive("has not answered", self._peer.receive_head, timeout)
        return self.status_code

    @checkpointed
    async def receive(self, timeout: float | None = None) -> bytes:
        """
        Wait for a part of the response's body. ``b""`` is its end. Cancelling this loses nothing.

        If the application sends parts that fit into the connection's buffers, and leaves out
        ``Content-Length``, each of them comes as one part. But a network may cut them anywhere.

        Args:
            timeout: How many seconds to wait, if not as many as the session says.

        Raises:
            HTTPDisconnect: The connection ended before the response was complete.
            ReceiveTimeout: Nothing came in time.
        """
        part: bytes = await self._receive("sent nothing", self._peer.receive, timeout)
        return part

    @checkpointed
    async def read(self, timeout: float | None = None) -> bytes:
        """
        Wait for everything that is still to come of the response's body. See :meth:`receive`.

        Raises:
            AssertionError: It is more than 64 MiB.
        """
        parts, size = [], 0
        while part := await self.receive(timeout):
            parts.append(part)
            size += len(part)
            if size > BODY:
                raise self._missed(AssertionError, f"more than {BODY // 2**20} MiB came")
        return b"".join(parts)

    # A `for` without `async` looks for it. Type checkers report that themselves, as long as they
    # don't see the method.
    if not TYPE_CHECKING:

        def __iter__(self) -> NoReturn:
            raise TypeError("to receive parts, write `async for part in response`")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Take the next part. The loop ends with the response. See :meth:`receive`."""
        if part := await self.receive():
            return part
        raise StopAsyncIteration

    @checkpointed
    async def expect_nothing(self, seconds: float) -> None:
        """
        Wait that long on Trio's clock. Fail the test if a part comes, or the end of the response.

        Raises:
            AssertionError: Something came.
        """
        what = None
        with trio.move_on_after(seconds):
            try:
                what = f"{await self._peer.receive()!r}"
            except HTTPDisconnect as exc:
                what = f"the end of the connection ({exc})"
        if what is not None:
            what = f"nothing was expected for {seconds:g} s, and {what} came"
            raise self._missed(AssertionError, what)

    # The end.

    def close(self) -> None:
        """Leave, even in the middle: close the connection, as a client that has seen enough."""
        self._peer.close()

    def cancel_handler(self) -> None:
        """
        Cancel what the application does with the request, as a cancel scope would.

        If the response has begun, the connection ends before it is complete. It has no effect once
        the application has finished with the request.
        """
        self._stage.alive.cancel(self._call)


@asynccontextmanager
async def requesting(
    stage: Stage,
    request: Any,
    note: Callable[[Any, Sequence[tuple[bytes, bytes]]], None],
    *,
    sending: bool,
    timeout: float,
    buffer: int,
    inbox_size: int,
    client: tuple[str, int] | None,
) -> AsyncIterator[HTTPSession]:
    """
    Make a request of the HTTP library step by step. See :meth:`AppClient.stream`.

    Args:
        stage: The application.
        request: The request.
        note: Called with it and with the headers of its response.
        sending: Whether the test sends the body.
        timeout: How many seconds each receive and send waits.
        buffer: How many bytes each direction of the connection holds.
        inbox_size: How many bytes of the response the client reads ahead.
        client: The peer's address that the application sees.
    """
    method, url = request.method, str(request.url)
    exchange = await HTTPExchange.begin(
        stage, method, url, address=client, buffer=buffer, size=inbox_size
    )
    peer, call = exchange.peer, exchange.call
    session = HTTPSession(peer, call, stage, timeout)
    errors: list[BaseException | None] = []
    try:
        target, headers = request.url.raw_path, request.headers.raw
        if sending:
            await session._send(session._sent, peer.send_head, method, target, headers)
        else:
            parts = method, target, headers, request.stream
            ask = partial(session._sent, exchange.ask, *parts)
            await session._receive("did not read the request", ask, None)
            await session.receive_head()
        yield session
    except BaseException as exc:  # noqa: BLE001 - raised below
        errors.append(exc)
    finally:
        if peer.head is not None:
            note(request, list(peer.head.headers))
        errors.append(await _leave(session, exchange, at_once=bool(errors)))
    error = exchange.take_error()
    exchange.leave()
    if error is not None:
        errors = [one for one in errors if one is not None and not _is_disconnect(one)]
    raise_all("errors in the test and in the application", [*errors, error])


async def _leave(
    session: HTTPSession, exchange: HTTPExchange, *, at_once: bool
) -> BaseException | None:
    """End a request, and wait for the application. Return an error if it goes on."""
    stage = session._stage
    if at_once:
        await exchange.give_up(stage.app.timeouts.disconnect_grace)
        return None
    if not exchange.peer.is_complete:
        exchange.peer.close()
    try:
        await session._receive("has not finished with the request", exchange.wait_over, None)
    except BaseException as exc:  # noqa: BLE001 - raised when the application was ended
        await exchange.give_up()
        return exc
    return None


def _is_disconnect(error: BaseException) -> bool:
    """Say whether the test only noticed that the connection is over."""
    return all(is_a(leaf, HTTPDisconnect) for leaf in leaves(error))
