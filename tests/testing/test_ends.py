"""The client's end of a connection behaves in the same way in memory and on a socket."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio

from triows.testing._ends import End, SocketEnd
from triows.testing._memory import MemoryEnd, pair

BUFFER = 2**16


class ServersEnd(MemoryEnd):
    """The server's end, which is closed like a stream of Trio's."""

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()


@asynccontextmanager
async def connected(place):
    """Yield both sides of a connection: the client's end, and the server's stream."""
    if place == "memory":
        to_server, to_client = pair(BUFFER)
        yield MemoryEnd(to_client, to_server), ServersEnd(to_server, to_client)
        return
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        host, port = listener.socket.getsockname()
        end = await SocketEnd.connect(host, port, BUFFER)
        async with await listener.accept() as stream:
            yield end, stream
        end.close()


async def test_bytes_go_both_ways(place):
    async with connected(place) as (end, stream):
        await end.send_all(b"to the server")
        assert await stream.receive_some() == b"to the server"
        await stream.send_all(b"to the client")
        received: End = end
        assert await received.receive_some() == b"to the client"
        assert (end.fault, end.has_arrived) == ("", True)


async def test_it_takes_no_more_than_it_asks_for(place):
    async with connected(place) as (end, stream):
        await stream.send_all(b"abc")
        assert await end.receive_some(2) == b"ab"
        assert await end.receive_some(2) == b"c"


async def test_the_servers_end_is_an_empty_read(place):
    async with connected(place) as (end, stream):
        await stream.send_all(b"last")
        await stream.aclose()
        assert await end.receive_some() == b"last"
        assert await end.receive_some() == b""


async def test_after_its_eof_it_still_reads(place):
    async with connected(place) as (end, stream):
        end.send_eof()
        assert await stream.receive_some() == b""
        await stream.send_all(b"answer")
        assert await end.receive_some() == b"answer"


async def test_a_close_lets_the_server_read_what_was_sent(place):
    async with connected(place) as (end, stream):
        await end.send_all(b"last")
        end.close()
        assert await stream.receive_some() == b"last"
        assert await stream.receive_some() == b""


async def test_a_reset_is_an_error_for_the_server(place):
    async with connected(place) as (end, stream):
        end.reset()
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()


async def test_a_reset_may_come_twice(place):
    async with connected(place) as (end, _):
        end.reset()
        end.reset()
        end.close()


@pytest.mark.real_socket
async def test_a_socket_knows_its_address_and_where_nobody_listens():
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    host, port = listener.socket.getsockname()
    end = await SocketEnd.connect(host, port, BUFFER)
    stream = await listener.accept()
    assert stream.socket.getpeername() == end.address
    end.close()
    await stream.aclose()
    await listener.aclose()
    with pytest.raises(OSError, match=r"refused|stopped listening"):
        await SocketEnd.connect(host, port, BUFFER)
