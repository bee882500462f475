"""The headers that the server adds to each response."""

from __future__ import annotations

import trio

from triows._server import own_headers
from triows._server.config import Config
from triows._server.own_headers import OwnHeaders


class Counting(Config):
    """Counts how often the headers are made."""

    made = 0

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        self.made += 1
        return [(b"x-protocol", protocol.encode()), (b"x-made", b"%d" % self.made)]


async def test_they_are_made_again_after_half_a_second(autojump_clock):
    config = Counting()
    lines = OwnHeaders(config)
    assert [lines() for _ in range(3)] == [b"x-protocol: h11\r\nx-made: 1\r\n"] * 3
    await trio.sleep(own_headers._FRESH)
    assert b"x-made: 1" in lines()
    await trio.sleep(0.01)
    assert [lines() for _ in range(3)] == [b"x-protocol: h11\r\nx-made: 2\r\n"] * 3


async def test_the_configuration_decides_what_they_are(autojump_clock):
    config = Config()
    config.include_date_header = False
    config.include_server_header = False
    assert OwnHeaders(config)() == b""
    assert OwnHeaders(Config())().startswith(b"date: ")
