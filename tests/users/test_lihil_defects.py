"""What lihil 0.2.41 does wrong with requests, done right. Each was seen in its answers or code."""

from typing import Annotated, Any

import msgspec
import pydantic
import pytest

from triows import (
    EventStream,
    HandlerSignatureError,
    HTTPProblem,
    Param,
    Route,
    ServerSentEvent,
    Triows,
    UploadFile,
    status,
)
from triows.testing import open_app


class User(msgspec.Struct):
    name: str
    age: int = 0


class Model(pydantic.BaseModel):
    age: int


class Taken(HTTPProblem[str]):
    """The name is taken."""

    __status__ = 409


users = Route("users")


@users.get
async def read_users() -> list[str]:
    return ["ada"]


@users.post
async def create_user(user: User) -> User:
    return user


@users.delete
async def delete_users() -> None: ...


@users.sub("form").post
async def from_form(user: Annotated[User, Param("form")]) -> User:
    return user


@users.sub("photo").post
async def keep_photo(photo: UploadFile) -> str:
    return photo.filename or ""


@users.sub("taken").get
async def refuse() -> None:
    raise Taken("ada")


@users.sub("model").post
async def from_model(model: Model) -> int:
    return model.age


@users.sub("cookie").get
async def from_cookie(session: Annotated[int, Param("cookie", gt=0)]) -> int:
    return session


@users.sub("list").get
async def from_list(tag: Annotated[list[str], Param(max_length=2)]) -> list[str]:
    return tag


@users.sub("union").get
async def one_of_two() -> Annotated[str, status.OK] | Annotated[int, status.CREATED]:
    return 1


@users.sub("traced").trace(name="traced")
async def traced() -> str:
    return "traced"


async def ask(method: str, path: str, **sent: Any) -> Any:
    async with open_app(Triows(users)) as client:
        return await client.request(method, path, **sent)


async def test_head_is_answered_as_get_without_the_body():
    response = await ask("HEAD", "/users")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == "7"


async def test_options_is_answered_with_the_methods():
    response = await ask("OPTIONS", "/users")
    assert response.status_code == 204
    assert response.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, POST"


async def test_a_405_says_what_is_allowed():
    response = await ask("PUT", "/users")
    assert response.status_code == 405
    assert response.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, POST"


async def test_a_problem_has_the_members_of_the_standard():
    response = await ask("GET", "/users/taken")
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "taken",
        "title": "The name is taken.",
        "status": 409,
        "detail": "ada",
        "instance": "/users/taken",
    }


async def test_a_form_may_have_a_number():
    response = await ask("POST", "/users/form", data={"name": "ada", "age": "36"})
    assert response.json() == {"name": "ada", "age": 36}


async def test_a_missing_file_is_the_clients_mistake():
    response = await ask("POST", "/users/photo", data={"other": "x"})
    assert response.status_code == 422
    assert response.json()["errors"] == [
        {"location": "form", "name": "photo", "message": "Missing required parameter"}
    ]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
async def test_a_body_of_another_type_is_refused(content_type):
    headers = {"content-type": content_type}
    response = await ask("POST", "/users", content=b'{"name": "ada"}', headers=headers)
    assert response.status_code == 415


async def test_nothing_has_no_content_type():
    response = await ask("DELETE", "/users")
    assert (response.status_code, response.content) == (204, b"")
    assert "content-type" not in response.headers


@pytest.mark.parametrize("field", ["event", "id"])
@pytest.mark.parametrize("text", ["a\ndata: mine", "a\rdata: mine", "a\r\ndata: mine"])
def test_a_line_break_puts_no_fields_into_an_event(field, text):
    with pytest.raises(ValueError, match="can't have a line break"):
        ServerSentEvent("x", **{field: text})


async def test_only_line_ends_of_the_standard_split_data_and_no_event_is_without_it():
    route = Route("events")

    @route.get
    async def events() -> EventStream:
        yield ServerSentEvent("one\u2028line")
        yield ServerSentEvent("two\nlines")
        yield ServerSentEvent(event="open")

    async with open_app(Triows(route)) as client:
        response = await client.get("/events")
    assert response.text == (
        "data: one\u2028line\n\ndata: two\ndata: lines\n\nevent: open\ndata: \n\n"
    )


# What the programs have shown beside the list


async def test_a_model_that_refuses_a_body_is_the_clients_mistake():
    assert (await ask("POST", "/users/model", json={"age": "x"})).status_code == 422


@pytest.mark.parametrize(
    ("headers", "code"), [({"cookie": "session=7"}, 200), ({"cookie": "session=0"}, 422), ({}, 422)]
)
async def test_a_cookie_is_read_checked_and_may_be_missing(headers, code):
    assert (await ask("GET", "/users/cookie", headers=headers)).status_code == code


@pytest.mark.parametrize(("query", "code"), [("?tag=a&tag=b", 200), ("?tag=a&tag=b&tag=c", 422)])
async def test_a_list_may_have_a_constraint(query, code):
    assert (await ask("GET", f"/users/list{query}")).status_code == code


async def test_the_class_of_the_value_chooses_the_status():
    assert (await ask("GET", "/users/union")).status_code == 201


async def test_the_decorator_for_trace_registers_that_method_with_arguments_too():
    assert (await ask("TRACE", "/users/traced")).text == "traced"


def test_a_constraint_that_nobody_would_check_is_refused():
    class Named(msgspec.Struct):
        name: Annotated[str, Param(min_length=3)]

    async def create(user: Named) -> None: ...

    route = Route("named")
    route.post(create)
    with pytest.raises(HandlerSignatureError, match="which does nothing in a body"):
        Triows(route)
