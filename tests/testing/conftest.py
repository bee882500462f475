"""Where an application is opened: most of what is tested there has to come out the same."""

import pytest
from trio.testing import MockClock

from triows.testing import open_app, open_server

PLACES = ["memory", pytest.param("sockets", marks=pytest.mark.real_socket)]


@pytest.fixture(params=PLACES)
def place(request):
    """In memory, or on sockets of this machine."""
    return request.param


@pytest.fixture
def clock(place):
    """A virtual one in memory."""
    return MockClock(autojump_threshold=0) if place == "memory" else None


@pytest.fixture
def opening(place, clock):
    """The way to open an application there."""
    return open_app if place == "memory" else open_server
