"""
An application keeps what its description says, whatever clients send.

Requests are made from :attr:`.Triows.routes` alone: such that have to be served, and such that have
to be refused. The application has routes of all shapes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from attrs import evolve
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
    max_examples=200 * SCALE,
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


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Make a valid request with damage to its bytes."""
    data = draw(VALID).encode()
    for _ in range(draw(st.integers(1, 3))):
        first, last = sorted(draw(st.tuples(*[st.integers(0, len(data))] * 2)))
        data = data[:first] + draw(NOISE) + (data[first:] if draw(st.booleans()) else data[last:])
    return data


NOISE = st.binary(max_size=20) | st.sampled_from(
    [b"\r\n", b"\0", b"%00", b"%ff", b'"', b"{", b"[[", b"--limit", b"--", b"9" * 30, b";", b"&="]
)


#: An unknown method or coding, and an unknown version (RFC 9110 sections 15.6.2 and 15.6.6).
ANSWERS_TO_HEADS = {501, 505}


@MANY
@given(st.data())
def test_damaged_bytes_get_an_answer_below_500_or_none(server, data):
    sent: bytes = data.draw(damaged())
    with Peer(server.reach(60)) as peer:
        peer.send_as_far_as_taken(sent)
        peer.finish()
        received = peer.read_rest()
    for status in re.findall(rb"^HTTP/1.1 (\d+)", received, re.MULTILINE):
        event(f"{int(status)}")
        assert int(status) < 500 or int(status) in ANSWERS_TO_HEADS, received
    declared = b"\r\ncontent-type: application/json\r\n" in received  # the 410 of one handler
    if received.startswith(b"HTTP/1.1 4") and not declared:
        assert b"\r\ncontent-type: application/problem+json\r\n" in received
    check_log(server)


def variants(asked: Asked) -> dict[str, tuple[bytes, int]]:
    """Ways to ask for something that a handler doesn't have, with the statuses that say so."""
    elsewhere = evolve(asked, path=()).encode()
    return {
        "method": (asked.encode(method="PROPFIND"), 405),
        "type": (asked.encode("Accept: image/jxl"), 406),
        "path": (elsewhere.replace(b" /", b" /nothing/here", 1), 404),
        "length": (asked.encode().replace(b"Content-Length: ", b"Content-Length: 9999999999"), 413),
    }


@MANY
@given(st.data())
def test_what_a_handler_does_not_have_is_refused(server, data):
    asked: Asked = data.draw(VALID)
    what, (sent, status) = data.draw(st.sampled_from(sorted(variants(asked).items())))
    media = {one for result in asked.route.results for one in result.media_types}
    takes_body = asked.route.body or any(p.source == "form" for p in asked.route.parameters)
    assume(media or what != "type")
    assume(takes_body or what != "length")
    got = ask(server, sent, "GET")
    assert got is not None
    assert (got.status, got.is_problem) == (status, True), (what, got)
    check_log(server)
