"""Pydantic's classes are recognized, and its errors are cut to what a peer may see."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from typing import Annotated, Any, Literal

import pydantic
import pytest
from pydantic.dataclasses import dataclass
from pydantic_core import SchemaValidator
from typing_extensions import TypeAliasType

from triows._pydantic import (
    adapter_of,
    complete_adapter_of,
    fields_of,
    finite,
    from_json,
    hasty,
    is_model,
    mentions_model,
    problems,
    validation_error,
    written,
    written_names,
)

REACHES_INSIDE = "_use_prebuilt" in str(SchemaValidator.__text_signature__)
NO_REACH = "pydantic 2.12 uses the own validators of the models inside"


class User(pydantic.BaseModel):
    name: str
    age: int = pydantic.Field(default=1, ge=0)

    @pydantic.field_validator("name")
    @classmethod
    def check(cls, name: str) -> str:
        if name == "root":
            raise ValueError("no secrets")
        return name


@dataclass
class Point:
    x: int


class Plain:
    pass


def test_nothing_of_it_imports_pydantic():
    text = "import sys, triows; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", text], check=False).returncode == 0


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [(User, True), (Point, True), (Plain, False), (int, False), (list[User], False), (None, False)],
)
def test_a_model_is_a_class_with_a_validator(annotation, expected):
    assert is_model(annotation) is expected


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (User, True),
        (list[Point], True),
        (dict[str, User | None], True),
        (TypeAliasType("Alias", User), True),
        (Annotated[int, pydantic.Field(ge=1)], True),
        (Annotated[int, "a comment"], False),
        (Literal["User"], False),
        (list[int], False),
    ],
)
def test_it_reads_what_contains_a_model_or_its_metadata(annotation, expected):
    assert mentions_model(annotation) is expected


def test_a_type_that_contains_itself_mentions_none():
    alias: Any = TypeAliasType("alias", "list[alias]")
    vars(sys.modules[__name__])["alias"] = alias
    assert not mentions_model(alias)


def test_an_adapter_reads_any_type():
    assert adapter_of(list[Point]).validate_python([{"x": "1"}]) == [Point(1)]


@pytest.mark.parametrize(("cls", "names"), [(User, ["name", "age"]), (Point, ["x"])])
def test_fields_are_described_by_name(cls, names):
    assert list(fields_of(cls)) == names


def found(function) -> list[tuple[tuple[Any, ...], str]]:
    with pytest.raises(validation_error()) as caught:
        function()
    return problems(caught.value, lambda error: f"raised: {error}")


def test_each_problem_has_its_place_and_pydantics_sentence():
    told = found(lambda: User.model_validate({"age": -1}))
    assert told == [
        (("name",), "Field required"),
        (("age",), "Input should be greater than or equal to 0"),
    ]


def test_what_a_check_of_the_model_raised_is_told_as_the_caller_says():
    assert found(lambda: User(name="root")) == [(("name",), "raised: no secrets")]


def test_names_of_the_applications_classes_are_not_told():
    told = found(lambda: adapter_of(list[User]).validate_python([Plain()]))
    assert told == [((0,), "Invalid value")]


def test_a_finite_validator_makes_the_same_values():
    validator = finite(adapter_of(dict[str, list[Point | User]]).core_schema)
    assert validator.validate_python({"a": [{"x": "1"}, {"name": "ada"}]}) == {
        "a": [Point(1), User(name="ada")]
    }


class Weight(pydantic.BaseModel):
    schema_: float = pydantic.Field(0, alias="schema")
    type: float = 0
    grams: list[float] | dict[str, float] = []
    free: Annotated[float, pydantic.Field(allow_inf_nan=True)] = 0
    inner: Weight | None = None


@dataclass
class Weights:
    free: Annotated[float, pydantic.Field(allow_inf_nan=True)]
    weight: Weight


@pytest.mark.parametrize("odd", ["NaN", "Infinity", "-Infinity", "1e400", "9" * 400, '"nan"'])
@pytest.mark.parametrize(
    ("annotation", "data", "place"),
    [
        (Annotated[float, pydantic.Field(gt=-1e9)], "ODD", ()),
        (list[Weight], '[{"type": ODD}]', (0, "type")),
        (Weight, '{"schema": ODD}', ("schema",)),
        (Weight, '{"inner": {"inner": {"type": ODD}}}', ("inner", "inner", "type")),
        (Weights, '{"free": ODD, "weight": {"free": ODD, "type": ODD}}', ("weight", "type")),
        (tuple[Weight, Weights | None], '[{"type": ODD}, null]', (0, "type")),
    ],
)
def test_a_finite_validator_refuses_other_numbers_unless_a_field_allows_them(
    annotation, data, place, odd
):
    if place and not REACHES_INSIDE:
        pytest.skip(NO_REACH)
    text = data.replace("ODD", odd)
    told = found(lambda: finite(adapter_of(annotation).core_schema).validate_json(text))
    assert [where for where, _ in told] == [place]


def test_what_pydantic_takes_for_json_is_read():
    assert from_json(b'{"a": 1e400, "b": [-Infinity]}') == {"a": float("inf"), "b": [-float("inf")]}
    assert from_json(b"{") is None


class Square(pydantic.BaseModel):
    side: int = pydantic.Field(alias="edge")

    @pydantic.computed_field
    def area(self) -> int:
        return self.side**2


class Later(pydantic.BaseModel):
    item: Nowhere  # noqa: F821 - that is the point


@pytest.mark.parametrize("annotation", [int, list[Plain], list[User | Plain]])
def test_no_adapter_is_made_for_what_pydantic_does_not_know(annotation):
    assert complete_adapter_of(annotation) is None


def test_an_adapter_is_complete_or_refused():
    assert complete_adapter_of(list[Point]).validate_python([{"x": 1}]) == [Point(1)]
    with pytest.raises(TypeError, match=r"pydantic refuses the class: .*Nowhere"):
        complete_adapter_of(Later)


def test_computed_fields_are_written_as_well():
    assert written_names(Square) == ["side", "area"]
    assert written_names(Point) == ["x"]


def test_a_value_is_written_with_its_aliases():
    write = adapter_of(Square).serializer.to_json
    assert written(write, Square(edge=2), strict=True) == b'{"edge":2,"area":4}'


@pytest.mark.parametrize("value", ["a secret", "a\nsecret"])
def test_an_error_about_writing_does_not_quote_the_value(value):
    write = adapter_of(Point).serializer.to_json
    point = Point(1)
    point.x = value
    with pytest.raises(ValueError, match=r"Expected `int`.*field_name='x', input_type") as caught:
        written(write, point, strict=True)
    assert "secret" not in str(caught.value)


class Team(pydantic.BaseModel):
    default: list[User]
    type: dict[str, tuple[User, ...]] = {}
    pair: set[int] | frozenset[int] = pydantic.Field(default={"type": "list"})


def hasty_for(annotation):
    adapter = adapter_of(annotation)
    return hasty(adapter, adapter.core_schema)


TEAM = {"default": [{}, {}], "type": {"a": [{}, {}], "b": [{}, {}]}}
FIRST = [("default", 0, "name"), ("type", "a", 0, "name"), ("type", "b", 0, "name")]


def test_a_hasty_validator_stops_at_the_first_wrong_item_of_each_list():
    value = {"a": [{}, {}], "b": [{}, {}]}
    for type_ in (dict[str, list[User]], dict[str, tuple[User, ...]]):
        told = found(partial(hasty_for(type_).validate_python, value))
        assert [place for place, _ in told] == [("a", 0, "name"), ("b", 0, "name")]


@pytest.mark.skipif(not REACHES_INSIDE, reason=NO_REACH)
def test_it_does_so_in_models_inside_the_type_too():
    told = found(lambda: hasty_for(list[Team]).validate_python([TEAM, TEAM]))
    assert [place for place, _ in told] == [(0, *place) for place in FIRST]


def test_a_hasty_validator_makes_the_same_values():
    adapter = adapter_of(list[Team])
    data = '[{"default": [{"name": "ada", "age": "3"}], "type": {"a": [{"name": "b"}]}}]'
    assert hasty_for(list[Team]).validate_json(data) == adapter.validate_json(data)
    # What is no description of a type is left as it is.
    assert hasty_for(list[Team]).validate_json(data)[0].pair == {"type": "list"}


def test_where_pydantic_can_not_stop_early_it_does_not():
    assert hasty(Plain, {"type": "nothing that pydantic knows"}) is Plain
