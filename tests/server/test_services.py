"""What one server does for its connections."""

from __future__ import annotations

import math

import pytest

from tests.server.harness.engine import opened_engine


@pytest.mark.parametrize(("read_timeout", "idle", "head"), [(math.inf, 5, 10), (3, 3, 3)])
async def test_no_wait_for_a_request_is_longer_than_the_read_timeout(
    autojump_clock, read_timeout, idle, head
):
    async def app(scope, receive, send):
        """Do nothing."""

    async with opened_engine(app, read_timeout=read_timeout) as engine:
        assert (engine.services.idle_timeout, engine.services.head_timeout) == (idle, head)


@pytest.mark.parametrize(
    ("wanted", "read_timeout", "seconds"), [(None, math.inf, 30), (5, math.inf, 5), (None, 3, 3)]
)
async def test_a_body_has_the_time_of_its_route_or_of_the_application(
    autojump_clock, wanted, read_timeout, seconds
):
    async def app(scope, receive, send):
        """Do nothing."""

    async with opened_engine(app, read_timeout=read_timeout) as engine:
        assert engine.services.body_timeout(wanted) == seconds
