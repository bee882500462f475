"""What a server knows of a connection when it arrives."""

from __future__ import annotations

import pytest
from attrs.exceptions import FrozenInstanceError

from triows._server.arrival import Addresses, Arrival
from triows.testing._memory import MemoryLink, MemoryReactor

PEER, SERVER = ("peer", 50_000), ("testserver", 80)


@pytest.fixture
def link():
    return MemoryLink(2**16, MemoryReactor())


def test_the_same_two_ends_are_equal():
    assert Addresses(PEER, SERVER, secure=False) == Addresses(PEER, SERVER, secure=False)


def test_the_same_two_ends_with_and_without_tls_differ():
    assert Addresses(PEER, SERVER, secure=False) != Addresses(PEER, SERVER, secure=True)


async def test_two_connections_differ_even_if_all_that_is_known_of_them_is_equal(link):
    addresses = Addresses(None, None, secure=False)  # of a Unix socket
    one, other = (Arrival(link.wire, addresses) for _ in range(2))
    assert len({one, other}) == 2


async def test_what_has_arrived_stays_as_it_is(link):
    arrival = Arrival(link.wire, Addresses(PEER, SERVER, secure=False))
    with pytest.raises(FrozenInstanceError):
        arrival.addresses = Addresses(None, None, secure=True)
    with pytest.raises(FrozenInstanceError):
        arrival.addresses.secure = True
