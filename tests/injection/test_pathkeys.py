"""A key of the path is refused if no text that it matches could be a value of the parameter."""

import enum
import inspect
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn
from uuid import UUID

import msgspec
import pytest
import trio
from starlette.convertors import CONVERTOR_TYPES, Convertor, register_url_convertor

from tests.injection.kinds import WEBSOCKETS
from tests.listed import listed_parameters
from triows import Param, Triows, WebSocket, WebSocketRoute, use
from triows._injection.parameter import MISSING
from triows._injection.params import param_spec
from triows._routing.template import Template
from triows.exceptions import HandlerSignatureError


class Level(enum.IntEnum):
    LOW = 1


class Colour(enum.Enum):
    RED = "red"


def spec(converter: str, annotation: Any, mark: Any = None) -> Any:
    keys = Template.parse(f"/{{value:{converter}}}").by_name
    return param_spec(
        "value", annotation, MISSING, mark=mark, path_keys=keys, kind=WEBSOCKETS, where="chat.py:12"
    )


@pytest.mark.parametrize(
    ("converter", "types"),
    [
        ("int", [int, float, Decimal, str, Any, bool, Level, Literal[1], Literal["1"], datetime]),
        ("int", [timedelta, Path, int | None, int | UUID, Annotated[int, msgspec.Meta(ge=1)]]),
        ("float", [int, float, Decimal, str, timedelta]),
        ("uuid", [UUID, str, Any, Annotated[UUID, "note"]]),
        ("str", [UUID, int, date, Colour, IPv4Address]),
        ("path", [UUID, int, date, Colour, Path]),
    ],
)
def test_a_type_that_some_of_the_texts_fit_is_accepted(converter: str, types: list[Any]):
    for type_ in types:
        assert spec(converter, type_).known.source == "path"


@pytest.mark.parametrize(
    ("converter", "types"),
    [
        ("int", [UUID, date, time, Colour, Literal["a"], Literal[-1], IPv4Address]),
        ("int", [Annotated[UUID, "note"], UUID | None]),
        ("float", [UUID, date, Colour]),
        ("uuid", [int, float, bool, date, datetime, Level, Literal[1], IPv4Address]),
    ],
)
def test_a_type_that_no_text_could_fit_is_refused(converter: str, types: list[Any]):
    for type_ in types:
        with pytest.raises(HandlerSignatureError, match=f"{{value:{converter}}} in the path"):
            spec(converter, type_)


@pytest.mark.parametrize(
    ("converter", "type_", "remedies"),
    [
        ("int", UUID, ["write {value:uuid}", "`value: int`"]),
        ("uuid", int, ["write {value:int}", "`value: UUID`"]),
        ("float", date, ["write {value}", "`value: float`"]),
    ],
)
def test_either_remedy_works(converter: str, type_: Any, remedies: list[str]):
    with pytest.raises(HandlerSignatureError) as caught:
        spec(converter, type_)
    assert [part for part in remedies if part not in caught.value.message] == []
    spec({UUID: "uuid", int: "int", date: "str"}[type_], type_)
    spec(converter, {"int": int, "uuid": UUID, "float": float}[converter])


def test_a_decoder_may_make_anything_of_it():
    assert spec("int", UUID, Param(decoder=lambda text: UUID(int=int(text)))).known.source == "path"


def test_a_converter_of_the_applications_own_may_match_anything():
    class Year(Convertor[str]):
        regex = "20[0-9][0-9]"

        def convert(self, value: str) -> str:
            return value

        def to_string(self, value: str) -> str:
            return value

    register_url_convertor("year", Year())
    try:
        assert spec("year", int).known.source == "path"
    finally:
        del CONVERTOR_TYPES["year"]


@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        ("a/{id:int}", "`id: int`"),
        ("a/{id:float}", "`id: float`"),
        ("a/{id:uuid}", "`id: UUID`"),
        ("a/{id:path}", "`id: str`"),
        ("a/{id}", "`id: str`"),
        ("a/{match}", "`match: str`"),
        ("a/{class}", '`class_: Annotated[str, Param("path", alias="class")]`'),
        ("a/{from:int}", '`from_: Annotated[int, Param("path", alias="from")]`'),
    ],
)
def test_a_key_that_nothing_takes_is_told_with_the_type_that_fits(path: str, remedy: str):
    route = WebSocketRoute(path)

    @route.endpoint
    async def handler() -> None: ...

    with pytest.raises(HandlerSignatureError, match=r"nothing takes \{\w+\} of the path") as caught:
        Triows(route)
    assert f"add a parameter {remedy}" in caught.value.message


@pytest.mark.parametrize(
    ("parameter", "name"),
    [
        (WebSocket, "ws"),
        (trio.Nursery, "nursery"),
        (Annotated[str, use(lambda: "")], "user"),
        (Annotated[str, Param("query")], "id"),
    ],
)
def test_a_key_named_as_a_parameter_that_is_not_of_the_path_is_told_as_a_clash(
    parameter: Any, name: str
):
    route = WebSocketRoute(f"a/{{{name}:int}}")

    async def handler(**kwargs: Any) -> None: ...

    handler.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=parameter)]
    )
    route.endpoint(handler)
    with pytest.raises(HandlerSignatureError, match="comes from elsewhere") as caught:
        Triows(route)
    assert f"rename the key, as in {{path_{name}}}" in caught.value.message
    assert f"add a parameter `path_{name}: int`" in caught.value.message


def test_a_key_with_a_name_that_python_reserves_is_taken_by_its_alias():
    route = WebSocketRoute("a/{class}")

    @route.endpoint
    async def handler(class_: Annotated[str, Param("path", alias="class")]) -> NoReturn: ...

    assert listed_parameters(Triows(route)) == ("path class: str",)
