from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trustme

from tests.server.clients import CLIENTS
from tests.server.process import HYPERCORN, TRIOWS, ServerProcess

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
