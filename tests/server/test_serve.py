import gc
import json
import logging
import logging.config
import socket
import struct
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Annotated, Any

import httpx
import pytest
import trio
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute as StarletteWebSocketRoute

import triows
from tests.raw import header_lines
from tests.server.applications import ordinary
from tests.server.clients import Closed
from triows import AsyncResource, HandlerCancelled, Timeouts, Triows, WebSocket, WebSocketRoute, use

pytestmark = pytest.mark.real_socket

#: How many seconds a busy machine may take for something. No test waits that long.
PATIENCE = 20


def configured(**settings: Any) -> Config:
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.errorlog = None
    for name, value in settings.items():
        setattr(config, name, value)
    return config


@asynccontextmanager
async def serving(app: Triows, **settings: Any) -> AsyncIterator[str]:
    """Serve *app* while the block runs. Yield its URL for WebSockets."""
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            (url,) = await nursery.start(triows.serve, app, configured(**settings))
            yield url.replace("http", "ws", 1)
            nursery.cancel_scope.cancel()


def seed() -> Triows:
    return Triows(*ordinary.routes)


# Serving


async def test_the_seed_program_is_served_in_a_nursery(open_client):
    async with (
        serving(seed()) as url,
        open_client(f"{url}/web_socket/session123?max_users=5") as client,
    ):
        assert await client.receive() == "Hello, world!"
        with pytest.raises(Closed) as caught:
            await client.receive()
    assert caught.value.args == (1000, "")


async def test_messages_of_both_kinds_and_of_every_size_come_back(open_client):
    messages = ["", "a", b"", b"\x00\xff", "\N{SNOWMAN}" * 1000, b"x" * 70_000, "y" * 2**20]
    async with serving(seed()) as url, open_client(f"{url}/echo") as client:
        for message in messages:
            await client.send(message)
            assert await client.receive() == message


async def test_it_serves_tls(open_client, authority, cafile, tmp_path):
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    files = {"certfile": str(tmp_path / "cert.pem"), "keyfile": str(tmp_path / "key.pem")}
    async with serving(seed(), **files) as url:
        assert url.startswith("wss://")
        async with open_client(f"{url}/echo", cafile=cafile) as client:
            await client.send("secret")
            assert await client.receive() == "secret"


HANDSHAKE = {name: value for name, value in header_lines() if name != "Host"}


async def get(url: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(url.replace("ws", "http", 1), headers=headers)


async def test_refusals_are_seen_by_an_http_client_with_status_and_body():
    async with serving(seed()) as url:
        nowhere = await get(f"{url}/nope", **HANDSHAKE)
        bad = await get(f"{url}/rooms/kitchen?times=many", **HANDSHAKE)
        foreign = await get(f"{url}/echo", **HANDSHAKE, Origin="https://evil.example")
        plain = await get(f"{url}/echo")
    assert [one.status_code for one in (nowhere, bad, foreign, plain)] == [404, 422, 403, 426]
    assert {one.headers["content-type"] for one in (nowhere, bad, foreign, plain)} == {
        "application/problem+json"
    }
    assert bad.json()["errors"] == [
        {"location": "path", "name": "room", "message": "Expected `int`"},
        {"location": "query", "name": "times", "message": "Expected `int`"},
    ]
    assert plain.headers["upgrade"] == "websocket"


async def test_a_refused_client_may_ask_again_at_once():
    """The client is told to open another connection, because the server closes this one."""
    async with serving(seed()) as url, httpx.AsyncClient(trust_env=False) as client:
        for _ in range(20):
            response = await client.get(f"{url}/nope".replace("ws", "http", 1), headers=HANDSHAKE)
            assert (response.status_code, response.headers["connection"]) == (404, "close")


# What goes wrong


@contextmanager
def forgotten_socket() -> Iterator[None]:
    """Hypercorn doesn't close a socket that it could not bind. Let it be collected here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


async def test_an_address_in_use_is_an_os_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = configured(bind=[f"127.0.0.1:{taken.getsockname()[1]}"])
        with forgotten_socket(), pytest.raises(OSError, match="in use"):
            await triows.serve(seed(), config)


async def test_the_start_up_does_not_outlive_an_address_in_use():
    notes = []

    async def pool() -> AsyncResource[str]:
        notes.append("entered")
        try:
            yield "pool"
        finally:
            notes.append("exited")

    async def handler(ws: WebSocket, pool: Annotated[str, use(pool, scope="app")]) -> None: ...

    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = configured(bind=[f"127.0.0.1:{taken.getsockname()[1]}"])
        with forgotten_socket(), pytest.raises(OSError, match="in use"):
            await triows.serve(one_route(handler), config)
    assert notes == ["entered", "exited"]


def one_route(handler: Any, **settings: Any) -> Triows:
    route = WebSocketRoute("ws")
    route.endpoint(handler)
    return Triows(route, **settings)


class Boom(Exception):
    pass


async def test_an_error_at_start_up_is_raised_as_itself():
    async def broken() -> str:
        raise Boom

    async def handler(ws: WebSocket, it: Annotated[str, use(broken, scope="app")]) -> None: ...

    with pytest.raises(Boom):
        await triows.serve(one_route(handler), configured())


async def test_an_error_at_shutdown_is_raised_as_itself():
    async def broken() -> AsyncResource[str]:
        yield ""
        raise Boom

    async def handler(ws: WebSocket, it: Annotated[str, use(broken, scope="app")]) -> None: ...

    async def at_once() -> None:
        pass

    with pytest.raises(Boom):
        await triows.serve(one_route(handler), configured(), shutdown_trigger=at_once)


async def test_a_resource_that_dies_ends_the_server_and_its_peers_are_told(open_client):
    die = trio.Event()

    async def task() -> None:
        await die.wait()
        raise Boom

    async def dying() -> AsyncResource[str]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(task)
            yield "dying"

    async def handler(ws: WebSocket, it: Annotated[str, use(dying, scope="app")]) -> None:
        await ws.accept()
        await ws.send("here")
        await ws.receive()

    with pytest.RaisesGroup(Boom, flatten_subgroups=True, allow_unwrapped=True):
        async with serving(one_route(handler)) as url, open_client(f"{url}/ws") as client:
            await client.receive()
            die.set()
            with pytest.raises(Closed) as caught:
                await client.receive()
            assert caught.value.args == (1001, "")
            await trio.sleep_forever()


async def test_an_application_is_served_once_at_a_time():
    app = seed()
    async with serving(app):
        with pytest.raises(RuntimeError, match=r"running already: .* as in config.bind = \["):
            await triows.serve(app, configured())


async def test_a_server_that_ended_can_be_started_again(open_client):
    app = seed()
    for _ in range(2):
        async with serving(app) as url, open_client(f"{url}/echo") as client:
            await client.send("hi")
            assert await client.receive() == "hi"


# The end


async def test_a_shutdown_that_is_triggered_drains_and_returns(open_client, caplog):
    caplog.set_level(logging.INFO, "triows")
    stop = trio.Event()
    finished = []

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send("here")
        async for _ in ws:
            pass
        await trio.sleep(0.05)
        finished.append(ws.close_code)

    app = one_route(handler)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:

            async def serve(task_status: trio.TaskStatus[list[str]]) -> None:
                await triows.serve(
                    app, configured(), shutdown_trigger=stop.wait, task_status=task_status
                )
                finished.append("served")

            (url,) = await nursery.start(serve)
            async with open_client(f"{url}/ws".replace("http", "ws", 1)) as client:
                await client.receive()
                stop.set()
                with pytest.raises(Closed) as caught:
                    await client.receive()
    assert caught.value.args == (1001, "")
    assert finished == [1001, "served"]
    assert [record.code for record in caplog.records] == [1001]


async def test_cancelling_the_callers_nursery_ends_everything_in_order(open_client):
    journal: list[str] = []

    async def pool() -> AsyncResource[str]:
        try:
            yield "pool"
        except HandlerCancelled:
            await trio.lowlevel.checkpoint()
            journal.append("pool closed")
            raise

    async def session(pool: Annotated[str, use(pool, scope="app")]) -> AsyncResource[str]:
        try:
            yield "session"
        except HandlerCancelled as exc:
            await trio.lowlevel.checkpoint()
            journal.append(f"session closed: {exc.reason}")
            raise

    async def handler(ws: WebSocket, kind: str, s: Annotated[str, use(session)]) -> None:
        await ws.accept()
        await ws.send("here")
        if kind == "idle":
            await ws.receive()
        elif kind == "busy":
            await trio.sleep_forever()
        while True:
            await ws.send("x" * 1000)

    route = WebSocketRoute("{kind}")
    route.endpoint(handler)
    app = Triows(route, timeouts=Timeouts(close=5, teardown=5))
    started = 0.0
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as clients, trio.open_nursery() as nursery:
            (url,) = await nursery.start(triows.serve, app, configured())
            for kind in ("idle", "busy", "sending"):
                await clients.start(stay, open_client, f"{url}/{kind}", journal)
            started = trio.current_time()
            nursery.cancel_scope.cancel()
    assert trio.current_time() - started < 5 + 2 * 5  # the docstring of serve() says so
    closed = [line for line in journal if not line.startswith("client")]
    assert closed == [*["session closed: cancelled"] * 3, "pool closed"]
    assert journal.count("client saw 1001") == 3


async def stay(
    open_client: Any, url: str, journal: list[str], task_status: trio.TaskStatus[None]
) -> None:
    """Run a client that reads until the server closes."""
    async with open_client(url.replace("http", "ws", 1)) as client:
        await client.receive()
        task_status.started()
        try:
            while True:
                await client.receive()
        except Closed as exc:
            journal.append(f"client saw {exc.args[0]}")


async def raw_client(url: str) -> trio.SocketStream:
    """Open a WebSocket at /ws, and read nothing from it."""
    stream = await trio.open_tcp_stream("127.0.0.1", int(url.rpartition(":")[2]))
    lines = [f"{name}: {value}" for name, value in HANDSHAKE.items()]
    head = "\r\n".join(["GET /ws HTTP/1.1", "Host: 127.0.0.1", *lines, "", ""])
    await stream.send_all(head.encode())
    return stream


@pytest.mark.parametrize("busy", ["pushing", "waiting"])
async def test_a_handler_that_reads_nothing_ends_when_its_peer_resets(busy):
    ended = trio.Event()
    accepted = trio.Event()

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        accepted.set()
        try:
            while busy == "pushing":
                await ws.send("x" * 1000)
            await trio.sleep_forever()
        finally:
            ended.set()

    async with serving(one_route(handler, timeouts=Timeouts(disconnect_grace=0.1))) as url:
        client = await raw_client(url)
        await accepted.wait()
        await client.send_all(
            b"\x81\x81\x00\x00\x00\x00x" * 30
        )  # more than Hypercorn's queue holds
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await client.aclose()
        await ended.wait()


async def test_a_peer_that_does_not_read_does_not_hold_a_server_that_is_cancelled():
    sending = trio.Event()

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        while True:
            with trio.move_on_after(0.1) as scope:
                await ws.send("x" * 2**20)
            if scope.cancelled_caught:  # the peer's window and our outbox are full
                sending.set()

    timeouts = Timeouts(close=0.2, teardown=0.2, disconnect_grace=0.2)
    cancels: list[trio.CancelScope] = []
    ended = trio.Event()

    async def serve(task_status: trio.TaskStatus[list[str]]) -> None:
        with trio.CancelScope() as scope:
            cancels.append(scope)
            await triows.serve(
                one_route(handler, timeouts=timeouts), configured(), task_status=task_status
            )
        ended.set()

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            (url,) = await nursery.start(serve)
            async with await raw_client(url):
                await sending.wait()
                cancels[0].cancel()
                with trio.move_on_after(1):  # serve() promises 0.2 + 2 * 0.2 seconds
                    await ended.wait()
                in_time = ended.is_set()
    assert in_time


# The end of connections that no handler of ours serves


@asynccontextmanager
async def stopping(app: Triows, **settings: Any) -> AsyncIterator[tuple[str, trio.Event]]:
    """Serve *app* until somebody sets the event. The block waits for the end."""
    stop = trio.Event()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            serve = partial(triows.serve, shutdown_trigger=stop.wait)
            (url,) = await nursery.start(serve, app, configured(**settings))
            yield url, stop


def address_of(url: str) -> tuple[str, int]:
    host, _, port = url.rpartition("//")[2].rpartition(":")
    return host, int(port)


BRIEF = Timeouts(close=0.2, teardown=0.2, shutdown_grace=0.5)


@pytest.mark.parametrize("secure", [False, True])
async def test_a_silent_peer_holds_no_shutdown(secure, authority, tmp_path):
    files = {}
    if secure:
        certificate = authority.issue_cert("127.0.0.1")
        certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
        files = {"certfile": str(tmp_path / "both.pem"), "keyfile": str(tmp_path / "both.pem")}
    holding = trio.Event()

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        holding.set()
        await trio.sleep_forever()

    app = one_route(handler, timeouts=BRIEF)
    started = 0.0
    async with (
        stopping(app, graceful_timeout=0.5, **files) as (url, stop),
        await trio.open_tcp_stream(*address_of(url)),
        await trio.open_tcp_stream(*address_of(url)),
    ):
        started = trio.current_time()
        stop.set()
        async with await trio.open_tcp_stream(*address_of(url)) as late:
            with suppress(trio.BrokenResourceError):
                assert await late.receive_some() == b""
    assert trio.current_time() - started < 0.5 + 2 * 0.2 + 2 * 0.2 + 0.2 + 1  # Triows.drain_budget


async def test_a_websocket_of_a_mounted_application_is_told_of_the_shutdown(open_client):
    seen = []

    async def foreign(ws: Any) -> None:
        await ws.accept()
        await ws.send_text("here")
        seen.append(await ws.receive())
        await trio.sleep_forever()  # it doesn't receive any more

    app = Triows(timeouts=BRIEF)
    app.mount("/foreign", Starlette(routes=[StarletteWebSocketRoute("/ws", foreign)]))
    async with (
        stopping(app, graceful_timeout=0.5) as (url, stop),
        open_client(f"{url}/foreign/ws".replace("http", "ws", 1)) as client,
    ):
        assert await client.receive() == "here"
        stop.set()
        with pytest.raises(Closed) as caught:
            await client.receive()
    assert caught.value.args == (1001, "")
    assert [event["type"] for event in seen] == ["websocket.disconnect"]


async def test_an_application_that_answers_nothing_is_answered_for_with_500():
    async def silent(scope: Any, receive: Any, send: Any) -> None: ...

    app = Triows()
    app.mount("/silent", silent)
    async with serving(app) as url:
        assert (await get(f"{url}/silent", **HANDSHAKE)).status_code == 500


# What else Hypercorn's configuration says


async def test_a_name_that_is_not_the_servers_is_404():
    async with serving(seed(), server_names=["example.org"]) as url:
        assert (await get(f"{url}/echo", **HANDSHAKE)).status_code == 404
        assert (await get(f"{url}/echo", **HANDSHAKE, Host="example.org")).status_code == 101


async def test_a_websocket_has_a_line_in_the_access_log_when_it_is_over(open_client, caplog):
    log = logging.getLogger("test.access")
    caplog.set_level(logging.INFO, log.name)
    async with serving(seed(), accesslog=log) as url:
        async with open_client(f"{url}/echo") as client:
            await client.send("hi")
            await client.receive()
        await get(f"{url}/nope", **HANDSHAKE)
    lines = [one.getMessage() for one in caplog.records if one.name == log.name]
    assert any('"GET /echo 1.1" 101' in line for line in lines), lines
    assert any('"GET /nope 1.1" 404' in line for line in lines), lines


async def test_a_server_ends_after_as_many_requests_as_the_configuration_says():
    async with trio.open_nursery() as nursery:
        (url,) = await nursery.start(triows.serve, seed(), configured(max_requests=2))
        for _ in range(3):
            await get(f"{url}/nope", **HANDSHAKE)


# The log


SETTINGS: dict[str, Any] = {"version": 1}  # it disables existing loggers by default


@pytest.fixture
def disabled():
    """Let each logger be as enabled as it was, whatever a test configures."""
    known = [one for one in logging.root.manager.loggerDict.values() if hasattr(one, "disabled")]
    before = [(one, one.disabled) for one in known]
    yield
    for one, was in before:
        one.disabled = was


@pytest.mark.usefixtures("disabled")
@pytest.mark.parametrize("kind", ["logconfig_dict", "json", "toml"])
async def test_a_configuration_of_hypercorns_log_does_not_silence_ours(kind, tmp_path, caplog):
    (tmp_path / "json").write_text(json.dumps(SETTINGS))
    (tmp_path / "toml").write_text("version = 1\n")
    caplog.set_level(logging.INFO)
    settings: dict[str, Any] = {"logconfig": f"{kind}:{tmp_path / kind}"}
    if kind == "logconfig_dict":
        settings = {kind: SETTINGS}
    async with serving(seed(), **settings) as url:
        await httpx_get(url + "/nowhere")
    assert any("refused 404" in line for line in caplog.messages)


@pytest.mark.usefixtures("disabled")
async def test_a_programs_own_configuration_does_not_silence_ours(caplog):
    caplog.set_level(logging.INFO)
    logging.config.dictConfig(SETTINGS)
    assert logging.getLogger("triows").disabled
    async with serving(seed()) as url:
        await httpx_get(url + "/nowhere")
    assert any("refused 404" in line for line in caplog.messages)


@pytest.mark.usefixtures("disabled")
async def test_a_configuration_of_the_start_up_does_not_silence_ours(caplog):
    caplog.set_level(logging.INFO)

    @asynccontextmanager
    async def lifespan(app: Triows) -> AsyncIterator[None]:
        logging.config.dictConfig(SETTINGS)
        yield

    async with serving(Triows(lifespan=lifespan)) as url:
        await httpx_get(url + "/nowhere")
    assert any("refused 404" in line for line in caplog.messages)


async def httpx_get(url: str) -> None:
    def get() -> None:
        httpx.get(url.replace("ws", "http", 1))

    await trio.to_thread.run_sync(get)


async def test_what_is_not_request_ids_is_refused():
    with pytest.raises(TypeError, match=r"not True: write request_ids=RequestIds\(\)"):
        await triows.serve(seed(), configured(), request_ids=True)


async def test_newcomers_wait_in_the_queue_of_a_socket_that_somebody_else_has_too():
    with socket.create_server(("127.0.0.1", 0)) as ours:
        ours.setblocking(False)
        enough = trio.Event()
        serve = partial(triows.serve, sockets=[ours.dup()], shutdown_trigger=enough.wait)
        async with trio.open_nursery() as nursery:
            await nursery.start(serve, seed(), configured())
            enough.set()
        with socket.create_connection(ours.getsockname(), timeout=PATIENCE):
            connection, _ = ours.accept()
            connection.close()


async def test_a_drain_that_is_none_is_refused():
    with pytest.raises(TypeError, match=r"drain takes a triows.Drain, not 5: write drain=Drain"):
        await triows.serve(seed(), configured(), drain=5)  # type: ignore[arg-type]
