"""The client's side of a connection, when the test is the server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
from websockets.frames import Opcode
from websockets.utils import accept_key

from tests import raw
from tests.raw import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT
from tests.testing.scripted_end import ScriptedEnd
from triows import WebSocketDisconnect
from triows.testing._peer import Peer

frame = partial(raw.frame, mask=None)


@asynccontextmanager
async def reading(*, messages: int = 16, size: int = 2**16, **options: Any):
    """Yield an end and its peer, which runs until the end of the block."""
    end = ScriptedEnd()
    async with trio.open_nursery() as nursery:
        peer = Peer(end, nursery, subprotocols=(), messages=messages, size=size, **options)
        nursery.start_soon(peer.run)
        yield end, peer
        peer.abandon()


def acceptance(peer: Peer) -> bytes:
    key = dict(peer.handshake)["Sec-WebSocket-Key"]
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept_key(key).encode() + b"\r\n\r\n"
    )


@asynccontextmanager
async def opened(**options: Any):
    async with reading(**options) as (end, peer):
        end.says(acceptance(peer))
        await peer.answered.wait()
        assert peer.accepted
        yield end, peer


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def test_an_acceptance_is_an_answer(autojump_clock):
    async with reading() as (end, peer):
        end.says(acceptance(peer))
        await peer.answered.wait()
        assert (peer.accepted, peer.mistake, peer.is_unanswered) == (True, None, False)
        assert peer.response.status_code == 101
        assert "the server accepted" in str(peer.events)


async def test_a_refusal_is_an_answer(autojump_clock):
    async with reading() as (end, peer):
        end.says(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        await peer.answered.wait()
        assert (peer.accepted, peer.mistake, peer.is_unanswered) == (False, None, False)
        assert "the server refused: 403" in str(peer.events)


async def test_an_end_instead_of_an_answer_is_none(autojump_clock):
    async with reading() as (end, peer):
        end.says(b"")
        await peer.answered.wait()
        assert peer.over.is_set()
        assert not peer.accepted


async def test_a_reset_instead_of_an_answer_leaves_it_unanswered(autojump_clock):
    async with reading() as (end, peer):
        end.says(b"RST")
        await peer.answered.wait()
        assert peer.is_unanswered


async def test_messages_are_received_in_their_order(autojump_clock):
    async with opened() as (end, peer):
        end.says(frame(TEXT, b"a") + frame(BINARY, b"b"))
        assert [await peer.inbox.receive(), await peer.inbox.receive()] == ["a", b"b"]


async def test_messages_are_sent_as_frames(autojump_clock):
    async with opened() as (end, peer):
        await peer.send("a")
        await peer.send(b"b")
        assert end.frames == [(Opcode.TEXT, b"a"), (Opcode.BINARY, b"b")]


async def test_pings_are_answered_while_there_is_room(autojump_clock):
    async with opened(messages=1) as (end, peer):
        end.says(frame(PING, b"1"))
        await settle()
        end.says(frame(TEXT, b"fills it"))
        end.says(frame(PING, b"2"))
        await settle()
        assert end.frames == [(Opcode.PONG, b"1")]
        await peer.inbox.receive()
        await settle()
        assert end.frames == [(Opcode.PONG, b"1"), (Opcode.PONG, b"2")]


async def test_a_ping_waits_for_its_own_pong(autojump_clock):
    answered = trio.Event()

    async with opened() as (end, peer), trio.open_nursery() as nursery:

        async def ping() -> None:
            await peer.ping(b"1")
            answered.set()

        nursery.start_soon(ping)
        await settle()
        end.says(frame(PING, b"1"))
        await settle()
        assert not answered.is_set()
        end.says(frame(PONG, b"1"))
        await answered.wait()


async def test_a_close_frame_ends_the_messages_and_is_answered(autojump_clock):
    async with opened() as (end, peer):
        end.says(frame(TEXT, b"last") + frame(CLOSE, b"\x0f\xa1enough"))
        assert await peer.inbox.receive() == "last"
        with pytest.raises(WebSocketDisconnect, match="4001 enough"):
            await peer.inbox.receive()
        await settle()
        assert end.frames == [(Opcode.CLOSE, b"\x0f\xa1enough")]


async def test_after_a_close_frame_nothing_can_be_sent_though_messages_wait(autojump_clock):
    async with opened() as (end, peer):
        end.says(frame(TEXT, b"unread") + frame(CLOSE, b"\x0f\xa1"))
        await settle()
        with pytest.raises(WebSocketDisconnect, match="4001"):
            await peer.send("too late")
        assert await peer.inbox.receive() == "unread"


@pytest.mark.parametrize(
    ("data", "event"),
    [
        (frame(3), "the server broke a rule: "),
        (raw.frame(TEXT, b"masked"), "the server broke a rule: "),
        (frame(TEXT, b"\xff"), r"isn't valid UTF-8: bytes b'\xff'"),
        (frame(TEXT, b"\xc3", fin=False) + frame(CONTINUATION, b"("), "isn't valid UTF-8"),
    ],
)
async def test_a_rule_that_the_server_breaks_is_kept_and_told(autojump_clock, data, event):
    async with opened() as (end, peer):
        end.says(data)
        await settle()
        assert peer.mistake is not None
        assert event in str(peer.events)


async def test_it_leaves_with_a_closing_handshake(autojump_clock):
    async with opened() as (end, peer), trio.open_nursery() as nursery:
        nursery.start_soon(peer.leave)
        await settle()
        assert end.frames == [(Opcode.CLOSE, b"\x03\xe8")]
        assert end.ends == []
        end.says(frame(CLOSE, b"\x03\xe8"))
    assert end.ends[-1] == "closed"


async def test_it_cuts_the_connection_if_nobody_answers_its_close(autojump_clock):
    async with opened() as (end, peer):
        began = trio.current_time()
        await peer.leave()
        assert trio.current_time() - began == pytest.approx(1)
        assert end.ends == ["reset"]


async def test_a_client_that_has_vanished_sends_nothing(autojump_clock):
    async with opened() as (end, peer):
        peer.vanish()
        end.says(frame(PING, b"?"))
        await peer.send("nobody gets this")
        await settle()
        assert (end.frames, end.ends) == ([], [])
        peer.resume_reading()
        assert peer.is_silent


async def test_a_reset_is_the_end_for_both(autojump_clock):
    async with opened() as (end, peer):
        peer.reset()
        assert end.ends == ["reset"]
        with pytest.raises(WebSocketDisconnect, match="1006"):
            await peer.send("too late")


async def cancelled(send: Callable[[], Any]) -> None:
    with trio.move_on_after(1) as scope:
        await send()
    assert scope.cancelled_caught


async def test_a_send_that_is_cancelled_in_the_middle_cuts_the_connection(autojump_clock):
    async with opened() as (end, peer):
        end.takes = trio.Event()
        await cancelled(lambda: peer.send("half"))
        assert end.ends == ["reset"]


async def test_the_end_wakes_whoever_waits_for_a_pong(autojump_clock):
    async with opened() as (end, peer), trio.open_nursery() as nursery:

        async def lose() -> None:
            await settle()
            end.says(b"RST")

        nursery.start_soon(lose)
        with pytest.raises(WebSocketDisconnect, match="1006"):
            await peer.ping(b"1")
