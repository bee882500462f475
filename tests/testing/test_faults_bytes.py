"""Peers that send invalid bytes, or valid ones in a strange way. See ``test_faults``."""

import pytest
import trio

from tests.testing.watching import closed, echo, in_memory, listen, told, watched
from triows.testing import frame, open_server

MISTAKES = [
    pytest.param(b"no frame at all", 1002, "invalid opcode", id="garbage"),
    pytest.param(frame(1, b"a", mask=None), 1002, "incorrect masking", id="unmasked"),
    pytest.param(frame(3), 1002, "invalid opcode", id="reserved opcode"),
    pytest.param(frame(1, b"a", reserved=4), 1002, "reserved bits must be 0", id="reserved bit"),
    pytest.param(frame(0, b"a"), 1002, "unexpected continuation frame", id="stray continuation"),
    pytest.param(frame(9, bytes(126)), 1002, "control frame too long", id="long ping"),
    pytest.param(frame(9, b"a", fin=False), 1002, "fragmented control frame", id="ping in pieces"),
    pytest.param(
        frame(1, b"a", fin=False) + frame(1, b"b"),
        1002,
        "expected a continuation frame",
        id="two at a time",
    ),
    pytest.param(frame(8, b"\x03"), 1002, "close frame too short", id="half a close code"),
    pytest.param(frame(8, b"\x03\xed"), 1002, "invalid status code", id="close code 1005"),
    pytest.param(
        frame(8, b"\x03\xe8\xff"),
        1007,
        "invalid start byte at position 0",
        id="close reason no UTF-8",
    ),
    pytest.param(
        frame(1, b"\xff"), 1007, "text that is not valid UTF-8: invalid start byte", id="no UTF-8"
    ),
    pytest.param(
        frame(2, length=2**20 + 1),
        1009,
        "frame with 1048577 bytes exceeds limit of 1048576 bytes",
        id="too big",
    ),
    pytest.param(
        frame(2, length=2**63), 1002, "length with its highest bit set", id="too big to be"
    ),
]


@in_memory
@pytest.mark.parametrize(("data", "code", "reason"), MISTAKES)
async def test_what_breaks_the_protocol_is_closed_and_told_to_all(
    opening, clock, data, code, reason
):
    await break_a_rule(opening, data, code, reason)


# The code above the bytes is the same on sockets, so one mistake for each code is enough.
@pytest.mark.real_socket
@pytest.mark.parametrize(("data", "code", "reason"), [MISTAKES[i] for i in (0, 11, 12)])
async def test_a_server_on_sockets_closes_so_too(data, code, reason):
    await break_a_rule(open_server, data, code, reason)


async def break_a_rule(opening, data: bytes, code: int, reason: str) -> None:
    app, seen = watched(listen)
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        await ws.send("before")
        await ws.send_raw(data)
        await ws.expect_close(code, reason)
        await ws.wait_over()
        assert closed(ws) == (code, reason)
    assert seen.messages == ["before"]
    assert seen.end == told(code, reason)


@in_memory
async def test_what_comes_behind_a_mistake_is_not_read(opening, clock):
    app, seen = watched(listen)
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        await ws.send_raw(frame(1, b"before") + frame(3) + frame(1, b"after"))
        await ws.expect_close(1002, "invalid opcode")
        await ws.wait_over()
    assert seen.messages == ["before"]
    assert seen.end == told(1002, "invalid opcode")


async def test_fragments_are_one_message(opening, clock):
    app, seen = watched(echo)
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        await ws.send_fragments(["sn", "\N{SNOWMAN}", "", "w"])
        assert await ws.receive() == "sn\N{SNOWMAN}w"
        await ws.send_fragments([b"a", b"b"])
        assert await ws.receive() == b"ab"
        await ws.close(4001, "enough")
        await ws.wait_over()
        assert closed(ws) == (4001, "enough")
    assert seen.messages == ["sn\N{SNOWMAN}w", b"ab"]
    assert seen.end == told(4001, "enough")


async def test_a_ping_between_fragments_is_answered_before_the_message_is_whole(opening, clock):
    app, seen = watched(echo)
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        await ws.send_frame(1, b"one, ", fin=False)
        await ws.ping()
        assert seen.messages == []
        await ws.send_frame(0, b"two")
        assert await ws.receive() == "one, two"
        await ws.close()
        await ws.wait_over()
        assert closed(ws) == (1000, "")
    assert seen.end == ("returned", None, 1)


async def test_a_frame_may_come_a_byte_at_a_time(opening, clock):
    app, seen = watched(echo)
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        for byte in frame(1, b"slowly"):
            await ws.send_raw(bytes([byte]))
            await trio.sleep(0.001)
        assert await ws.receive() == "slowly"
        await ws.close()
        await ws.wait_over()
        assert closed(ws) == (1000, "")
    assert seen.messages == ["slowly"]
    assert seen.end == ("returned", None, 1)
