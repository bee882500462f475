"""The client's side of a plain request, when the test is the server."""

from __future__ import annotations

from contextlib import asynccontextmanager

import h11
import pytest
import trio

from tests.testing.scripted_end import ScriptedEnd
from triows.exceptions import Disconnected
from triows.testing._http_peer import HTTPDisconnect, HTTPPeer

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"


@asynccontextmanager
async def asking(*, size: int = 2**16, method: str = "GET", **options):
    """Yield an end and its peer, which has asked for ``/``."""
    end = ScriptedEnd()
    async with trio.open_nursery() as nursery:
        peer = HTTPPeer(end, nursery, size=size, **options)
        nursery.start_soon(peer.run)
        headers = [(b"Host", b"testserver")]
        if method == "POST":
            headers.append((b"Transfer-Encoding", b"chunked"))
        await peer.send_head(method, "/", headers)
        if method == "GET":
            await peer.send_end()
        yield end, peer
        peer.abandon()


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def test_a_response_is_read_step_by_step(autojump_clock):
    async with asking() as (end, peer):
        end.says(HEAD[:10])
        await settle()
        assert not peer.answered.is_set()
        end.says(HEAD[10:] + b"abc")
        head = await peer.receive_head()
        assert head.status_code == 200
        assert await peer.receive() == b"abc"
        assert not peer.is_complete
        end.says(b"def")
        assert [await peer.receive(), await peer.receive()] == [b"def", b""]
        assert peer.is_complete


async def test_a_request_is_written_step_by_step(autojump_clock):
    async with asking(method="POST") as (end, peer):
        assert bytes(end.sent).startswith(b"POST / HTTP/1.1\r\n")
        end.sent.clear()
        await peer.send(b"abc")
        assert end.sent == b"3\r\nabc\r\n"
        await peer.send_end()
        assert end.sent == b"3\r\nabc\r\n0\r\n\r\n"


async def test_a_response_may_come_before_the_request_is_whole(autojump_clock):
    async with asking(method="POST") as (end, peer):
        end.says(HEAD + b"abcdef")
        assert (await peer.receive_head()).status_code == 200
        await peer.send(b"more")
        assert await peer.receive() == b"abcdef"


async def test_an_interim_answer_is_not_the_answer(autojump_clock):
    async with asking() as (end, peer):
        end.says(b"HTTP/1.1 100 Continue\r\n\r\n")
        await settle()
        assert not peer.answered.is_set()
        end.says(HEAD)
        assert (await peer.receive_head()).status_code == 200
        assert "received 100" in str(peer.events)


async def test_without_room_it_does_not_read(autojump_clock):
    async with asking(size=2) as (end, peer):
        end.says(HEAD + b"abc")
        end.says(b"def")
        await settle()
        assert await peer.receive() == b"abc"
        assert await peer.receive() == b"def"
        assert await peer.receive() == b""


async def test_an_end_before_the_answer_is_a_disconnect(autojump_clock):
    async with asking() as (end, peer):
        end.says(b"")
        with pytest.raises(HTTPDisconnect, match="before its response was complete"):
            await peer.receive_head()
    assert issubclass(HTTPDisconnect, Disconnected)
    assert issubclass(HTTPDisconnect, OSError)


async def test_an_end_in_the_body_is_a_disconnect_after_what_came(autojump_clock):
    async with asking() as (end, peer):
        end.says(HEAD + b"abc")
        end.says(b"")
        await peer.over.wait()
        assert await peer.receive() == b"abc"
        with pytest.raises(HTTPDisconnect):
            await peer.receive()


async def test_a_rule_that_the_server_breaks_is_the_cause(autojump_clock):
    async with asking() as (end, peer):
        end.says(b"nonsense\r\n\r\n")
        with pytest.raises(HTTPDisconnect) as caught:
            await peer.receive_head()
        assert isinstance(caught.value.__cause__, h11.RemoteProtocolError)
        assert "the server broke a rule" in str(peer.events)


async def test_a_request_that_may_never_have_arrived_says_so(autojump_clock):
    async with asking(lateness="it came too late") as (end, peer):
        end.has_arrived = False
        end.says(b"RST")
        with pytest.raises(HTTPDisconnect, match=r"^it came too late$"):
            await peer.receive_head()


async def test_a_close_is_no_reset_unless_the_client_does_not_read(autojump_clock):
    async with asking() as (end, peer):
        peer.close()
    assert end.ends == ["closed"]
    async with asking() as (end, peer):
        peer.stop_reading()
        peer.close()
    assert end.ends[0] == "reset"
