"""One connection as long as it speaks HTTP: its requests, its time and its end."""

from __future__ import annotations

import gc
import logging
import math
import weakref
from typing import Any

import pytest
import trio

from tests.server.harness.engine import asked, opened_engine, read_responses, settled
from tests.transports.scripted_wire import ScriptedWire
from triows import ClientDisconnect, Proxy, Timeouts
from triows._request.bridge import request_of
from triows._server.arrival import Addresses
from triows._server.forwarding import forwarding
from triows._server.newcomers import LINGER
from triows._server.scopes import ScopeSettings
from triows._transports.wire import CHUNK, READS

MOST = READS * CHUNK


class Site:
    """An application whose paths say what it does. It notes what it has seen."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.scopes: list[Any] = []
        self.go = trio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        name = scope["path"].strip("/") or "hello"
        self.seen.append(name)
        await getattr(self, name, self.hello)(receive, send)

    async def answer(self, send: Any, body: bytes = b"", status: int = 200) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def hello(self, receive: Any, send: Any) -> None:
        await self.answer(send, b"hello")

    async def size(self, receive: Any, send: Any) -> None:
        """Say how long the body is."""
        await self.answer(send, b"%d" % len(await body_of(receive)))

    async def waiting(self, receive: Any, send: Any) -> None:
        """Answer when the test allows it."""
        await self.go.wait()
        await self.answer(send, b"done")

    async def late(self, receive: Any, send: Any) -> None:
        """Read the body when the test allows it."""
        await self.go.wait()
        await self.size(receive, send)

    async def streaming(self, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        await self.go.wait()
        await send({"type": "http.response.body", "body": b"whole"})

    async def background(self, receive: Any, send: Any) -> None:
        await self.answer(send, b"early")
        await self.go.wait()
        self.seen.append("end of background")

    async def leaving(self, receive: Any, send: Any) -> None:
        """Wait until the client has left, and answer nevertheless."""
        while (event := await receive())["type"] != "http.disconnect":
            pass
        self.seen.append(event["type"])
        await self.answer(send, b"too late")

    async def nothing(self, receive: Any, send: Any) -> None: ...

    async def lazy(self, receive: Any, send: Any) -> None:
        """Begin a response, and leave the rest to a task that nobody waits for."""
        await send({"type": "http.response.start", "status": 200, "headers": []})

        async def end() -> None:
            await self.go.wait()
            try:
                await send({"type": "http.response.body", "body": b"late"})
            except ClientDisconnect as exc:
                self.seen.append(str(exc))

        trio.lowlevel.spawn_system_task(end)

    async def broken(self, receive: Any, send: Any) -> None:
        raise LookupError("a secret")

    async def half(self, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise LookupError("a secret")

    async def afterwards(self, receive: Any, send: Any) -> None:
        await self.answer(send, b"whole")
        raise LookupError("a secret")

    async def large(self, receive: Any, send: Any) -> None:
        try:
            await self.answer(send, bytes(1000))
        except ClientDisconnect as exc:
            self.seen.append(str(exc))
            raise


async def body_of(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientDisconnect("the body is incomplete")
        body += event["body"]
        more = event["more_body"]
    return body


@pytest.fixture
def site() -> Site:
    return Site()


def bodies(wire: ScriptedWire, *methods: str) -> list[bytes]:
    whole, rest = read_responses(bytes(wire.sent), *methods)
    assert rest == []
    return [body for _, _, body in whole]


# Requests that follow one another.


async def test_requests_follow_one_another_on_a_connection(autojump_clock, site):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        for count in range(1, 4):
            wire.says(asked())
            await settled()
            assert bodies(wire, *["GET"] * count) == [b"hello"] * count
        assert wire.end is None
        assert len(engine.requests) == 3


async def test_requests_that_come_at_once_are_answered_in_order(autojump_clock, site):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        wire.says(asked("/waiting") + asked("/size", method="POST", body=b"abc") + asked("/hello"))
        await settled()
        assert site.seen == ["waiting"]  # the next begins when this is answered
        site.go.set()
        await settled()
        assert bodies(wire, "GET", "POST", "GET") == [b"done", b"3", b"hello"]


async def test_a_request_may_come_byte_by_byte(autojump_clock, site):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        request = asked("/size", method="POST", body=b"abc") + asked()
        wire.says(*(request[n : n + 1] for n in range(len(request))))
        await settled()
        assert bodies(wire, "POST", "GET") == [b"3", b"hello"]


async def test_reading_pauses_while_requests_wait_and_goes_on_then(autojump_clock, site):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        wire.says(asked("/waiting"))
        one = asked("/hello", f"x-padding: {'x' * 4000}")
        count = (MOST + CHUNK) // len(one) + 2
        for _ in range(count):
            wire.says(one)
        await settled()
        assert wire.paused
        assert len(wire._into) > 0
        site.go.set()
        await settled()
        assert not wire.paused
        assert bodies(wire, *["GET"] * (count + 1)) == [b"done"] + [b"hello"] * count


async def test_background_work_goes_on_while_the_next_request_is_served(autojump_clock, site):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        wire.says(asked("/background"))
        await settled()
        wire.says(asked())
        await settled()
        assert bodies(wire, "GET", "GET") == [b"early", b"hello"]
        site.go.set()
        await settled()
        assert site.seen[-1] == "end of background"
        assert wire.end is None


@pytest.mark.parametrize(
    ("lines", "version"), [(["connection: close"], "1.1"), ([], "1.0"), (["connection: x"], "1.0")]
)
async def test_bytes_behind_the_last_request_are_ignored(autojump_clock, site, lines, version):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        wire.says(asked("/hello", *lines, version=version) + asked("/broken") + b"\0")
        await settled()
        ((status, headers, body),) = read_responses(bytes(wire.sent), "GET")[0]
        assert (status, headers["connection"], body) == (200, "close", b"hello")
        assert wire.eofs == 1
        wire.says(asked("/broken"))
        await settled()
        assert site.seen == ["hello"]


async def test_a_client_of_the_old_version_may_keep_its_connection(autojump_clock, site):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        for _ in range(2):
            wire.says(asked("/hello", "connection: keep-alive", version="1.0"))
        await settled()
        assert bodies(wire, "GET", "GET") == [b"hello"] * 2


async def test_a_refusal_waits_for_the_responses_that_a_slow_client_has_not_taken(
    autojump_clock, site
):
    async with opened_engine(site) as engine:
        wire = engine.connect(ScriptedWire(room=100))
        wire.says(asked("/hello") * 3 + b"nonsense\r\n\r\n")
        await settled()
        assert len(wire.sent) == 100
        wire.take()
        await settled()
        whole, rest = read_responses(bytes(wire.sent), *["GET"] * 4)
        assert [status for status, _, _ in whole] == [200, 200, 200, 400]
        assert (rest, wire.eofs) == ([], 1)


async def test_a_client_can_start_only_so_many_tasks_behind_responses(autojump_clock, site):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        wire.says(asked("/background") * 40)
        await settled()
        assert len(site.seen) == 16
        site.go.set()
        await settled()
        assert site.seen.count("end of background") == 40
        assert bodies(wire, *["GET"] * 40) == [b"early"] * 40


async def test_a_request_that_waits_for_tasks_to_end_is_served_after_any_time(autojump_clock, site):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        wire.says(asked("/background") * 16)
        await trio.sleep(1)
        wire.says(asked("/hello"))
        await trio.sleep(100)
        assert wire.end is None
        site.go.set()
        await settled()
        assert bodies(wire, *["GET"] * 17) == [b"early"] * 16 + [b"hello"]


@pytest.mark.parametrize("rest", [b"", b"GET /hel"])
async def test_requests_that_wait_for_tasks_are_served_though_the_client_closes_its_side(
    autojump_clock, site, rest
):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        wire.says(asked("/background") * 40 + rest)
        await settled()
        wire.leaves()
        await trio.sleep(100)
        assert wire.end is None
        site.go.set()
        await settled()
        assert bodies(wire, *["GET"] * 40) == [b"early"] * 40
        assert wire.end == "closed"


@pytest.mark.parametrize("room", [math.inf, 20])
async def test_an_upgrade_comes_behind_the_responses_before_it(autojump_clock, site, room):
    async def serve(connection: Any, head: Any, around: trio.CancelScope) -> None:
        connection.wire.send_nowait(b"upgraded")

    lines = "connection: upgrade", "upgrade: websocket", "sec-websocket-key: " + "A" * 22 + "=="
    async with opened_engine(site, serve_websocket=serve) as engine:
        wire = engine.connect(ScriptedWire(room))
        wire.says(asked("/hello") * 2 + asked("/socket", *lines, "sec-websocket-version: 13"))
        await settled()
        wire.take()
        await settled()
        sent = bytes(wire.sent)
        assert sent.endswith(b"upgraded")
        whole, _ = read_responses(sent.removesuffix(b"upgraded"), "GET", "GET")
        assert [body for _, _, body in whole] == [b"hello"] * 2
        assert wire.end == "closed"


@pytest.mark.parametrize("before", [0, 1])
async def test_a_shutdown_answers_no_upgrade_that_the_proxy_can_repeat(
    autojump_clock, site, before
):
    async def serve(connection: Any, head: Any, around: trio.CancelScope) -> None:
        connection.wire.send_nowait(b"refused")

    async with opened_engine(site, serve_websocket=serve) as engine:
        wire = engine.connect()
        wire.says(asked("/hello") * before)
        await settled()
        engine.open[0].shut_down(1)
        wire.says(asked("/socket", "connection: upgrade", "upgrade: websocket"))
        await settled()
        # On a new connection, nobody would repeat it.
        assert wire.sent.endswith(b"hello" if before else b"refused")
        assert wire.end == "closed"


async def test_an_upgrade_does_not_wait_for_a_client_that_takes_nothing(autojump_clock, site):
    lines = "connection: upgrade", "upgrade: websocket"
    async with opened_engine(site, timeouts=Timeouts(send=10)) as engine:
        wire = engine.connect(ScriptedWire(20))
        wire.says(asked("/hello") * 2 + asked("/socket", *lines))
        await trio.sleep(30)
        assert wire.end == "reset"
        assert engine.open == []


async def test_an_empty_line_before_a_request_and_behind_a_body_is_ignored(autojump_clock, site):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        wire.says(b"\r\n" + asked("/size", method="POST", body=b"abc") + b"\r\n")
        await settled()
        wire.says(asked())
        await settled()
        assert bodies(wire, "POST", "GET") == [b"3", b"hello"]


async def test_a_target_may_be_a_url(autojump_clock, site):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        wire.says(asked("http://testserver/size?a=b"))
        await settled()
        assert bodies(wire, "GET") == [b"0"]
        assert site.scopes[0]["raw_path"] == b"/size"
        assert site.scopes[0]["query_string"] == b"a=b"


@pytest.mark.parametrize("token", ["h2c", "TLS/1.0", "websocket2"])
async def test_an_upgrade_that_is_not_ours_is_ignored(autojump_clock, site, token):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        lines = ["connection: upgrade, http2-settings", "http2-settings: AAMAAABk"]
        wire.says(asked("/hello", *lines, f"upgrade: {token}") + asked())
        await settled()
        assert bodies(wire, "GET", "GET") == [b"hello"] * 2


async def test_a_connection_has_so_many_requests_as_the_configuration_allows(autojump_clock, site):
    async with opened_engine(site, keep_alive_requests=2) as engine:
        wire = engine.connect()
        wire.says(asked() * 3)
        await settled()
        whole, _ = read_responses(bytes(wire.sent), "GET", "GET")
        assert [headers.get("connection") for _, headers, _ in whole] == [None, "close"]
        assert wire.eofs == 1


async def test_a_request_for_another_host_gets_404_and_the_end(autojump_clock, site, caplog):
    caplog.set_level(logging.INFO)
    async with opened_engine(site, serves=lambda head: False) as engine:
        wire = engine.connect()
        wire.says(asked())
        await settled()
        ((status, headers, _),) = read_responses(bytes(wire.sent), "GET")[0]
        assert (status, headers["connection"]) == (404, "close")
    assert site.seen == []
    assert caplog.messages == [
        "peer:50000 GET '/' refused 404 (its host isn't in server_names: 'testserver')"
    ]


async def test_scopes_have_what_the_configuration_says(autojump_clock, site):
    async with opened_engine(site, scopes=ScopeSettings("/root", has_raw_headers=True)) as engine:
        wire = engine.connect()
        wire.says(b"GET /a%20b HTTP/1.1\r\nHoSt: testserver\r\nX-Y: z\r\n\r\n")
        await settled()
        (scope,) = site.scopes
        assert scope["root_path"] == "/root"
        assert scope["path"] == "/a b"
        assert scope["headers"] == [(b"HoSt", b"testserver"), (b"X-Y", b"z")]
        assert (scope["scheme"], scope["client"]) == ("http", ("peer", 50_000))


# A client of a proxy.


class Introducing:
    """What reads the beginning of a connection. The test says what it has read."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def start(self, introduce: Any, close: Any) -> None:
        self.introduce, self.close = introduce, close

    def fail(self, why: str) -> None:
        self.failures.append(why)
        self.close()

    def end(self) -> None:
        self.fail("the end")


INTRODUCED = Addresses(("1.2.3.4", 5), ("4.3.2.1", 443), secure=False)


async def test_a_proxy_introduces_its_client(autojump_clock, site):
    introduction = Introducing()
    async with opened_engine(site) as engine:
        wire = engine.connect(preface=introduction)
        wire.says(asked())
        await settled()
        assert site.scopes == []
        introduction.introduce(INTRODUCED)
        await settled()
        (scope,) = site.scopes
        assert (scope["client"], scope["server"]) == (INTRODUCED.client, INTRODUCED.server)


async def test_a_connection_ends_without_an_introduction(autojump_clock, site):
    introduction = Introducing()
    async with opened_engine(site) as engine:
        wire = engine.connect(preface=introduction)
        introduction.close()
        assert wire.end == "closed"
        assert engine.open == []


async def test_an_introduction_and_the_first_head_have_the_same_time(autojump_clock, site):
    silent, introduced = Introducing(), Introducing()
    async with opened_engine(site, timeouts=Timeouts(handshake=3)) as engine:
        wires = [engine.connect(preface=one) for one in (silent, introduced)]
        await trio.sleep(2)
        introduced.introduce(INTRODUCED)
        assert not any(wire.end for wire in wires)
        await trio.sleep(1.1)
        assert all(wire.end for wire in wires)
    assert silent.failures == ["the PROXY header is missing, or comes too slowly"]
    assert introduced.failures == []


async def test_at_a_shutdown_an_introduction_has_the_time_of_a_newcomer(autojump_clock, site):
    introduction = Introducing()
    async with opened_engine(site) as engine:
        wire = engine.connect(preface=introduction)
        (connection,) = engine.open
        connection.shut_down(idle=1)
        await trio.sleep(LINGER + 0.1)
        assert wire.end == "closed"
    assert introduction.failures == ["the end"]


async def test_a_server_that_is_cancelled_ends_introductions_at_once(autojump_clock, site):
    introduction = Introducing()
    async with opened_engine(site) as engine:
        wire = engine.connect(preface=introduction)
        (connection,) = engine.open
        connection.close_idle()
        assert (wire.end, introduction.failures) == ("closed", ["the end"])


@pytest.fixture
def reading() -> Any:
    return forwarding(Proxy(trusted=["*"], headers="x-forwarded"))


async def test_each_request_has_the_client_that_the_proxy_says(autojump_clock, site, reading):
    async with opened_engine(site, forwarding=reading) as engine:
        wire = engine.connect()
        wire.says(
            asked("/", "x-forwarded-for: 1.1.1.1", "x-forwarded-proto: https")
            + asked("/", "x-forwarded-for: 2.2.2.2", "x-forwarded-host: a.example")
            + asked("/")
        )
        await settled()
    facts = [(one["client"], one["scheme"], dict(one["headers"])[b"host"]) for one in site.scopes]
    assert facts == [
        (("1.1.1.1", 0), "https", b"testserver"),
        (("2.2.2.2", 0), "http", b"a.example"),
        (("peer", 50_000), "http", b"testserver"),
    ]


async def test_the_log_names_the_client_whose_request_is_refused(
    autojump_clock, site, caplog, reading
):
    caplog.set_level(logging.INFO)
    asks = asked("/", "x-forwarded-for: 1.1.1.1", "x-forwarded-host: a.example")
    hosts: list[bytes] = []

    def serves(head: Any) -> bool:
        hosts.append(dict(head.headers)[b"host"])
        return len(hosts) < 2

    async with opened_engine(site, serves=serves, forwarding=reading) as engine:
        for data in (asks + b"nonsense\r\n\r\n", asks):
            engine.connect().says(data)
            await settled()
    assert caplog.messages == [
        # Nobody knows whose request this was meant to be.
        "peer:50000 refused 400 (the request line isn't a method, a target and a version)",
        "1.1.1.1:0 GET '/' refused 404 (its host isn't in server_names: 'a.example')",
    ]
    assert hosts == [b"a.example"] * 2


# A client that closes its side.


async def test_a_client_that_has_closed_its_side_gets_all_answers(autojump_clock, site):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        wire.says(asked("/waiting") + asked() + asked("/size", method="POST", body=b"abc"))
        wire.leaves()
        await settled()
        site.go.set()
        await settled()
        assert bodies(wire, "GET", "GET", "POST") == [b"done", b"hello", b"3"]
        assert wire.end == "closed"


async def test_a_later_request_of_such_a_client_knows_that_it_has_left(autojump_clock, site):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        wire.says(asked("/waiting") + asked("/leaving"))
        wire.leaves()
        await settled()
        site.go.set()
        await settled()
        assert site.seen == ["waiting", "leaving", "http.disconnect"]
        assert bodies(wire, "GET", "GET") == [b"done", b"too late"]


async def test_a_client_that_leaves_in_the_middle_of_a_head_is_not_answered(autojump_clock, site):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        wire.says(asked()[:-1])
        wire.leaves()
        await settled()
        assert (wire.end, bytes(wire.sent)) == ("closed", b"")


async def test_the_rest_of_a_body_is_read_though_its_client_has_hung_up(autojump_clock, site):
    body = bytes(CHUNK)
    async with opened_engine(site) as engine:
        wire = engine.connect()
        length = 8 * CHUNK
        wire.says(asked("/late", f"content-length: {length}", method="POST"), *[body] * 8)
        await settled()
        assert wire.paused
        wire.leaves()  # while reading is paused
        site.go.set()
        await settled()
        assert bodies(wire, "POST") == [b"%d" % length]


async def test_an_application_learns_of_a_hang_up_while_reading_is_paused(autojump_clock, site):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        wire.says(asked("/leaving"), *[bytes(CHUNK)] * 8)
        await settled()
        assert wire.paused
        wire.leaves()
        await settled()
        assert site.seen == ["leaving", "http.disconnect"]


# Bodies.


async def test_a_body_that_nobody_reads_is_dropped_even_if_reading_was_paused(autojump_clock, site):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        wire.says(asked("/waiting", f"content-length: {5 * CHUNK}", method="POST"))
        wire.says(*[bytes(CHUNK)] * 5)
        await settled()
        assert wire.paused
        site.go.set()
        await settled()
        wire.says(asked())
        await settled()
        assert bodies(wire, "POST", "GET") == [b"done", b"hello"]


async def test_a_chunked_body_that_nobody_reads_is_dropped_after_a_pause(autojump_clock, site):
    # The chunks are mostly frames, so the pause comes long before the limit of what is dropped.
    chunks = b"1\r\nx\r\n" * (5 * CHUNK // 6)
    async with opened_engine(site) as engine:
        wire = engine.connect()
        wire.says(asked("/waiting", "transfer-encoding: chunked", method="POST"), chunks)
        await settled()
        assert wire.paused
        site.go.set()
        await settled()
        wire.says(b"0\r\n\r\n" + asked())
        await settled()
        assert bodies(wire, "POST", "GET") == [b"done", b"hello"]


async def test_a_long_body_that_nobody_reads_ends_the_connection(autojump_clock, site):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        wire.says(asked("/hello", "content-length: 10000000000", method="POST"), bytes(2 * CHUNK))
        await settled()
        ((_, headers, body),) = read_responses(bytes(wire.sent), "POST")[0]
        assert (body, headers["connection"]) == (b"hello", "close")
        assert wire.eofs == 1


async def test_a_body_that_is_to_be_dropped_and_does_not_come_is_not_waited_for(
    autojump_clock, site
):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        wire.says(asked("/hello", "content-length: 10", method="POST"))
        await trio.sleep(4)
        wire.says(b"slow")
        await trio.sleep(2)
        assert wire.end == "closed"


async def test_a_body_that_breaks_a_rule_gets_400(autojump_clock, site):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        wire.says(asked("/size", "transfer-encoding: chunked", method="POST", body=b"")[:-2])
        wire.says(b"\r\nwhat?\r\n")
        await settled()
        ((status, headers, body),) = read_responses(bytes(wire.sent), "POST")[0]
        assert (status, headers["connection"]) == (400, "close")
        assert headers["content-type"] == "application/problem+json"
        assert b"chunk" in body


async def test_a_body_that_breaks_a_rule_does_not_end_a_response_that_has_begun(
    autojump_clock, site
):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        while (event := await receive())["type"] != "http.disconnect":
            site.seen.append(event["body"])
        await send({"type": "http.response.body", "body": b"whole"})

    async with opened_engine(app) as engine:
        wire = engine.connect()
        wire.says(asked("/", "transfer-encoding: chunked", method="POST") + b"1\r\nx\r\n")
        await settled()
        wire.says(b"what?\r\n" + asked())
        await settled()
        assert bodies(wire, "POST") == [b"halfwhole"]
        assert site.seen == [b"x"]
        assert wire.eofs == 1


async def status_of_a_body_that_never_comes(wire: ScriptedWire) -> tuple[int, float]:
    """The status with which the server loses its patience, and when."""
    start = trio.current_time()
    wire.says(asked("/size", "content-length: 10", method="POST"))
    while not wire.sent:  # noqa: ASYNC110 - the time is virtual
        await trio.sleep(0.125)
    ((status, headers, _),) = read_responses(bytes(wire.sent), "POST")[0]
    assert headers["connection"] == "close"
    return status, trio.current_time() - start


async def test_a_slow_body_gets_408(autojump_clock, site):
    async with opened_engine(site, timeouts=Timeouts(receive=10, send=1)) as engine:
        status, seconds = await status_of_a_body_that_never_comes(engine.connect())
    assert status == 408
    assert 10 <= seconds < 11


async def test_a_request_may_have_a_timeout_of_its_own_for_its_body(autojump_clock, site):
    async def patient(scope: Any, receive: Any, send: Any) -> None:
        request_of(receive, send).receive_timeout = seconds[0]
        await site(scope, receive, send)

    seconds = [20]
    async with opened_engine(patient, timeouts=Timeouts(receive=10)) as engine:
        assert 20 <= (await status_of_a_body_that_never_comes(engine.connect()))[1] < 22
        seconds[0] = 2
        assert 2 <= (await status_of_a_body_that_never_comes(engine.connect()))[1] < 3


async def test_the_timeout_of_a_request_is_not_that_of_the_next(autojump_clock, site):
    async def first_is_patient(scope: Any, receive: Any, send: Any) -> None:
        if not site.seen:
            request_of(receive, send).receive_timeout = 20
        await site(scope, receive, send)

    async with opened_engine(first_is_patient, timeouts=Timeouts(receive=10)) as engine:
        wire = engine.connect()
        wire.says(asked("/size", "content-length: 3", method="POST"))
        await trio.sleep(15)
        wire.says(b"abc")
        await settled()
        assert bodies(wire, "POST") == [b"3"]
        wire.sent.clear()
        assert 10 <= (await status_of_a_body_that_never_comes(wire))[1] < 12


async def test_a_body_that_comes_steadily_may_take_long(autojump_clock, site):
    async with opened_engine(site, timeouts=Timeouts(receive=5)) as engine:
        wire = engine.connect()
        wire.says(asked("/size", "content-length: 100000", method="POST"))
        for _ in range(100):
            await trio.sleep(2)
            wire.says(bytes(1000))
        await settled()
        assert bodies(wire, "POST") == [b"100000"]


async def test_a_body_that_nobody_waits_for_is_not_slow(autojump_clock, site):
    async with opened_engine(site, timeouts=Timeouts(receive=10)) as engine:
        wire = engine.connect()
        wire.says(asked("/late", "content-length: 3", method="POST"))
        await trio.sleep(100)
        site.go.set()
        wire.says(b"abc")
        await settled()
        assert bodies(wire, "POST") == [b"3"]


async def test_without_a_timeout_a_body_may_take_as_long_as_it_likes(autojump_clock, site):
    async with opened_engine(site, timeouts=Timeouts(receive=math.inf)) as engine:
        wire = engine.connect()
        wire.says(asked("/size", "content-length: 3", method="POST"))
        await trio.sleep(1000)
        wire.says(b"abc")
        await settled()
        assert bodies(wire, "POST") == [b"3"]


# Time.


async def test_a_silent_connection_is_closed(autojump_clock, site):
    async with opened_engine(site, timeouts=Timeouts(handshake=7)) as engine:
        wire = engine.connect()
        await trio.sleep(6.9)
        assert wire.end is None
        await trio.sleep(0.5)
        assert wire.end == "closed"


@pytest.mark.parametrize("secured", [True, False])
async def test_a_connection_that_is_silent_after_or_in_the_handshake_of_tls_is_closed(
    autojump_clock, site, secured
):
    async with opened_engine(site, tls_timeout=2, timeouts=Timeouts(handshake=7)) as engine:
        wire = ScriptedWire()
        wire.secured = secured
        engine.connect(wire, secure=True)
        await trio.sleep(6.5 if secured else 1.9)
        assert wire.end is None
        await trio.sleep(1)
        assert wire.end == "closed"


async def test_an_idle_connection_is_closed_and_one_that_is_used_is_kept(autojump_clock, site):
    async with opened_engine(site) as engine:
        idle, used = engine.connect(), engine.connect()
        idle.says(asked())
        for _ in range(4):
            used.says(asked())
            await trio.sleep(4)
        assert (idle.end, used.end) == ("closed", None)
        await trio.sleep(1.5)
        assert used.end == "closed"


@pytest.mark.parametrize("where", ["alone", "behind a request", "behind a body"])
async def test_a_slow_head_is_not_waited_for_wherever_it_begins(autojump_clock, site, where):
    async with opened_engine(site, timeouts=Timeouts(handshake=7)) as engine:
        wire = engine.connect()
        if where == "alone":
            wire.says(asked())
            await settled()
            wire.says(b"GET")
        elif where == "behind a request":
            wire.says(asked() + b"GET")
        else:
            wire.says(asked("/size", method="POST", body=b"abc") + b"GET")
        for _ in range(6):
            await trio.sleep(1)
            wire.says(b"x")
        assert wire.end is None
        await trio.sleep(1.5)
        assert wire.end == "closed"


async def test_a_read_timeout_bounds_what_is_waited_for(autojump_clock, site):
    async with opened_engine(site, read_timeout=2) as engine:
        silent, idle = engine.connect(), engine.connect()
        idle.says(asked())
        body = engine.connect()
        body.says(asked("/size", "content-length: 3", method="POST"))
        await trio.sleep(1.9)
        assert (silent.end, idle.end, bytes(body.sent)) == (None, None, b"")
        await trio.sleep(0.7)
        assert (silent.end, idle.end) == ("closed", "closed")
        assert b" 408 " in body.sent


# Applications that make mistakes.


@pytest.mark.parametrize("path", ["/nothing", "/broken"])
async def test_an_application_that_answers_nothing_is_answered_for(
    autojump_clock, site, caplog, path
):
    caplog.set_level(logging.INFO)
    async with opened_engine(site) as engine:
        wire = engine.connect()
        wire.says(asked(path))
        await settled()
        ((status, headers, _),) = read_responses(bytes(wire.sent), "GET")[0]
        assert (status, headers["connection"]) == (500, "close")
        assert headers["content-type"] == "application/problem+json"
        assert b"secret" not in wire.sent
    line = f"peer:50000 GET '{path}' refused 500 (the application has not answered)"
    assert caplog.messages[-1] == line


async def test_a_task_that_an_application_has_left_adds_nothing_to_the_servers_answer(
    autojump_clock, site
):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        wire.says(asked("/lazy"))
        await settled()
        assert wire.head.startswith(b"HTTP/1.1 500 ")
        sent = bytes(wire.sent)
        site.go.set()
        await settled()
        assert wire.sent == sent
        assert site.seen[-1] == "the client has gone"


async def test_a_response_that_is_left_in_the_middle_is_not_ended(autojump_clock, site):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        wire.says(asked("/half") + asked())
        await settled()
        whole, rest = read_responses(bytes(wire.sent), "GET", over=True)
        assert (whole, rest[0][2]) == ([], b"half")
        assert wire.eofs == 1


async def test_a_body_that_ends_with_its_connection_is_reset_if_it_is_left(autojump_clock, site):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        wire.says(asked("/half", version="1.0"))
        await settled()
        assert wire.end == "reset"


async def test_an_error_after_the_response_harms_nobody(autojump_clock, site):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        wire.says(asked("/afterwards") + asked())
        await settled()
        assert bodies(wire, "GET", "GET") == [b"whole", b"hello"]


# Writing.


async def test_a_response_that_fits_is_one_call_of_the_system(autojump_clock, site):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        wire.says(asked())
        await settled()
        assert len(wire.calls) == 1


async def test_a_client_that_reads_slowly_gets_everything(autojump_clock, site):
    async with opened_engine(site) as engine:
        wire = engine.connect(ScriptedWire(room=10))
        wire.says(asked("/large") + asked())
        for _ in range(200):
            await trio.sleep(0.1)
            wire.take(100)
        assert bodies(wire, "GET", "GET") == [bytes(1000), b"hello"]


async def test_a_client_that_takes_nothing_is_cut_and_its_application_told(autojump_clock, site):
    async with opened_engine(site, timeouts=Timeouts(send=10)) as engine:
        wire = engine.connect(ScriptedWire(room=10))
        wire.says(asked("/large"))
        await trio.sleep(9.5)
        assert wire.end is None
        await trio.sleep(2)
        assert wire.end == "reset"
    why = "the client took nothing for 10 s"
    assert site.seen == ["large", why]


async def test_a_connection_that_breaks_in_a_response_is_told_to_its_application(
    autojump_clock, site, caplog
):
    async with opened_engine(site) as engine:
        wire = engine.connect(ScriptedWire(room=10))
        wire.says(asked("/large"))
        await settled()
        wire.break_off()
        await settled()
        assert site.seen == ["large", "the client has gone"]
        assert wire.end == "closed"
    assert caplog.messages == []


# The end.


async def test_a_client_has_time_to_read_the_last_response(autojump_clock, site):
    async with opened_engine(site, timeouts=Timeouts(close=3)) as engine:
        wire = engine.connect()
        wire.says(asked("/hello", "connection: close"))
        await trio.sleep(2.5)
        assert (wire.eofs, wire.end) == (1, None)
        await trio.sleep(1)
        assert wire.end == "closed"


async def test_a_client_that_closes_its_side_after_the_last_response_ends_it(autojump_clock, site):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        wire.says(asked("/hello", "connection: close"))
        await settled()
        wire.leaves()
        await settled()
        assert wire.end == "closed"


async def test_a_slow_reader_gets_the_last_response_after_a_body_was_dropped(autojump_clock, site):
    async with opened_engine(site, timeouts=Timeouts(close=3)) as engine:
        wire = ScriptedWire()
        wire.unread = 1_000_000
        engine.connect(wire)
        wire.says(asked("/hello", "content-length: 1000000", method="POST"))
        await settled()
        wire.says(bytes(2 * CHUNK))
        for _ in range(50):
            await trio.sleep(1)
            assert wire.end is None
            wire.unread -= 20_000
        await trio.sleep(5)
        assert wire.end == "closed"


async def test_a_shutdown_ends_idle_connections_at_once_and_lets_a_request_end(
    autojump_clock, site
):
    async with opened_engine(site) as engine:
        silent, idle, half, busy, last, dropping = (engine.connect() for _ in range(6))
        idle.says(asked())
        half.says(asked()[:-1])
        busy.says(asked("/waiting") + asked())
        last.says(asked("/hello", "connection: close"))
        dropping.says(asked("/hello", "content-length: 10", method="POST"))
        await settled()
        for connection in tuple(engine.open):
            connection.shut_down(0)
        assert [one.end for one in (silent, idle, half)] == [None, "closed", None]
        # These two wait until their clients have read the response.
        assert [(one.end, one.eofs) for one in (last, dropping)] == [(None, 1)] * 2
        assert busy.end is None
        site.go.set()
        await settled()
        ((_, headers, body),) = read_responses(bytes(busy.sent), "GET")[0]
        assert (headers["connection"], body) == ("close", b"done")
        assert busy.eofs == 1
        # A client that has just connected may still ask.
        await trio.sleep(LINGER + 0.3)
        assert [one.end for one in (silent, half)] == ["closed"] * 2


async def test_a_response_that_has_begun_is_completed_at_a_shutdown(autojump_clock, site):
    async with opened_engine(site) as engine:
        wire = engine.connect()
        wire.says(asked("/streaming") + asked())
        await settled()
        engine.open[0].shut_down(0)
        site.go.set()
        await settled()
        assert bodies(wire, "GET") == [b"halfwhole"]
        assert wire.eofs == 1


async def test_a_connection_keeps_nothing_of_a_request_that_is_over(autojump_clock):
    class Mark:
        pass

    marks: list[weakref.ref[Mark]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["mark"] = mark = Mark()
        marks.append(weakref.ref(mark))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with opened_engine(app) as engine:
        wire = engine.connect()
        gc.collect()
        gc.disable()  # what is in a cycle would wait for it
        try:
            for _ in range(1000):
                wire.says(asked("/", method="POST", body=b"abc"))
                await settled()
            assert len(marks) == 1000
            assert [mark() for mark in marks if mark() is not None] == []
        finally:
            gc.enable()


async def test_a_connection_that_is_over_is_freed_at_once(autojump_clock):
    marks: list[weakref.ref[Any]] = []

    class Marked(ScriptedWire):
        """A wire can be referred to weakly, and its connection refers to it."""

    async with opened_engine(Site(), timeouts=Timeouts(close=1)) as engine:
        gc.collect()
        gc.disable()
        try:
            wire = engine.connect(Marked(room=10))
            marks.append(weakref.ref(wire))
            wire.says(asked("/size", "content-length: 3", method="POST"))
            await settled()
            wire.says(b"abc" + asked("/large", "connection: close"))
            await settled()
            wire.take()
            await trio.sleep(20)
            assert (engine.open, wire.end) == ([], "closed")
            del wire._sink  # a wire of the server does this when it is closed
            del wire
            await settled()
            assert [mark() for mark in marks] == [None]
        finally:
            gc.enable()


async def test_a_request_that_begins_after_all_had_to_end_is_cut(autojump_clock, site):
    async with opened_engine(site) as engine:
        engine.services.jobs.end_at(trio.current_time() + 1)
        engine.connect().says(asked("/waiting"))
        await trio.sleep(0.5)
        assert engine.services.jobs.workers
        await trio.sleep(1)
        assert not engine.services.jobs.workers


# Requests of several connections that come together.


async def answer(send: Any, body: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def test_responses_to_requests_that_come_together_leave_when_all_are_made(autojump_clock):
    sent_before: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sent_before.append(b"".join(bytes(wire.sent) for wire in wires))
        await answer(send, scope["path"].encode())

    async with opened_engine(app) as engine:
        wires = [engine.connect() for _ in range(4)]
        for number, wire in enumerate(wires):
            wire.says(asked(f"/{number}"))
        await settled()
        assert sent_before == [b""] * 4
        assert [read_responses(bytes(wire.sent), "GET")[0][0][2] for wire in wires] == [
            *(b"/0", b"/1", b"/2", b"/3")
        ]


async def test_a_request_that_comes_alone_is_answered_at_once():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"here")
        seen.append(bytes(wire.sent[-4:]))

    async with opened_engine(app) as engine:
        seen: list[bytes] = []
        wire = engine.connect()
        wire.says(asked())
        await settled()
        assert seen == [b"here"]


async def test_a_request_that_waits_does_not_hold_up_the_responses_to_others(autojump_clock):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/slow":
            await trio.sleep(10)
        await answer(send, b"here")

    async with opened_engine(app) as engine:
        wires = [engine.connect() for _ in range(3)]
        for path, wire in zip(["/1", "/slow", "/3"], wires, strict=True):
            wire.says(asked(path))
        await trio.sleep(1)
        assert [bool(wire.sent) for wire in wires] == [True, False, True]


async def test_a_server_that_ends_sends_the_responses_that_are_made():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"here")
        if scope["path"] == "/1":
            for connection in tuple(engine.open):
                connection.close_idle()

    async with opened_engine(app) as engine:
        wires = [engine.connect() for _ in range(2)]
        for number, wire in enumerate(wires):
            wire.says(asked(f"/{number}"))
        await settled()
        assert [wire.sent.endswith(b"here") for wire in wires] == [True, True]


async def test_a_response_that_is_made_is_sent_even_if_the_server_is_busy_for_too_long(
    autojump_clock,
):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"here")
        if scope["path"] == "/busy":
            autojump_clock.jump(6)

    async with opened_engine(app, keep_alive_timeout=5) as engine:
        first, second = engine.connect(), engine.connect()
        first.says(asked("/first"))
        second.says(asked("/busy"))
        await trio.sleep(20)
        assert (first.sent[-4:], second.sent[-4:]) == (b"here", b"here")


async def test_requests_that_take_long_do_not_keep_the_responses_to_others(autojump_clock):
    sent_before: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sent_before.append(sum(bool(wire.sent) for wire in wires))
        autojump_clock.jump(0.003)
        await answer(send, b"here")

    async with opened_engine(app) as engine:
        wires = [engine.connect() for _ in range(5)]
        for wire in wires:
            wire.says(asked())
        await settled()
        assert sent_before == [0, 0, 2, 2, 4]


async def test_what_several_tasks_send_to_a_slow_client_stays_in_order(autojump_clock):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/next":
            await answer(send, b"next")
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})

        async def part(number: int) -> None:
            await trio.sleep(number / 10)
            body = str(number).encode() * 50
            await send({"type": "http.response.body", "body": body, "more_body": number < 5})

        async with trio.open_nursery() as nursery:
            for number in range(6):
                nursery.start_soon(part, number)

    async with opened_engine(app) as engine:
        wire = engine.connect(ScriptedWire(room=20))
        wire.says(asked("/parts") + asked("/next"))
        await trio.sleep(2)
        wire.take()
        await trio.sleep(1)
        (first, second), rest = read_responses(bytes(wire.sent), "GET", "GET")
        assert first[2] == b"".join(str(number).encode() * 50 for number in range(6))
        assert (second[2], rest) == (b"next", [])


async def test_100_continue_comes_before_the_response_of_another_task(autojump_clock):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/first":
            await answer(send, bytes(100))
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await trio.sleep(0.1)
            await answer(send, b"no")

    async with opened_engine(app) as engine:
        wire = engine.connect(ScriptedWire(room=20))
        second = asked("/", "expect: 100-continue", "content-length: 2", method="POST")
        wire.says(asked("/first") + second)
        await trio.sleep(1)
        wire.take()
        await trio.sleep(1)
        ending = bytes(wire.sent).partition(bytes(100))[2]
        assert ending.count(b"HTTP/1.1 ") == 2
        assert ending.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ")


async def test_a_client_that_has_gone_when_kept_responses_leave_is_no_error(autojump_clock, caplog):
    ends: list[type[BaseException] | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        autojump_clock.jump(0.003)
        try:
            await answer(send, b"here")
        except ClientDisconnect:
            ends.append(ClientDisconnect)
        else:
            ends.append(None)

    async with opened_engine(app) as engine:
        wires = [engine.connect() for _ in range(3)]
        for wire in wires:
            wire.says(asked())
            wire.is_broken = True
        await settled()
    assert ends == [None, ClientDisconnect, ClientDisconnect]
    assert [one for one in caplog.records if one.levelno >= logging.ERROR] == []
