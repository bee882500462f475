"""What to write for a parameter that nothing fills."""

import abc
import json
from typing import Annotated, Any, Protocol

import msgspec
import pytest
import starlette.datastructures
import starlette.websockets
import trio
from starlette.background import BackgroundTasks
from starlette.responses import Response

import triows
from tests.injection.kinds import WEBSOCKETS
from triows._injection.advice import (
    annotation_advice,
    disagreement,
    given_advice,
    mistaken_for_text,
    provider_advice,
    untaken_key,
)
from triows._injection.providers import Providers, providers
from triows._request.kind import request_kind

POSTS = request_kind(triows.Triows, "POST")


class Database: ...


class Speaks(Protocol): ...


class Abstract(abc.ABC):
    @abc.abstractmethod
    def speak(self) -> str: ...


class FastAPI: ...


class Page(msgspec.Struct): ...


# A parameter without an annotation


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("ws", "write `ws: WebSocket`"),
        ("nursery", "write `nursery: trio.Nursery`"),
        ("app", "write `app: Triows`"),
        ("self", "give the method of an object"),
        ("limit", "write its type, as in `limit: int`"),
    ],
)
def test_a_parameter_without_annotation_is_told_what_its_name_means(name, advice):
    assert advice in annotation_advice(name, WEBSOCKETS)


# A parameter that would be read from the query


@pytest.mark.parametrize(
    ("name", "annotation"), [("ws", str), ("nursery", Any), ("app", Any), ("request", Any)]
)
def test_a_name_that_hardly_any_query_has_is_not_read_from_it(name, annotation):
    advice = mistaken_for_text(name, annotation, WEBSOCKETS)
    assert advice is not None
    assert f"write `{name}: {WEBSOCKETS.names[name]}`" in advice
    assert 'Param("query")' in advice


@pytest.mark.parametrize(
    ("name", "annotation"), [("app", str), ("request", Annotated[str, "text"]), ("limit", Any)]
)
def test_any_other_is_read_from_it(name, annotation):
    assert mistaken_for_text(name, annotation, WEBSOCKETS) is None


# A parameter that probably means a given


@pytest.mark.parametrize(
    ("annotation", "meant"),
    [
        (starlette.websockets.WebSocket, "triows.WebSocket"),
        (starlette.websockets.WebSocket | None, "triows.WebSocket"),
        (Annotated[FastAPI, "text"], "Triows"),
        (object, "WebSocket"),
    ],
)
def test_a_class_of_another_library_is_told_by_our_name(annotation, meant):
    advice = given_advice("ws", annotation, WEBSOCKETS)
    assert advice is not None
    assert advice.endswith(f"which nothing makes: annotate it `ws: {meant}`")


def test_background_tasks_are_told_of_nurseries():
    advice = given_advice("tasks", BackgroundTasks, WEBSOCKETS)
    assert advice is not None
    assert "annotate it `tasks: trio.Nursery` for tasks that end with the connection" in advice


@pytest.mark.parametrize("annotation", [Response, Response | None])
def test_a_response_is_made_by_the_handler(annotation):
    advice = given_advice("response", annotation, POSTS)
    assert advice is not None
    assert "to set headers and cookies, ask for `headers: ResponseHeaders`" in advice
    assert 'ask for `headers: ResponseHeaders`, and write `headers["location"] = ...`' in advice
    assert "make the response in the handler and return it" in advice
    assert given_advice("response", Response, WEBSOCKETS) is None


@pytest.mark.parametrize(
    "annotation", [starlette.datastructures.UploadFile, list[starlette.datastructures.UploadFile]]
)
def test_a_file_of_another_library_is_told_where_ours_is(annotation):
    advice = given_advice("file", annotation, POSTS)
    assert advice is not None
    assert advice.endswith("write `from triows import UploadFile`, and not starlette's")


@pytest.mark.parametrize("annotation", [triows.UploadFile, list[triows.UploadFile]])
def test_nothing_is_said_of_our_own_file(annotation):
    assert given_advice("file", annotation, POSTS) is None


def test_a_file_is_not_there_without_a_body():
    advice = given_advice("file", triows.UploadFile, request_kind(triows.Triows, "GET"))
    assert advice is not None
    assert advice.endswith("it comes in a form, and a GET request has no body")


@pytest.mark.parametrize(
    ("annotation", "why"),
    [
        (json, "json is a module"),
        (trio.lowlevel, "trio.lowlevel"),
        (any, "such as `typing.Any`"),
        (list[any], "such as `typing.Any`"),
        (7, "7 is a value. Write its type"),
        ([], "a list is a value. Write a type"),
    ],
)
def test_what_is_not_a_type_is_told_what_it_is(annotation, why):
    advice = given_advice("value", annotation, WEBSOCKETS)
    assert advice is not None
    assert why in advice


@pytest.mark.parametrize("annotation", [Database, int, object, list[Database]])
def test_nothing_is_said_of_a_type_that_is_none_of_these(annotation):
    assert given_advice("value", annotation, WEBSOCKETS) is None


# A value that a factory has to make


def test_a_factory_is_asked_for_where_it_may_be_given():
    here = provider_advice("db", Database, Providers(), in_app=False)
    assert "annotate it `db: Annotated[Database, use(factory)]`" in here
    assert "to the route or the application with deps=[factory]" in here
    in_app = provider_advice("db", Database, Providers(), in_app=True)
    assert 'to the application with deps=[use(factory, scope="app")]' in in_app


def test_a_factory_that_nearly_fits_is_named():
    def make() -> Database | None: ...

    advice = provider_advice("db", Database, providers([make]), in_app=False)
    assert "makes Database | None, so annotate it `db: Database | None`" in advice


@pytest.mark.parametrize("cls", [Speaks, Abstract])
def test_a_class_without_instances_may_be_made_by_what_is_below_it(cls):
    advice = provider_advice("db", cls, Providers(), in_app=False)
    assert f"may return a class derived from {cls.__name__}" in advice


def test_a_disagreement_names_both_types_and_what_to_write():
    def make() -> str: ...

    advice = disagreement("db", Database, make, str)
    assert advice.startswith("`db` asks for Database, and ")
    assert "use a factory that makes Database" in advice


def test_a_class_that_gives_something_else_when_entered_may_be_wanted_itself():
    assert "def make() -> Database: return Database()" in disagreement("db", Page, Database, str)


# A key of the path


@pytest.mark.parametrize(
    ("key", "advice"),
    [
        ("room", "add a parameter `room: int` to the handler"),
        ("class", '`class_: Annotated[int, Param("path", alias="class")]`'),
        ("limit", "rename the key, as in {path_limit}"),
    ],
)
def test_a_key_that_nothing_takes_is_told_which_parameter_would(key, advice):
    async def handler(limit: triows.WebSocket): ...

    assert advice in untaken_key(handler, key, "int")
