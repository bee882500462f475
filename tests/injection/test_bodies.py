"""Which parameters are made from the body of a request, and how they may be combined."""

import dataclasses
import re
from collections.abc import AsyncIterable, AsyncIterator
from typing import Annotated, Any, NewType, TypedDict

import attrs
import msgspec
import pydantic
import pytest

from triows import (
    HandlerSignatureError,
    HTTPException,
    Param,
    Part,
    Route,
    RouteSetupError,
    Triows,
    Upload,
    UploadFile,
    WebSocket,
    WebSocketRoute,
    use,
)
from triows._injection.bodies import body_spec, is_body
from triows._injection.marks import Site
from triows._injection.parameter import MISSING
from triows._request.kind import request_kind
from triows.testing import open_app

POST = request_kind(Triows, "POST")


class User(msgspec.Struct):
    name: str
    age: int = 0


class Address(msgspec.Struct):
    city: str


@dataclasses.dataclass
class Data:
    name: str


@attrs.frozen
class Attrs:
    name: str


class Typed(TypedDict):
    name: str


class Model(pydantic.BaseModel):
    name: str


Known = NewType("Known", User)


def app_of(handler: Any, method: str = "POST", *, deps: Any = ()) -> Triows:
    route = Route("", deps=deps)
    route.add_endpoint(method, func=handler)
    return Triows(route)


async def answer_of(handler: Any, method: str = "POST", **request: Any) -> tuple[int, Any]:
    async with open_app(app_of(handler, method)) as client:
        response = await client.request(method, "/", **request)
    return response.status_code, response.json() if response.content else None


# What is a body


@pytest.mark.parametrize(
    "annotation",
    [
        User,
        Data,
        Attrs,
        Typed,
        Model,
        Known,
        list[User],
        tuple[User, ...],
        User | None,
        User | Address,
        Annotated[User, "documented"],
        list[Annotated[User | None, "documented"]],
        bytes,
        bytearray,
        dict[str, int],
    ],
)
def test_a_type_with_named_parts_is_the_body_and_so_are_bytes(annotation):
    assert is_body(annotation, None)


@pytest.mark.parametrize("annotation", [int, str, list[int], str | None, Any])
def test_what_the_query_can_have_is_no_body_unless_it_is_marked(annotation):
    assert not is_body(annotation, None)
    assert is_body(annotation, Param("body"))


def test_a_type_with_named_parts_may_be_read_from_elsewhere():
    assert not is_body(User, Param("query"))
    assert not is_body(User, Param(decoder=lambda text: text))


def test_one_that_only_has_another_name_is_the_body_all_the_same():
    assert is_body(User, Param(alias="who"))


@pytest.mark.parametrize("type_", [User, Data, Attrs, Model])
async def test_a_handler_gets_what_was_sent(type_):
    async def handler(user: type_) -> str:
        assert isinstance(user, type_)
        return user.name

    async with open_app(app_of(handler)) as client:
        assert (await client.post("/", json={"name": "ada"})).text == "ada"


async def test_a_marked_parameter_of_any_type_is_the_whole_body():
    async def handler(numbers: Annotated[list[int], Param("body")]) -> int:
        return sum(numbers)

    assert await answer_of(handler, json=[1, 2, 3]) == (200, 6)


async def test_a_body_that_is_not_required_is_made_anew_for_each_request():
    async def handler(names: Annotated[list[str], Param("body")] = []) -> list[str]:  # noqa: B006
        names.append("ada")
        return names

    async with open_app(app_of(handler)) as client:
        for _ in range(2):
            assert (await client.post("/")).json() == ["ada"]
        assert (await client.post("/", json=["bob"])).json() == ["bob", "ada"]


async def test_the_same_body_can_be_taken_by_a_factory_and_by_the_handler():
    def check(user: User) -> None:
        if user.age < 18:
            raise HTTPException(403)

    async def handler(user: User) -> User:
        return user

    async with open_app(app_of(handler, deps=[check])) as client:
        assert (await client.post("/", json={"name": "ada", "age": 7})).status_code == 403
        assert (await client.post("/", json={"name": "ada", "age": 36})).json()["age"] == 36


async def test_a_factory_may_make_another_type_of_the_same_body():
    def get_city(address: Address) -> str:
        return address.city

    async def handler(user: User, city: Annotated[str, use(get_city)]) -> str:
        return f"{user.name} in {city}"

    async with open_app(app_of(handler)) as client:
        response = await client.post("/", json={"name": "ada", "city": "Rome"})
        assert response.text == "ada in Rome"
        errors = (await client.post("/", json={})).json()["errors"]
    assert [one["location"] for one in errors] == ["body", "body"]


# What can't be


def refused(handler: Any, method: str = "POST", error: Any = HandlerSignatureError) -> str:
    with pytest.raises(error) as caught:
        app_of(handler, method)
    return str(caught.value)


def test_two_parameters_would_be_made_from_one_body():
    async def handler(user: User, address: Address) -> None: ...

    message = refused(handler)
    assert "`address` would be made from the body, as `user` is: a request has one body" in message
    assert "(test_two_parameters_would_be_made_from_one_body.<locals>.handler)" in message


async def of_form(user: User, title: Annotated[str, Param("form")]) -> None: ...


async def of_file(file: UploadFile, user: User) -> None: ...


async def of_parts(parts: AsyncIterator[bytes], user: User) -> None: ...


async def of_upload(upload: Upload, title: Annotated[str, Param("form")]) -> None: ...


async def of_both(upload: Upload, parts: AsyncIterator[bytes]) -> None: ...


async def takes_parts_too(parts: AsyncIterable[bytes]) -> int:
    return 1


async def by_a_factory(upload: Upload, size: Annotated[int, use(takes_parts_too)]) -> None: ...


async def twice(upload: Upload, other: Upload) -> None: ...


async def twice_by_names(parts: AsyncIterator[bytes], other: AsyncIterable[bytes]) -> None: ...


@pytest.mark.parametrize(
    ("handler", "pattern"),
    [
        (of_form, "`title` reads the body of the request as a form, and `user` of .*as a whole"),
        (of_file, "`user` reads the body of the request as a whole, and `file` of .*as a form"),
        (of_parts, "`user` reads the body of the request as a whole, and `parts` .*as it comes"),
        (of_upload, "`title` reads the body .* as a form, and `upload` of .*as an Upload"),
        (of_both, "`parts` reads the body .* as it comes, and `upload` of .*as an Upload"),
        (by_a_factory, "`parts` reads the body .* as it comes, and `upload` of by_a_factory"),
        (twice, "`other` would be the same as `upload`: .* comes only once, so take one of"),
        (twice_by_names, "`other` would be the same as `parts`: .* comes only once"),
    ],
)
def test_a_body_is_read_in_one_way(handler, pattern):
    message = refused(handler)
    assert re.search(pattern, message)
    assert __file__ in message


def test_a_factory_and_its_handler_read_it_in_the_same_way():
    def get_title(title: Annotated[str, Param("form")]) -> str:
        return title

    async def handler(user: User, title: Annotated[str, use(get_title)]) -> None: ...

    assert "it comes only once, so choose one of them" in refused(handler)


async def count_parts(parts: AsyncIterator[bytes]) -> int:
    return len([part async for part in parts])


async def count_fields(upload: Upload) -> int:
    return len([part async for part in upload])


async def parts_of_both(
    parts: AsyncIterator[bytes], number: Annotated[int, use(count_parts)]
) -> None: ...


async def upload_of_both(upload: Upload, number: Annotated[int, use(count_fields)]) -> None: ...


async def parts_of_two(
    first: Annotated[int, use(count_parts)], second: Annotated[int, use(count_parts)]
) -> None: ...


@pytest.mark.parametrize(
    ("handler", "pattern"),
    [
        (parts_of_both, "`parts` reads the body .* and so does `parts` of .*: it comes only once"),
        (upload_of_both, "`upload` reads the body .* and so does `upload` of .*: it comes only on"),
        (parts_of_two, "`parts` reads .*, and count_parts is called more than once .* reuse=True"),
    ],
)
def test_only_one_reads_the_body_as_it_comes(handler, pattern):
    assert re.search(pattern, refused(handler))


def test_a_shared_factory_may_read_the_body_as_it_comes():
    shared = use(count_parts, reuse=True)

    async def handler(first: Annotated[int, shared], second: Annotated[int, shared]) -> None: ...

    app_of(handler)


@pytest.mark.parametrize("method", ["GET", "HEAD", "TRACE"])
@pytest.mark.parametrize("source", ["body", "form"])
def test_a_method_without_a_body_has_none_to_read(method, source):
    async def handler(name: Annotated[str, Param(source)]) -> None: ...

    message = refused(handler, method, RouteSetupError)
    assert f"a {method} request has no body" in message


@pytest.mark.parametrize(
    ("annotation", "instead"),
    [
        (bytes, "write `image: UploadFile` and `await image.read()`"),
        (bytes | None, "write `image: UploadFile` and `await image.read()`"),
        (list[bytes], "write `image: list[UploadFile]` and `await file.read()`"),
    ],
)
def test_the_bytes_of_a_file_are_read_from_an_upload(annotation, instead):
    async def handler(image): ...

    handler.__annotations__["image"] = Annotated[annotation, Param("form")]
    message = refused(handler)
    assert instead in message
    assert "decoder=str.encode" in message


async def takes_user(user: User) -> None: ...


async def takes_bytes(data: bytes) -> None: ...


async def takes_parts(parts: AsyncIterator[bytes]) -> None: ...


async def takes_upload(upload: Upload) -> None: ...


async def takes_file(file: UploadFile) -> None: ...


@pytest.mark.parametrize("handler", [takes_user, takes_parts, takes_upload, takes_file])
def test_in_a_get_request_nothing_is_made_from_a_body(handler):
    with pytest.raises(RouteSetupError):
        app_of(handler, "GET")
    app_of(handler)


def test_a_websocket_has_no_body_either():
    async def handler(ws: WebSocket, user: Annotated[User, Param("body")]) -> None: ...

    route = WebSocketRoute("")
    route.endpoint(handler)
    with pytest.raises(HandlerSignatureError, match=r'for Param\("body"\) to read'):
        Triows(route)


def test_a_type_that_no_body_can_be_made_into_is_refused():
    async def handler(it: Annotated[complex, Param("body")]) -> None: ...

    assert "can't be made from a body" in refused(handler)


def test_a_default_that_can_not_be_copied_is_refused():
    class Odd:
        def __deepcopy__(self, memo: Any) -> Any:
            raise TypeError("no copies")

    with pytest.raises(HandlerSignatureError, match="make the default None"):
        body_spec("user", list[int], [Odd()], POST, Site("`user`", "app.py:1 (handler)"))


def test_two_parameters_that_are_alike_are_the_same():
    site = Site("`user`", "app.py:1 (handler)")
    one, other = (body_spec("user", User, MISSING, POST, site) for _ in range(2))
    assert one == other
    assert one != body_spec("user", User | None, None, POST, site)


async def of_one_part(part: Part) -> None: ...


async def of_texts(parts: AsyncIterator[str]) -> None: ...


def sync_parts(parts: AsyncIterator[bytes]) -> None: ...


def sync_upload(upload: Upload) -> None: ...


@pytest.mark.parametrize(
    ("handler", "method", "pattern"),
    [
        (of_one_part, "POST", "ask for `upload: Upload`"),
        (of_texts, "POST", re.escape("write `parts: AsyncIterator[bytes]`")),
        (takes_bytes, "GET", "is read from the body, and a GET request has no body"),
        (takes_parts, "GET", "is read from the body, and a GET request has no body"),
        (takes_upload, "GET", "is read from the body, and a GET request has no body"),
        (of_one_part, "GET", "is read from the body, and a GET request has no body"),
        (sync_parts, "POST", "a `def` can't do: write `async def`"),
        (sync_upload, "POST", "a `def` can't do: write `async def`"),
    ],
)
def test_the_message_says_how_a_body_is_read(handler, method, pattern):
    assert re.search(pattern, refused(handler, method, RouteSetupError))


@pytest.mark.parametrize("annotation", [Upload, bytes, AsyncIterator[bytes]])
def test_a_handler_of_websockets_is_told_that_a_handshake_has_no_body(annotation):
    async def handler(ws: WebSocket, data: annotation) -> None: ...

    route = WebSocketRoute("ws")
    route.endpoint(handler)
    with pytest.raises(RouteSetupError, match="a WebSocket handshake has no body: take it out"):
        Triows(route)
