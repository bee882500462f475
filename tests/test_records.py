"""What is written of an instance of each kind of class, and the types of its fields."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, ClassVar, Generic, NamedTuple, TypedDict, TypeVar

import attrs
import msgspec
import pydantic
import pytest

from triows._json import encoded
from triows._records import is_record, keeps_strays, names_of, strays_in, types_of

T = TypeVar("T")
U = TypeVar("U")


class Struct(msgspec.Struct, rename="upper"):
    kind: ClassVar[str] = "x"
    a: int = 1
    b: str = ""


@dataclasses.dataclass
class Data:
    kind: ClassVar[str] = "x"
    a: int = 1
    b: str = ""
    given: dataclasses.InitVar[int] = 1


@attrs.define
class Attrs:
    a: int = 1
    b: str = ""


class Named(NamedTuple):
    a: int = 1
    b: str = ""


class Model(pydantic.BaseModel):
    kind: ClassVar[str] = "x"
    a: int = 1

    @pydantic.computed_field
    def b(self) -> str:
        return ""


@pydantic.dataclasses.dataclass
class ModelData:
    a: int = 1
    b: str = ""


class Typed(TypedDict):
    a: int
    b: str


class Plain:
    a: int


KINDS = [Struct, Data, Attrs, Named, Model, ModelData]


@pytest.mark.parametrize("cls", KINDS)
def test_a_record_is_a_class_whose_fields_are_written(cls):
    assert is_record(cls)
    assert names_of(cls) == {"a", "b"}


@pytest.mark.parametrize("cls", [Plain, Typed, int, dict, tuple, Any, None, list[int], Struct()])
def test_nothing_else_is_one(cls):
    assert not is_record(cls)


@pytest.mark.parametrize("cls", [Struct, Data, Attrs, Named, Typed])
def test_types_are_evaluated(cls):
    found = types_of(cls)
    assert (found["a"], found["b"]) == (int, str)


# Generic classes. Each has a parameter of the same name.


class Page(msgspec.Struct, Generic[T]):
    items: list[T]
    other: Page[T] | None = None


class Pages(Page[list[U]], Generic[U]):
    one: U | None = None


class Ints(Pages[int]):
    more: int = 0


@dataclasses.dataclass
class DataPage(Generic[T]):
    items: list[T]
    bare: Page = None  # type: ignore[assignment]


@attrs.define
class AttrsPage(Generic[T]):
    items: list[T]


@attrs.define
class AttrsInts(AttrsPage[int]):
    pass


class TypedPage(TypedDict, Generic[T]):
    items: list[T]


class TypedInts(TypedPage[int]):
    more: int


@pytest.mark.parametrize(
    ("type_", "types"),
    [
        (Page[int], {"items": list[int], "other": Page[int] | None}),
        (Page, {"items": list[T], "other": Page[T] | None}),
        (Ints, {"items": list[list[int]], "other": Page[list[int]] | None, "one": int | None}),
        (DataPage[int], {"items": list[int], "bare": Page}),
        (AttrsPage[int | None], {"items": list[int | None]}),
        (AttrsInts, {"items": list[int]}),
        (TypedPage[int], {"items": list[int]}),
        (TypedInts, {"items": list[int], "more": int}),
    ],
)
def test_parameters_are_replaced_by_what_is_given(type_: Any, types: dict[str, Any]):
    found = types_of(type_)
    assert {name: found[name] for name in types} == types


def test_an_annotation_that_can_not_be_evaluated_is_an_error():
    class Broken(msgspec.Struct):
        item: Nowhere  # noqa: F821 - that is the point

    with pytest.raises(NameError, match="Nowhere"):
        types_of(Broken)


# What is written although it isn't a field


@attrs.define(slots=False)
class Open:
    a: int = 1


@attrs.define
class Cached:
    a: int = 1

    @functools.cached_property
    def b(self) -> int:
        return 2


@pytest.mark.parametrize("cls", [Open, Cached])
def test_an_attrs_class_may_have_more_attributes_than_fields(cls):
    assert keeps_strays(cls)
    assert strays_in(cls()) == []


@pytest.mark.parametrize("cls", KINDS)
def test_others_have_none(cls):
    assert not keeps_strays(cls)


def with_attribute() -> Any:
    one: Any = Open()
    one.b, one._c = 2, 3
    return one


def with_property() -> Any:
    one = Cached()
    assert one.b == 2
    return one


@pytest.mark.parametrize("make", [with_attribute, with_property])
def test_what_would_be_written_is_found(make):
    assert encoded(make()) == b'{"a":1,"b":2}'
    assert strays_in(make()) == ["b"]
