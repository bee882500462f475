"""The headers that the server adds to each response."""

from __future__ import annotations

import pytest
import trio

from triows._server import own_headers
from triows._server.config import Config
from triows._server.own_headers import OwnHeaders
from triows._transports.pinger import Pinger


class Counting(Config):
    """Counts how often the headers are made."""

    made = 0

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        self.made += 1
        return [(b"x-protocol", protocol.encode()), (b"x-made", b"%d" % self.made)]


@pytest.fixture
async def timer(nursery: trio.Nursery) -> Pinger:
    pinger = Pinger()
    nursery.start_soon(pinger.run)
    return pinger


async def test_they_are_made_again_after_half_a_second(autojump_clock, timer):
    config = Counting()
    lines = OwnHeaders(config, timer)
    assert [lines() for _ in range(3)] == [b"x-protocol: h11\r\nx-made: 1\r\n"] * 3
    await trio.sleep(own_headers._FRESH - 0.01)
    assert b"x-made: 1" in lines()
    await trio.sleep(0.02)
    assert [lines() for _ in range(3)] == [b"x-protocol: h11\r\nx-made: 2\r\n"] * 3


async def test_a_server_that_is_not_used_makes_none(autojump_clock, timer):
    config = Counting()
    OwnHeaders(config, timer)()
    await trio.sleep(100)
    assert (config.made, len(timer)) == (1, 0)


async def test_the_configuration_decides_what_they_are(autojump_clock, timer):
    config = Config()
    config.include_date_header = False
    config.include_server_header = False
    assert OwnHeaders(config, timer)() == b""
    assert OwnHeaders(Config(), timer)().startswith(b"date: ")
