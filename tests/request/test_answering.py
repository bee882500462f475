"""The line that tells the outcome of a request when all is done."""

import json
from typing import Any

import pytest
import trio

from tests.request.asgi import Server
from triows import ClientDisconnect, HTTPException, Timeouts
from triows._reasons import Reason
from triows._request.answering import AnsweringLine
from triows._request.foreign import ForeignRequest

TIMEOUTS = Timeouts(accept=3, shutdown_grace=10, close=5)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def transport(server) -> ForeignRequest:
    return ForeignRequest(server.receive, server.send, "GET")


def line_of(transport: ForeignRequest, replaced: Any = None, **scope: Any) -> AnsweringLine:
    return AnsweringLine(transport, TIMEOUTS, {"type": "http", "path": "/a b", **scope}, replaced)


@pytest.fixture
def line(transport) -> AnsweringLine:
    return line_of(transport)


def answering(line: AnsweringLine, body: bytes = b"done") -> None:
    line.transport.start(200, [])
    line.finish = lambda: line.transport.send_nowait(body, more=False)


async def test_the_response_is_handed_over_when_all_is_done(line, server):
    answering(line)
    assert server.sent == []
    end = await line.conclude([], None)
    assert (end.told, end.failed, end.why) == (True, False, "")
    await line.wait_delivered()
    assert (server.status, server.sent[-1]["body"]) == (200, b"done")


@pytest.mark.parametrize(
    ("errors", "reason", "status", "failed"),
    [
        ([LookupError()], None, 500, True),
        ([HTTPException(409)], None, 409, False),
        ([], Reason.SHUTDOWN, 503, False),
        ([], Reason.RESOURCE_FAILED, 500, False),
        ([], Reason.TIMEOUT, 500, False),
    ],
)
async def test_a_response_that_was_made_is_not_sent_if_something_has_failed(
    line, server, errors, reason, status, failed
):
    answering(line)
    end = await line.conclude(errors, reason)
    assert (server.status, end.failed, end.told) == (status, failed, True)


async def test_what_the_application_catches_counts_in_place_of_an_error(transport, server):
    line = line_of(transport, lambda errors, _: [HTTPException(409) for _ in errors])
    end = await line.conclude([LookupError()], None)
    assert (server.status, end.failed) == (409, False)


async def test_nothing_is_caught_if_nothing_was_raised(transport, server):
    line = line_of(transport, lambda errors, _: [HTTPException(409)])
    await line.conclude([], Reason.SHUTDOWN)
    assert server.status == 503


@pytest.mark.parametrize(
    ("scope", "instance"), [({}, "/a%20b"), ({"raw_path": b"/a%20b"}, "/a%20b")]
)
async def test_a_problem_names_the_path_as_it_was_sent(transport, server, scope, instance):
    await line_of(transport, **scope).conclude([HTTPException(409)], None)
    assert json.loads(server.sent[-1]["body"])["instance"] == instance


async def test_a_client_that_has_left_is_not_told(line, server):
    answering(line)
    server.client_is_gone = True
    await line.conclude([], None)
    await line.wait_delivered()
    assert server.sent == []


async def test_a_slow_client_is_waited_for(autojump_clock, line, server):
    answering(line)
    server.gate = trio.Event()
    await line.conclude([], None)
    assert not line.delivered
    with trio.move_on_after(1000) as scope:
        await line.wait_delivered()
    assert scope.cancelled_caught


async def test_a_shutdown_gives_a_slow_client_the_grace(autojump_clock, line, server):
    answering(line)
    server.gate = trio.Event()
    await line.conclude([], None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(line.wait_delivered)
        await trio.sleep(1)
        nursery.start_soon(line.shut_down)
        await trio.sleep(0.5)
        line.note_over()
    assert trio.current_time() == 1 + TIMEOUTS.shutdown_grace


async def test_what_comes_after_the_response_runs_after_it(line, server):
    seen: list[int] = []

    async def after() -> None:
        seen.append(len(server.sent))

    answering(line)
    line.after = after
    assert not line.delivered
    await line.conclude([], None)
    await line.wait_delivered()
    assert seen == [2]


@pytest.mark.parametrize(("errors", "reason"), [([LookupError()], None), ([], Reason.SHUTDOWN)])
async def test_nothing_comes_after_a_response_that_was_not_sent(line, errors, reason):
    async def after() -> None:
        raise AssertionError

    answering(line)
    line.after = after
    await line.conclude(errors, reason)
    assert line.delivered
    await line.wait_delivered()


@pytest.mark.parametrize(("left", "status", "failed"), [(False, 500, True), (True, None, False)])
async def test_a_disconnect_is_an_error_as_long_as_the_client_is_there(
    line, server, left, status, failed
):
    answering(line)
    if left:
        server.leave()
        await line.transport.asgi_receive()
        server.client_is_gone = True
    end = await line.conclude([ClientDisconnect()], None)
    await line.wait_delivered()
    assert (server.status, end.failed) == (status, failed)


async def test_a_client_that_leaves_is_reported_at_once(line, server):
    left: list[str] = []
    line.on_gone = lambda: left.append("left")
    server.leave()
    await line.transport.asgi_receive()
    assert left == ["left"]


async def test_what_was_too_slow_is_named(line):
    assert str(line.too_slow(None)) == (
        "the arguments of the handler were not made within 3 s (Timeouts.accept)"
    )
