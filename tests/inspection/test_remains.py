"""What the log shows of an application that does not end."""

import logging
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated

import trio
from trio.testing import wait_all_tasks_blocked

from tests.connecting import opened
from tests.inspection.looking import connected, serving
from triows import Timeouts, Triows, WebSocket, WebSocketDisconnect, use
from triows._inspection.remains import Remains, alive, everything
from triows.testing import open_app


async def wait_long() -> None:
    await trio.sleep_forever()


async def room(ws: WebSocket, name: str, token: str) -> None:
    await ws.accept()
    await wait_long()


async def test_connections_are_shown_without_what_their_peers_have_sent(autojump_clock):
    async def handler(ws: WebSocket, name: str, token: str) -> None:
        await ws.accept()
        with suppress(WebSocketDisconnect):
            await ws.receive()
        await trio.sleep(0.5)

    app = serving(handler, "rooms/{name}")
    async with connected(app, "/rooms/secret?token=hidden") as client:
        await client.close(4000, "confidential")
        await wait_all_tasks_blocked()
        text = alive(app, ())
    assert "  /rooms/{name}  testclient:50000  closing 4000" in text
    assert "await trio.sleep(0.5)" in text
    for sent in ("secret", "hidden", "confidential"):
        assert sent not in text


async def test_of_a_crowd_only_some_are_shown_with_the_number_of_the_others(autojump_clock):
    app = serving(room, "{name}")
    async with opened(app) as client, trio.open_nursery() as nursery:

        async def connect() -> None:
            async with client.websocket_connect("/1?token=x"):
                await trio.sleep_forever()

        for _ in range(25):
            nursery.start_soon(connect)
        await wait_all_tasks_blocked()
        text = alive(app, ())
        nursery.cancel_scope.cancel()
    assert "  25 connections" in text
    assert text.count("in wait_long  await trio.sleep_forever()") == 10
    assert text.endswith("(and 15 more)")


async def test_the_text_is_bounded_even_if_one_handler_has_many_tasks(autojump_clock):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        async with trio.open_nursery() as nursery:
            for _ in range(1000):
                nursery.start_soon(trio.sleep_forever)

    app = serving(handler)
    async with connected(app):
        await wait_all_tasks_blocked()
        lines = alive(app, ()).splitlines()
    assert len(lines) == 100
    assert lines[-1] == "  (and 906 more lines)"


async def test_resources_of_the_application_are_shown_with_their_lines(autojump_clock):
    async def pool() -> AsyncIterator[int]:
        yield 1

    async def handler(ws: WebSocket, value: Annotated[int, use(pool, scope="app")]) -> None: ...

    app = serving(handler)
    async with opened(app):
        text = alive(app, ())
    assert "pool  held" in text
    assert "yield 1" in text


async def test_other_tasks_are_shown_if_they_are_in_code_of_the_application(autojump_clock):
    app = serving(room, "{name}")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_long, name="a task of the program")
        nursery.start_soon(trio.sleep_forever, name="a task of Trio")
        async with connected(app, "/1?token=x"):
            await wait_all_tasks_blocked()
            text = alive(app, everything())
        nursery.cancel_scope.cancel()
    assert "task a task of the program, at\n" in text
    assert "a task of Trio" not in text
    assert text.count("testclient") == text.count("await wait_long()") + 1  # not shown twice


async def test_the_text_for_a_process_shows_all_tasks_of_its_loop(autojump_clock):
    app = Triows()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_long, name="a task of the program")
        await wait_all_tasks_blocked()
        text = Remains(app).alive()
        nursery.cancel_scope.cancel()
    assert "task a task of the program, at\n" in text


async def test_threads_that_keep_a_process_alive_are_named_with_their_lines(autojump_clock):
    over = threading.Event()

    def work() -> None:
        over.wait()

    kept = threading.Thread(target=work, name="writes reports")
    daemon = threading.Thread(target=work, name="a daemon", daemon=True)
    kept.start()
    daemon.start()
    try:
        text = Remains(Triows()).threads()
    finally:
        over.set()
        kept.join()
        daemon.join()
    assert "the thread writes reports, at\n" in text
    assert ".work  over.wait()" in text
    assert "a daemon" not in text


# A server, and an application, that give up waiting


async def hold(seconds: float) -> None:
    """Wait, whatever is cancelled."""
    with trio.CancelScope(shield=True):
        await trio.sleep(seconds)


async def test_a_server_that_can_not_end_says_what_it_waits_for(autojump_clock, caplog):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await hold(100)

    app = serving(handler)
    async with (
        open_app(app, patience=1000) as client,
        client.websocket_connect("/"),
    ):
        await client.shutdown()
    (text,) = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert text.startswith("the server can't end, because something in the application has not ")
    assert "cancelled: shutdown" in text
    assert "await trio.sleep(seconds)" in text


async def test_a_server_that_ends_in_time_says_nothing(autojump_clock, caplog):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        try:
            await trio.sleep_forever()
        finally:
            await hold(4.9)

    app = serving(handler)
    async with open_app(app, patience=1000) as client, client.websocket_connect("/"):
        await client.shutdown()
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


async def test_an_application_whose_resources_exit_under_a_handler_says_so(autojump_clock, caplog):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await hold(100)

    app = serving(handler, timeouts=Timeouts(shutdown_grace=1))
    events, events_in = trio.open_memory_channel(1)
    events.send_nowait({"type": "websocket.connect"})

    async def send(event): ...

    scope = {
        "type": "websocket",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"test")],
        "subprotocols": [],
    }
    async with trio.open_nursery() as nursery, app.running():
        nursery.start_soon(app, scope, events_in.receive, send)
        await wait_all_tasks_blocked()
    (text,) = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert text.startswith("the application's resources exit, although after 21 s connections go ")
    assert "await trio.sleep(seconds)" in text
