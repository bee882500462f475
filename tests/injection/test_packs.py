"""Classes whose fields are parameters, of four kinds, and what is the same about all of them."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Generic, NamedTuple, TypedDict, TypeVar

import attrs
import msgspec
import pydantic
import pytest

from triows._injection.packs import (
    BadPack,
    PackField,
    UnreadableField,
    has_fields,
    is_closed,
    is_made_from,
    is_pack,
    model_converter,
    pack_builder,
    pack_fields,
    unwrapped,
)
from triows._injection.parameter import MADE_ANEW, MISSING
from triows._injection.query import BadValue

T = TypeVar("T")


class StructPage(msgspec.Struct):
    size: int
    order: str = "asc"
    tags: list[str] = []


@dataclasses.dataclass
class DataPage:
    size: int
    order: str = "asc"
    tags: list[str] = dataclasses.field(default_factory=list)


@attrs.define
class AttrsPage:
    size: int
    order: str = "asc"
    tags: list[str] = attrs.Factory(list)


class ModelPage(pydantic.BaseModel):
    size: int
    order: str = "asc"
    tags: list[str] = []


PACKS = [StructPage, DataPage, AttrsPage, ModelPage]


class Record(TypedDict):
    size: int


class Row(NamedTuple):
    size: int


@pytest.mark.parametrize("pack", PACKS)
def test_a_class_of_each_kind_is_a_pack(pack: Any):
    assert is_pack(pack)
    assert has_fields(pack | None)
    assert unwrapped(Annotated[pack, msgspec.Meta(title="page")] | None) is pack


@pytest.mark.parametrize("annotation", [Record, Row, dict[str, int], Mapping[str, int]])
def test_a_record_has_fields_and_is_no_pack(annotation: Any):
    assert has_fields(annotation)
    assert not is_pack(annotation)


@pytest.mark.parametrize("annotation", [int, list[int], object, None, Any])
def test_other_types_have_no_fields(annotation: Any):
    assert not has_fields(annotation)


@pytest.mark.parametrize("pack", [StructPage, DataPage, AttrsPage])
def test_each_field_has_its_name_type_and_default(pack: Any):
    assert pack_fields(pack) == [
        PackField("size", "size", "size", int, MISSING),
        PackField("order", "order", "order", str, "asc"),
        PackField("tags", "tags", "tags", list[str], MADE_ANEW),
    ]


def test_a_model_converts_its_fields_and_makes_its_defaults_itself():
    assert [(one.default, one.is_text) for one in pack_fields(ModelPage)] == [
        (MISSING, True),
        (MADE_ANEW, True),
        (MADE_ANEW, True),
    ]


def test_a_field_may_have_another_name_in_a_request_and_as_an_argument():
    class Struct(msgspec.Struct):
        page_size: int = msgspec.field(name="pageSize")

    @attrs.define
    class Attrs:
        _size: int

    class Model(pydantic.BaseModel):
        size: int = pydantic.Field(alias="pageSize")

    class ByName(pydantic.BaseModel, validate_by_name=True, validate_by_alias=False):
        size: int = pydantic.Field(alias="pageSize")

    names = [
        (one.name, one.argument, one.wire)
        for pack in (Struct, Attrs, Model, ByName)
        for one in pack_fields(pack)
    ]
    assert names == [
        ("page_size", "page_size", "pageSize"),
        ("size", "size", "size"),
        ("size", "pageSize", "pageSize"),
        ("size", "size", "pageSize"),
    ]


def test_a_field_that_init_does_not_take_is_not_read():
    @dataclasses.dataclass
    class Data:
        size: int
        half: int = dataclasses.field(init=False)

    @attrs.define
    class Attrs:
        size: int
        half: int = attrs.field(init=False)

    assert [one.name for pack in (Data, Attrs) for one in pack_fields(pack)] == ["size", "size"]


def test_a_generic_struct_has_the_types_of_its_form():
    class Box(msgspec.Struct, Generic[T]):
        inside: T

    assert [one.type for one in pack_fields(Box[int])] == [int]


def test_a_field_with_several_names_can_not_be_read():
    class Model(pydantic.BaseModel):
        size: int = pydantic.Field(validation_alias=pydantic.AliasChoices("size", "pageSize"))

    with pytest.raises(UnreadableField, match=r"its field `size` has the alias .*: give it one"):
        pack_fields(Model)


def test_a_closed_pack_forbids_other_names():
    class Struct(msgspec.Struct, forbid_unknown_fields=True):
        size: int

    class Model(pydantic.BaseModel, extra="forbid"):
        size: int

    assert is_closed(Struct)
    assert is_closed(Model)
    assert not any(is_closed(pack) for pack in PACKS)


@pytest.mark.parametrize("pack", PACKS)
def test_a_pack_is_built_from_its_arguments(pack: Any):
    assert pack_builder(pack)({"size": "7" if pack is ModelPage else 7}) == pack(size=7)


def test_what_the_own_checks_of_a_class_say_is_kept():
    @dataclasses.dataclass
    class Checked:
        size: int

        def __post_init__(self) -> None:
            raise ValueError("too many")

    with pytest.raises(BadPack) as caught:
        pack_builder(Checked)({"size": 7})
    assert caught.value.problems == [(None, "too many")]


def test_a_model_reports_each_field_and_item():
    with pytest.raises(BadPack) as caught:
        pack_builder(ModelPage)({"size": "x", "tags": ["a", 7]})
    assert [argument for argument, _ in caught.value.problems] == ["size", "tags"]
    assert caught.value.problems[1][1].startswith("Item 2: ")


def test_a_type_with_pydantics_metadata_is_converted_by_pydantic():
    convert = model_converter(Annotated[int, pydantic.Field(ge=1)])
    assert convert("7") == 7
    with pytest.raises(BadValue, match="greater than or equal to 1"):
        convert("0")


@pytest.mark.parametrize("odd", ["nan", "inf", "-Infinity", "1e400"])
def test_a_number_that_pydantic_makes_is_finite(odd):
    class Model(pydantic.BaseModel):
        number: float
        free: Annotated[float, pydantic.Field(allow_inf_nan=True)] = 0

    with pytest.raises(BadPack) as caught:
        pack_builder(Model)({"number": odd, "free": odd})
    assert caught.value.problems == [("number", "Input should be a finite number")]
    with pytest.raises(BadValue, match="finite"):
        model_converter(Annotated[float, pydantic.Field(gt=-1)])(odd)
    model_converter(Annotated[float, pydantic.Field(allow_inf_nan=True)])(odd)


def test_a_class_with_an_init_of_its_own_is_not_made_from_its_fields():
    @dataclasses.dataclass
    class WithInitVar:
        size: int
        factor: dataclasses.InitVar[int]

    @dataclasses.dataclass(init=False)
    class WithInit:
        size: int

        def __init__(self, text: str) -> None: ...

    @dataclasses.dataclass(init=False)
    class TakesAll:
        size: int

        def __init__(self, **fields: int) -> None: ...

    assert not is_made_from(WithInitVar, ["size"])
    assert not is_made_from(WithInit, ["size"])
    assert is_made_from(TakesAll, ["size"])
    assert all(is_made_from(pack, ["size", "order", "tags"]) for pack in PACKS)
