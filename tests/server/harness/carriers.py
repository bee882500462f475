"""
Decides which tests run on sockets, and which in memory.

A test that asks for a checked server runs in memory: against our server in this process, with a
clock of its own. With the marker ``on_sockets_too``, it also runs against a server process. With
rows of its table as arguments, ``on_sockets_too("one", "two")``, only these rows do. If somebody
has chosen a server (``choice.py``), every test runs only against that server, in a process.

Tests that use sockets get the marker ``real_socket`` here. Only tests whose fixtures don't show it
need the marker themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.server.harness.choice import IS_CHOSEN

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = [
    "pytest_collection_modifyitems",
    "pytest_generate_tests",
    "pytest_pycollect_makeitem",
]

#: The fixtures that use sockets.
SOCKET_FIXTURES = {"plain_hypercorn", "processes", "tls_servers", "triows_run"}

# "memory" is the usual carrier, so it isn't part of a test's name.
MEMORY = pytest.param("memory", id=pytest.HIDDEN_PARAM)
SOCKETS = pytest.param("sockets", id="sockets", marks=pytest.mark.real_socket)
CHOSEN = pytest.param("sockets", id=pytest.HIDDEN_PARAM, marks=pytest.mark.real_socket)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "carrier" not in metafunc.fixturenames:
        return
    if IS_CHOSEN:
        carriers = [CHOSEN]
    elif metafunc.definition.get_closest_marker("on_sockets_too"):
        carriers = [MEMORY, SOCKETS]
    else:
        carriers = [MEMORY]
    metafunc.parametrize("carrier", carriers, indirect=True)


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem() -> Generator[None, Any, Any]:
    made = yield
    return _chosen(made) if isinstance(made, list) and made else made


def _chosen(table: list[pytest.Function]) -> list[pytest.Function]:
    """Leave out the rows of a table that should not run on sockets."""
    mark = table[0].get_closest_marker("on_sockets_too")
    if IS_CHOSEN or mark is None or not mark.args:
        return table
    rows = {_row_on_sockets(one) for one in table}
    if unknown := set(mark.args) - rows:
        raise pytest.UsageError(f"{table[0].originalname} has no rows {unknown}, but {rows}")
    return [one for one in table if _row_on_sockets(one) in {None, *mark.args}]


def _row_on_sockets(item: pytest.Function) -> str | None:
    if item.callspec.params["carrier"] != "sockets":
        return None
    return item.callspec.id.replace("-sockets", "").replace("sockets-", "")


# This runs before pytest's own hook, which looks at the markers.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if SOCKET_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("real_socket")
