"""Fixtures that open an application in memory or on sockets. Most tests pass with both."""

import pytest
from trio.testing import MockClock

from triows.testing import open_app, open_server

#: How many seconds a test here may take. The clients promise that nothing hangs, because each wait
#: has a limit. If one doesn't, the run ends here and prints all stacks. A test that takes longer
#: for a good reason has a marker of its own.
HANG = 20

PLACES = ["memory", pytest.param("sockets", marks=pytest.mark.real_socket)]


@pytest.fixture(params=PLACES)
def place(request):
    """Where the application runs: in memory, or on sockets of this machine."""
    return request.param


@pytest.fixture
def clock(place):
    """The clock, which is virtual in memory."""
    return MockClock(autojump_threshold=0) if place == "memory" else None


@pytest.fixture
def soon(place):
    """
    How many seconds to wait for what should come at once, or not at all.

    On sockets it is a long time, because a busy machine may let all of this wait.
    """
    return 0.1 if place == "memory" else 2


@pytest.fixture
def opening(place, clock):
    """The function that opens an application there."""
    return open_app if place == "memory" else open_server


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(pytest.mark.timeout(HANG))
