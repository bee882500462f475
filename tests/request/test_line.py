"""What a request's client is told, and what is known of its response."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
import trio
from trio.testing import assert_checkpoints

from tests.request.asgi import START, body
from triows import ClientDisconnect, HandlerCancelled, HTTPException
from triows._reasons import Reason

# How it ends


TEA = HTTPException(418, "tea")


@pytest.mark.parametrize("errors", [[], [ValueError()], [TEA]])
async def test_whoever_has_cancelled_a_request_from_outside_may_answer_it(
    transport, line, server, errors
):
    end = await line.conclude(errors, Reason.CANCELLED)
    assert (transport.status, end.told, end.why) == (None, False, "")


@pytest.mark.parametrize(
    ("errors", "reason", "status", "why", "failed"),
    [
        ([], None, 500, "the application returned without a response", False),
        ([HandlerCancelled("shutdown")], Reason.SHUTDOWN, 500, "", True),
        ([], Reason.SHUTDOWN, 503, "the server is shutting down", False),
        ([], Reason.APPLICATION_FAILED, 503, "the server is shutting down", False),
        ([ValueError()], None, 500, "", True),
        ([ValueError()], Reason.SHUTDOWN, 500, "", True),
        ([TEA], None, 418, "tea", False),
        ([TEA], Reason.SHUTDOWN, 418, "tea", False),
        ([ExceptionGroup("", [TEA, HTTPException(418, "tea")])], None, 418, "tea", False),
        ([ExceptionGroup("", [TEA, ClientDisconnect()])], None, 418, "tea", False),
        ([ExceptionGroup("", [TEA, HTTPException(401)])], None, 500, "", True),
        ([TEA, ValueError()], None, 500, "", True),
    ],
)
async def test_an_application_that_left_a_request_open_is_answered_for(
    transport, line, server, errors, reason, status, why, failed
):
    end = await line.conclude(errors, reason)
    assert (server.status, transport.status, line.is_complete) == (status, status, True)
    assert end.why.startswith(why)
    assert bool(end.why) == bool(why)
    assert (end.failed, end.told) == (failed, True)


async def test_a_resource_that_only_learnt_of_the_end_has_not_failed(line, server):
    own = HandlerCancelled("shutdown")
    own.source = line.transport
    end = await line.conclude([own], Reason.SHUTDOWN)
    assert (server.status, end.failed) == (503, False)


async def test_the_answer_does_not_tell_what_was_raised(line, server):
    await line.conclude([ValueError("the password is 1234")], None)
    assert b"1234" not in server.sent[-1]["body"]
    assert json.loads(server.sent[-1]["body"])["status"] == 500


async def test_a_refusal_that_can_not_be_sent_says_so_and_is_an_error(line, server):
    error = HTTPException(401, object())
    end = await line.conclude([error], None)
    assert (server.status, end.failed) == (500, True)
    (note,) = error.__notes__
    assert note.startswith("it can't answer the request: ")


@pytest.mark.parametrize(
    ("errors", "failed"), [([], False), ([ClientDisconnect()], False), ([TEA], True)]
)
async def test_a_response_that_has_begun_can_not_be_completed(
    transport, line, server, errors, failed
):
    await transport.asgi_send(START)
    end = await line.conclude(errors, None)
    assert server.sent == [START]
    assert (end.why, end.failed, end.told) == ("the response is incomplete", failed, False)


@pytest.mark.parametrize(("errors", "failed"), [([], False), ([ValueError()], True)])
async def test_a_whole_response_is_left_alone_whatever_came_after_it(
    transport, line, server, errors, failed
):
    await transport.asgi_send(START)
    await transport.asgi_send(body(b""))
    end = await line.conclude(errors, None)
    assert len(server.sent) == 2
    assert (end.why, end.failed) == ("", failed)


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize(
    ("errors", "failed"), [([], False), ([TEA], False), ([ValueError()], True)]
)
async def test_a_client_that_has_left_is_told_nothing(
    transport, line, server, begun, errors, failed
):
    if begun:
        await transport.asgi_send(START)
        failed = bool(errors)
    sent = list(server.sent)
    server.leave()
    await transport.asgi_receive()
    end = await line.conclude(errors, None)
    assert server.sent == sent
    assert (end.why, end.failed, end.told) == ("the client has left", failed, False)


async def test_a_client_that_leaves_before_the_answer_is_no_error(transport, line, server):
    server.client_is_gone = True
    end = await line.conclude([ValueError()], None)
    assert (end.why, end.failed, transport.left) == ("the client has left", True, True)


async def test_a_server_that_does_not_take_the_answer_is_not_waited_for(
    autojump_clock, line, server
):
    server.gate = trio.Event()
    end = await line.conclude([ValueError()], None)
    assert trio.current_time() == 5
    assert (end.why, end.failed) == ("the response is incomplete", True)


@pytest.mark.parametrize(
    ("error", "is_end"),
    [
        (ClientDisconnect(), True),
        (HandlerCancelled("shutdown"), False),
        (OSError(), False),
        (TEA, False),
    ],
)
def test_that_nobody_is_there_any_more_is_not_an_error(line, error, is_end):
    assert line.is_end(error) == is_end


def test_only_its_own_cancellation_is_the_end_of_a_request(line):
    own, other = HandlerCancelled("shutdown"), HandlerCancelled("shutdown")
    own.source = line.transport
    assert line.is_end(own)
    assert not line.is_end(other)
    line.explain(other)
    assert "another handler" in other.__notes__[0]


# A shutdown


async def test_a_shutdown_waits_until_the_request_is_over(autojump_clock, line):
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def end() -> None:
            await trio.sleep(3)
            line.note_over()

        assert await line.shut_down()
        assert trio.current_time() == 3


@pytest.mark.parametrize("notice", ["receive", "send"])
async def test_a_shutdown_hears_of_a_client_that_leaves_meanwhile(
    transport, autojump_clock, line, server, notice
):
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def leave() -> None:
            await trio.sleep(3)
            server.leave()
            server.client_is_gone = True
            with suppress(ClientDisconnect):
                await (
                    transport.asgi_receive() if notice == "receive" else transport.asgi_send(START)
                )

        assert not await line.shut_down()
        assert trio.current_time() == 3


async def test_a_client_that_had_left_before_the_shutdown_is_not_waited_for(
    transport, line, server
):
    server.leave()
    await transport.asgi_receive()
    assert not await line.shut_down()


# What the lifetime need not wait for


async def test_what_was_handed_over_is_the_matter_of_the_server(autojump_clock, line):
    async with trio.open_nursery() as nursery:
        line.start(nursery)
        assert line.delivered
        with assert_checkpoints():
            await line.wait_delivered()
        await line.aclose(cancelled=True, from_outside=True)
        assert nursery.child_tasks == frozenset()
    assert trio.current_time() == 0
