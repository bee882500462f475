"""What an annotation means, with aliases, new types and constraints."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable
from typing import Annotated, Any, Generic, Literal, NewType, Optional, TypeVar

import annotated_types
import msgspec
import pytest
from typing_extensions import TypeAliasType

from triows._annotations import (
    constrained,
    constraints,
    expanded,
    mentions,
    others_than_types,
    substituted,
    type_name,
    unnamed,
)

T = TypeVar("T")
Number = TypeAliasType("Number", int)
Pair = TypeAliasType("Pair", tuple[T, T], type_params=(T,))
Itself = TypeAliasType("Itself", T, type_params=(T,))
UserId = NewType("UserId", int)
OwnerId = NewType("OwnerId", UserId)
Owner = TypeAliasType("Owner", OwnerId)


@pytest.mark.parametrize(
    ("alias", "value"),
    [(Number, int), (Pair[int], tuple[int, int]), (Itself[str], str), (int, int), (None, None)],
)
def test_an_alias_is_the_type_that_it_was_given(alias, value):
    assert expanded(alias) == value


@pytest.mark.parametrize("name", [int, Number, UserId, OwnerId, Owner])
def test_behind_all_names_there_is_a_type(name):
    assert unnamed(name) is int


def test_constraints_of_both_libraries_are_msgspecs():
    marks = [annotated_types.Gt(3), "a comment", msgspec.Meta(max_length=5), annotated_types.Len(1)]
    assert constraints(marks) == [
        msgspec.Meta(gt=3),
        msgspec.Meta(max_length=5),
        msgspec.Meta(min_length=1),
    ]


def test_a_bound_that_msgspec_does_not_take_is_refused_with_what_to_do():
    mark = annotated_types.Gt(datetime.date(2000, 1, 1))
    with pytest.raises(TypeError, match=r"^the constraint Gt\(.*leave it out, and check the value"):
        constraints([mark])


def test_constraints_are_translated_everywhere_in_a_type():
    small = Annotated[int, annotated_types.Lt(9)]
    wanted = Annotated[int, msgspec.Meta(lt=9)]
    assert constrained(small) == wanted
    assert constrained(list[small]) == list[wanted]
    assert constrained(dict[str, small | None]) == dict[str, wanted | None]
    assert constrained(TypeAliasType("Small", small)) == wanted


def test_metadata_without_a_constraint_is_left_out():
    assert constrained(Annotated[int, "a comment"]) is int
    assert constrained(float) is float


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "int"),
        (datetime.date, "date"),
        (None, "None"),
        (type(None), "None"),
        (list[int], "list[int]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (dict[str, list[int]], "dict[str, list[int]]"),
        (int | None, "int | None"),
        (Optional[int], "int | None"),  # noqa: UP045 - it is another object than the one above
        (Literal["a", 1], "Literal['a', 1]"),
        (Annotated[int, annotated_types.Gt(3)], "int"),
        (UserId, "UserId"),
        (Any, "Any"),
    ],
)
def test_a_type_is_written_as_in_a_signature(annotation, text):
    assert type_name(annotation) == text


class Page(Generic[T]):
    pass


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (T, int),
        (list[T] | None, list[int] | None),
        (Page[T], Page[int]),
        (Page, Page),  # its parameter is another one, even if it has the same name
        (list[str], list[str]),
    ],
)
def test_parameters_are_replaced(annotation, expected):
    assert substituted(annotation, {T: int}) == expected
    assert substituted(annotation, {}) == annotation


class Event: ...


class Special(Event): ...


@pytest.mark.parametrize(
    "annotation",
    [
        Event,
        Special,
        Event | None,
        list[dict[str, Special]],
        Annotated[list[Event], "a comment"],
        TypeAliasType("Alias", list[Event]),
    ],
)
def test_a_class_is_found_anywhere_in_a_type(annotation):
    assert mentions(annotation, Event)


@pytest.mark.parametrize(
    "annotation", [int, Any, list[int], Annotated[int, Event], Literal["Event"]]
)
def test_a_class_is_not_found_where_it_is_not(annotation):
    assert not mentions(annotation, Event)


@pytest.mark.parametrize(
    ("annotation", "found"),
    [
        (201, [201]),
        (list[5], [5]),
        (dict[str, 1.5] | None, [1.5]),
        ([int], [[int]]),
        (any, [any]),
        (pytest, [pytest]),
        (Annotated[list[5], 6], [5]),
    ],
)
def test_what_is_no_type_is_found_anywhere_in_an_annotation(annotation, found):
    assert list(others_than_types(annotation)) == found


@pytest.mark.parametrize(
    "annotation",
    [
        int,
        None,
        Any,
        UserId,
        tuple[int, ...],
        Literal[201],
        Callable[[int], str],
        Annotated[int, 201],
        threading.Lock,
        TypeVar("T"),
    ],
)
def test_types_are_types(annotation):
    assert list(others_than_types(annotation)) == []
