"""The words for a signature are checked when they are written."""

from __future__ import annotations

from typing import Annotated, get_args

import msgspec
import pytest

from triows.types import IGNORE, Ignore, Media, Param, use


def factory() -> int:
    return 1


def test_ignore_is_a_mark_beside_the_type():
    assert get_args(Ignore[int]) == (int, IGNORE)
    assert repr(IGNORE) == "Ignore"


def test_a_param_says_nothing_unless_it_is_told():
    mark = Param()
    assert (mark.source, mark.alias, mark.decoder, mark.constraint) == (None, None, None, None)


@pytest.mark.parametrize("source", ["path", "query", "header", "cookie"])
def test_a_param_has_one_of_four_sources(source):
    assert Param(source).source == source


def test_a_name_in_the_place_of_a_source_is_refused_with_alias():
    with pytest.raises(ValueError, match=r"not 'x-token'\. .*write alias='x-token'"):
        Param("x-token")


def test_constraints_are_msgspecs():
    assert Param(ge=1, lt=9).constraint == msgspec.Meta(ge=1, lt=9)
    assert Param(pattern="^a").constraint == msgspec.Meta(pattern="^a")
    assert Param(min_length=0).constraint == msgspec.Meta(min_length=0)


@pytest.mark.parametrize(
    ("constraints", "problem"),
    [
        ({"gt": 1, "ge": 1}, "both `gt` and `ge`"),
        ({"pattern": "("}, r"Param\(pattern='\('\) isn't a regular expression: missing \)"),
        ({"ge": 5, "le": 1}, r"no value keeps Param\(ge=5, le=1\)"),
        ({"gt": 5, "le": 5}, r"no value keeps Param\(gt=5, le=5\)"),
        ({"ge": 5, "lt": 5}, r"no value keeps Param\(ge=5, lt=5\)"),
        ({"min_length": 5, "max_length": 1}, "its bounds leave nothing between them"),
    ],
)
def test_constraints_that_make_no_sense_are_refused(constraints, problem):
    with pytest.raises(ValueError, match=problem):
        Param(**constraints)


@pytest.mark.parametrize(
    "constraints",
    [{"ge": 5, "le": 5}, {"gt": 1, "lt": 2}, {"min_length": 3, "max_length": 3}, {"gt": 5}],
)
def test_constraints_may_leave_one_value(constraints):
    assert Param(**constraints).constraint == msgspec.Meta(**constraints)


@pytest.mark.parametrize("alias", [["a", "b"], 3, b"x-token"])
def test_an_alias_is_one_name(alias):
    with pytest.raises(TypeError, match=r"one name in the request, a str such as 'x-token', not"):
        Param(alias=alias)


def test_what_is_no_name_is_not_taken_for_an_alias():
    with pytest.raises(ValueError, match=r"not \['query'\]$"):
        Param(["query"])


def test_use_makes_a_value_of_its_own_for_the_connection():
    mark = use(factory)
    assert (mark.factory, mark.reuse, mark.scope) == (factory, False, "connection")


def test_use_may_leave_the_factory_to_the_type():
    assert use(scope="app").factory is None


def test_a_scope_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(ValueError, match=r"takes 'connection' or 'app', not 'request'"):
        use(factory, scope="request")


def test_reuse_is_a_switch():
    with pytest.raises(TypeError, match=r"use\(reuse=...\) takes True or False, not 'app'"):
        use(factory, reuse="app")


def test_marks_can_be_compared():
    assert Annotated[int, use(factory)] == Annotated[int, use(factory)]
    assert Param("query", alias="a") != Param("query", alias="b")


@pytest.mark.parametrize(
    "name", ["image/png", "application/vnd.api+json", "text/csv; header=present", "a/b;c=d"]
)
def test_a_media_type_may_have_parameters(name):
    assert Media(name).type == name


@pytest.mark.parametrize(
    "name",
    [
        "png",
        "image/",
        "/png",
        "image/*",
        "*/*",
        "a/b c",
        "a/b\r\nx: y",
        "a/b; c",
        "a/b;q=5",
        "a/b; Q=1",
        "",
        None,
        1,
    ],
)
def test_a_text_that_is_no_media_type_is_refused(name):
    with pytest.raises(ValueError, match="isn't a media type"):
        Media(name)
