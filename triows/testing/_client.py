"""The client of an application that runs in the test's own Trio loop."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

import trio
from trio.testing import MockClock

from triows._arguments import CONNECTING, OPENING, hinting
from triows._checkpoints import checkpointed
from triows._errors import is_a, leaves, without_cancelled
from triows._loop import check_trio_in_test
from triows._managers import asynccontextmanager
from triows._server.config import free_port
from triows._server.mistakes import app_mistake, check_drain
from triows.exceptions import WebSocketDisconnect
from triows.inspect import tree

from ._backends import Loopback, Memory
from ._blocked import BLOCKED, unblocked
from ._calls import Call
from ._conversation import ReceiveTimeout, missed
from ._http import http_client, http_library, http_transport
from ._http_exchange import BUFFER
from ._http_session import requesting
from ._leaks import LeakCheck
from ._network import Network, Transit
from ._peer import Peer
from ._raising import is_cancelled, raise_all
from ._session import WebSocketDenialResponse, WebSocketSession
from ._stage import Stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from triows._app import Triows
    from triows._server.config import Config
    from triows._server.drain import Drain
    from triows.inspect import Tree

    from ._http import AsyncHTTPClient, HTTPResponse
    from ._http_session import HTTPSession

__all__ = ["STARTUP_TIMEOUT", "TIMEOUT", "AppClient", "open_app", "open_server"]

#: How many seconds a receive waits, on the clock of the test. This is far more than any test should
#: need. If something hangs, it still ends before the test runner's own limit.
TIMEOUT = 5.0

#: How many seconds a start-up may take. If a test needs a container, start it in a fixture.
STARTUP_TIMEOUT = 15.0

#: How many messages may wait unread on the client's side. websockets has the same limit.
INBOX = 16


class AppClient:
    """
    A client of one application. :func:`open_app` and :func:`open_server` make it.

    ``get``, ``post`` and so on are methods of :attr:`http`.
    """

    def __init__(
        self, stage: Stage, nursery: trio.Nursery, timeout: float, base_url: str, leaks: LeakCheck
    ) -> None:
        self._stage = stage
        self._nursery = nursery
        self._timeout = timeout
        self._base_url = base_url
        self._http: AsyncHTTPClient | None = None
        self._leaks = leaks

    @property
    def app(self) -> Triows:
        """The application."""
        return self._stage.app

    @property
    def base_url(self) -> str:
        """The URL of the application, as the client sees it. With a server, its real address."""
        return self._base_url

    # WebSockets.

    @asynccontextmanager
    @hinting(CONNECTING)
    async def websocket_connect(
        self,
        url: str,
        *,
        subprotocols: Sequence[str] = (),
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        timeout: float | None = None,
        buffer: int = BUFFER,
        inbox: int = INBOX,
        inbox_size: int = BUFFER,
        client: tuple[str, int] | None = None,
        compression: bool = False,
    ) -> AsyncIterator[WebSocketSession]:
        """
        Connect to a WebSocket route.

        The client sends the cookies that responses to :attr:`http` have set, unless *headers* has
        others.

        At the end of the block the client closes with 1000. Then it waits until the application's
        side of the connection is over: the handler has ended, and the resources have exited. If
        the block is cancelled, the connection is cut.

        Args:
            url: Path and query, such as ``"/rooms/1?name=ada"``. A host may come before them. You
                may leave out the first slash.
            subprotocols: The subprotocols to offer.
            headers: Further request headers.
            timeout: How many seconds each receive and send waits, if not as many as the client
                says.
            buffer: How many bytes each direction of the connection holds, like the buffers of two
                systems. What doesn't fit waits in the application's ``Limits.outbox``, and then
                its sends wait.
            inbox: How many unread messages the client holds before it stops reading.
            inbox_size: The same in bytes.
            client: The peer's address that the application sees. In memory only.
            compression: Whether to offer permessage-deflate.

        Raises:
            WebSocketDenialResponse: The application refused the connection.
            ReceiveTimeout: The application neither accepted nor refused.
            WebSocketDisconnect: The connection broke before the application had accepted or
                refused it.
            ConnectionRefusedError: The application has been shut down.
            LeakError: At the end of the block, the handler or a resource did not end in the time
                that the settings give it.
            BaseException: At the end of the block, the error that the handler or a resource
                raised and nobody handled.
        """
        await trio.lowlevel.checkpoint()
        if not isinstance(url, str):
            raise TypeError(f"url is a path such as '/rooms/1', not {url!r}")
        if isinstance(subprotocols, str):
            raise TypeError(f"subprotocols is a list: write subprotocols=[{subprotocols!r}]")
        for name, size in (("buffer", buffer), ("inbox", inbox), ("inbox_size", inbox_size)):
            if size < 1:
                raise ValueError(f"{name} must be 1 or more, not {size}")
        scheme = urlsplit(url).scheme or urlsplit(self._base_url).scheme
        call = Call(url, secure=scheme in {"wss", "https"})
        call.address = client
        stage = self._stage
        with stage.calls.calling(call):
            end = await stage.backend.connect(call, buffer)
            peer = Peer(
                end,
                self._nursery,
                subprotocols=subprotocols,
                messages=inbox,
                size=inbox_size,
                compression=compression,
                slowness=stage.patience.slowness,
            )
            self._nursery.start_soon(peer.run, name=f"<client of {url}>")
            session = WebSocketSession(
                peer, call, stage, self._timeout if timeout is None else timeout
            )
            body: BaseException | None = None
            leak: BaseException | None = None
            try:
                pairs = [*self._cookies(url, headers), *_pairs(headers)]
                request = _request(url, self._base_url, peer.handshake, pairs)
                await self._answered(peer, call, request)
                if peer.accepted:
                    yield session
            except BaseException as exc:  # noqa: BLE001 - raised below
                body = exc
            finally:
                leak = await self._leave(peer, call, is_cancelled=is_cancelled(body))
            if stage.is_ending and peer.is_unanswered and (body is None or _is_disconnect(body)):
                # The connection was on its way when the server stopped accepting.
                body = ConnectionRefusedError("the application has been shut down")
            if stage.blocked is not None:
                stage.blocked.add_note(
                    f"the last events of the connection to {url}:\n{peer.events}"
                )
                stage.note_raised(body, call.error)
            _raise_first(peer, call, stage, body, leak)

    def _cookies(
        self, url: str, headers: Mapping[str, str] | Sequence[tuple[str, str]]
    ) -> list[tuple[str, str]]:
        """Return a header with the cookies that responses have set, unless *headers* has one."""
        if self._http is None or any(name.lower() == "cookie" for name, _ in _pairs(headers)):
            return []
        parts = urlsplit(url)
        scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
        request = self._http.build_request("GET", urlunsplit(parts._replace(scheme=scheme)))
        return [("cookie", one) for one in request.headers.get_list("cookie")]

    async def _answered(self, peer: Peer, call: Call, request: bytes) -> None:
        """Send the handshake's request and wait for the answer."""
        with trio.move_on_after(self._stage.patience.handshake):
            await peer.write(request)
            await peer.answered.wait()
            return
        what = "the application neither accepted nor refused"
        raise missed(ReceiveTimeout, what, peer, call, self._stage)

    async def _leave(self, peer: Peer, call: Call, *, is_cancelled: bool) -> BaseException | None:
        """End a connection, and wait for the application's side. Return an error if it hangs."""
        told = self._stage.has_leaked
        with trio.move_on_after(0.0 if told else self._stage.patience.connection, shield=True):
            if is_cancelled:
                peer.abandon()
            else:
                await peer.leave()
            if not call.tells_end:
                # The application would have been called before the server closes.
                await peer.over.wait()
            if call.tells_end:
                await call.over.wait()
            else:
                call.over.set()
        peer.abandon()
        return None if told or call.over.is_set() else self._leaks.of_connection(call)

    # HTTP.

    @property
    def http(self) -> AsyncHTTPClient:
        """
        An ``httpx2.AsyncClient`` (or ``httpx.AsyncClient``) for plain HTTP requests.

        If the application raises an error that nobody handles, the request raises it. *timeout*
        limits the whole request: until the response is read, and the application has finished what
        it does after the response. The client takes at most 64 MiB of a response's body.
        ``http.stream()`` gives you the response as it comes, and raises the application's error at
        its end. Each request has a connection of its own.

        Raises:
            RuntimeError: Neither httpx2 nor httpx is installed.
        """
        if self._http is None:
            self._http = http_client(self._stage, self._base_url, self._timeout)
        return self._http

    @checkpointed
    async def request(self, method: str, url: str, **options: Any) -> HTTPResponse:
        """
        Send a request, and wait for the complete response.

        Args:
            method: The method, such as ``"GET"``.
            url: Path and query.
            options: What the ``request`` method of :attr:`http` takes.

        Raises:
            httpx2.ReadTimeout: The application did not answer in time. A note shows what is alive
                in it.
            httpx2.ReadError: The response's body is too long, or the application has ended.
            BaseException: What the application raised and nobody handled.
        """
        return await self.http.request(method, url, **options)

    @checkpointed
    async def get(self, url: str, **options: Any) -> HTTPResponse:
        """Send a GET request. See :meth:`request`."""
        return await self.request("GET", url, **options)

    @checkpointed
    async def head(self, url: str, **options: Any) -> HTTPResponse:
        """Send a HEAD request. See :meth:`request`."""
        return await self.request("HEAD", url, **options)

    @checkpointed
    async def options(self, url: str, **options: Any) -> HTTPResponse:
        """Send an OPTIONS request. See :meth:`request`."""
        return await self.request("OPTIONS", url, **options)

    @checkpointed
    async def post(self, url: str, **options: Any) -> HTTPResponse:
        """Send a POST request. See :meth:`request`."""
        return await self.request("POST", url, **options)

    @checkpointed
    async def put(self, url: str, **options: Any) -> HTTPResponse:
        """Send a PUT request. See :meth:`request`."""
        return await self.request("PUT", url, **options)

    @checkpointed
    async def patch(self, url: str, **options: Any) -> HTTPResponse:
        """Send a PATCH request. See :meth:`request`."""
        return await self.request("PATCH", url, **options)

    @checkpointed
    async def delete(self, url: str, **options: Any) -> HTTPResponse:
        """Send a DELETE request. See :meth:`request`."""
        return await self.request("DELETE", url, **options)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        sending: bool = False,
        timeout: float | None = None,
        buffer: int = BUFFER,
        inbox_size: int = BUFFER,
        client: tuple[str, int] | None = None,
        **options: Any,
    ) -> AsyncIterator[HTTPSession]:
        """
        Send a request, and read the response part by part. With *sending*, send it part by part.

            async with client.stream("GET", "/events") as response:
                assert response.status_code == 200
                assert await response.receive() == b"data: hello"

        The block begins when the head of the response has come. With *sending*, it begins when the
        head of the request was sent. The block then sends the body and waits for the response:

            async with client.stream("POST", "/upload", sending=True) as request:
                await request.send(b"one")
                await request.send(b"two")
                await request.send_end()
                assert await request.receive_head() == 201

        At the end of the block, the client closes the connection if the response is not complete.
        Then it waits until the application has finished with the request. If the block is
        cancelled, the connection is cut.

        Args:
            method: The method, such as ``"GET"``.
            url: Path and query.
            sending: Whether the block sends the body. It is sent in chunks, unless *headers* has a
                ``Content-Length``.
            timeout: How many seconds each receive and send waits, if not as many as the client
                says.
            buffer: How many bytes each direction of the connection holds, like the buffers of two
                systems.
            inbox_size: How many unread bytes of the response the client holds before it stops
                reading.
            client: The peer's address that the application sees. In memory only.
            options: What the ``build_request`` method of :attr:`http` takes, such as *headers*,
                *content* or *json*.

        Raises:
            HTTPDisconnect: The connection ended before the response began.
            ReceiveTimeout: The response did not begin in time. At the end of the block, the
                application has not finished with the request in time, and was cancelled.
            ConnectionRefusedError: The application has been shut down.
            BaseException: At the end of the block, the error that nobody in the application
                handled.
        """
        await trio.lowlevel.checkpoint()
        if sending:
            options["content"] = _nothing()  # the library then adds the header for a body in chunks
        request: Any = self.http.build_request(method, url, **options)
        seconds = self._timeout if timeout is None else timeout
        async with requesting(
            self._stage,
            request,
            self._note_cookies,
            sending=sending,
            timeout=seconds,
            buffer=buffer,
            inbox_size=inbox_size,
            client=client,
        ) as session:
            yield session

    def _note_cookies(self, request: Any, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Keep the cookies that a response has set."""
        response: Any = http_library().Response(200, headers=list(headers), request=request)
        self.http.cookies.extract_cookies(response)

    async def _exchange(
        self, request: Any, client: tuple[str, int] | None
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Pass on a request that was read. Return its response's status, headers and body."""
        transport = http_transport(self._stage, self._timeout, client)
        response: Any = await transport.handle_async_request(request)
        body = b"".join([chunk async for chunk in response.stream])
        return response.status_code, response.headers.raw, body

    # The application.

    def tree(self) -> Tree:
        """What is alive in the application. See :func:`triows.inspect.tree`."""
        return tree(self.app)

    @checkpointed
    async def shutdown(self) -> None:
        """
        Shut the application down as a server does, and wait until it is over.

        New connections are refused, live connections are drained as :meth:`Triows.drain` says, and
        the application's resources exit. If you cancel this, only the waiting ends.

        Raises:
            LeakError: The shutdown takes longer than the settings allow.
        """
        self._stage.end()
        with trio.move_on_after(self._stage.patience.shutdown):
            await self._stage.done.wait()
            return
        raise self._leaks.of_shutdown()

    async def _aclose(self) -> None:
        if self._http is not None:
            with trio.move_on_after(1, shield=True):
                await self._http.aclose()


@asynccontextmanager
@hinting(OPENING)
async def open_app(
    app: Triows,
    *,
    timeout: float | None = None,
    base_url: str = "http://testserver",
    root_path: str = "",
    patience: float | None = None,
    startup_timeout: float = STARTUP_TIMEOUT,
    raise_app_exceptions: bool = True,
    blocked: float = BLOCKED,
    network: Network | None = None,
    drain: Drain | None = None,
) -> AsyncIterator[AppClient]:
    """
    Run *app* in the test's Trio loop, and give a client for it. No sockets are used.

        async with open_app(app) as client:
            async with client.websocket_connect("/echo") as ws:
                await ws.send("hello")
                assert await ws.receive() == "hello"

    The block begins with the application's start-up and ends with its shutdown. The real server
    answers, over connections in memory: bytes, frames and bounded buffers are real. All of its
    timeouts use Trio's clock, so under pytest-trio's ``autojump_clock`` an hour of a connection's
    life takes milliseconds.

    If a connection, a resource or a task of the application is still alive at the end of the
    block, the test fails and shows what is left.

    Args:
        app: The application. It must not be running.
        timeout: How many seconds each receive and send waits. By default, 5 seconds and the longest
            round trip of *network*.
        base_url: The URL before each path. The application sees its host as ``Host``.
        root_path: The path at which the application is mounted, as a server would tell it.
        patience: How many seconds a connection, or the application, may take to end before it
            counts as a leak. By default, what the settings add up to.
        startup_timeout: How many seconds the application's start-up may take.
        raise_app_exceptions: Whether errors that nobody handled are raised in the test. If not,
            they are logged, and the client sees only what a peer sees.
        blocked: For how many seconds one task, of the application or of the test, may block the
            loop. A virtual clock may stand still for as many seconds of processor time because
            some task is always ready to run. ``math.inf`` sets no limit.
        network: Delays, cuts and breaks connections. See :class:`Network`. By default,
            all bytes arrive at once.
        drain: What a shutdown does with newcomers and with idle connections, as for
            :func:`triows.serve`.

    Raises:
        LoopBlocked: The loop was blocked, or the virtual clock stood still, for *blocked* seconds.
        RuntimeError: The application is running already, or the test doesn't run on Trio.
        TypeError: *app* is an application of another framework, or *network* isn't a
            :class:`Network`.
        StartTimeout: The start-up does not end.
        LeakError: Something is left at the end of the block.
        BaseException: What the application's start-up, its shutdown or one of its resources
            raised. If a resource fails meanwhile, the block is cancelled.
    """
    check_trio_in_test("open_app")
    await trio.lowlevel.checkpoint()
    check_app(app)
    transit = None if network is None else Transit(network)
    if timeout is None:
        timeout = TIMEOUT + (0.0 if transit is None else transit.round_trip)
    check_drain(drain)
    memory = Memory(app, root_path, transit, drain)
    staged = partial(Stage, app, memory, patience=patience, raises=raise_app_exceptions)
    async with _opened(app, staged, timeout, base_url, startup_timeout, blocked) as client:
        yield client


@asynccontextmanager
@hinting(OPENING)
async def open_server(
    app: Triows,
    config: Config | None = None,
    *,
    timeout: float = TIMEOUT,
    patience: float | None = None,
    startup_timeout: float = STARTUP_TIMEOUT,
    raise_app_exceptions: bool = True,
    blocked: float = BLOCKED,
    drain: Drain | None = None,
) -> AsyncIterator[AppClient]:
    """
    Serve *app* on a free port of your machine, and give a client for it.

    It works like :func:`open_app`, but over sockets: a test that passes with one should pass with
    the other. It needs the real clock.

    Args:
        app: The application. It must not be running.
        config: Hypercorn's configuration, without TLS. By default it binds a free port of
            127.0.0.1.
        timeout: As in :func:`open_app`.
        patience: As in :func:`open_app`.
        startup_timeout: As in :func:`open_app`.
        raise_app_exceptions: As in :func:`open_app`.
        blocked: As in :func:`open_app`.
        drain: As in :func:`open_app`.

    Raises:
        RuntimeError: The application is running already, the clock is a virtual one, or the test
            doesn't run on Trio.
        AddressError: An address can't be bound.
        BaseException: As in :func:`open_app`.
    """
    check_trio_in_test("open_server")
    await trio.lowlevel.checkpoint()
    check_app(app)
    if isinstance(trio.lowlevel.current_clock(), MockClock):
        raise RuntimeError(  # noqa: TRY004 - it isn't a mistake in a type
            "a server on real sockets needs the real clock: leave autojump_clock, or "
            "clock=MockClock(), to tests with open_app()"
        )
    check_drain(drain)
    sockets = Loopback(app, config or free_port(), drain)
    staged = partial(Stage, app, sockets, patience=patience, raises=raise_app_exceptions)
    async with _opened(app, staged, timeout, None, startup_timeout, blocked) as client:
        yield client


@asynccontextmanager
async def _opened(
    app: Triows,
    staged: Callable[[trio.Nursery], Stage],
    timeout: float,
    base_url: str | None,
    startup_timeout: float,
    blocked: float,
) -> AsyncIterator[AppClient]:
    if app.is_running:
        raise RuntimeError(
            "this application is running already: leave the open_app(), TestClient or server "
            "that runs it first"
        )
    errors: list[BaseException | None] = []
    leak: BaseException | None = None
    stage: Stage | None = None
    try:
        with ExitStack() as watch:
            async with trio.open_nursery() as nursery:
                stage = staged(nursery)
                leaks = LeakCheck(stage)
                # It watches until the nursery has ended.
                watch.enter_context(unblocked(stage, blocked))
                nursery.start_soon(stage.run, name="<application>")
                try:
                    with trio.move_on_after(startup_timeout):
                        await stage.started.wait()
                    if not stage.started.is_set():
                        raise leaks.of_start(startup_timeout)
                    if not stage.done.is_set():
                        url = base_url or stage.backend.url
                        async with _client(stage, nursery, timeout, url, leaks) as client:
                            with stage.body:
                                yield client
                except BaseException as exc:  # noqa: BLE001 - raised below
                    errors.append(exc)
                finally:
                    leak = await leaks.leave(failed=bool(errors))
    except BaseException as exc:  # noqa: BLE001 - raised below
        errors.append(exc)
    if stage is None:  # it could not be made
        raise_all("errors in the test and in the application", errors)
        return
    if stage.blocked_is_told:
        # The test has seen it. What was cancelled because of it adds nothing.
        errors = [without_cancelled(one) for one in errors if one is not None]
    else:
        errors.append(stage.blocked)
    errors += [stage.error, leak]
    raise_all("errors in the test and in the application", errors)


async def _nothing() -> AsyncIterator[bytes]:
    """A body of unknown length, which is sent by somebody else."""
    parts: tuple[bytes, ...] = ()
    for part in parts:
        yield part


def check_app(app: object) -> None:
    """
    Refuse what isn't a triows application.

    Raises:
        TypeError: It isn't one. The message says what to do instead.
    """
    if (mistake := app_mistake(app)) is not None:
        raise TypeError(f"this client takes an application, and got {mistake}")


@asynccontextmanager
async def _client(
    stage: Stage, nursery: trio.Nursery, timeout: float, url: str, leaks: LeakCheck
) -> AsyncIterator[AppClient]:
    client = AppClient(stage, nursery, timeout, url, leaks)
    try:
        yield client
    finally:
        await client._aclose()


def _request(
    url: str,
    base_url: str,
    handshake: Sequence[tuple[str, str]],
    pairs: Sequence[tuple[str, str]],
) -> bytes:
    """Write the head of a handshake's request (:rfc:`6455#section-4.1`)."""
    parts = urlsplit(url)
    # Escape characters that aren't allowed in a path, and keep what is already escaped.
    path = parts.path if parts.path.startswith("/") else f"/{parts.path}"
    target = quote(path, safe="/%:@!$&'()*+,;=~")
    if parts.query:
        target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~?")
    own = [
        ("Host", (parts.netloc or urlsplit(base_url).netloc).encode("idna").decode()),
        *handshake,
    ]
    given = {name.lower() for name, _ in pairs}
    lines = [
        f"GET {target} HTTP/1.1",
        *(f"{name}: {value}" for name, value in own if name.lower() not in given),
        *(f"{name}: {value}" for name, value in pairs),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _pairs(headers: Mapping[str, str] | Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return list(headers.items() if hasattr(headers, "items") else headers)


def _raise_first(
    peer: Peer, call: Call, stage: Stage, body: BaseException | None, leak: BaseException | None
) -> None:
    """Raise what the test has to see. The application's error replaces its consequences."""
    if body is None and call.error is None and leak is None:
        if not peer.accepted:
            raise _unaccepted(peer, stage)
        return
    if call.error is not None and (body is None or _is_disconnect(body)):
        body = None
    raise_all("errors in the test and in the application", [body, call.error, leak])


def _unaccepted(peer: Peer, stage: Stage) -> BaseException:
    if peer.response is not None and peer.mistake is None:
        refused = WebSocketDenialResponse(peer.response)
        if peer.fault:
            refused.add_note(peer.fault)
        return refused
    why = ""
    if peer.fault:
        why = f": {peer.fault}"
    elif stage.patience.lateness and not peer.has_arrived:
        why = f": {stage.patience.lateness}"
    error = WebSocketDisconnect(1006, f"neither accepted nor refused{why}")
    error.__cause__ = peer.mistake
    return error


def _is_disconnect(error: BaseException) -> bool:
    """Say whether the test only noticed that the connection is over."""
    return all(
        is_a(leaf, WebSocketDisconnect) and not is_a(leaf, WebSocketDenialResponse)
        for leaf in leaves(error)
    )
