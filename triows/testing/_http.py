"""
Plain HTTP requests in a test, with httpx2, or with httpx if only that is installed.

In memory, the application is called directly, without HTTP/1.1 in between. Over sockets, the server
serves it. In both cases, a request ends when the application has finished with it, or at the
request's timeout. If there was an error that nobody handled, the request raises it.
"""

from __future__ import annotations

import importlib
import math
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import trio

from triows.exceptions import ClientDisconnect

from ._stage import MARK, Call, Memory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from types import ModuleType

    import httpx2

    from triows.types import Message, Receive, Scope, Send

    from ._stage import Stage

    AsyncHTTPClient: TypeAlias = httpx2.AsyncClient
    AsyncHTTPTransport: TypeAlias = httpx2.AsyncBaseTransport
    HTTPRequest: TypeAlias = httpx2.Request
    HTTPResponse: TypeAlias = httpx2.Response

__all__ = ["http_client", "http_library", "memory_transport"]

T = TypeVar("T")

#: How many bytes of a response's body the client takes. It is far more than a test looks at, and
#: fits into the memory of any machine that runs tests.
BODY = 64 * 2**20

#: How much a piece of a body counts in addition to its bytes, about the size of a Python object. So
#: even an endless row of empty pieces ends, and a virtual clock that doesn't move can't prevent it.
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
    is_memory = isinstance(stage.backend, Memory)
    make = memory_transport if is_memory else _socket_transport
    client: AsyncHTTPClient = http_library().AsyncClient(
        transport=make(stage, timeout), base_url=base_url, timeout=timeout, trust_env=False
    )
    return client


def _seconds_of(request: HTTPRequest, timeout: float) -> float:
    """Return how many seconds a request may take. Its own timeout counts if it has one."""
    seconds = request.extensions.get("timeout", {}).get("read", timeout)
    return math.inf if seconds is None else float(seconds)


def _late(request: HTTPRequest, seconds: float, picture: str) -> Exception:
    error: Exception = http_library().ReadTimeout(
        f"the application has not finished its response to {request.method} {request.url} "
        f"for {seconds:g} s",
        request=request,
    )
    error.add_note(picture)
    return error


def _too_long() -> Exception:
    error: Exception = http_library().ReadError(
        f"the response's body does not end: this client takes {BODY // 2**20} MiB"
    )
    return error


# In memory.


class _Response:
    """Wraps an application's ``send``, and knows how much of the response was sent."""

    def __init__(self, send: Send) -> None:
        self.is_started = self.is_whole = self.is_too_long = False
        self._send = send
        self._size = 0

    async def send(self, message: Message) -> None:
        await trio.lowlevel.checkpoint()
        self._size += len(message.get("body", b"")) + _PIECE
        self.is_too_long = self._size > BODY
        if self.is_too_long:
            raise ClientDisconnect("the client takes no more of this response")
        await self._send(message)
        self.is_started |= message["type"] == "http.response.start"
        self.is_whole |= message["type"] == "http.response.body" and not message.get("more_body")


def memory_transport(
    stage: Stage, timeout: float, client: tuple[str, int] | None = None
) -> AsyncHTTPTransport:
    """
    Make a transport to an application in the same loop.

    Args:
        stage: The stage on which it runs.
        timeout: How many seconds a response may take.
        client: The peer's address that the application sees.
    """
    httpx: Any = http_library()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"], scope["extensions"] = {}, {}
        response = _Response(send)
        try:
            await stage.handle_http(scope, receive, response.send)
        except Exception as exc:
            if response.is_too_long:
                raise _too_long() from exc
            raise
        if response.is_too_long:
            raise _too_long()
        if not response.is_started:
            # The server does the same.
            headers = [(b"content-length", b"0"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": 500, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
        elif not response.is_whole:
            # There was no error, or the client was told not to raise it.
            raise httpx.RemoteProtocolError(
                "the application stopped before its response was complete"
            )

    class Transport(httpx.ASGITransport):  # type: ignore[misc]  # either library's
        """Calls the application, as the base class does, but with a timeout."""

        async def handle_async_request(self, request: Any) -> Any:
            if stage.done.is_set():
                raise httpx.ConnectError("the application has been shut down", request=request)
            seconds = _seconds_of(request, timeout)
            send = partial(super().handle_async_request, request)
            response, picture = await stage.serve_http(send, seconds)
            if response is not None:
                return response
            if stage.done.is_set():
                raise httpx.ReadError("the application has been shut down", request=request)
            raise _late(request, seconds, picture)

    transport: AsyncHTTPTransport = Transport(
        app=app, client=client or ("testclient", 50000), root_path=stage.backend.root_path
    )
    return transport


# Over sockets.


class _Exchange:
    """
    A request, until its response is read and the application has finished with it.

    Args:
        stage: The stage on which the application runs.
        request: The request as the test made it.
        seconds: How many seconds the whole request may take.
    """

    def __init__(self, stage: Stage, request: HTTPRequest, seconds: float) -> None:
        self._stage = stage
        self._request = request
        self._seconds = seconds
        self._deadline = trio.current_time() + seconds
        self._call = Call(str(request.url), secure=False)
        self._size = 0
        #: The value of a header by which the application's side recognises this request.
        self.mark = str(id(self)).encode()
        stage.requests[self.mark] = self._call

    async def wait(self, fn: Callable[[], Awaitable[T]]) -> T:
        """
        Wait for a part of the response.

        Raises:
            httpx2.ReadTimeout: It didn't come in time.
            BaseException: The application raised this. It replaces the error that the client saw.
        """
        try:
            return await self._in_time(fn)
        except http_library().TransportError as exc:
            broken = exc
        except BaseException:
            self.leave()
            raise
        await self.end(broken)
        raise broken

    async def _in_time(self, fn: Callable[[], Awaitable[T]]) -> T:
        with trio.move_on_at(self._deadline):
            return await fn()
        raise _late(self._request, self._seconds, self._stage.picture(self._call))

    async def end(self, broken: Exception | None = None) -> None:
        """
        Wait until the application has finished with it, even after its response.

        Args:
            broken: The error that the client saw, if the response isn't complete.

        Raises:
            httpx2.ReadTimeout: The application didn't finish in time.
            BaseException: The application raised this.
        """
        is_late = isinstance(broken, http_library().TimeoutException)
        try:
            if self._call.tells_end and not is_late:
                await self._in_time(self._call.over.wait)
        finally:
            error, self._call.error = self._call.error, None
            self.leave()
        if error is not None:
            raise error

    def count(self, piece: bytes) -> None:
        """
        Take a piece of the body.

        Raises:
            httpx2.ReadError: The body is too long.
        """
        self._size += len(piece) + _PIECE
        if self._size > BODY:
            raise _too_long()

    def leave(self) -> None:
        """Stop following it. From now on, its errors count as errors of the application."""
        self._stage.requests.pop(self.mark, None)
        self._call.is_left = True
        if self._call.error is not None:
            self._stage.errors.append(self._call.error)
            self._call.error = None


def _socket_transport(stage: Stage, timeout: float) -> AsyncHTTPTransport:
    """
    Make a transport to an application that is served.

    Args:
        stage: The stage on which it runs.
        timeout: How many seconds a response may take.
    """
    httpx: Any = http_library()

    class Body(httpx.AsyncByteStream):  # type: ignore[misc]  # either library's
        """A response's body as it comes. At its end, the application has finished."""

        def __init__(self, stream: Any, exchange: _Exchange) -> None:
            self._stream = stream
            self._pieces = aiter(stream)
            self._exchange = exchange

        async def __aiter__(self) -> AsyncIterator[bytes]:
            while (piece := await self._exchange.wait(self._next)) is not None:
                self._exchange.count(piece)
                yield piece
            await self._exchange.end()

        async def _next(self) -> bytes | None:
            piece: bytes | None = await anext(self._pieces, None)
            return piece

        async def aclose(self) -> None:
            self._exchange.leave()
            # The library has generators inside generators. Closing the outermost one would leave
            # the others to the garbage collector, and Trio warns about that. If they are cancelled
            # while they wait, all of them end.
            try:
                with trio.CancelScope() as scope, suppress(httpx.TransportError):
                    scope.cancel()
                    while await self._next() is not None:
                        pass
            finally:
                await self._stream.aclose()

    class Transport(httpx.AsyncHTTPTransport):  # type: ignore[misc]  # either library's
        """The library's transport, but a response ends as it does in memory."""

        async def handle_async_request(self, request: Any) -> Any:
            exchange = _Exchange(stage, request, _seconds_of(request, timeout))
            # Make another request, so that the test doesn't see the mark either.
            marked = httpx.Request(
                request.method,
                request.url,
                headers=[*request.headers.raw, (MARK, exchange.mark)],
                stream=request.stream,
                extensions=request.extensions,
            )
            response = await exchange.wait(partial(super().handle_async_request, marked))
            response.stream = Body(response.stream, exchange)
            return response

    transport: AsyncHTTPTransport = Transport(trust_env=False)
    return transport
