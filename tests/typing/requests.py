"""What a type checker makes of routes for requests, and of what their handlers get."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, assert_type

import msgspec
import trio
from starlette.requests import Request as StarlettesRequest

from triows import (
    EventStream,
    HTTPException,
    InvalidRequest,
    Param,
    ParamError,
    Part,
    Request,
    ResponseHeaders,
    Route,
    ServerSentEvent,
    Triows,
    Upload,
    UploadFile,
    WebSocketClose,
    status,
    use,
)


class User(msgspec.Struct):
    name: str


class Missing(HTTPException):
    pass


class Session:
    pass


async def get_session() -> AsyncIterator[Session]:
    yield Session()


users = Route("users/{user_id}", deps=[get_session], problems=[Missing], etag=True)
assert_type(users, Route)
assert_type(users / "photo", Route)
assert_type(users.sub("photo"), Route)


# A decorator leaves the function as it is, with and without arguments.


@users.get
async def read(user_id: int, q: str | None = None) -> User:
    raise NotImplementedError


@users.put(status=status.CREATED, problems=[Missing], name="write", etag=False)
async def write(user_id: int, user: User, session: Annotated[Session, use(get_session)]) -> None:
    raise NotImplementedError


@(users / "name").get
def in_thread(user_id: int) -> str:
    raise NotImplementedError


@(users / "events").get
async def events(
    user_id: int, last: Annotated[str | None, Param("header", alias="last-event-id")] = None
) -> EventStream:
    yield ServerSentEvent({"n": 1}, event="tick", id="1", retry=3)


async def decorated() -> None:
    assert_type(await read(1, q="x"), User)
    assert_type(await write(1, User("ada"), Session()), None)
    assert_type(in_thread(1), str)
    async for event in events(1):
        assert_type(event, ServerSentEvent)
    assert_type(users.add_endpoint("PUT", "PATCH", func=in_thread)(1), str)
    await read("1")  # type: ignore[arg-type]
    users.get(status_code=201)  # type: ignore[call-overload]


async def of_requests(request: Request, upload: Upload, file: UploadFile) -> None:
    starlettes: StarlettesRequest = request
    assert_type(await starlettes.body(), bytes)
    assert_type(await request.body(), bytes)
    assert_type(await request.is_disconnected(), bool)
    async for part in upload:
        assert_type(part, Part)
        assert_type(part.filename, str | None)
        assert_type(await part.read(10), bytes)
        async for chunk in part:
            assert_type(chunk, bytes)
    assert_type(await file.read(), bytes)


async def set_headers(headers: ResponseHeaders) -> Annotated[User, status.CREATED]:
    assert_type(headers["location"], str)
    assert_type(headers.setdefault("etag", "1"), str)
    assert_type(headers.getlist("vary"), list[str])
    headers.append("link", "</a>")
    headers.set_cookie("seen", "yes", max_age=60, httponly=True, samesite="strict")
    headers.delete_cookie("seen", samesite="always")  # type: ignore[arg-type]
    headers["x-number"] = 1  # type: ignore[assignment]
    return User("ada")


# What stays until the response is sent.


@users.post
async def stays(
    session: Annotated[Session, use(get_session, until="sent")], nursery: trio.Nursery
) -> None:
    raise NotImplementedError


def wrong() -> Any:
    use(get_session, until="later")  # type: ignore[arg-type]


# What is wrong with a request.


def mistakes(error: InvalidRequest) -> HTTPException:
    assert_type(error.errors, tuple[ParamError, ...])
    assert_type({one.name: one.message for one in error.errors}, dict[str, str])
    InvalidRequest(["it is wrong"])  # type: ignore[list-item]
    ParamError("nowhere", "a", "b")  # type: ignore[arg-type]
    return InvalidRequest([ParamError("body", "items.0.price", "too cheap")])


# What an application makes of its exceptions.

app = Triows(users)


@app.catch(LookupError, KeyError)
def missing(error: LookupError) -> HTTPException | WebSocketClose:
    return Missing(404)


assert_type(missing(KeyError()), HTTPException | WebSocketClose)
