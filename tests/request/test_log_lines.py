"""The line of the log that tells how a plain request has ended."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from triows import HTTPException, Route, Timeouts, Triows
from triows.testing import open_app


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, "triows")
    return caplog


def lines(log: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in log.records if hasattr(one, "duration")]


def app_of(handler: Any) -> Triows:
    route = Route("rooms/{name}")
    route.add_endpoint("GET", "POST", func=handler)
    return Triows(route, timeouts=Timeouts(disconnect_grace=1))


async def test_it_has_who_what_and_how_much(autojump_clock, log):
    async def handler(name: str) -> str:
        await trio.sleep(1.5)
        return "hello"

    async with open_app(app_of(handler)) as client:
        await client.post("/rooms/a%0Ab?token=secret", content=b"not read")
    assert lines(log) == [
        r"testclient:50000 POST '/rooms/a\nb' answered 200 after 1.500 s, received 0 bytes, "
        "sent 5 bytes"
    ]


async def test_its_parts_are_attributes_of_the_record(autojump_clock, log):
    async def handler(name: str) -> str:
        await trio.sleep(1.5)
        return "hello"

    async with open_app(app_of(handler)) as client:
        await client.get("/rooms/ada")
    (record,) = log.records
    wanted = {
        "route": "/rooms/{name}",
        "peer": "testclient:50000",
        "method": "GET",
        "status": 200,
        "duration": 1.5,
        "bytes_received": 0,
        "bytes_sent": 5,
    }
    assert {name: vars(record)[name] for name in wanted} == wanted


async def test_a_refusal_has_its_reason(log):
    async def handler(name: str) -> str:
        raise HTTPException(418, "tea")

    async with open_app(app_of(handler)) as client:
        await client.get("/rooms/ada")
    assert "answered 418 (tea) after" in lines(log)[0]


async def test_a_request_whose_client_left_was_not_answered(autojump_clock, log):
    async def handler(name: str) -> str:
        await trio.sleep(100)
        raise AssertionError

    async with (
        open_app(app_of(handler)) as client,
        client.stream("GET", "/rooms/ada", sending=True) as session,
    ):
        await session.send_end()
        session.close()
    (line,) = lines(log)
    assert "not answered (the client has left; the handler did not end within its" in line


async def test_a_stream_that_its_client_left_is_said_to_be_incomplete(autojump_clock, log):
    async def handler(name: str) -> AsyncIterator[bytes]:
        yield b"part"
        await trio.sleep(100)

    async with open_app(app_of(handler)) as client, client.stream("GET", "/rooms/a") as response:
        await response.receive()
    (line,) = lines(log)
    assert "answered 200 (the client has left; " in line
    assert line.endswith("sent 4 bytes")


async def test_without_a_logger_that_takes_it_no_line_is_made(caplog):
    async def handler(name: str) -> str:
        return "hello"

    caplog.set_level(logging.WARNING, "triows")
    async with open_app(app_of(handler)) as client:
        await client.get("/rooms/ada")
    assert caplog.records == []
