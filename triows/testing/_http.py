"""
Plain HTTP requests in a test, with httpx2, or with httpx if only that is installed.

The library makes requests and responses. Between them is our own transport, which speaks HTTP/1.1
over a connection to the application's server, in memory or on a socket. A request ends when the
application has finished with it, or at the request's timeout. If there was an error that nobody
handled, the request raises it.
"""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import h11  # Hypercorn's
import trio

from ._http_exchange import BODY, HTTPExchange
from ._http_peer import HTTPDisconnect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType
    from typing import Self

    import httpx2

    from ._stage import Stage

    AsyncHTTPClient: TypeAlias = httpx2.AsyncClient
    AsyncHTTPTransport: TypeAlias = httpx2.AsyncBaseTransport
    HTTPRequest: TypeAlias = httpx2.Request
    HTTPResponse: TypeAlias = httpx2.Response

__all__ = ["http_client", "http_library", "http_transport"]

T = TypeVar("T")

#: How much a piece of a body counts in addition to its bytes, about the size of a Python object.
_PIECE = 256


def http_library() -> ModuleType:
    """
    Import httpx2 or httpx.

    Raises:
        RuntimeError: Neither is installed.
    """
    for name in ("httpx2", "httpx"):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as exc:
            if exc.name != name:
                raise
    raise RuntimeError(
        "plain HTTP requests of test clients are made by httpx2: pip install 'triows[testing]'"
    )


def http_client(stage: Stage, base_url: str, timeout: float) -> AsyncHTTPClient:
    """
    Make a client for an application.

    Args:
        stage: The stage on which it runs.
        base_url: The URL before each path.
        timeout: How many seconds a response may take.
    """
    client: AsyncHTTPClient = http_library().AsyncClient(
        transport=http_transport(stage, timeout),
        base_url=base_url,
        timeout=timeout,
        trust_env=False,
    )
    return client


def _seconds_of(request: HTTPRequest, timeout: float) -> float:
    """Return how many seconds a request may take. Its own timeout counts if it has one."""
    seconds = request.extensions.get("timeout", {}).get("read", timeout)
    return math.inf if seconds is None else float(seconds)


class _Request:
    """
    A request of the HTTP library, until its response is read and the application has finished.

    Args:
        httpx: The library.
        stage: The stage on which the application runs.
        request: The request as the test made it.
        seconds: How many seconds the whole request may take.
        exchange: The connection for it.
    """

    def __init__(
        self, httpx: Any, stage: Stage, request: Any, seconds: float, exchange: HTTPExchange
    ) -> None:
        self._httpx = httpx
        self._stage = stage
        self._request = request
        self._seconds = seconds
        self._deadline = trio.current_time() + seconds
        self._exchange = exchange
        self._size = 0
        self._is_over = False

    async def wait(self, fn: Callable[[], Awaitable[T]]) -> T:
        """
        Wait for something of the request, within its time.

        Raises:
            httpx2.ReadTimeout: It didn't come in time.
            httpx2.TransportError: The response can't be complete.
            BaseException: The application raised this. It replaces the error that the client saw.
        """
        try:
            with trio.move_on_at(self._deadline):
                return await fn()
            error = self._late()
        except (HTTPDisconnect, self._httpx.ReadError) as exc:
            error = await self._broken(exc)
        except h11.LocalProtocolError as exc:
            error = self._httpx.LocalProtocolError(str(exc), request=self._request)
        except BaseException:
            await self._give_up()
            raise
        await self._give_up()
        raise error

    def _late(self) -> BaseException:
        alive, call = self._stage.alive, self._exchange.call
        error: BaseException = self._httpx.ReadTimeout(
            "the application has not finished its response to "
            f"{self._request.method} {self._request.url} for {self._seconds:g} s"
            f"{alive.why_late(call)}",
            request=self._request,
        )
        error.add_note(alive.picture(call))
        return error

    async def _broken(self, exc: Exception) -> BaseException:
        """Return the error to raise for a response that isn't complete."""
        # The application has a moment to notice that.
        with trio.move_on_after(self._stage.app.timeouts.disconnect_grace):
            await self._exchange.wait_over()
        error = self._exchange.take_error()
        if error is not None:
            return error
        if not isinstance(exc, HTTPDisconnect):
            return exc
        peer, kind, text = self._exchange.peer, self._httpx.RemoteProtocolError, str(exc)
        if peer.mistake is not None:
            text = str(peer.mistake)
        elif self._stage.is_ending:
            kind, text = self._httpx.ReadError, "the application has been shut down"
        elif peer.network_fault:
            kind = self._httpx.ReadError
        made: BaseException = kind(text, request=self._request)
        return made

    async def ask(self) -> Any:
        """Send the request, and return the response, whose body is still to come."""
        request = self._request
        await self._exchange.ask(
            request.method, request.url.raw_path, request.headers.raw, request.stream
        )
        return await self._exchange.peer.receive_head()

    async def receive(self) -> bytes:
        """
        Wait for a part of the body.

        Raises:
            httpx2.ReadError: The body is too long.
        """
        part = await self._exchange.peer.receive()
        self._size += len(part) + _PIECE
        if self._size > BODY:
            raise self._httpx.ReadError(
                f"the response's body does not end: this client takes {BODY // 2**20} MiB",
                request=self._request,
            )
        return part

    async def end(self) -> None:
        """
        Wait until the application has finished with it, even after its response.

        Raises:
            httpx2.ReadTimeout: The application didn't finish in time.
            BaseException: The application raised this.
        """
        await self.wait(self._exchange.wait_over)
        error = self._exchange.take_error()
        self.leave()
        if error is not None:
            raise error

    def leave(self) -> None:
        """Close the connection, unless it is closed. The application may go on."""
        if not self._is_over:
            self._is_over = True
            self._exchange.leave()

    async def _give_up(self) -> None:
        self._is_over = True
        await self._exchange.give_up()
        self._exchange.leave()


def http_transport(
    stage: Stage, timeout: float, client: tuple[str, int] | None = None
) -> AsyncHTTPTransport:
    """
    Make a transport to an application. Each request has a connection of its own.

    Args:
        stage: The stage on which it runs.
        timeout: How many seconds a response may take.
        client: The peer's address that the application sees. In memory only.
    """
    httpx: Any = http_library()

    class Body(httpx.AsyncByteStream):  # type: ignore[misc]  # either library's
        """A response's body as it comes. At its end, the application has finished."""

        def __init__(self, sent: _Request) -> None:
            self._sent = sent

        # It isn't a generator, so nothing has to be closed if a test leaves it in the middle.
        def __aiter__(self) -> Self:
            return self

        async def __anext__(self) -> bytes:
            if part := await self._sent.wait(self._sent.receive):
                return part
            try:
                await self._sent.end()
            except StopAsyncIteration as exc:
                # It would end the loop that reads the body, and nobody would see it.
                raise RuntimeError("the application raised StopAsyncIteration") from exc
            raise StopAsyncIteration

        async def aclose(self) -> None:
            self._sent.leave()

    class Transport(httpx.AsyncBaseTransport):  # type: ignore[misc]  # either library's
        """Speaks HTTP/1.1 with the application's server."""

        async def handle_async_request(self, request: Any) -> Any:
            if stage.done.is_set():
                raise httpx.ConnectError("the application has been shut down", request=request)
            try:
                exchange = await HTTPExchange.begin(
                    stage, request.method, str(request.url), address=client
                )
            except OSError as exc:
                raise httpx.ConnectError(str(exc), request=request) from exc
            sent = _Request(httpx, stage, request, _seconds_of(request, timeout), exchange)
            head = await sent.wait(sent.ask)
            return httpx.Response(
                head.status_code,
                headers=head.headers.raw_items(),
                stream=Body(sent),
                extensions={
                    "http_version": b"HTTP/" + head.http_version,
                    "reason_phrase": head.reason,
                },
            )

    transport: AsyncHTTPTransport = Transport()
    return transport
