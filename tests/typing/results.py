"""What a type checker makes of return annotations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, assert_type

import msgspec

from triows import HTTPException, HTTPProblem, status
from triows._request.events import EventStream, ServerSentEvent
from triows.types import HTML, JSON, Media


class User(msgspec.Struct):
    id: int


class Missing(msgspec.Struct):
    what: str


# Marks do not change what a handler returns.


async def create(
    user_id: int,
) -> Annotated[User, status.CREATED] | Annotated[Missing, status.NOT_FOUND] | None:
    if user_id == 0:
        return None
    return User(user_id) if user_id > 0 else Missing("user")


async def number() -> Annotated[User, 201]:
    return User(1)


async def python() -> Annotated[User, HTTPStatus.CREATED]:
    return User(1)


async def page() -> HTML:
    return "<p>"


async def photo() -> Annotated[bytes, Media("image/png")]:
    return b""


async def word() -> JSON[str | None]:
    return None


async def wrong() -> Annotated[User, status.CREATED]:
    return Missing("user")  # type: ignore[return-value]


# Streams


async def events() -> EventStream:
    yield ServerSentEvent({"n": 1}, event="tick", id="1", retry=3000)
    yield ServerSentEvent("text")
    yield "text"  # type: ignore[misc]


async def parts() -> AsyncIterator[bytes]:
    yield b""


async def look() -> None:
    assert_type(await create(1), User | Missing | None)
    assert_type(await page(), str)
    assert_type(await photo(), bytes)
    assert_type(await word(), str | None)
    async for event in events():
        assert_type(event, ServerSentEvent)
    await events().aclose()


# Problems


class Balance(msgspec.Struct):
    balance: int


class OutOfCredit(HTTPProblem[Balance]):
    """You do not have enough credit."""

    __status__ = status.FORBIDDEN


class Gone(HTTPProblem[str]):
    __status__ = 410
    __problem_type__ = "https://example.org/problems/gone"


problem: HTTPException = Gone("the user has left", headers={"x-a": "1"}, members={"since": 2024})
assert_type(OutOfCredit(Balance(1)).detail, Balance | None)
OutOfCredit("none")  # type: ignore[arg-type]
assert_type(status.code(status.CREATED), int)
