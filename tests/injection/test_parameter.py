"""What is known of a parameter is data, from which lists and descriptions are made."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any

import attrs
import msgspec
import pydantic
import pytest

from tests.injection.kinds import WEBSOCKETS
from triows._injection.parameter import MADE_ANEW, MISSING, Parameter
from triows._injection.params import param_spec
from triows.types import Param


def known(annotation, default=MISSING, mark=None) -> Parameter:
    mark = mark or Param("query")
    spec = param_spec(
        "value", annotation, default, mark=mark, path_keys={}, kind=WEBSOCKETS, where="chat.py:12"
    )
    return spec.known


def test_it_says_where_a_value_comes_from_and_what_it_may_be():
    parameter = known(int, 10, Param("header", alias="X-Size", ge=1))
    assert (parameter.name, parameter.source, parameter.alias) == ("value", "header", "x-size")
    assert (parameter.type_name, parameter.default, parameter.required) == ("int", 10, False)
    assert parameter.constraints == (msgspec.Meta(ge=1),)


def test_it_has_the_constraints_of_an_optional_type_too():
    least = msgspec.Meta(ge=1)
    assert known(Annotated[int, least] | None, None).constraints == (least,)
    assert known(Annotated[int | None, least], None).constraints == (least,)


def test_constraints_of_items_are_in_the_type():
    item = Annotated[int, msgspec.Meta(ge=1)]
    parameter = known(Sequence[item])
    assert parameter.constraints == ()
    assert parameter.type == Sequence[item]


@pytest.mark.parametrize(
    "annotation",
    [
        Annotated[int, msgspec.Meta(description="How many")],
        Annotated[int, msgspec.Meta(description="How many")] | None,
        Annotated[int, pydantic.Field(description="How many")],
    ],
)
def test_it_has_the_description_of_msgspecs_or_pydantics_metadata(annotation):
    assert known(annotation).description == "How many"


def test_a_parameter_without_metadata_has_no_description():
    assert known(int).description == ""
    assert known(Annotated[int, "How many"]).description == ""


class StructPage(msgspec.Struct):
    size: Annotated[int, msgspec.Meta(le=100, description="How many")]
    order: str = "asc"
    tags: list[str] = []


@dataclasses.dataclass
class DataPage:
    size: Annotated[int, msgspec.Meta(le=100, description="How many")]
    order: str = "asc"
    tags: list[str] = dataclasses.field(default_factory=list)


@attrs.define
class AttrsPage:
    size: Annotated[int, msgspec.Meta(le=100, description="How many")]
    order: str = "asc"
    tags: list[str] = attrs.Factory(list)


@pytest.mark.parametrize("page", [StructPage, DataPage, AttrsPage])
def test_a_pack_has_its_fields_with_their_own_defaults(page: Any):
    size, order, tags = known(page).fields
    assert (size.default, order.default, tags.default) == (MISSING, "asc", MADE_ANEW)
    assert [one.required for one in (size, order, tags)] == [True, False, False]
    assert [one.has_default for one in (size, order, tags)] == [False, True, False]
    assert (size.constraints[0].le, size.description) == (100, "How many")


def test_the_fields_of_a_model_have_its_descriptions():
    class Page(pydantic.BaseModel):
        size: int = pydantic.Field(le=100, description="How many")
        order: str = "asc"

    size, order = known(Page).fields
    assert (size.required, size.description) == (True, "How many")
    assert (order.default, order.description) == (MADE_ANEW, "")


def test_a_pack_with_a_default_is_not_required_though_its_fields_are():
    assert known(StructPage).required
    assert not known(StructPage, StructPage(1)).required
    assert known(StructPage, StructPage(1)).fields[0].required


def test_parameters_that_ask_for_the_same_are_equal():
    assert known(int, 1) == known(int, 1)
    assert known(StructPage) == known(StructPage)
    assert hash(known(StructPage)) == hash(known(StructPage))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (known(int), known(str)),
        (known(int, 1), known(int, True)),
        (known(int, 1), known(int)),
        (known(int), known(int, mark=Param("header"))),
        (known(int), known(int, mark=Param("query", alias="size"))),
        (known(int), known(int, mark=Param("query", ge=1))),
        (known(int), known(int, mark=Param("query", decoder=int))),
    ],
)
def test_parameters_that_ask_for_different_things_are_not_equal(one: Parameter, other: Parameter):
    assert one != other


def test_a_default_that_answers_every_comparison_is_compared_by_identity():
    class Equal:
        __hash__ = None

        def __eq__(self, other: object) -> bool:
            return True

        def __deepcopy__(self, memo: object) -> "Equal":
            return self

    assert known(Any, Equal()) != known(Any, Equal())
