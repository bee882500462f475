"""The engine for HTTP with a bare application, without a server. The test plays the network."""

from __future__ import annotations

import logging
import math
from contextlib import asynccontextmanager
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import h11
import trio
from attrs import evolve
from trio.testing import wait_all_tasks_blocked

from tests.transports.scripted_wire import ScriptedWire
from triows import Timeouts
from triows._errors import consists_of
from triows._server.arrival import Addresses
from triows._server.connection import HTTPConnection
from triows._server.guarded import GuardedTasks
from triows._server.jobs import Jobs
from triows._server.pool import Pool
from triows._server.scopes import ScopeSettings
from triows._server.services import HTTPServices
from triows._transports.cork import Cork
from triows._transports.pinger import Pinger
from triows._transports.turn import current_turn
from triows.exceptions import ClientDisconnect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from triows.types import ASGIApp

__all__ = ["Engine", "Response", "asked", "opened_engine", "read_responses", "settled"]

logger = logging.getLogger("triows")

CLIENT, SERVER = ("peer", 50_000), ("testserver", 80)

Response = tuple[int, dict[str, str], bytes]


def asked(
    target: str = "/", *lines: str, method: str = "GET", version: str = "1.1", body: bytes = b""
) -> bytes:
    """Write a request. A body gets its length."""
    length = [f"content-length: {len(body)}"] if body else []
    head = [f"{method} {target} HTTP/{version}", "host: testserver", *lines, *length, "", ""]
    return "\r\n".join(head).encode() + body


def read_responses(
    data: bytes, *methods: str, over: bool = False
) -> tuple[list[Response], list[Response]]:
    """
    Read what was sent to a client with h11, which raises an error if it isn't HTTP.

    Args:
        data: What was sent.
        methods: The methods of the requests, in their order.
        over: Whether the server has closed its side.

    Returns:
        The whole responses, and then the one that isn't whole, if there is one.
    """
    whole: list[Response] = []
    rest = data
    for method in methods:
        if not rest:
            break
        client = h11.Connection(h11.CLIENT)
        request = h11.Request(method=method, target="/", headers=[("host", "testserver")])
        client.send(request)
        client.send(h11.EndOfMessage())
        client.receive_data(rest)
        if over:
            client.receive_data(b"")
        status, headers, body = 0, {}, b""
        while True:
            try:
                event = client.next_event()
            except h11.RemoteProtocolError as exc:
                if not over or "peer closed connection" not in str(exc):
                    raise
                return whole, [(status, headers, body)]
            if event is h11.NEED_DATA:
                return whole, [(status, headers, body)]
            if isinstance(event, h11.Response):
                status = event.status_code
                headers = {name.decode(): value.decode() for name, value in event.headers}
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
        whole.append((status, headers, body))
        rest = client.trailing_data[0]
    assert rest == b"", "the server has sent more than responses"
    return whole, []


class _OwnHeaders:
    fresh = b"server: scripted\r\n"

    def __call__(self) -> bytes:
        return self.fresh


class Engine:
    """The engine, and what a test sees of it."""

    def __init__(self, services: HTTPServices, pinger: Pinger, requests: list[None]) -> None:
        self.services = services
        self.pinger = pinger
        #: One entry for each request that was counted.
        self.requests = requests
        #: The connections that are not over.
        self.open: list[HTTPConnection] = []

    def connect(self, wire: Any = None, *, secure: bool = False, preface: Any = None) -> Any:
        """Serve a connection, and return its wire."""
        wire = ScriptedWire() if wire is None else wire
        addresses = Addresses(CLIENT, SERVER, secure=secure)
        connection = HTTPConnection(self.services, wire, addresses, copy_context())
        connection.on_over = lambda: self.open.remove(connection)
        self.open.append(connection)
        connection.start(preface)
        return wire


async def settled() -> None:
    """Wait until nothing happens without the test."""
    await wait_all_tasks_blocked()


@asynccontextmanager
async def opened_engine(app: ASGIApp, **changes: Any) -> AsyncIterator[Engine]:
    """
    Run the engine. When the test closes all connections, or has let them end, nothing may be left.

    Args:
        app: A bare application. What it raises is logged.
        changes: Other services than the usual ones. See :class:`HTTPServices`.
    """

    async def logged(scope: Any, receive: Any, send: Any) -> None:
        # As an application of ours does it.
        try:
            await app(scope, receive, send)
        except Exception as exc:
            if not consists_of(exc, ClientDisconnect):
                logger.exception("unhandled error")

    requests: list[None] = []
    pinger, turn = Pinger(), current_turn()
    cork = Cork(turn)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pinger.run)
        nursery.start_soon(cork.run)
        while not cork.is_open:
            await trio.lowlevel.checkpoint()
        async with trio.open_nursery() as tasks:
            starter = GuardedTasks(tasks)
            services = HTTPServices(
                app=logged,
                timeouts=Timeouts(),
                pinger=pinger,
                turn=turn,
                cork=cork,
                pool=Pool(starter, pinger, copy_context()),
                tasks=tasks,
                own_lines=_OwnHeaders(),
                keep_alive_timeout=5,
                keep_alive_requests=1000,
                read_timeout=math.inf,
                tls_timeout=60,
                head_size=2**16,
                scopes=ScopeSettings("", has_raw_headers=False),
                forwarding=None,
                serves=lambda _: True,
                log_access=None,
                note_request=lambda: requests.append(None),
                serve_websocket=_never,
                jobs=Jobs(),
            )
            engine = Engine(evolve(services, **changes), pinger, requests)
            try:
                yield engine
            finally:
                for connection in tuple(engine.open):
                    connection.close()
                with trio.CancelScope(shield=True):
                    await settled()  # applications are told that their clients have gone
                engine.services.pool.close()
        assert not engine.services.jobs.workers
        assert len(pinger) == 0, "a timer is left"
        nursery.cancel_scope.cancel()


async def _never(connection: HTTPConnection, head: Any, around: trio.CancelScope) -> None:
    raise AssertionError("nobody has asked for a WebSocket")
