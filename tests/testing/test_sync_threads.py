"""The synchronous client with threads and loops: what clients share, and that nothing hangs."""

import asyncio
import json
import logging
import queue
import signal
import threading
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated

import httpx2
import pytest
import trio
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from triows import (
    AsyncResource,
    Ignore,
    Timeouts,
    Triows,
    WebSocket,
    WebSocketClose,
    WebSocketDisconnect,
    WebSocketRoute,
    use,
)
from triows.testing import (
    LeakError,
    LoopBlocked,
    ReceiveTimeout,
    SendTimeout,
    StartTimeout,
    TestClient,
    WebSocketDenialResponse,
    _loop,
)


async def accepted(ws: Ignore[WebSocket]) -> Ignore[AsyncResource[WebSocket]]:
    await ws.accept()
    yield ws


Accepted = Annotated[WebSocket, use(accepted)]


@asynccontextmanager
async def counting(app):
    app.state.starts = getattr(app.state, "starts", 0) + 1
    yield


def serving(handler, **options):
    """An application with one handler."""
    route = WebSocketRoute()
    route.endpoint(handler)
    return Triows(route, lifespan=options.pop("lifespan", counting), **options)


async def echo(ws: Accepted) -> None:
    async for message in ws:
        await ws.send(message)


async def silent(ws: Accepted) -> None:
    await trio.sleep_forever()


def echoes(client, message="hello"):
    """Say whether a connection of this client works."""
    with client.websocket_connect("/") as ws:
        ws.send_text(message)
        return ws.receive_text() == message


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert [one for one in threading.enumerate() if one.name == "triows TestClient"] == []


# Several clients


async def greet(ws: Accepted) -> None:
    await ws.send(ws.cookies["name"])
    async for message in ws:
        await ws.send(f"{ws.cookies['name']}: {message}")


def test_clients_of_one_application_share_its_running():
    app = serving(greet)
    ada, bob = TestClient(app, cookies={"name": "ada"}), TestClient(app, cookies={"name": "bob"})
    with ada.websocket_connect("/") as a, bob.websocket_connect("/") as b:
        assert [a.receive_text(), b.receive_text()] == ["ada", "bob"]
        a.send_text("hello")
        assert a.receive_text() == "ada: hello"
    assert app.state.starts == 1
    with ada, bob, ada.websocket_connect("/") as a:
        assert a.receive_text() == "ada"
    assert app.state.starts == 2
    assert not app.is_running


def test_the_application_runs_until_the_last_of_its_clients_has_left():
    app = serving(echo)
    first, second = TestClient(app), TestClient(app)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert app.is_running
    assert echoes(second)
    second.__exit__(None, None, None)
    assert not app.is_running


def test_clients_that_share_an_application_agree_on_who_sees_its_errors():
    app = serving(echo)
    with TestClient(app), pytest.raises(RuntimeError, match="other raise_server_exceptions"):
        TestClient(app, raise_server_exceptions=False).__enter__()
    assert echoes(TestClient(app, raise_server_exceptions=False))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"root_path": "/b"}, "root_path"),
        ({"backend_options": {"strict_exception_groups": True}}, "backend_options"),
        (
            {"raise_server_exceptions": False, "root_path": "/b"},
            "raise_server_exceptions and root_path",
        ),
    ],
)
def test_clients_that_share_an_application_agree_on_how_it_runs(options, named):
    app = serving(echo)
    with TestClient(app), pytest.raises(RuntimeError, match=f"other {named}: leave it first"):
        echoes(TestClient(app, **options))
    assert echoes(TestClient(app, **options))


def test_clients_that_share_an_application_may_differ_in_all_else():
    app = serving(echo)
    with TestClient(app):
        assert echoes(TestClient(app, "http://other", timeout=4, startup_timeout=1, headers={}))


def test_clients_of_two_applications_run_at_once():
    with (
        TestClient(serving(echo)) as a,
        TestClient(serving(echo)) as b,
        a.websocket_connect("/") as one,
        b.websocket_connect("/") as other,
    ):
        one.send_text("1")
        other.send_text("2")
        assert (one.receive_text(), other.receive_text()) == ("1", "2")


def test_clients_of_one_application_come_one_after_another():
    app = serving(echo)
    for _ in range(3):
        with TestClient(app) as client:
            assert echoes(client)
    assert app.state.starts == 3


def test_arguments_stand_where_starlettes_client_has_them():
    client = TestClient(
        serving(greet),
        "http://testserver",
        True,
        "",
        "trio",
        None,
        {"name": "ada"},
        {"x-a": "b"},
        True,
        ("testclient", 1),
    )
    with client.websocket_connect("/", ["a"], headers={"x-b": "c"}) as ws:
        assert ws.receive_text() == "ada"
    with pytest.raises(ValueError, match="runs on Trio, not on 'asyncio'"):
        TestClient(serving(echo), backend="asyncio")


def test_options_of_the_loop_can_be_given():
    class Counter(trio.abc.Instrument):
        runs = 0

        def before_run(self):
            Counter.runs += 1

    assert echoes(TestClient(serving(echo), backend_options={"instruments": [Counter()]}))
    assert Counter.runs == 1


# Threads and other loops


def test_threads_may_use_one_client_at_once():
    client = TestClient(serving(echo))
    results = queue.SimpleQueue()
    threads = [
        threading.Thread(target=lambda n=n: results.put(echoes(client, str(n)))) for n in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [results.get() for _ in threads] == [True] * 10
    assert not client.app.is_running


def test_a_thread_may_send_what_the_test_waits_for():
    with TestClient(serving(echo)) as client, client.websocket_connect("/") as ws:
        thread = threading.Thread(target=partial(ws.send_text, "from the thread"))
        thread.start()
        assert ws.receive_text() == "from the thread"
        thread.join()


def test_it_works_inside_an_asyncio_loop():
    async def main():
        return echoes(TestClient(serving(echo)))

    assert asyncio.run(main())


def test_it_works_in_a_thread_of_a_trio_program():
    client = TestClient(serving(echo))
    assert trio.run(trio.to_thread.run_sync, echoes, client)


def test_one_that_was_opened_outside_a_trio_loop_does_not_block_it_either():
    async def main():
        with pytest.raises(RuntimeError, match=r"use `async with triows\.testing\.open_app"):
            echoes(client)

    with TestClient(serving(echo)) as client:
        trio.run(main)


# Nothing hangs


def test_a_missed_message_fails_in_time_and_tells_the_last_events():
    client = TestClient(serving(silent, timeouts=Timeouts(disconnect_grace=0)), timeout=0.5)
    with client.websocket_connect("/") as ws:
        for number in range(12):
            ws.send_text(f"message {number}")
        with pytest.raises(ReceiveTimeout) as caught:
            ws.receive_json()
    lines = str(caught.value).splitlines()
    assert lines[0] == "the application sent nothing for 0.5 s; the connection's last events:"
    assert "earlier events" in lines[1]
    assert [line.partition("  ")[2][-17:] for line in lines[2:12]] == [
        f"sent text 'message {number}'"[-17:] for number in range(2, 12)
    ]
    assert "what is alive in the application" in caught.value.__notes__[0]


def test_a_connection_may_have_a_timeout_of_its_own():
    client = TestClient(serving(silent, timeouts=Timeouts(disconnect_grace=0)))
    with (
        client.websocket_connect("/", timeout=0.5) as ws,
        pytest.raises(ReceiveTimeout, match=r"nothing for 0.5 s"),
    ):
        ws.receive()


def test_a_send_to_an_application_that_does_not_read_fails_in_time():
    client = TestClient(serving(silent, timeouts=Timeouts(disconnect_grace=0)), timeout=0.5)

    def flood(ws):
        for _ in range(1000):
            ws.send_bytes(bytes(100_000))

    with client.websocket_connect("/") as ws, pytest.raises(SendTimeout) as caught:
        flood(ws)
    assert str(caught.value).startswith("the application did not read for 0.5 s; the connection's")


def test_a_handler_that_blocks_the_loop_fails_the_test_and_is_shown(monkeypatch):
    monkeypatch.setattr(_loop, "_LEAST", 0.1)
    go_on = threading.Event()

    async def handler(ws: Accepted) -> None:
        await ws.receive()
        go_on.wait()

    with pytest.raises(LoopBlocked) as caught:  # noqa: PT012 - the blocks raise it, too
        client = TestClient(serving(handler), timeout=0.01)
        with client, client.websocket_connect("/") as ws:
            loop = ws._loop
            ws.send_text("block")
            ws.receive_text()
    go_on.set()
    loop._thread.join()
    text = str(caught.value)
    assert text.startswith("the Trio loop has been blocked for 0.1 s by the connection to")
    assert "go_on.wait()" in text


def test_a_thread_that_the_application_waits_for_fails_the_test_as_a_leak(monkeypatch):
    monkeypatch.setattr(_loop, "_LEAST", 0.1)
    go_on = threading.Event()

    async def handler(ws: Accepted) -> None:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(go_on.wait)

    timeouts = Timeouts(disconnect_grace=0, teardown=0.01, shutdown_grace=0, close=0.01)
    client = TestClient(serving(handler, timeouts=timeouts), timeout=0.5)
    client._opening["patience"] = 0.05
    client.__enter__()
    loop = client._acquire(holds=False)
    with pytest.raises(LeakError, match="has not ended"), client.websocket_connect("/"):
        pass
    with pytest.raises(LeakError, match="can't be cancelled, for example a thread that it waits"):
        client.__exit__(None, None, None)
    go_on.set()
    loop._thread.join()


def test_a_request_that_waits_for_a_thread_fails_in_time_and_is_shown(monkeypatch, capfd):
    monkeypatch.setattr(_loop, "_LEAST", 0.1)
    monkeypatch.setattr(_loop, "_FORCED", 0.5)
    go_on = threading.Event()

    def wait(request):  # Starlette calls it in a thread
        go_on.wait()
        return PlainTextResponse()

    # A request that was cancelled has as long to end as these add up to.
    app = Triows(timeouts=Timeouts(disconnect_grace=0.1, teardown=0.1, close=0.1))
    app.mount("/", Starlette(routes=[Route("/", wait)]))
    client = TestClient(app, timeout=0.5)
    loop = client._acquire(holds=False)
    with pytest.raises(httpx2.ReadTimeout, match=r"for 0.5 s") as caught:
        client.get("/")
    shown = ""
    while "This goes on although it was cancelled. Waiting for it now." not in shown:
        loop._thread.join(0.05)
        assert loop._thread.is_alive()
        shown += capfd.readouterr().err
    go_on.set()
    loop._thread.join()
    late, leak = caught.value.__notes__
    assert "run_sync_in_worker_thread" in late
    assert leak.startswith("the application has not ended: something in it can't be cancelled")


def test_ctrl_c_is_seen_in_a_second_though_the_client_waits_for_a_thousand(monkeypatch):
    pieces = []

    class Recorded(queue.SimpleQueue):
        def get(self, block=True, timeout=None):
            pieces.append(timeout)
            return super().get(block, timeout)

    monkeypatch.setattr(queue, "SimpleQueue", Recorded)
    with TestClient(serving(echo), timeout=1000, startup_timeout=1000) as client:
        assert echoes(client)
    # Each wait uses one of Python's locks. A signal that comes just before it is handled after it.
    assert pieces
    assert all(piece is not None and piece <= 1 for piece in pieces)


def test_ctrl_c_in_a_start_up_waits_until_what_it_has_entered_has_exited(monkeypatch):
    monkeypatch.setattr(_loop, "_LEAST", 0.001)
    main = threading.get_ident()
    exited = []

    @asynccontextmanager
    async def slow_to_exit(app):
        signal.pthread_kill(main, signal.SIGINT)
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                for _ in range(2000):
                    await trio.lowlevel.checkpoint()
            exited.append("exited")
        yield

    client = TestClient(serving(echo, lifespan=slow_to_exit))
    with pytest.raises(KeyboardInterrupt):
        client.__enter__()
    assert exited == ["exited"]


def test_a_start_up_that_hangs_fails_the_test_and_is_shown():
    log = []

    @asynccontextmanager
    async def lifespan(app):
        try:
            await trio.sleep_forever()  # this hangs
            yield
        finally:
            log.append("exited")

    client = TestClient(serving(echo, lifespan=lifespan), startup_timeout=0.5)
    with pytest.raises(StartTimeout, match=r"has not started in 0.5 s") as caught:
        echoes(client)
    assert "lifespan  entering" in str(caught.value)
    assert log == ["exited"]
    assert not client.app.is_running


def test_what_is_used_after_its_application_says_so():
    client = TestClient(serving(echo))
    with client, client.websocket_connect("/") as ws:
        pass
    for use_it in (ws.receive_text, partial(ws.send_text, "late"), ws.close):
        with pytest.raises(RuntimeError, match="isn't running any more"):
            use_it()


# Messages and ends, as Starlette's users write them


def test_events_can_be_sent_and_received_as_they_are():
    seen = []

    async def handler(ws: Accepted) -> None:
        try:
            while True:
                await ws.send(await ws.receive())
        except WebSocketDisconnect as exc:
            seen.append((exc.code, exc.reason))

    with TestClient(serving(handler)).websocket_connect("/") as ws:
        ws.send({"type": "websocket.receive", "text": "a", "bytes": None})
        assert ws.receive() == {"type": "websocket.send", "text": "a"}
        ws.send({"type": "websocket.receive", "bytes": b""})
        assert ws.receive() == {"type": "websocket.send", "bytes": b""}
        with pytest.raises(ValueError, match=r"not {'type': 'websocket\.connect'}"):
            ws.send({"type": "websocket.connect"})
        ws.send({"type": "websocket.disconnect", "code": 1001, "reason": "bye"})
    assert seen == [(1001, "bye")]


def test_a_close_of_the_application_is_an_event_too():
    async def handler(ws: Accepted) -> None:
        await ws.close(4000, "enough")

    with TestClient(serving(handler)).websocket_connect("/") as ws:
        assert ws.receive() == {"type": "websocket.close", "code": 4000, "reason": "enough"}


def test_a_close_with_1006_cuts_the_connection():
    seen = []

    async def handler(ws: Accepted) -> None:
        try:
            await ws.receive()
        except WebSocketDisconnect as exc:
            seen.append(exc.code)

    with TestClient(serving(handler)).websocket_connect("/") as ws:
        ws.close(1006)
    assert seen == [1006]


def test_a_message_that_is_no_json_is_the_standard_librarys_error():
    with TestClient(serving(echo)).websocket_connect("/") as ws:
        ws.send_text("{")
        with pytest.raises(json.JSONDecodeError):
            ws.receive_json()
        ws.send_bytes(b'{"a":')
        with pytest.raises(json.JSONDecodeError):
            ws.receive_json(mode="binary")


def test_errors_can_be_left_to_the_close_code(caplog):
    async def handler(ws: WebSocket, early: bool) -> None:
        if not early:
            await ws.accept()
        raise ZeroDivisionError

    client = TestClient(serving(handler), raise_server_exceptions=False)
    with caplog.at_level(logging.ERROR, "triows"):
        with (
            client.websocket_connect("/?early=false") as ws,
            pytest.raises(WebSocketDisconnect) as caught,
        ):
            ws.receive_text()
        assert caught.value.code == 1011
        with (
            pytest.raises(WebSocketDenialResponse) as caught,
            client.websocket_connect("/?early=1"),
        ):
            pass
        assert caught.value.status_code == 500
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError] * 2


def test_a_close_raised_in_the_handler_is_seen_with_code_and_reason():
    async def handler(ws: Accepted) -> None:
        await ws.receive()
        raise WebSocketClose(1008, "not you")

    with TestClient(serving(handler)).websocket_connect("/") as ws:
        ws.send_text("let me in")
        with pytest.raises(WebSocketDisconnect) as caught:
            ws.receive_text()
    assert (caught.value.code, caught.value.reason) == (1008, "not you")
