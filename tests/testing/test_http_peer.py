"""The client's side of a plain request, against a server that is played by the test."""

from contextlib import asynccontextmanager

import h11
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triows.testing import HTTPDisconnect
from triows.testing._http_peer import HTTPPeer
from triows.testing._memory import MemoryLink, MemoryReactor


@asynccontextmanager
async def played(size=100, buffer=1000):
    """Give a peer whose request was sent, and the server's end of its connection."""
    link = MemoryLink(buffer, MemoryReactor())
    async with trio.open_nursery() as nursery:
        peer = HTTPPeer(link.client, nursery, size=size, lateness="it is late")
        nursery.start_soon(peer.run)
        await peer.send_head("GET", "/", [(b"host", b"testserver")])
        await peer.send_end()
        assert await link.stream.receive_some() == b"GET / HTTP/1.1\r\nhost: testserver\r\n\r\n"
        yield peer, link.stream
        peer.abandon()


async def test_a_response_is_read_part_by_part():
    async with played() as (peer, server):
        await server.send_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        assert (await peer.receive_head()).status_code == 200
        await server.send_all(b"3\r\none\r\n")
        assert await peer.receive() == b"one"
        await server.send_all(b"3\r\ntwo\r\n0\r\n\r\n")
        assert await peer.receive() == b"two"
        assert await peer.receive() == b""
        assert peer.is_complete


async def test_answers_in_between_are_not_the_response():
    async with played() as (peer, server):
        await server.send_all(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await wait_all_tasks_blocked()
        assert peer.head is None
        await server.send_all(b"HTTP/1.1 204 No Content\r\n\r\n")
        assert (await peer.receive_head()).status_code == 204
        assert "received 103" in str(peer.events)
        assert await peer.receive() == b""


async def test_a_response_that_ends_with_its_connection_is_complete():
    async with played() as (peer, server):
        await server.send_all(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        await server.send_eof()
        assert await peer.receive() == b"all of it"
        assert await peer.receive() == b""


async def test_a_connection_that_ends_before_the_response_says_so():
    async with played() as (peer, server):
        await server.aclose()
        with pytest.raises(HTTPDisconnect, match="stopped before its response was complete"):
            await peer.receive_head()
        with pytest.raises(HTTPDisconnect):
            await peer.receive()


async def test_a_connection_that_ends_within_the_body_says_so_after_what_came():
    async with played() as (peer, server):
        await server.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        await server.aclose()
        assert await peer.receive() == b"half"
        with pytest.raises(HTTPDisconnect):
            await peer.receive()
        assert not peer.is_complete


async def test_a_server_that_breaks_a_rule_is_told():
    async with played() as (peer, server):
        await server.send_all(b"this isn't HTTP\r\n\r\n")
        with pytest.raises(HTTPDisconnect) as caught:
            await peer.receive_head()
        assert isinstance(caught.value.__cause__, h11.RemoteProtocolError)
        assert peer.mistake is caught.value.__cause__
        assert "the server broke a rule" in str(peer.events)


async def test_what_comes_after_a_switch_of_protocols_is_left_alone():
    async with played() as (peer, server):
        await server.send_all(b"HTTP/1.1 101 Switching\r\nupgrade: other\r\n\r\n\x00\x01")
        with pytest.raises(HTTPDisconnect):
            await peer.receive_head()  # the client hasn't asked for it


async def test_a_peer_without_room_stops_reading():
    async with played(size=10, buffer=100) as (peer, server):
        await server.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        await peer.receive_head()
        with trio.move_on_after(0.01) as limit:
            await server.send_all(bytes(1000))
        assert limit.cancelled_caught
        size = 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.send_all, bytes(1000 - server.taken + 42))
            while size < 900:
                size += len(await peer.receive())


async def test_a_peer_that_closes_tells_the_server():
    async with played() as (peer, server):
        peer.close()
        assert await server.receive_some() == b""
        with pytest.raises(trio.BrokenResourceError):
            await server.send_all(b"x")
        assert "closed the connection" in str(peer.events)


async def test_a_peer_that_closes_its_side_can_still_read():
    async with played() as (peer, server):
        peer.send_eof()
        assert await server.receive_some() == b""
        await server.send_all(b"HTTP/1.1 204 No Content\r\n\r\n")
        assert (await peer.receive_head()).status_code == 204
