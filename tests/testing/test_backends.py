"""The two ways of a client to an application: in memory, and over sockets."""

import pytest
import trio

from triows import Triows
from triows._server.config import free_port
from triows.testing._backends import Loopback, Memory
from triows.testing._calls import Call

REQUEST = b"GET / HTTP/1.1\r\nhost: testserver\r\nconnection: close\r\n\r\n"


def made(place):
    return Memory(Triows(), "") if place == "memory" else Loopback(Triows(), free_port())


def new_call():
    return Call("http://testserver/", secure=False)


async def test_a_client_speaks_to_the_server_until_it_is_shut_down(place, clock):
    over, backend = trio.Event(), made(place)
    async with trio.open_nursery() as nursery:
        await nursery.start(backend.serve, over.wait)
        call = new_call()
        end = await backend.connect(call, 2**16)
        assert call.address is not None
        await end.send_all(REQUEST)
        assert (await end.receive_some()).startswith(b"HTTP/1.1 404")
        end.close()
        over.set()
    with pytest.raises(OSError, match=r"shut down|refused|stopped"):
        await backend.connect(new_call(), 2**16)


async def test_a_call_in_memory_is_over_with_its_connection(autojump_clock):
    over, backend = trio.Event(), Memory(Triows(), "")
    async with trio.open_nursery() as nursery:
        await nursery.start(backend.serve, over.wait)
        calls = [new_call(), new_call()]
        for call in calls:
            (await backend.connect(call, 2**16)).close()
            await call.over.wait()
        assert [call.address[1] for call in calls] == [50000, 50001]
        over.set()


@pytest.mark.real_socket
async def test_the_address_of_a_client_on_a_socket_is_the_systems():
    call = new_call()
    call.address = ("10.0.0.1", 1)
    with pytest.raises(ValueError, match="leave out client="):
        await Loopback(Triows(), free_port()).connect(call, 2**16)
