"""Requests to a handler: how long its arguments may take, and what is held meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Annotated, Any

import pytest
import trio
from httpx2 import RemoteProtocolError
from msgspec import Struct
from starlette.responses import Response, StreamingResponse

from triows import (
    AsyncResource,
    ClientDisconnect,
    HandlerCancelled,
    Ignore,
    Request,
    Route,
    Timeouts,
    Triows,
    WebSocketDisconnect,
    use,
)
from triows.inspect import tree
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


noted: list[str] = []


async def noting(fails: bool = False) -> Ignore[AsyncResource[list[str]]]:
    """A resource that never waits."""
    noted.append("enter")
    try:
        yield noted
    except BaseException as exc:
        noted.append(type(exc).__name__)
        raise
    noted.append("exit")
    if fails:
        raise ValueError("the exit has failed")


instant = Route("instant")


@instant.get
async def returns(notes: Annotated[list[str], use(noting)], seconds: float = 0) -> list[str]:
    await trio.sleep(seconds)
    return list(notes)


@instant.post
async def raises(notes: Annotated[list[str], use(noting)]) -> None:
    raise LookupError("no such thing")


@instant.put
async def streams(notes: Annotated[list[str], use(noting)]) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            await trio.sleep(1)
            notes.append("part")
            yield b"part"

    return StreamingResponse(parts())


app = Triows(route, instant, timeouts=Timeouts(accept=1, teardown=4))


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


# Resources that never wait are entered and exited without a lifetime. The first one of a factory
# has a task of its own, so each test asks several times.


async def test_a_resource_that_never_waits_exits_before_the_answer(autojump_clock):
    async with open_app(app) as client:
        for _ in range(3):
            noted.clear()
            assert (await client.http.get("/instant")).json() == ["enter"]
            assert noted == ["enter", "exit"]


async def test_its_yield_raises_what_the_handler_has_raised(autojump_clock):
    async with open_app(app, raise_app_exceptions=False) as client:
        for _ in range(3):
            noted.clear()
            assert (await client.http.post("/instant")).status_code == 500
            assert noted == ["enter", "LookupError"]


async def test_its_exit_decides_about_the_answer_if_it_fails(autojump_clock, caplog):
    async with open_app(app, raise_app_exceptions=False) as client:
        for _ in range(3):
            noted.clear()
            caplog.clear()
            assert (await client.http.get("/instant?fails=true")).status_code == 500
            assert noted == ["enter", "exit"]
            assert "the exit has failed" in caplog.text


async def test_it_is_held_while_a_response_is_streamed(autojump_clock):
    async with open_app(app) as client:
        for _ in range(3):
            noted.clear()
            assert (await client.http.put("/instant")).text == "part" * 3
            assert noted == ["enter", "part", "part", "part", "exit"]


async def test_it_learns_that_its_handler_was_cancelled(autojump_clock):
    async with open_app(app, raise_app_exceptions=False) as client:
        await client.http.get("/instant")
        noted.clear()
        with trio.move_on_after(1):
            await client.http.get("/instant?seconds=1000", timeout=2000)
        await trio.sleep(500)
        assert noted == ["enter", "HandlerCancelled"]


async def test_it_exits_once_if_somebody_looks_at_the_request(autojump_clock):
    async with open_app(app) as client:
        await client.http.get("/instant")
        noted.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(client.http.get, "/instant?seconds=9", timeout=20))
            await trio.sleep(5)
            assert "returns" in str(tree(app))
        assert noted == ["enter", "exit"]


# A cancellation that isn't its own


def _leader_failed() -> None:
    """Fail as a group commit does that hands on what the resource of another handler has seen."""
    raise HandlerCancelled("peer gone")


async def leading() -> AsyncIterator[None]:
    yield
    _leader_failed()


async def leading_late() -> AsyncIterator[None]:
    yield
    await trio.sleep(1)
    _leader_failed()


def leading_plainly() -> Iterator[None]:
    yield
    _leader_failed()


class Leading:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        _leader_failed()


class LeadingLate:
    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_: object) -> None:
        _leader_failed()


LEADING: list[Callable[..., Any]] = [
    *(leading, leading_late, leading_plainly, Leading, LeadingLate),
    *(asynccontextmanager(leading), contextmanager(leading_plainly)),
]


def following(factory: Callable[..., Any]) -> Triows:
    """Make an application whose resource fails after a whole result and after a stream."""

    async def whole(commit: Any) -> str:
        return "ordered"

    async def parts(commit: Any) -> AsyncIterator[str]:
        yield "ordered"

    orders = Route("orders")
    for handler, register in ((whole, orders.post), (parts, orders.get)):
        handler.__annotations__["commit"] = Annotated[object, use(factory)]
        register(handler)
    return Triows(orders)


@pytest.mark.parametrize("factory", LEADING)
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_an_exit_that_hands_on_another_cancellation_fails(
    autojump_clock, caplog, factory, method
):
    async with open_app(following(factory), raise_app_exceptions=False) as client:
        for _ in range(2):  # the first one has a task of its own
            caplog.clear()
            if method == "POST":
                assert (await client.http.post("/orders")).status_code == 500
            else:
                with pytest.raises(RemoteProtocolError):
                    await client.http.get("/orders")
            (error,) = [one for one in caplog.records if one.levelname == "ERROR"]
            assert "HandlerCancelled" in caplog.text
            assert error.exc_info is not None


async def test_a_handler_that_raises_a_cancellation_of_its_own_fails(caplog):
    async def raises() -> None:
        _leader_failed()

    strange = Route("strange")
    strange.get(raises)
    caplog.set_level("INFO")
    async with open_app(Triows(strange), raise_app_exceptions=False) as client:
        assert (await client.http.get("/strange")).status_code == 500
    assert "unhandled error" in caplog.text
    assert "returned without a response" not in caplog.text


# Somebody else's peer that has left


async def barely() -> Ignore[AsyncResource[list[str]]]:
    yield noted
    noted.append("commit")


async def publishes(notes: Annotated[list[str], use(barely)]) -> int:
    """Fail as a handler does that sends to sockets of which one has left."""
    raise WebSocketDisconnect(1001)


async def reads_elsewhere(notes: Annotated[list[str], use(barely)]) -> int:
    raise ClientDisconnect


async def asks_around(notes: Annotated[list[str], use(barely)]) -> int:
    raise ExceptionGroup("", [WebSocketDisconnect(1001), ClientDisconnect()])


@pytest.mark.parametrize("handler", [publishes, reads_elsewhere, asks_around])
async def test_a_bare_yield_commits_nothing_if_the_peer_of_somebody_else_has_left(handler):
    news = Route("news")
    news.post(handler)
    async with open_app(Triows(news), raise_app_exceptions=False) as client:
        for _ in range(2):  # the first one has a task of its own
            noted.clear()
            assert (await client.http.post("/news")).status_code == 500
            assert noted == []


async def test_a_bare_yield_resumes_if_its_own_client_has_left(autojump_clock):
    async def reads(notes: Annotated[list[str], use(barely)], request: Request) -> None:
        await request.body()

    news = Route("news")
    news.post(reads)
    async with open_app(Triows(news)) as client:
        noted.clear()
        async with client.stream(
            "POST", "/news", sending=True, headers={"content-length": "1000"}
        ) as request:
            await request.send(b"part")
            await trio.testing.wait_all_tasks_blocked()
            request.close()
        await trio.sleep(20)
    assert noted == ["commit"]
