from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trustme

from tests.server.clients import CLIENTS
from tests.server.process import HYPERCORN, TRIOWS, ServerProcess
from tests.server.siege import Siege, Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(params=CLIENTS)
def open_client(request: pytest.FixtureRequest) -> Callable[..., object]:
    """Each of the clients that are not ours."""
    return CLIENTS[request.param]


@pytest.fixture(scope="session")
def triows_run() -> Iterator[ServerProcess]:
    """The command, for tests that leave it as it was."""
    with ServerProcess(TRIOWS) as process:
        yield process


@pytest.fixture(scope="session")
def plain_hypercorn() -> Iterator[ServerProcess]:
    """The same applications under a server that is not ours."""
    with ServerProcess(HYPERCORN) as process:
        yield process


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Who certifies the servers of the tests."""
    return trustme.CA()


@pytest.fixture(scope="session")
def standing() -> Iterator[Standing]:
    with Standing() as standing:
        yield standing


def besiege(standing: Standing, name: str) -> Iterator[Siege]:
    siege = Siege(standing.get(name))
    try:
        yield siege
        siege.lift()
    except BaseException:
        standing.give_up(name)
        raise
    finally:
        siege.abandon()


@pytest.fixture
def siege(standing: Standing) -> Iterator[Siege]:
    """A server, which has to be as before when the test is over."""
    yield from besiege(standing, "app")


@pytest.fixture
def compressing_siege(standing: Standing) -> Iterator[Siege]:
    """The same with permessage-deflate switched on."""
    yield from besiege(standing, "compressing")


@pytest.fixture
def crowded_siege(standing: Standing) -> Iterator[Siege]:
    """The same with room for three connections, of which the bystander is one."""
    yield from besiege(standing, "crowded")
