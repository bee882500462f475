"""What a type checker makes of routes, handlers and their signatures."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Literal, assert_type

import trio

import triows
from triows import (
    AsyncResource,
    BodyInfo,
    Compression,
    EndpointInfo,
    HTTPException,
    Ignore,
    Limits,
    MountInfo,
    Param,
    Parameter,
    ResultInfo,
    Route,
    RouteInfo,
    Timeouts,
    Triows,
    WebSocket,
    WebSocketRoute,
    use,
)

route = WebSocketRoute("rooms/{room_id}", timeouts=Timeouts(send=5), limits=Limits(inbox=5))


class Database:
    async def fetch(self) -> int:
        return 5


# Marks do not change what a parameter is.


async def get_database() -> AsyncResource[Database]:
    yield Database()


async def accepted(ws: Ignore[WebSocket]) -> Ignore[AsyncResource[WebSocket]]:
    assert_type(ws, WebSocket)
    await ws.accept()
    yield ws


async def accept_it(ws: WebSocket) -> None:
    assert_type(accepted(ws), AsyncGenerator[WebSocket, None])


def get_number() -> Ignore[int]:
    return 5


assert_type(get_database(), AsyncGenerator[Database, None])
assert_type(get_number(), int)

Db = Annotated[Database, use(get_database)]


async def handler(
    *,
    ws: Annotated[WebSocket, use(accepted, reuse=True)],
    db: Db,
    nursery: trio.Nursery,
    app: Triows,
    room_id: int,
    token: Annotated[str | None, Param("header", alias="x-token", min_length=3)] = None,
) -> None:
    assert_type(ws, WebSocket)
    assert_type(db, Database)
    assert_type(await db.fetch(), int)
    assert_type(token, str | None)


# Decorators keep the function's type.


@route.endpoint
async def bare(ws: WebSocket, room_id: str) -> None: ...


@route.ws_handler
async def older_name(ws: WebSocket, room_id: str) -> None: ...


@route.sub("a").endpoint()
async def brackets(ws: WebSocket, room_id: str) -> None: ...


@(route / "b").endpoint(plugins=[], deps=[get_database, use(get_database, scope="app")])
async def options(ws: WebSocket, room_id: str) -> None: ...


async def call_them(ws: WebSocket) -> None:
    assert_type(await bare(ws, "7"), None)
    assert_type(await older_name(ws, room_id="7"), None)
    assert_type(await brackets(ws, "7"), None)
    assert_type(await options(ws, "7"), None)
    await bare(ws, 7)  # type: ignore[arg-type]
    await options(ws)  # type: ignore[call-arg]


def sync(ws: WebSocket) -> None: ...


route.endpoint(sync)  # type: ignore[type-var]

users = Route("users/{user_id}", problems=[HTTPException], etag=True)


@users.get
async def read(user_id: int) -> str:
    return f"{user_id}"


@(users / "photo").post(name="photo", status=201, problems=[HTTPException], etag=False)
def plain(user_id: int) -> bytes:
    return b""


@users.sub("events").get()
async def events(user_id: int) -> AsyncGenerator[int, None]:
    yield user_id


async def use_them() -> None:
    assert_type(await read(7), str)
    assert_type(plain(user_id=7), bytes)
    assert_type(events(7), AsyncGenerator[int, None])
    await read("7")  # type: ignore[arg-type]


assert_type(users.add_endpoint("PUT", "PATCH", func=plain)(7), bytes)
assert_type(users.sub("a"), Route)
assert_type(users / "a", Route)
assert_type(users.subroutes, Sequence[Route])
assert_type(route / "a", WebSocketRoute)
assert_type(route.subroutes, Sequence[WebSocketRoute])
users.merge(route, Route("a"))
route.merge(users)
users.put(5)  # type: ignore[call-overload]
users.put(status=Literal[201])
users.put(status=HTTPStatus.CREATED)
users.put(status=triows.status.CREATED)
users.put(status="201")  # type: ignore[call-overload]
users.put(status=str)  # type: ignore[arg-type]
users.put(methods=["PUT"])  # type: ignore[call-overload]
users.add_endpoint("PUT")  # type: ignore[call-arg]
Route(problems=[5])  # type: ignore[list-item]
Triows(users, route).include(users)
route.endpoint(plugins=[5])  # type: ignore[list-item]
WebSocketRoute("a", deps=get_database)  # type: ignore[arg-type]
Param("headers")  # type: ignore[arg-type]
use(get_database, scope="application")  # type: ignore[arg-type]
use(get_database, True)  # type: ignore[call-arg]
Timeouts(5)  # type: ignore[call-arg]
Timeouts(send="5")  # type: ignore[arg-type]
Limits(inbox=None)  # type: ignore[arg-type]
Compression(level="9")  # type: ignore[arg-type]
Compression(9)  # type: ignore[call-arg]
WebSocketRoute("a", compression=True)  # type: ignore[arg-type]


# Plugins


def plugin(endpoint: EndpointInfo) -> Callable[..., Awaitable[None]]:
    assert_type(endpoint.path, str)
    assert_type(endpoint.app, Triows)

    async def wrapped(**arguments: Any) -> None:
        await endpoint.func(**arguments)

    return wrapped


route.sub("c").endpoint(handler, plugins=[plugin])


# The application

app = Triows(route, timeouts=Timeouts(shutdown_grace=1), origins=["https://example.org"])
app.include(route)
app.include_routes(route, route)
app.include([route])  # type: ignore[arg-type]
Triows(origins=5)  # type: ignore[arg-type]
Triows(compression=Compression(window_bits=9, level=1, context_takeover=False))
Triows(compression=None)
Triows(compression=False)
WebSocketRoute("b", compression=Compression(memory_level=1))
WebSocketRoute("c", compression=False)
assert_type(Compression().window_bits, int)
assert_type(Compression().context_takeover, bool)

assert_type(app.routes, Sequence[RouteInfo])
assert_type(app.routes[0].parameters, tuple[Parameter, ...])
assert_type(app.routes[0].method, str | None)
assert_type(app.routes[0].resources[0].scope, Literal["connection", "app"])
assert_type(app.routes[0].body, BodyInfo | None)
assert_type(app.routes[0].results, tuple[ResultInfo, ...])
assert_type(app.routes[0].errors[0].problem, type[HTTPException] | None)
assert_type(app.mounts, Sequence[MountInfo])
app.static("/assets", "assets", packages=["shop", ("shop", "files")], html=True)
app.static("/assets", directory=Path("assets"), follow_symlink=True, name="assets")
app.static("/assets", directory=5)  # type: ignore[arg-type]
assert_type(app.drain_budget, float)
assert_type(app.is_running, bool)

with app.override(get_database, Database) as nothing:
    assert_type(nothing, None)


async def run_it() -> None:
    async with app.running() as nothing:
        assert_type(nothing, None)
        assert_type(await app.drain(), bool)
