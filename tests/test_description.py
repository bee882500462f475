"""What ``app.routes`` and ``app.mounts`` tell about an application."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.routing import NoMatchFound

from tests.listed import listed_parameters
from triows import (
    AsyncResource,
    BodyInfo,
    MountInfo,
    Param,
    Parameter,
    ResourceInfo,
    Route,
    RouteInfo,
    Triows,
    Upload,
    WebSocket,
    WebSocketRoute,
    use,
)
from triows._where import where


def get_pool(app: Triows) -> str: ...


async def get_page(size: int = 10) -> AsyncResource[int]:
    yield size


async def talk(
    ws: WebSocket,
    room_id: str,
    pool: Annotated[str, use(get_pool, scope="app")],
    page: Annotated[int, use(get_page)],
    token: Annotated[str | None, Param("header", alias="X-Token", min_length=8)] = None,
) -> None:
    """
    Talk in a room.

        Everybody hears it.
    """


class Talk:
    """Not the handler."""

    async def __call__(self, ws: WebSocket, room_id: str) -> None:
        """Talk as an object."""


class Silent:
    """An object."""

    async def __call__(self, ws: WebSocket, room_id: str) -> None: ...


async def silent(ws: WebSocket, room_id: str) -> None: ...


def serving(handler: Any) -> Triows:
    route = WebSocketRoute("rooms/{room_id}")
    route.endpoint(handler)
    return Triows(route)


def described(handler: Any) -> RouteInfo:
    (info,) = serving(handler).routes
    return info


def test_a_websocket_is_described_without_a_method() -> None:
    info = described(talk)
    assert (info.path, info.method, info.name) == ("/rooms/{room_id}", None, "talk")
    assert info.handler == where(talk)
    assert (info.body, info.results, info.errors) == (None, (), ())


def test_parameters_are_data() -> None:
    room, size, token = described(talk).parameters
    assert isinstance(room, Parameter)
    assert (room.source, room.alias, room.type, room.required) == ("path", "room_id", str, True)
    assert (size.source, size.default, size.required) == ("query", 10, False)
    assert (token.source, token.alias, token.type_name) == ("header", "x-token", "str | None")
    assert token.constraints == (msgspec.Meta(min_length=8),)


def test_parameters_are_listed_in_one_line_each() -> None:
    assert listed_parameters(serving(talk)) == (
        "path room_id: str",
        "query size: int = 10",
        "header x-token: str | None = None",
    )


def test_resources_are_data() -> None:
    assert described(talk).resources == (
        ResourceInfo("get_page", "connection", where(get_page)),
        ResourceInfo("get_pool", "app", where(get_pool)),
    )


@pytest.mark.parametrize(
    ("handler", "doc"),
    [
        (talk, "Talk in a room.\n\n    Everybody hears it."),
        (functools.partial(talk), "Talk in a room.\n\n    Everybody hears it."),
        (Talk(), "Talk as an object."),
        (Talk().__call__, "Talk as an object."),
        (Silent(), "An object."),
        (functools.partial(Silent()), "An object."),
        (silent, ""),
    ],
)
def test_the_docstring_is_that_of_what_is_called(handler: Any, doc: str) -> None:
    assert described(handler).doc == doc


def test_a_route_makes_its_own_path_only() -> None:
    info = described(talk)
    assert info.url_path_for("talk", room_id="a/b") == "/rooms/a%2Fb"
    with pytest.raises(NoMatchFound, match="this route is called 'talk', not 'other'"):
        info.url_path_for("other")


async def asgi(scope: Any, receive: Any, send: Any) -> None: ...


def test_mounts_are_described_in_their_order() -> None:
    app, inner, starlette = Triows(), Triows(), Starlette()
    app.mount("/b", starlette, name="other")
    app.mount("/a/{id}", inner)
    app.mount("/c", asgi)
    assert app.mounts == (
        MountInfo("/b", "other", starlette),
        MountInfo("/a/{id}", None, inner),
        MountInfo("/c", None, asgi),
    )
    assert [one.handler for one in app.mounts] == [
        "starlette.applications.Starlette",
        "triows.Triows",
        where(asgi),
    ]
    assert app.routes == []


def test_a_mount_that_was_refused_is_not_described() -> None:
    app = Triows()
    app.mount("/a", asgi)
    with pytest.raises(Exception, match="matches the same paths"):
        app.mount("/a", asgi)
    assert len(app.mounts) == 1


# Bodies


async def take_json(body: dict[str, int]) -> None: ...
async def take_some_json(body: dict[str, int] | None = None) -> None: ...
async def take_bytes(body: Annotated[bytes, Param("body")]) -> None: ...
async def take_upload(upload: Upload) -> None: ...
async def take_parts(parts: AsyncIterator[bytes]) -> None: ...
async def take_form(name: Annotated[str, Param("form")]) -> None: ...
async def take_nothing() -> None: ...


STRUCTURED = ("application/json", "application/msgpack")


@pytest.mark.parametrize(
    ("handler", "body"),
    [
        (take_json, BodyInfo(dict[str, int], STRUCTURED)),
        (take_some_json, BodyInfo(dict[str, int] | None, STRUCTURED, required=False)),
        (take_bytes, BodyInfo(bytes, ("*/*",), required=False)),
        (take_upload, BodyInfo(Upload, ("multipart/form-data",))),
        (take_parts, BodyInfo(AsyncIterator[bytes], ("*/*",), required=False)),
        (take_form, None),
        (take_nothing, None),
    ],
)
def test_a_body_is_described_however_it_is_taken(handler: Any, body: BodyInfo | None) -> None:
    route = Route("a")
    route.post(handler)
    (info,) = Triows(route).routes
    assert info.body == body
