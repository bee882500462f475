"""Pydantic's models as packs. Pydantic converts and checks; errors are those of the request."""

import subprocess
import sys
from datetime import date
from typing import Annotated, Any

import annotated_types
import pydantic
import pytest

from tests.injection.kinds import WEBSOCKETS
from triows import Param
from triows._injection.parameter import MISSING
from triows._injection.params import param_spec
from triows._injection.query import RequestData
from triows._injection.readers import read_params
from triows._param_error import ParamError
from triows.exceptions import HandlerSignatureError


class Page(pydantic.BaseModel):
    size: int = pydantic.Field(le=100)
    order: str = "name"
    tags: list[str] = []
    since: date | None = None
    page_size: int = pydantic.Field(5, alias="pageSize")


@pydantic.dataclasses.dataclass
class DataPage:
    size: Annotated[int, pydantic.Field(le=100)]


class Span(pydantic.BaseModel):
    low: int
    high: int

    @pydantic.model_validator(mode="after")
    def check(self) -> "Span":
        if self.low > self.high:
            raise ValueError("low is above high")
        if self.low == 0:
            raise KeyError("a bug")
        return self


class Secret:
    pass


class WithSecret(pydantic.BaseModel, arbitrary_types_allowed=True):
    item: Secret


class Client(pydantic.BaseModel):
    user_agent: str
    accept: list[str] = []


class ByName(pydantic.BaseModel, validate_by_name=True, validate_by_alias=False):
    size: int = pydantic.Field(alias="pageSize")


class Generated(pydantic.BaseModel, alias_generator=str.upper):
    size: int


class Strict(pydantic.BaseModel, strict=True):
    size: int
    since: date


class WithDecoder(pydantic.BaseModel):
    ids: Annotated[list[int], Param(decoder=lambda text: text.split("."))]


def spec(annotation: Any, source: Any = "query", default: Any = MISSING) -> Any:
    mark = Param(source)
    return param_spec(
        "page", annotation, default, mark=mark, path_keys={}, kind=WEBSOCKETS, where="chat.py:12"
    )


def read(annotation: Any, query: str, headers: Any = (), **options: Any) -> Any:
    data = RequestData(query.encode(), headers, {}, max_query_parameters=100)
    (value,), errors = read_params([spec(annotation, **options)], data)
    return errors or value


def test_a_model_is_read_field_by_field():
    query = "size=5&tags=a&tags=b&since=2026-01-01&pageSize=7"
    found = read(Page, query)
    assert found == Page(size=5, tags=["a", "b"], since=date(2026, 1, 1), pageSize=7)
    assert [part.alias for part in spec(Page).known.fields] == [
        "size", "order", "tags", "since", "pageSize"
    ]  # fmt: skip


def test_each_error_of_a_model_is_reported_under_its_fields_name():
    found = read(Page, "size=101&since=x&pageSize=y")
    assert [(error.location, error.name) for error in found] == [
        ("query", "size"),
        ("query", "since"),
        ("query", "pageSize"),
    ]
    assert found[0].message == "Input should be less than or equal to 100"
    assert not any("pydantic" in error.message or "Page" in error.message for error in found)


def test_a_missing_or_doubled_field_is_reported_as_for_other_packs():
    assert read(Page, "order=x&order=y") == [
        ParamError("query", "size", "Missing required parameter"),
        ParamError("query", "order", "Given 2 times, expected once"),
    ]


def test_an_error_in_a_list_names_the_item():
    class Ids(pydantic.BaseModel):
        ids: list[int]

    (error,) = read(Ids, "ids=1&ids=x")
    assert (error.name, error.message[:8]) == ("ids", "Item 2: ")


def test_the_models_own_check_is_reported_under_the_parameters_name():
    assert read(Span, "low=3&high=2") == [ParamError("query", "page", "low is above high")]


def test_a_bug_in_a_models_check_is_the_applications():
    with pytest.raises(KeyError):
        read(Span, "low=0&high=2")


def test_an_error_does_not_name_the_applications_classes():
    assert read(WithSecret, "item=x") == [ParamError("query", "item", "Invalid value")]


def test_a_dataclass_of_pydantics_is_checked_by_pydantic():
    assert read(DataPage, "size=5") == DataPage(5)
    assert [error.name for error in read(DataPage, "size=500")] == ["size"]


def test_a_model_can_be_read_from_headers_and_cookies():
    headers = [(b"user-agent", b"curl"), (b"accept", b"a"), (b"accept", b"b")]
    found = read(Client, "", headers, source="header")
    assert found == Client(user_agent="curl", accept=["a", "b"])
    assert read(Span, "", [(b"cookie", b"low=1; high=2")], source="cookie").high == 2


def test_a_field_goes_by_the_name_that_the_model_takes():
    assert read(ByName, "pageSize=5").size == 5
    assert read(Generated, "SIZE=5").size == 5


def test_a_strict_model_takes_text_for_what_it_stands_for():
    assert read(Strict, "size=5&since=2026-01-01").since == date(2026, 1, 1)


def test_a_field_of_a_model_can_have_a_decoder():
    assert read(WithDecoder, "ids=1.2").ids == [1, 2]


def test_the_default_of_a_model_is_used_if_none_of_its_fields_is_given():
    assert read(Page | None, "other=1", default=None) is None
    assert read(Page | None, "size=1", default=None).size == 1


class Nested(pydantic.BaseModel):
    page: Page


class NestedList(pydantic.BaseModel):
    pages: list[Page]


class Constrained(pydantic.BaseModel):
    size: Annotated[int, Param(ge=3)]


class Choices(pydantic.BaseModel):
    size: int = pydantic.Field(validation_alias=pydantic.AliasChoices("size", "count"))


class Unresolved(pydantic.BaseModel):
    size: "Nowhere"  # noqa: F821 - that is the point


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (Nested, ["field `page`", "a field can't be a Page"]),
        (NestedList, ["field `pages`", "list[Page] can't be read from text"]),
        (Constrained, ["field `size`", "give them to pydantic.Field()"]),
        (Choices, ["its field `size`", "give it one name"]),
        (Unresolved, ["'Nowhere' is not defined", "module level"]),
    ],
)
def test_a_model_that_can_not_be_read_is_refused(model: Any, says: list[str]):
    with pytest.raises(HandlerSignatureError) as caught:
        spec(model)
    assert [part for part in says if part not in caught.value.message] == []
    assert "https://" not in caught.value.message


def test_a_model_without_a_mark_is_told_how_to_be_read():
    with pytest.raises(HandlerSignatureError, match=r"mark it Annotated\[Page, Param\('query'\)\]"):
        param_spec(
            "page", Page, MISSING, mark=None, path_keys={}, kind=WEBSOCKETS, where="chat.py:12"
        )


# Metadata of other libraries, on parameters that aren't packs.


@pytest.mark.parametrize(
    ("type_", "query", "value", "bad", "message"),
    [
        (Annotated[int, annotated_types.Gt(3)], "4", 4, "3", "Expected `int` >= 4"),
        (pydantic.PositiveInt, "1", 1, "0", "Expected `int` >= 1"),
        (
            Annotated[str, annotated_types.Len(1, 2)],
            "a",
            "a",
            "abc",
            "Expected `str` of length <= 2",
        ),
        (Annotated[int, annotated_types.Interval(ge=1, le=3)], "3", 3, "4", "Expected `int` <= 3"),
        (Annotated[int, pydantic.Field(gt=3)], "4", 4, "3", "Input should be greater than 3"),
        (
            list[Annotated[int, pydantic.Field(gt=3)]],
            "4&page=5",
            [4, 5],
            "4&page=3",
            "Item 2: Input should be greater than 3",
        ),
        (
            Annotated[str, pydantic.AfterValidator(str.upper)],
            "a",
            "A",
            "a&page=b",
            "Given 2 times, expected once",
        ),
        (Annotated[int, "a note", ["another"]], "4", 4, "x", "Expected `int`"),
    ],
)
def test_constraints_of_other_libraries_hold(
    type_: Any, query: str, value: Any, bad: str, message: str
):
    assert read(type_, f"page={query}", source=None) == value
    (error,) = read(type_, f"page={bad}", source=None)
    assert (error.name, error.message) == ("page", message)


def test_a_parameter_with_constraints_is_not_read_by_the_reader_of_one_without():
    def constrained(type_: Any) -> Any:
        return param_spec(
            "page", type_, MISSING, mark=None, path_keys={}, kind=WEBSOCKETS, where="chat.py:12"
        )

    types = [
        int,
        pydantic.PositiveInt,
        Annotated[int, pydantic.Field(gt=3)],
        Annotated[int, pydantic.Field(gt=4)],
        list[Annotated[int, pydantic.Field(gt=4)]],
    ]
    assert len({constrained(type_) for type_ in types}) == len(types)
    assert len({constrained(types[2]), constrained(types[2])}) == 1


@pytest.mark.parametrize(
    ("type_", "says"),
    [
        (Annotated[date, annotated_types.Gt(date(2020, 1, 1))], "can't be checked"),
        (Annotated[date, annotated_types.Gt(1)], "Can only set `gt` on a numeric type"),
    ],
)
def test_a_constraint_that_can_not_be_checked_is_refused(type_: Any, says: str):
    with pytest.raises(HandlerSignatureError, match=says):
        spec(type_, None)


def test_pydantic_is_imported_by_those_who_use_it_only():
    program = "import sys, triows; assert not [name for name in sys.modules if 'pydantic' in name]"
    allowed = "{'triows._pydantic'}"
    program = program.replace("'pydantic' in name", f"'pydantic' in name and name not in {allowed}")
    subprocess.run([sys.executable, "-c", program], check=True)
