"""The synchronous client, used as Starlette's users write tests."""

import signal
import subprocess
import sys
import threading
import unittest
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import pytest
import trio

from triows import (
    AsyncResource,
    HTTPException,
    Ignore,
    Param,
    Timeouts,
    Triows,
    WebSocket,
    WebSocketDisconnect,
    WebSocketRoute,
    use,
)
from triows.testing import ReceiveTimeout, TestClient, WebSocketDenialResponse

ROOT = Path(__file__).parent.parent.parent


async def accepted(ws: Ignore[WebSocket]) -> Ignore[AsyncResource[WebSocket]]:
    await ws.accept()
    yield ws


Accepted = Annotated[WebSocket, use(accepted)]


def serving(handler, path="", **options):
    """An application with one handler."""
    route = WebSocketRoute(path)
    route.endpoint(handler)
    return Triows(route, **options)


def client_of(handler, path="", **options):
    return TestClient(serving(handler, path, **options))


async def echo(ws: Accepted) -> None:
    async for message in ws:
        await ws.send(message)


async def silent(ws: Accepted) -> None:
    await ws.receive()


class Boom(Exception):
    pass


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


# As in the manual


def test_the_program_that_everything_began_with():
    ws_route = WebSocketRoute("web_socket/{session_id}")

    async def ws_factory(ws: Ignore[WebSocket]) -> Ignore[AsyncResource[WebSocket]]:
        await ws.accept()
        yield ws
        await ws.close()

    @ws_route.ws_handler
    async def ws_handler(
        ws: Annotated[WebSocket, use(ws_factory, reuse=False)],
        session_id: str,
        max_users: int,
    ):
        assert session_id == "session123" and max_users == 5  # noqa: PT018 - word for word
        await ws.send_text("Hello, world!")

    lhl = Triows()
    lhl.include_routes(ws_route)

    client = TestClient(lhl)
    with client:  # noqa: SIM117 - word for word
        with client.websocket_connect("/web_socket/session123?max_users=5") as websocket:
            data = websocket.receive_text()
            assert data == "Hello, world!"


def test_an_assertion_in_a_handler_fails_the_test():
    async def handler(ws: Accepted, session_id: str) -> None:
        assert session_id == "session123"

    with pytest.raises(AssertionError, match="session123"):
        visit(client_of(handler, "{session_id}"), "/another")


def visit(client, url="/", **options):
    """Connect, and do nothing."""
    with client.websocket_connect(url, **options):
        pass


# Adapted from the tests of Starlette's own client


def test_text_bytes_and_json_go_both_ways():
    with client_of(echo).websocket_connect("/") as ws:
        ws.send_text("Hello, world!")
        assert ws.receive_text() == "Hello, world!"
        ws.send_bytes(b"Hello, world!")
        assert ws.receive_bytes() == b"Hello, world!"
        ws.send_json({"hello": "world"})
        assert ws.receive_json() == {"hello": "world"}


def test_json_can_be_binary():
    with client_of(echo).websocket_connect("/") as ws:
        ws.send_json({"hello": "world"}, mode="binary")
        assert ws.receive_bytes() == b'{"hello":"world"}'
        ws.send_json({"hello": "world"}, mode="binary")
        assert ws.receive_json(mode="binary") == {"hello": "world"}


def test_the_url_and_the_query_are_sent():
    async def handler(ws: Accepted, a: str, b: str) -> None:
        await ws.send_json({"url": str(ws.url), "params": dict(ws.query_params)})

    with client_of(handler, "123").websocket_connect("/123?a=abc&b=d+e") as ws:
        assert ws.receive_json() == {
            "url": "ws://testserver/123?a=abc&b=d+e",
            "params": {"a": "abc", "b": "d e"},
        }


def test_headers_are_sent_those_of_a_connection_before_those_of_the_client():
    async def handler(
        ws: Accepted,
        a: Annotated[str, Param("header")],
        b: Annotated[str, Param("header")],
        session: Annotated[str, Param("cookie")],
    ) -> None:
        await ws.send_json([a, b, session])

    client = TestClient(serving(handler), headers={"A": "1", "B": "2"})
    with client.websocket_connect("/", headers={"B": "3", "Cookie": "session=x"}) as ws:
        assert ws.receive_json() == ["1", "3", "x"]


def test_a_subprotocol_can_be_chosen_and_headers_be_added():
    async def handler(ws: WebSocket) -> None:
        assert ws.scope["subprotocols"] == ["soap", "wamp"]
        await ws.accept(subprotocol="wamp", headers=[(b"x-room", b"7")])

    with client_of(handler).websocket_connect("/", subprotocols=["soap", "wamp"]) as ws:
        assert ws.accepted_subprotocol == "wamp"
        assert list(ws.extra_headers) == [(b"x-room", b"7")]


def test_the_client_closes():
    codes = []

    async def handler(ws: Accepted) -> None:
        try:
            await ws.receive_text()
        except WebSocketDisconnect as exc:
            codes.append((exc.code, exc.reason))

    client = client_of(handler)
    with client.websocket_connect("/") as ws:
        ws.close(code=4000, reason="enough")
    with client.websocket_connect("/") as ws:
        ws.close()
    visit(client)
    assert codes == [(4000, "enough"), (1000, ""), (1000, "")]


def test_the_application_closes():
    async def handler(ws: Accepted) -> None:
        await ws.close(4001, "Going away")

    with client_of(handler).websocket_connect("/") as ws:
        with pytest.raises(WebSocketDisconnect) as caught:
            ws.receive_text()
        assert (caught.value.code, caught.value.reason) == (4001, "Going away")
        with pytest.raises(WebSocketDisconnect):
            ws.send_text("too late")


def test_the_application_closes_before_it_accepts():
    async def handler(ws: WebSocket) -> None:
        await ws.close(1001)

    with pytest.raises(WebSocketDisconnect):
        visit(client_of(handler))


def test_the_application_refuses_with_a_response():
    async def handler(ws: WebSocket) -> None:
        raise HTTPException(418, "short and stout", {"X-Pot": "tea"})

    with pytest.raises(WebSocketDenialResponse) as caught:
        visit(client_of(handler))
    assert caught.value.status_code == 418
    assert caught.value.headers["x-pot"] == "tea"
    assert caught.value.json()["detail"] == "short and stout"


def test_a_path_that_leads_nowhere_is_refused():
    with pytest.raises(WebSocketDenialResponse) as caught:
        visit(client_of(echo, "here"), "/there")
    assert caught.value.status_code == 404


def test_bad_parameters_are_refused_with_all_errors():
    async def handler(ws: Accepted, a: int, b: int) -> None: ...

    with pytest.raises(WebSocketDenialResponse) as caught:
        visit(client_of(handler), "/?a=x")
    assert caught.value.status_code == 422
    assert [error["name"] for error in caught.value.json()["errors"]] == ["a", "b"]


def test_a_receive_fails_the_test_when_nothing_comes():
    client = TestClient(serving(silent), timeout=0.2)
    with client.websocket_connect("/") as ws:
        for receive in (ws.receive_text, ws.receive_bytes, ws.receive_json):
            with pytest.raises(ReceiveTimeout):
                receive()


# Errors


def test_an_error_of_the_handler_is_raised_as_itself_on_leaving():
    error = Boom()

    async def handler(ws: Accepted) -> None:
        raise error

    with pytest.raises(Boom) as caught:
        visit(client_of(handler))
    assert caught.value is error


async def failing(ws: Accepted) -> None:
    await ws.receive()
    raise Boom


def after_go(body, client=None):
    """Tell the handler to go on, and then do something inside the block."""
    with (client or client_of(failing)).websocket_connect("/") as ws:
        ws.send_text("go")
        body(ws)


def test_an_error_of_the_handler_goes_before_what_it_does_to_the_test():
    with pytest.raises(Boom) as caught:
        after_go(lambda ws: ws.receive_text())
    assert isinstance(caught.value.__context__, WebSocketDisconnect)


def fail(ws):
    raise ZeroDivisionError


def test_an_error_of_the_test_is_raised_as_itself():
    with pytest.raises(ZeroDivisionError):
        after_go(fail, client_of(echo))


def test_errors_of_both_sides_are_raised_together():
    with pytest.raises(ExceptionGroup, match="in the test and in the application") as caught:
        after_go(fail)
    assert [type(exc) for exc in caught.value.exceptions] == [ZeroDivisionError, Boom]


def interrupt(ws):
    raise KeyboardInterrupt


def test_an_interrupt_goes_before_everything():
    with pytest.raises(KeyboardInterrupt) as caught:
        after_go(interrupt)
    assert caught.value.__notes__ == ["leaving a block of TestClient failed, too: Boom()"]


def test_an_interrupt_goes_before_an_error_at_shutdown():
    @asynccontextmanager
    async def failing_lifespan(app):
        yield
        raise Boom

    with pytest.raises(KeyboardInterrupt) as caught, client_of(echo, lifespan=failing_lifespan):
        raise KeyboardInterrupt
    assert caught.value.__notes__ == ["leaving a block of TestClient failed, too: Boom()"]


def test_an_error_before_accept_is_raised_on_entering():
    async def handler(ws: WebSocket) -> None:
        raise Boom

    with pytest.raises(Boom):
        visit(client_of(handler))


def test_an_error_in_a_resources_exit_is_raised():
    async def factory():
        yield
        raise Boom

    async def handler(ws: Accepted, value: Annotated[Any, use(factory)]) -> None: ...

    with pytest.raises(Boom):
        visit(client_of(handler))


def test_after_an_error_the_client_goes_on():
    async def handler(ws: Accepted, fail: bool) -> None:
        if fail:
            raise Boom
        await ws.send("fine")

    with client_of(handler) as client:
        for _ in range(2):
            with pytest.raises(Boom):
                visit(client, "/?fail=true")
            with client.websocket_connect("/?fail=false") as ws:
                assert ws.receive_text() == "fine"


# The application around it


@asynccontextmanager
async def lifespan(app):
    app.state.log = [*getattr(app.state, "log", ()), "start"]
    yield
    app.state.log.append("stop")


def test_the_application_runs_inside_the_clients_block():
    client = client_of(echo, lifespan=lifespan)
    with client:
        visit(client)
        visit(client)
        assert client.app.state.log == ["start"]
        assert client.app.is_running
    assert client.app.state.log == ["start", "stop"]
    assert not client.app.is_running


def test_without_the_clients_block_it_runs_for_each_connection():
    client = client_of(echo, lifespan=lifespan)
    visit(client)
    visit(client)
    assert client.app.state.log == ["start", "stop"] * 2


def talk(*sessions):
    for number, ws in enumerate(sessions):
        ws.send_text(str(number))
    assert [ws.receive_text() for ws in sessions] == [str(n) for n in range(len(sessions))]


def test_connections_nest_inside_the_clients_block():
    with client_of(echo, lifespan=lifespan) as client:
        with client.websocket_connect("/") as outer:
            with client.websocket_connect("/") as inner:
                talk(outer, inner)
            talk(outer)
        visit(client)
        assert client.app.state.log == ["start"]


def test_connections_nest_without_the_clients_block_and_share_the_application():
    client = client_of(echo, lifespan=lifespan)
    with client.websocket_connect("/") as a, client.websocket_connect("/") as b:
        talk(a, b)
        assert client.app.state.log == ["start"]
    assert client.app.state.log == ["start", "stop"]


def test_the_clients_block_may_be_opened_inside_itself_and_again():
    client = client_of(echo, lifespan=lifespan)
    for _ in range(2):
        with client, client:
            visit(client)
    assert client.app.state.log == ["start", "stop"] * 2


def test_one_client_may_talk_to_another_connection_through_the_application():
    sockets = set()

    async def chat(ws: Accepted) -> None:
        sockets.add(ws)
        await ws.send("welcome")
        try:
            async for message in ws:
                for other in sockets - {ws}:
                    await other.send(message)
        finally:
            sockets.discard(ws)

    with (
        client_of(chat) as client,
        client.websocket_connect("/") as ada,
        client.websocket_connect("/") as bob,
    ):
        assert [ada.receive_text(), bob.receive_text()] == ["welcome"] * 2
        ada.send_text("hello")
        assert bob.receive_text() == "hello"
    assert sockets == set()


def test_leaving_waits_until_the_resources_have_exited():
    log = []

    async def resource():
        yield
        await trio.lowlevel.checkpoint()
        log.append("exited")

    async def handler(ws: Accepted, value: Annotated[Any, use(resource)]) -> None:
        await ws.receive()

    visit(client_of(handler))
    assert log == ["exited"]


def test_an_error_at_start_up_is_raised_on_entering():
    @asynccontextmanager
    async def failing_lifespan(app):
        raise Boom
        yield

    client = client_of(echo, lifespan=failing_lifespan)
    with pytest.raises(Boom):
        client.__enter__()
    with pytest.raises(Boom):
        visit(client)


def test_an_error_at_shutdown_is_raised_on_leaving():
    @asynccontextmanager
    async def failing_lifespan(app):
        yield
        raise Boom

    client = client_of(echo, lifespan=failing_lifespan)
    with pytest.raises(Boom):
        visit(client)
    client.__enter__()
    with pytest.raises(Boom):
        client.__exit__(None, None, None)


def test_an_error_of_the_handler_is_kept_when_the_shutdown_fails_too():
    @asynccontextmanager
    async def failing_lifespan(app):
        yield
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        after_go(lambda ws: None, client_of(failing, lifespan=failing_lifespan))
    assert isinstance(caught.value.__context__, Boom)


def test_a_resource_of_the_application_that_fails_meanwhile_is_raised_on_leaving():
    crash = trio.Event()

    async def resource():
        async def fail():
            await crash.wait()
            raise Boom

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            yield nursery
            nursery.cancel_scope.cancel()

    async def handler(ws: Accepted, value: Annotated[Any, use(resource, scope="app")]) -> None:
        await ws.receive()
        crash.set()
        await ws.receive()

    with pytest.RaisesGroup(Boom, allow_unwrapped=True, flatten_subgroups=True):
        after_go(lambda ws: None, client_of(handler))


def test_a_session_that_nobody_left_does_not_hold_the_client():
    log = []

    async def handler(ws: Accepted) -> None:
        try:
            await trio.sleep_forever()
        finally:
            log.append("over")

    client = client_of(handler)
    with client:
        ws = client.websocket_connect("/")
        ws.__enter__()
    assert log == ["over"]
    ws.__exit__(None, None, None)


# Misuse


def test_a_session_has_to_be_entered():
    ws = client_of(echo).websocket_connect("/")
    with pytest.raises(RuntimeError, match=r"`with client\.websocket_connect\(\.\.\.\) as ws:`"):
        ws.send_text("hello")
    with pytest.raises(RuntimeError, match="not connected yet"):
        ws.receive_text()
    with pytest.raises(RuntimeError, match="not connected yet"):
        assert ws.accepted_subprotocol


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ({}, r"not {}: write send_json\(\.\.\.\)"),
        ({"number": 1}, r"not {'number': 1}: write send_json\(\.\.\.\)"),
        (None, "not None"),
        ([1], r"not \[1\]"),
        ("hello", r"write send_text\(\.\.\.\) for a text"),
        (b"hello", r"write send_bytes\(\.\.\.\) for bytes"),
        ({"type": "websocket.send", "text": "hello"}, "a client sends websocket.receive"),
        ({"type": "websocket.receive"}, "has a message in text= or bytes="),
        ({"type": "websocket.receive", "text": 5}, "a message of str is expected, not 5"),
        ({"type": "websocket.receive", "bytes": "a"}, "a message of bytes or bytearray"),
    ],
)
def test_what_is_no_event_is_told_what_to_send(event, told):
    with client_of(echo).websocket_connect("/") as ws:
        with pytest.raises((TypeError, ValueError), match=told):
            ws.send(event)
        ws.send({"type": "websocket.receive", "text": "hello"})
        assert ws.receive_text() == "hello"


def test_a_session_is_for_one_block():
    ws = client_of(echo).websocket_connect("/")
    with ws:
        pass
    with pytest.raises(RuntimeError, match=r"call websocket_connect\(\) again"):
        ws.__enter__()


async def test_in_an_async_test_it_points_to_the_native_client():
    client = client_of(echo)
    with pytest.raises(RuntimeError, match=r"use `async with triows\.testing\.open_app"):
        client.__enter__()
    with pytest.raises(RuntimeError, match=r"use `async with triows\.testing\.open_app"):
        visit(client)


def test_another_application_is_refused_with_what_to_do():
    with pytest.raises(TypeError, match=r"write Triows\(middlewares=\[\.\.\.\]\)"):
        TestClient(serving(echo).handle)


# Other runners, and Ctrl-C


class InUnittest(unittest.TestCase):
    __test__ = False

    def setUp(self):
        self.client = self.enterContext(client_of(echo, lifespan=lifespan))

    def test_one(self):
        with self.client.websocket_connect("/") as ws:
            ws.send_text("hello")
            self.assertEqual(ws.receive_text(), "hello")  # noqa: PT009 - this is unittest

    def test_another(self):
        self.test_one()

    def test_refusal(self):
        with self.assertRaises(WebSocketDenialResponse):  # noqa: PT027 - this is unittest
            visit(self.client, "/nowhere")


def test_it_works_in_unittest():
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(InUnittest).run(result)
    assert (result.testsRun, result.errors, result.failures) == (3, [], [])


INTERRUPTED = """
import signal
import sys
import trio
from contextlib import asynccontextmanager
from typing import Annotated
from triows import Timeouts, Triows, WebSocket, WebSocketRoute, use
from triows.testing import TestClient

# A shell has what runs in the background ignore Ctrl-C, and that is inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)
where = sys.argv[1]

async def hang(at):
    if at == where:
        print("ready", flush=True)
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0)
            print("over", flush=True)

async def resource():
    try:
        yield
    finally:
        await trio.sleep(0)
        print("exited", flush=True)

@asynccontextmanager
async def lifespan(app):
    await hang("start-up")
    yield

route = WebSocketRoute()

@route.endpoint
async def handler(ws: WebSocket, value: Annotated[None, use(resource)]) -> None:
    await hang("handshake")
    await ws.accept()
    await hang("handler")

async def page(scope, receive, send):
    await hang("request")

app = Triows(route, timeouts=Timeouts(disconnect_grace=0), lifespan=lifespan)
app.mount("/page", page)
client = TestClient(app, timeout=1000)
if where == "request":
    client.get("/page")
with client, client.websocket_connect("/") as ws:
    ws.receive_text()
"""


@pytest.mark.parametrize(
    ("where", "seen"),
    [
        ("start-up", ["over"]),
        ("handshake", ["over", "exited"]),
        ("handler", ["over", "exited"]),
        ("request", ["over"]),
    ],
)
def test_ctrl_c_ends_a_test_that_waits_and_its_resources_exit(where, seen):
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, where],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        # If the child hangs, this ends it, and so the reading here.
        limit = threading.Timer(15, process.kill)
        limit.start()
        try:
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGINT)
            out, err = process.communicate()
        finally:
            limit.cancel()
            limit.join()
            process.kill()
    assert out.split() == seen
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert process.returncode == -signal.SIGINT


def test_it_can_be_used_as_often_as_a_test_likes():
    client = client_of(echo)
    for number in range(20):
        with client.websocket_connect("/") as ws:
            ws.send_text(str(number))
            assert ws.receive_text() == str(number)


def test_many_messages_pass_without_waiting_for_ever():
    async def handler(ws: Accepted) -> None:
        for number in range(1000):
            await ws.send(str(number))

    with client_of(handler, timeouts=Timeouts(send=10)).websocket_connect("/") as ws:
        assert [ws.receive_text() for _ in range(1000)] == [str(n) for n in range(1000)]
