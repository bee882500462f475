"""
An application keeps what its description says, whatever clients send.

Requests are made from :attr:`.Triows.routes` alone: such that have to be served, and such that have
to be refused. The application has routes of all shapes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, assume, event, given, settings, strategies as st

from tests.scale import SCALE
from tests.server.applications import typed
from tests.server.applications.attacked import census_route, echo_route
from tests.server.harness.described import Asked, Got, is_declared, read, spoiled, valid
from tests.server.harness.memory import MemoryServer
from tests.server.harness.peer import Peer
from triows import Triows

if TYPE_CHECKING:
    from collections.abc import Iterator

app = Triows(echo_route, census_route, *typed.routes)
ROUTES = [route for route in app.routes if route.method is not None]
VALID, SPOILED = valid(app), spoiled(app)

MANY = settings(
    max_examples=300 * SCALE,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def server() -> Iterator[MemoryServer]:
    with MemoryServer(app) as server:
        yield server


def ask(server: MemoryServer, data: bytes, method: str) -> Got | None:
    with Peer(server.reach(60)) as peer:
        peer.send_as_far_as_taken(data)
        return read(peer.read_rest(), method)


def check_log(server: MemoryServer) -> None:
    """Nothing that a client does is an error of the application."""
    logged = "".join(server.lines)
    server.lines.clear()
    assert "Traceback" not in logged, logged


def test_the_application_has_routes_of_all_shapes():
    assert len(ROUTES) >= 20
    assert {p.source for route in ROUTES for p in route.parameters} >= {
        *("path", "query", "header", "cookie", "form"),
    }


@MANY
@given(st.data())
def test_a_valid_request_gets_an_answer_that_is_declared(server, data):
    asked: Asked = data.draw(VALID)
    media = {one for result in asked.route.results for one in result.media_types}
    accept = data.draw(st.sampled_from([None, *sorted(media)]), "accept")
    lines = [] if accept is None else [f"Accept: {accept}"]
    got = ask(server, asked.encode(*lines), asked.route.method)
    assert got is not None
    event(f"{asked.route.method} {asked.route.path} {got.status}")
    assert is_declared(asked, got, accept), got
    check_log(server)


@MANY
@given(st.data())
def test_a_request_that_breaks_the_description_is_refused_with_a_problem(server, data):
    what, asked, statuses = data.draw(SPOILED)
    assume(statuses)
    got = ask(server, asked.encode(), asked.route.method)
    assert got is not None
    event(f"{what} {got.status}")
    assert got.status in statuses, got
    assert got.is_problem
    check_log(server)
