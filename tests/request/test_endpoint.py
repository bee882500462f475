"""Requests to a handler: how long its arguments may take, and what is held meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import pytest
import trio
from msgspec import Struct

from triows import AsyncResource, Ignore, Request, Route, Timeouts, Triows, use
from triows.testing import open_app

LONG = 50


class Number(Struct):
    n: int


route = Route("slow")


async def waiting(request: Request) -> Ignore[AsyncResource[int]]:
    """A resource whose entry and exit take as long as the query says."""
    await trio.sleep(float(request.query_params.get("entry", 0)))
    yield 5
    await trio.sleep(float(request.query_params.get("exit", 0)))


async def made(request: Request) -> Ignore[int]:
    """Made by a plain coroutine function."""
    await trio.sleep(float(request.query_params.get("entry", 0)))
    return 6


def plain() -> Ignore[Iterator[int]]:
    yield 7


@route.get
async def held(
    number: Annotated[int, use(waiting)],
    other: Annotated[int, use(made)],
    third: Annotated[int, use(plain)],
    seconds: float = 0,
) -> list[int]:
    await trio.sleep(seconds)
    return [number, other, third]


@route.post
async def posted(body: Number, number: Annotated[int, use(waiting)]) -> int:
    await trio.sleep(LONG)
    return number + body.n


app = Triows(route, timeouts=Timeouts(accept=1, teardown=4))


async def test_a_handler_may_take_longer_than_its_arguments(autojump_clock):
    async with open_app(app) as client:
        for _ in range(3):
            answer = await client.http.get(f"/slow?seconds={LONG}", timeout=LONG * 2)
            assert (answer.status_code, answer.json()) == (200, [5, 6, 7])


async def test_a_handler_with_a_body_may_take_longer_than_its_arguments(autojump_clock):
    async with open_app(app) as client:
        answer = await client.http.post("/slow", json={"n": 2}, timeout=LONG * 2)
        assert (answer.status_code, answer.json()) == (200, 7)


async def test_arguments_that_take_too_long_are_a_mistake_of_the_server(autojump_clock, caplog):
    async with open_app(app, raise_app_exceptions=False) as client:
        answer = await client.http.get("/slow?entry=1.5")
        assert answer.status_code == 500
        (error,) = [one.exc_info[1] for one in caplog.records if one.exc_info]
        assert "waited for the factory waiting" in str(error)
        answer = await client.http.get("/slow")  # the connection goes on
        assert answer.status_code == 200


@pytest.mark.parametrize(("seconds", "status"), [(3, 200), (5, 500)])
async def test_an_exit_may_take_as_long_as_a_teardown(autojump_clock, seconds, status):
    async with open_app(app, raise_app_exceptions=False) as client:
        answer = await client.http.get(f"/slow?exit={seconds}", timeout=LONG)
        assert answer.status_code == status
