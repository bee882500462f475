"""
The synchronous client, for tests without ``async``: Starlette's interface.

The application runs in a Trio loop of its own, in another thread. The loop uses the async client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, TypeAlias
from urllib.parse import urljoin, urlsplit

from triows._arguments import CONNECTING, OPENING, hinting, refuse_unknown
from triows._errors import add_note

from ._client import STARTUP_TIMEOUT, TIMEOUT, check_app
from ._http import http_library
from ._leaks import LeakError
from ._loop import interruptible, loop_of
from ._sync_session import WebSocketTestSession

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    from triows import Triows

    from ._http import HTTPRequest, HTTPResponse
    from ._loop import Loop

    Cookies: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]
    HeadersLike: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]

__all__ = ["TestClient"]


def _of_http(name: str, doc: str) -> Any:
    """Make a property that reads and writes the same property of the HTTP library's client."""

    def get(client: TestClient) -> Any:
        return getattr(client.http, name)

    def set_(client: TestClient, value: Any) -> None:
        setattr(client.http, name, value)

    return property(get, set_, doc=doc)


class TestClient:
    """
    A synchronous client for *app*, with the interface of Starlette's.

    The application runs inside ``with client:``. Outside, it runs while there is a connection or a
    request. You may use a client any number of times, and several clients of one application in
    one test: they share the running application.

    ``get``, ``post`` and so on are methods of :attr:`http`, an ``httpx2.Client`` (or
    ``httpx.Client``). Cookies that a response sets are sent with later requests and connections.

    Args:
        app: The application.
        base_url: Scheme and host that the application sees. A path in it comes before the paths of
            requests, as in Starlette, but not before those of connections.
        raise_server_exceptions: Whether errors that nobody handled are raised in the test. If not,
            they are logged, and the client sees only what a peer sees.
        root_path: The path at which the application is mounted, as a server would tell it.
        backend: ``"trio"``. Starlette's client has a choice here.
        backend_options: Options of :func:`trio.run`. With a ``MockClock`` that jumps, the thread
            is busy as long as the application runs, because the clock jumps whenever the loop
            waits for the test.
        cookies: Cookies for every request and connection.
        headers: Headers for every request and connection.
        follow_redirects: Whether requests follow redirects.
        client: The peer's address that the application sees.
        timeout: How many seconds each receive, send and request waits.
        startup_timeout: How many seconds the application's start-up may take.

    Raises:
        TypeError: *app* is an application of another framework.
        ValueError: *backend* isn't ``"trio"``.
        RuntimeError: At the beginning of a block, it is used inside a Trio loop, or another client
            runs the application with other values of *raise_server_exceptions*, *root_path* or
            *backend_options*.
        LoopBlocked: The application blocked its loop for *timeout* seconds, or for one second if
            that is longer.
        LeakError: At the end of a block, something of the application is still alive.
        BaseException: At the beginning of a block, what the application's start-up raised. At the
            end, what its shutdown, or one of its resources, raised.
    """

    __test__ = False  # tells pytest that this isn't a test class

    @hinting(OPENING)
    def __init__(
        self,
        app: Triows,
        base_url: str = "http://testserver",
        raise_server_exceptions: bool = True,
        root_path: str = "",
        backend: Literal["trio"] = "trio",
        backend_options: Mapping[str, Any] | None = None,
        cookies: Cookies | None = None,
        headers: HeadersLike | None = None,
        follow_redirects: bool = True,
        client: tuple[str, int] | None = None,
        *,
        timeout: float = TIMEOUT,
        startup_timeout: float = STARTUP_TIMEOUT,
    ) -> None:
        if backend != "trio":
            raise ValueError(f"triows runs on Trio, not on {backend!r}: leave out backend=")
        check_app(app)
        self.app = app
        self._base_url = str(base_url)
        self._client = client
        self._timeout = timeout
        self._opening = {
            "timeout": timeout,
            "startup_timeout": startup_timeout,
            "root_path": root_path,
            "raise_app_exceptions": raise_server_exceptions,
            "run_options": dict(backend_options or {}),
        }
        self._headers = _merged([("user-agent", "testclient")], headers)
        self._cookies = cookies
        self._follows = follow_redirects
        self._http: Any = None
        self._loop = loop_of(app)
        # How many `with` blocks of this client are open. Each of them holds the loop.
        self._blocks = 0

    def __enter__(self) -> Self:
        self._acquire(holds=True)
        self._blocks += 1
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._blocks -= 1
        with interruptible(exc):
            self._release(holds=True)

    # An `async with` looks for these two. Type checkers report it, as long as they don't see them.
    if not TYPE_CHECKING:

        def __aenter__(self) -> NoReturn:
            raise TypeError(
                "TestClient is entered by `with TestClient(app) as client:`. In async tests use "
                "`async with triows.testing.open_app(app) as client:`"
            )

        def __aexit__(self, *exc_info: object) -> None:
            """Never called."""

    def _acquire(self, *, holds: bool) -> Loop:
        return self._loop.acquire(self.app, self._opening, holds=holds)

    def _release(self, *, holds: bool) -> None:
        self._loop.release(holds=holds)

    # WebSockets.

    def websocket_connect(
        self,
        url: str,
        subprotocols: Sequence[str] | None = None,
        headers: HeadersLike | None = None,
        *,
        timeout: float | None = None,
        **options: Any,
    ) -> WebSocketTestSession:
        """
        Connect to a WebSocket route. Use the result in a ``with`` block.

        Args:
            url: Path and query. A scheme and a host may come before them.
            subprotocols: The subprotocols to offer.
            headers: Further request headers. They replace the client's headers of the same name.
            timeout: How many seconds each receive and send waits, if not as many as the client
                says.
            options: ``params``, ``cookies`` and ``auth``, as a request takes them.

        Raises:
            WebSocketDenialResponse: At the beginning of the block, the application refused.
            BaseException: At the end of the block, what the handler raised and nobody handled.
        """
        refuse_unknown("TestClient.websocket_connect", options, _CONNECT, CONNECTING)
        base = urlsplit(self._base_url)
        scheme = _SCHEMES.get(base.scheme, base.scheme)
        # Ignore a path in base_url, and begin at the host's root.
        url = urljoin(f"{scheme}://{base.netloc}", url)
        if self._http is None and not (options or self._cookies):
            # A connection alone needs no HTTP library.
            sent = _merged(self._headers, headers)
        else:
            url, sent = self._prepared(url, headers, **options)
        return WebSocketTestSession(
            self,
            url,
            subprotocols=tuple(subprotocols or ()),
            headers=sent,
            client=self._client,
            timeout=self._timeout if timeout is None else timeout,
        )

    def _prepared(
        self, url: str, headers: HeadersLike | None, *, auth: Any = None, **options: Any
    ) -> tuple[str, list[tuple[str, str]]]:
        """Return a connection's URL and headers, with what the HTTP library adds to requests."""
        request = self.http.build_request("GET", url, headers=headers, **options)
        auth = auth or self.http.auth
        if isinstance(auth, tuple):
            auth = http_library().BasicAuth(*auth)
        if auth is not None:
            request = next(auth.sync_auth_flow(request))
        sent = _merged(request.headers)
        return str(request.url), [pair for pair in sent if pair[0].lower() != "connection"]

    # HTTP.

    @property
    def http(self) -> Any:
        """
        The ``httpx2.Client`` (or ``httpx.Client``) that makes the requests.

        Raises:
            RuntimeError: Neither httpx2 nor httpx is installed.
        """
        if self._http is None:
            httpx = http_library()
            self._http = httpx.Client(
                transport=_transport(httpx, self),
                base_url=self._base_url,
                headers=self._headers,
                cookies=self._cookies,
                follow_redirects=self._follows,
                timeout=self._timeout,
                trust_env=False,
            )
        return self._http

    cookies = _of_http("cookies", "Cookies that go with each request and connection.")
    headers = _of_http("headers", "Headers that go with each request and connection.")
    params = _of_http("params", "Query parameters that go with each request and connection.")
    auth = _of_http("auth", "Authentication that goes with each request and connection.")
    follow_redirects = _of_http("follow_redirects", "Whether requests follow redirects.")
    base_url = _of_http("base_url", "The URL before the path of a request.")

    def request(self, method: str, url: str, **options: Any) -> HTTPResponse:
        """
        Send a request, and wait for the complete response.

        Args:
            method: The method, such as ``"GET"``.
            url: Path and query.
            options: What ``httpx2.Client.request`` takes.

        Raises:
            httpx2.ReadTimeout: The application did not answer in time. A note shows what is alive
                in it.
            BaseException: What the application raised and nobody handled.
        """
        # Hold the loop until the last redirect.
        self._acquire(holds=True)
        try:
            response: HTTPResponse = self.http.request(method, url, **options)
        except BaseException as exc:
            try:
                self._release(holds=True)
            except LeakError as leak:
                add_note(exc, str(leak))  # probably the same problem, so don't replace the error
            raise
        self._release(holds=True)
        return response

    def stream(self, method: str, url: str, **options: Any) -> AbstractContextManager[HTTPResponse]:
        """Send a request. The block gets the response, which is complete here, too."""
        response: AbstractContextManager[HTTPResponse] = self.http.stream(method, url, **options)
        return response

    def build_request(self, method: str, url: str, **options: Any) -> HTTPRequest:
        """Make a request for :meth:`send`."""
        request: HTTPRequest = self.http.build_request(method, url, **options)
        return request

    def send(self, request: HTTPRequest, **options: Any) -> HTTPResponse:
        """Send what :meth:`build_request` made. See :meth:`request`."""
        response: HTTPResponse = self.http.send(request, **options)
        return response

    def close(self) -> None:
        """Close :attr:`http`. After that, no request can be sent."""
        self.http.close()

    def get(self, url: str, **options: Any) -> HTTPResponse:
        """Send a GET request. See :meth:`request`."""
        return self.request("GET", url, **options)

    def head(self, url: str, **options: Any) -> HTTPResponse:
        """Send a HEAD request. See :meth:`request`."""
        return self.request("HEAD", url, **options)

    def options(self, url: str, **options: Any) -> HTTPResponse:
        """Send an OPTIONS request. See :meth:`request`."""
        return self.request("OPTIONS", url, **options)

    def post(self, url: str, **options: Any) -> HTTPResponse:
        """Send a POST request. See :meth:`request`."""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Any) -> HTTPResponse:
        """Send a PUT request. See :meth:`request`."""
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Any) -> HTTPResponse:
        """Send a PATCH request. See :meth:`request`."""
        return self.request("PATCH", url, **options)

    def delete(self, url: str, **options: Any) -> HTTPResponse:
        """Send a DELETE request. See :meth:`request`."""
        return self.request("DELETE", url, **options)

    def _exchange(self, request: Any) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Send the HTTP library's request in the loop. The library's transport calls this."""
        loop = self._acquire(holds=True)
        try:
            return loop.call(loop.client._exchange, request, self._client or _ADDRESS)
        finally:
            self._release(holds=True)


# The arguments of websocket_connect().
_CONNECT = ["url", "subprotocols", "headers", "timeout", "params", "cookies", "auth"]

# The address of clients that make plain requests, as in Starlette.
_ADDRESS = ("testclient", 50000)

# The schemes of WebSockets for those of HTTP.
_SCHEMES = {"http": "ws", "https": "wss"}


def _merged(*headers: HeadersLike | None) -> list[tuple[str, str]]:
    """Join headers into one list. For each name, the last argument that has it counts."""
    merged: dict[str, list[tuple[str, str]]] = {}
    for given in headers:
        found: dict[str, list[tuple[str, str]]] = {}
        for name, value in _pairs(given or ()):
            found.setdefault(name.lower(), []).append((name, value))
        merged.update(found)
    return [pair for pairs in merged.values() for pair in pairs]


def _pairs(headers: Any) -> Iterable[tuple[str, str]]:
    # Try httpx's own method first, because its items() joins headers of the same name.
    for method in ("multi_items", "items"):
        if hasattr(headers, method):
            return getattr(headers, method)()  # type: ignore[no-any-return]
    return headers  # type: ignore[no-any-return]


def _transport(httpx: Any, client: TestClient) -> Any:
    class Transport(httpx.BaseTransport):  # type: ignore[misc]  # either library's
        """Sends a request from this thread to the application's loop."""

        def handle_request(self, request: Any) -> Any:
            request.read()
            status, headers, body = client._exchange(request)
            return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))

    return Transport()
