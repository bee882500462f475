"""One request on a connection of ours, and its response."""

from __future__ import annotations

import os
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.server.harness.engine import Engine, asked, opened_engine, read_responses, settled
from tests.transports.scripted_wire import ScriptedWire
from triows import ClientDisconnect, Timeouts
from triows._request.bridge import request_of
from triows._transports.reactor import new_reactor
from triows._transports.wire import CHUNK, PlainWire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EXPECTING = asked("/", "expect: 100-continue", "content-length: 3", method="POST")


def start(status: int = 200, *headers: tuple[bytes, bytes], **more: Any) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers, **more}


def body(data: bytes = b"", *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def exchange(
    app: Callable[[Any, Any, Any], Awaitable[None]], *parts: bytes, method: str = "GET", **more: Any
) -> tuple[int, dict[str, str], bytes]:
    """Send one request, and return the response, which has to be whole."""
    async with opened_engine(app, **more) as engine:
        wire = engine.connect()
        wire.says(*parts or [asked(method=method)])
        await settled()
        ((status, headers, content),) = read_responses(bytes(wire.sent), method)[0]
    return status, headers, content


# What a client is asked for.


async def test_a_client_is_told_to_go_on_when_its_body_is_first_asked_for(autojump_clock):
    go = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        assert (await receive())["body"] == b"abc"
        await send(start())
        await send(body(b"thanks"))

    async with opened_engine(app) as engine:
        wire = engine.connect()
        wire.says(EXPECTING)
        await settled()
        assert wire.sent == b""
        go.set()
        await settled()
        assert wire.sent == CONTINUE
        wire.says(b"abc")
        await settled()
        answered = bytes(wire.sent).removeprefix(CONTINUE)
        assert read_responses(answered, "POST")[0][0][2] == b"thanks"
        assert wire.eofs == 0


async def test_a_client_that_did_not_wait_is_not_told_to_go_on(autojump_clock):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        await send(start())
        await send(body())

    async with opened_engine(app) as engine:
        wire = engine.connect()
        wire.says(EXPECTING + b"a")
        await settled()
        wire.says(b"bc")
        await settled()
        assert b" 100 " not in wire.sent
        ((_, headers, _),) = read_responses(bytes(wire.sent), "POST")[0]
        assert "connection" not in headers


@pytest.mark.parametrize("reads", [True, False])
async def test_a_client_is_not_told_to_go_on_after_a_response_that_ends_the_connection(
    autojump_clock, reads
):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(413))
        if reads:
            await send(body(b"too ", more=True))
            with trio.move_on_after(1):
                await receive()
        await send(body(b"long"))

    async with opened_engine(app) as engine:
        wire = engine.connect()
        wire.says(EXPECTING)
        await trio.sleep(2)
        assert b" 100 " not in wire.sent
        ((status, headers, _),) = read_responses(bytes(wire.sent), "POST")[0]
        # Nobody knows whether the client sends the body, or another request.
        assert (status, headers["connection"], wire.eofs) == (413, "close", 1)


async def test_a_body_is_received_as_it_comes_and_then_the_end(autojump_clock):
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend([await receive() for _ in range(3)])
        await send(start())
        await send(body())
        seen.append(await receive())

    async with opened_engine(app) as engine:
        wire = engine.connect()
        wire.says(asked("/", "transfer-encoding: chunked", method="POST"))
        for part in (b"3\r\nabc\r\n", b"2\r\nde\r\n", b"0\r\nx: y\r\n\r\n"):
            await settled()
            wire.says(part)
        await settled()
    assert [(one["type"], one.get("body"), one.get("more_body")) for one in seen] == [
        ("http.request", b"abc", True),
        ("http.request", b"de", True),
        ("http.request", b"", False),
        ("http.disconnect", None, None),
    ]


async def test_a_body_that_is_cut_off_is_told(autojump_clock):
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while True:
            event = await receive()
            seen.append(event["type"])
            if event["type"] == "http.disconnect":
                return

    async with opened_engine(app) as engine:
        wire = engine.connect()
        wire.says(asked("/", "content-length: 3", method="POST") + b"a")
        wire.leaves()
        await settled()
        assert seen == ["http.request", "http.disconnect"]
        assert (wire.end, bytes(wire.sent)) == ("closed", b"")


# What an application may answer.


@pytest.mark.parametrize(
    ("method", "status", "length"), [("HEAD", 200, "5"), ("GET", 204, None), ("GET", 304, "5")]
)
async def test_a_response_that_has_no_body_sends_none(autojump_clock, method, status, length):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(status))
        await send(body(b"hello"))

    async with opened_engine(app) as engine:
        wire = engine.connect()
        wire.says(asked(method=method) * 2)
        await settled()
        whole, rest = read_responses(bytes(wire.sent), method, method)
        assert [(one[0], one[1].get("content-length"), one[2]) for one in whole] == [
            (status, length, b"")
        ] * 2
        assert rest == []


async def test_trailers_are_sent_to_a_client_that_takes_them(autojump_clock):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(trailers=True))
        await send(body(b"hello"))
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]})

    async with opened_engine(app) as engine:
        wire = engine.connect()
        wire.says(asked("/", "te: trailers", "connection: te") + asked())
        await settled()
        whole, _ = read_responses(bytes(wire.sent), "GET", "GET")
        assert [one[2] for one in whole] == [b"hello"] * 2
        assert wire.sent.count(b"0\r\nx-sum: 1\r\n\r\n") == 1


@pytest.mark.parametrize(
    "header",
    [
        (b"x", b"a\r\nset-cookie: b"),
        (b"x\r\ny", b"z"),
        (b"x: y", b"z"),
        (b"", b"a"),
        (b"x", b"\0"),
        (b"content-length", b"1, 2"),
        (b"connection", b"a\r\nb: c"),
    ],
)
async def test_a_header_that_would_be_something_else_is_refused(autojump_clock, header):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(ValueError, match=r"header|content-length|connection"):
            await send(start(200, header))
        await send(start(201))
        await send(body())

    status, headers, _ = await exchange(app)
    assert status == 201
    assert set(headers) <= {"server", "content-length"}


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([body()], "has not been started"),
        ([start(), start()], "has been started already"),
        ([start(200, (b"content-length", b"1")), body(b"ab")], "longer"),
        ([start(200, (b"content-length", b"3")), body(b"ab")], "shorter"),
        ([start(101)], "a status from 200"),
        ([{"type": "http.response.push"}], "isn't an event"),
    ],
)
async def test_an_event_that_can_not_be_sent_is_refused_and_sends_nothing(
    autojump_clock, events, message
):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        *before, last = events
        for event in before:
            await send(event)
        with pytest.raises(ValueError, match=message):
            await send(last)

    status, _, _ = await exchange(app)
    assert status == 500


@pytest.mark.parametrize("event", [start(), body(b"more")])
async def test_an_event_after_the_end_is_refused_and_harms_nobody(autojump_clock, event):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(b"whole"))
        with pytest.raises(ValueError, match="ended already"):
            await send(event)

    async with opened_engine(app) as engine:
        wire = engine.connect()
        wire.says(asked() * 2)
        await settled()
        assert [one[2] for one in read_responses(bytes(wire.sent), "GET", "GET")[0]] == [
            b"whole"
        ] * 2


async def test_a_body_that_is_too_short_leaves_the_connection_at_its_end(autojump_clock):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(200, (b"content-length", b"5")))
        await send(body(b"abc", more=True))

    async with opened_engine(app) as engine:
        wire = engine.connect()
        wire.says(asked() * 2)
        await settled()
        whole, rest = read_responses(bytes(wire.sent), "GET", over=True)
        assert (whole, rest[0][2], wire.eofs) == ([], b"abc", 1)


# Cancellation, and several tasks.


async def test_a_send_that_was_cancelled_before_sends_nothing(autojump_clock):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        with trio.CancelScope() as scope_of_send:
            scope_of_send.cancel()
            await send(body(b"first"))
        assert scope_of_send.cancelled_caught
        await send(body(b"second"))

    assert (await exchange(app))[2] == b"second"


async def test_a_send_that_was_cancelled_in_the_middle_cuts_the_connection(autojump_clock):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        with trio.move_on_after(1):
            await send(body(bytes(1000), more=True))
        with pytest.raises(ClientDisconnect):
            await send(body(b"more"))

    async with opened_engine(app) as engine:
        wire = engine.connect(ScriptedWire(room=200))
        wire.says(asked())
        await trio.sleep(2)
        assert wire.end == "reset"
        assert len(wire.sent) == 200


async def test_two_tasks_that_send_send_whole_parts_in_their_order(autojump_clock):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, body(b"a" * 1000, more=True))
            await settled()
            nursery.start_soon(send, body(b"b" * 1000, more=True))
        await send(body(b"c"))

    async with opened_engine(app) as engine:
        wire = engine.connect(ScriptedWire(room=200))
        wire.says(asked())
        for _ in range(20):
            await trio.sleep(0.1)
            wire.take(150)
        content = read_responses(bytes(wire.sent), "GET")[0][0][2]
    assert content == b"a" * 1000 + b"b" * 1000 + b"c"


async def test_the_end_of_a_response_that_is_cut_before_it_is_not_taken_for_one(autojump_clock):
    errors: list[Exception] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def send_or_note(event: dict[str, Any]) -> None:
            try:
                await send(event)
            except ClientDisconnect as exc:
                errors.append(exc)

        await send(start(200, (b"content-length", b"1000")))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_or_note, body(b"a" * 1000, more=True))
            await settled()
            nursery.start_soon(send_or_note, body(b""))

    async with opened_engine(app) as engine:
        wire = engine.connect(ScriptedWire(room=200))
        wire.says(asked())
        await trio.sleep(1)
        wire.break_off()
        await settled()
        assert len(errors) == 2


async def test_a_body_that_comes_before_the_client_could_be_told_to_go_on_is_read(autojump_clock):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        event = await receive()
        await send(start())
        await send(body(event["body"]))

    async with opened_engine(app) as engine:
        wire = engine.connect(ScriptedWire(room=20))
        # The response is held back for the next one, and nobody waits until it is taken.
        wire.says(asked() + b"P")
        await trio.sleep(1)
        wire.says(EXPECTING[1:])
        await trio.sleep(1)
        wire.says(b"abc")
        await trio.sleep(1)
        wire.take()
        await settled()
        sent = bytes(wire.sent).replace(CONTINUE, b"")
        assert [content for _, _, content in read_responses(sent, "GET", "POST")[0]] == [
            b"",
            b"abc",
        ]


async def test_a_response_is_complete_only_when_its_parts_are_out(autojump_clock):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(200, (b"content-length", b"1000")))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, body(b"a" * 1000, more=True))
            await settled()
            await send(body(b""))

    async with opened_engine(app) as engine:
        wire = engine.connect(ScriptedWire(room=200))
        wire.says(asked("/", "connection: close"))
        await trio.sleep(0.1)
        assert wire.eofs == 0
        for _ in range(20):
            await trio.sleep(0.1)
            wire.take(150)
        assert read_responses(bytes(wire.sent), "GET")[0][0][2] == b"a" * 1000
        assert wire.eofs == 1


async def test_responses_that_were_held_back_reach_a_slow_client_to_the_last(autojump_clock):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(b"a" * 500))

    async with opened_engine(app) as engine:
        wire = engine.connect(ScriptedWire(room=200))
        wire.says(asked() * 3)
        for _ in range(30):
            await trio.sleep(0.5)
            wire.take(150)
        whole, _ = read_responses(bytes(wire.sent), "GET", "GET", "GET")
        assert [content for _, _, content in whole] == [b"a" * 500] * 3


async def test_a_send_that_was_cancelled_behind_another_one_leaves_no_gap(autojump_clock):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(200, (b"content-length", b"2001")))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, body(b"a" * 1000, more=True))
            await settled()
            with trio.move_on_after(1):
                await send(body(b"b" * 1000, more=True))
            nursery.cancel_scope.shield = True

    async with opened_engine(app) as engine:
        wire = engine.connect(ScriptedWire(room=200))
        wire.says(asked() * 2)
        await trio.sleep(2)
        assert wire.end == "reset"  # the client must not take the next response for the gap
        assert len(wire.sent) == 200


# Files.


def pathsend(path: object) -> dict[str, Any]:
    return {"type": "http.response.pathsend", "path": str(path)}


def sending_file(path: Path, raised: list[BaseException] | None = None) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        try:
            await send(pathsend(path))
        except Exception as exc:
            if raised is not None:
                raised.append(exc)
            raise

    return app


@pytest.mark.parametrize("size", [0, 5, CHUNK, CHUNK + 1, 5 * CHUNK])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_file_is_sent_as_it_is(tmp_path, size, method):
    path = tmp_path / "file"
    content = os.urandom(size)
    path.write_bytes(content)
    async with opened_engine(sending_file(path)) as engine:
        wire = engine.connect()
        wire.says(asked(method=method) + asked("/", "connection: close", method=method))
        with trio.fail_after(5):
            while not wire.eofs:
                await trio.lowlevel.checkpoint()
        whole, _ = read_responses(bytes(wire.sent), method, method)
        assert {one[1].get("content-length", "0") for one in whole} == {str(size)}
        assert {one[2] for one in whole} == {content if method == "GET" else b""}


@pytest.mark.parametrize("kind", ["missing", "a folder", "a FIFO"])
async def test_what_is_not_a_file_is_not_sent(tmp_path, kind):
    path = tmp_path / "file"
    if kind == "a folder":
        path.mkdir()
    elif kind == "a FIFO":
        os.mkfifo(path)
    raised: list[BaseException] = []
    async with opened_engine(sending_file(path, raised)) as engine:
        wire = engine.connect()
        wire.says(asked())
        with trio.fail_after(5):
            while not wire.eofs:
                await trio.lowlevel.checkpoint()
        assert read_responses(bytes(wire.sent), "GET")[0][0][0] == 500
    assert isinstance(raised[0], OSError)
    assert str(path).encode() not in wire.sent


@asynccontextmanager
async def asked_for_file(app: Any, **more: Any) -> AsyncIterator[tuple[Engine, socket.socket]]:
    """Ask for a file on a pair of sockets, and read the beginning of the response."""
    reactor = new_reactor()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        async with trio.open_nursery() as nursery:
            await nursery.start(reactor.run)
            async with opened_engine(app, **more) as engine:
                engine.connect(PlainWire(ours, reactor))
                with trio.fail_after(10):
                    theirs.sendall(asked("/", "connection: close"))
                    theirs.setblocking(False)
                    yield engine, theirs
            nursery.cancel_scope.cancel()


async def read_all(sock: socket.socket) -> bytes:
    received = b""
    while True:
        await trio.lowlevel.wait_readable(sock)
        try:
            data = sock.recv(2**20)
        except ConnectionResetError:
            data = b""
        received += data
        if not data:
            return received


async def wait_over(engine: Engine) -> None:
    while engine.open:
        await trio.lowlevel.checkpoint()


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(1000) * 10_000)
    return path


def holding(path: Path, *headers: tuple[bytes, bytes], go: trio.Event, ends: bool = True) -> Any:
    """An application that ends its response only when the test allows it, or cuts it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        request = request_of(receive, send)
        assert request is not None
        request.start(200, headers)
        request.hold_end()
        await request.send_file(str(path), more=True)
        await go.wait()
        if ends:
            await request.send(b"", more=False)
        else:
            request.cut()

    return app


async def read_all_that_comes(sock: socket.socket, go: trio.Event) -> bytes:
    """Read until the application waits for the test, and nothing is left."""
    received = b""
    while True:
        waits = go.statistics().tasks_waiting
        await trio.lowlevel.checkpoint()
        try:
            received += sock.recv(2**20)
        except BlockingIOError:
            if waits:
                return received


@pytest.mark.parametrize("is_declared", [True, False])
@pytest.mark.parametrize("size", [0, 5, CHUNK, CHUNK + 1, 5 * CHUNK])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_client_has_not_all_of_a_file_before_its_response_is_ended(
    tmp_path, is_declared, size, method
):
    path, go = tmp_path / "file", trio.Event()
    content = os.urandom(size)
    path.write_bytes(content)
    headers = [(b"content-length", b"%d" % size)] if is_declared else []
    async with opened_engine(holding(path, *headers, go=go)) as engine:
        wire = engine.connect()
        wire.says(asked(method=method))
        with trio.fail_after(5):
            while not go.statistics().tasks_waiting:
                await trio.lowlevel.checkpoint()
        whole, (*begun,) = read_responses(bytes(wire.sent), method)
        assert whole == []
        if method == "HEAD" or (is_declared and size <= CHUNK):
            assert begun == [], "nothing was sent, so there may be another response"
        go.set()
        await settled()
        ((status, told, body),) = read_responses(bytes(wire.sent), method)[0]
        assert (status, body) == (200, content if method == "GET" else b"")
        assert told.get("content-length") == (str(size) if is_declared else None)


@pytest.mark.real_socket
@pytest.mark.parametrize("ends", [True, False])
async def test_the_end_of_a_file_is_read_and_the_rest_goes_from_the_disk(large, monkeypatch, ends):
    read: list[int] = []
    content, pread = large.read_bytes(), os.pread
    monkeypatch.setattr(os, "pread", lambda *args: (read.append(args[1]), pread(*args))[1])
    length = (b"content-length", b"%d" % len(content))
    go = trio.Event()
    async with asked_for_file(holding(large, length, go=go, ends=ends)) as (_, peer):
        received = await read_all_that_comes(peer, go)
        assert received.endswith(content[-2 * CHUNK : -CHUNK])
        assert read == [CHUNK]
        go.set()
        received += await read_all(peer)
    whole, _ = read_responses(received, "GET", over=True)
    assert [body for _, _, body in whole] == ([content] if ends else [])


@pytest.mark.real_socket
async def test_a_file_whose_end_is_gone_is_cut_and_an_error(large):
    raised: list[BaseException] = []

    async def app(*args: Any) -> None:
        try:
            await holding(large, (b"content-length", b"10000000"), go=trio.Event())(*args)
        except OSError as exc:
            raised.append(exc)

    async with asked_for_file(app) as (engine, peer):
        await trio.lowlevel.wait_readable(peer)
        os.truncate(large, 10_000_000 - 1)
        assert len(await read_all(peer)) < 10_000_000
        await wait_over(engine)
    assert str(raised[0]) == "the file has become shorter while it was sent"


async def test_the_bytes_that_are_sent_of_a_body_are_counted(tmp_path, autojump_clock):
    path = tmp_path / "file"
    path.write_bytes(bytes(2 * CHUNK))
    counts: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        if scope["path"] == "/whole":
            await send(body(b"hello"))
        elif scope["path"] == "/parts":
            await send(body(b"hello", more=True))
            await send(body(b"world"))
        else:
            await send(pathsend(path))
        request = request_of(receive, send)
        assert request is not None
        counts.append(request.sent)

    for target in ("/whole", "/parts", "/file"):
        for method in ("GET", "HEAD"):
            async with opened_engine(app) as engine:
                wire = engine.connect()
                wire.says(asked(target, "connection: close", method=method))
                with trio.fail_after(5):
                    while not wire.eofs:
                        await trio.lowlevel.checkpoint()
    assert counts == [5, 0, 10, 0, 2 * CHUNK, 0]


@pytest.mark.real_socket
async def test_a_large_file_goes_from_the_disk_to_the_socket(large, monkeypatch):
    async with asked_for_file(sending_file(large)) as (_, peer):
        # The process itself reads nothing of it.
        monkeypatch.delattr(os, "pread")
        received = await read_all(peer)
    assert read_responses(received, "GET")[0][0][2] == large.read_bytes()


@pytest.mark.real_socket
async def test_a_large_file_that_becomes_shorter_is_cut_and_an_error(large):
    raised: list[BaseException] = []
    async with asked_for_file(sending_file(large, raised)) as (engine, peer):
        await trio.lowlevel.wait_readable(peer)
        os.truncate(large, CHUNK)
        assert len(await read_all(peer)) < 10_000_000
        await wait_over(engine)
    assert str(raised[0]) == "the file has become shorter while it was sent"


@pytest.mark.real_socket
async def test_a_client_that_stops_reading_a_file_is_cut(large):
    raised: list[BaseException] = []
    timeouts = Timeouts(send=0.1)
    async with asked_for_file(sending_file(large, raised), timeouts=timeouts) as (engine, _):
        await wait_over(engine)
    assert isinstance(raised[0], ClientDisconnect)


@pytest.mark.real_socket
async def test_a_client_that_resets_during_a_file_is_no_error(large, caplog):
    raised: list[BaseException] = []
    async with asked_for_file(sending_file(large, raised)) as (engine, peer):
        await trio.lowlevel.wait_readable(peer)
        peer.close()
        await wait_over(engine)
    assert isinstance(raised[0], ClientDisconnect)
    assert caplog.messages == []


@pytest.mark.real_socket
async def test_a_file_that_is_cancelled_is_cut(large):
    scope = trio.CancelScope()

    async def app(*args: Any) -> None:
        with scope:
            await sending_file(large)(*args)

    async with asked_for_file(app) as (engine, peer):
        await trio.lowlevel.wait_readable(peer)
        scope.cancel()
        await wait_over(engine)
        assert len(await read_all(peer)) < 10_000_000


@pytest.mark.real_socket
async def test_a_connection_that_is_closed_during_a_file_is_no_error(large, caplog):
    raised: list[BaseException] = []
    async with asked_for_file(sending_file(large, raised)) as (engine, peer):
        await trio.lowlevel.wait_readable(peer)
        await trio.sleep(0)  # noqa: ASYNC115 - the file waits for the client
        engine.open[0].close()
        while not raised:
            await trio.lowlevel.checkpoint()
    assert isinstance(raised[0], ClientDisconnect)
    assert caplog.messages == []
