"""
Typed routes of all shapes, for clients that send anything.

Each handler answers with what it was given, so that a test sees whether that is what was sent.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, TypedDict
from uuid import UUID

import attrs
import msgspec
import pydantic
from starlette.responses import StreamingResponse

from triows import (
    HTML,
    EventStream,
    HTTPProblem,
    Limits,
    Media,
    Param,
    Request,
    ResponseHeaders,
    Route,
    ServerSentEvent,
    Upload,
    UploadFile,
    status,
    use,
)

__all__ = ["BIG", "routes"]

#: The most that one of the routes for files takes.
BIG = 64 * 2**20


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Item(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    count: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0
    price: Decimal = Decimal(0)
    color: Color = Color.RED
    tags: Annotated[list[str], msgspec.Meta(max_length=5)] = []
    parts: list[Item] = []


class Circle(msgspec.Struct, tag=True):
    radius: float


class Square(msgspec.Struct, tag=True):
    side: float


class Account(pydantic.BaseModel):
    email: str = pydantic.Field(min_length=3, max_length=60)
    age: int = pydantic.Field(ge=0, le=150)
    joined: date | None = None
    limits: dict[str, int] = {}

    @pydantic.field_validator("email")
    @classmethod
    def _has_an_at(cls, value: str) -> str:
        if "@" not in value:
            raise ValueError("an address has an @")
        return value


class Point(TypedDict):
    x: float
    y: float


@dataclass
class Paging:
    """A pack of query parameters."""

    page: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    per: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20
    order: Literal["up", "down"] = "up"


@attrs.frozen
class Stored:
    id: int
    size: int


class Gone(msgspec.Struct):
    since: datetime


class OutOfStock(HTTPProblem):
    """There is nothing left."""

    __status__ = 409


root = Route()


@root.get
async def index() -> HTML:
    return "<p>hello</p>"


users = Route("users/{user_id}")


@users.get(etag=True)
async def read_user(
    user_id: Annotated[int, Param(ge=1, le=10_000)],
    q: Annotated[str | None, Param(max_length=20)] = None,
    fields: list[Literal["name", "mail"]] = [],  # noqa: B006 - nobody changes it
) -> dict[str, Any]:
    return {"id": user_id, "q": q, "fields": fields}


@users.delete
async def delete_user(user_id: int, force: bool = False) -> None: ...


@users.put(problems=[OutOfStock])
async def write_user(
    user_id: int, user: Item
) -> (
    Annotated[Item, status.CREATED]
    | Annotated[Gone, status.GONE]
    | Annotated[None, status.ACCEPTED]
):
    if user.count == 13:
        raise OutOfStock("thirteen are too many")
    if user_id == 1:
        return Gone(datetime(2020, 1, 1))
    return None if user_id == 2 else user


@users.patch
async def patch_user(user_id: int, account: Account) -> Account:
    return account


kinds = Route("kinds/{color}/{size}/{when}/{key}")


@kinds.get
async def read_kinds(
    color: Color,
    size: Size,
    when: date,
    key: UUID,
    at: datetime | None = None,
    wait: timedelta = timedelta(),
    share: Annotated[float, Param(gt=0, lt=1)] = 0.5,
    price: Decimal = Decimal(1),
) -> dict[str, Any]:
    return {"color": color, "size": size, "when": when, "key": key, "at": at, "wait": wait,
            "share": share, "price": price}  # fmt: skip


files_route = Route("files/{path:path}")


@files_route.get
async def read_path(path: str) -> str:
    return path


pages = Route("pages")


@pages.get
async def read_page(paging: Annotated[Paging, Param("query")]) -> Paging:
    return paging


@pages.post
async def search(paging: Annotated[Paging, Param("query")], points: list[Point]) -> list[Point]:
    return points


heads = Route("heads")


@heads.get
async def read_heads(
    x_count: Annotated[int, Param("header", ge=0)],
    x_tags: Annotated[list[str], Param("header")] = [],  # noqa: B006 - nobody changes it
    session: Annotated[str | None, Param("cookie", min_length=4)] = None,
    visits: Annotated[int, Param("cookie")] = 0,
) -> dict[str, Any]:
    return {"count": x_count, "tags": x_tags, "session": session, "visits": visits}


shapes = Route("shapes")


@shapes.post(status=201)
async def make_shape(shape: Circle | Square, headers: ResponseHeaders) -> Circle | Square:
    kind = type(shape).__name__.lower()
    headers["location"] = f"/shapes/{kind}"
    headers.set_cookie("last", kind, httponly=True)
    return shape


points_route = Route("points")


@points_route.post
async def add_point(point: Point) -> Point:
    return point


@points_route.put
async def set_points(points: dict[str, Point] | None = None) -> dict[str, Point] | None:
    return points


anything = Route("anything")


@anything.post
async def echo_anything(
    body: Annotated[Any, Param("body")],
) -> Annotated[bytes, Media("text/x-any")]:
    return repr(type(body)).encode()


@anything.put
async def echo_numbers(numbers: dict[str, int]) -> dict[str, int]:
    return numbers


raw = Route("raw")


@raw.post
async def echo_bytes(body: Annotated[bytes, Param("body")]) -> bytes:
    return body


@raw.put
async def echo_text(body: Annotated[str, Param("body")]) -> str:
    return body


forms = Route("forms")


@forms.post
async def take_form(
    name: Annotated[str, Param("form", min_length=1)],
    age: Annotated[int, Param("form", ge=0)] = 0,
    tags: Annotated[list[str], Param("form")] = [],  # noqa: B006 - nobody changes it
) -> dict[str, Any]:
    return {"name": name, "age": age, "tags": tags}


photos = Route("photos")


@photos.post
async def take_photo(
    photo: UploadFile,
    title: Annotated[str, Param("form", max_length=50)] = "",
    more: list[UploadFile] = [],  # noqa: B006 - nobody changes it
) -> Annotated[Stored, status.CREATED]:
    return Stored(len(more), (photo.size or 0) + len(title))


uploads = Route("uploads", limits=Limits(body=BIG))


@uploads.post
async def take_upload(upload: Upload) -> dict[str, int]:
    sizes: dict[str, int] = {}
    async for part in upload:
        size = 0
        async for chunk in part:
            size += len(chunk)
        sizes[part.name] = sizes.get(part.name, 0) + size
    return sizes


parts_route = Route("parts", limits=Limits(body=BIG))


@parts_route.put
async def take_parts(body: AsyncIterator[bytes]) -> int:
    size = 0
    async for part in body:
        size += len(part)
    return size


streams = Route("streams/{count}")
Count = Annotated[int, Param(ge=0, le=100)]


@streams.get
async def stream_bytes(count: Count) -> AsyncIterator[bytes]:
    for number in range(count):
        yield bytes([number]) * 100


@streams.post
async def stream_lines(count: Count, item: Item) -> AsyncIterator[Item]:
    for _ in range(count):
        yield item


@streams.put
async def stream_response(count: Count, request: Request) -> StreamingResponse:
    async def lines() -> AsyncIterator[bytes]:
        for number in range(count):
            yield b"%d\n" % number

    return StreamingResponse(lines(), media_type="text/plain")


events_route = Route("events")


@events_route.get
async def read_events(
    count: Count = 3,
    last: Annotated[str | None, Param("header", alias="last-event-id")] = None,
    text: str = "",
) -> EventStream:
    for number in range(count):
        yield ServerSentEvent(text or {"after": last}, event="tick", id=str(number))


async def checked_number(
    number: Annotated[int, Param("query", ge=0)],
) -> AsyncIterator[int]:
    yield number


resources = Route("resources")


@resources.get
async def read_resource(number: Annotated[int, use(checked_number)]) -> int:
    return number


@resources.post
async def write_resource(number: Annotated[int, use(checked_number)], item: Item) -> Item:
    item.count = number % 1000
    return item


routes = [
    root,
    users,
    kinds,
    files_route,
    pages,
    heads,
    shapes,
    points_route,
    anything,
    raw,
    forms,
    photos,
    uploads,
    parts_route,
    streams,
    events_route,
    resources,
]
