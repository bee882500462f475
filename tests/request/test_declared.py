"""Reading the members of a return annotation."""

from typing import Annotated, Any

import pytest
from typing_extensions import TypeAliasType

from triows import HandlerSignatureError, status
from triows._request.declared import Annotation, Declared, checked_status
from triows.types import HTML, JSON, Media


def members(annotation):
    return Annotation(annotation, "app.py:1 (handler)").members()


def test_a_plain_annotation_is_the_only_member():
    assert members(int) == [Declared(int)]
    assert members(None) == [Declared(type(None))]


def test_marks_belong_to_their_member():
    png = Media("image/png")
    assert members(Annotated[int, 201] | Annotated[bytes, png, "doc"] | str) == [
        Declared(int, status=201),
        Declared(bytes, media=png),
        Declared(str),
    ]


def test_marks_around_a_union_are_for_all_members_without_their_own():
    assert members(Annotated[int | Annotated[str, 202], 201]) == [
        Declared(int, status=201),
        Declared(str, status=202),
    ]


def test_none_is_null_beside_others_unless_it_has_a_status():
    assert [one.is_null for one in members(int | None)] == [False, True]
    assert [one.is_null for one in members(Annotated[int | None, 201])] == [False, True]
    assert [one.is_null for one in members(int | Annotated[None, 204])] == [False, False]


def test_json_keeps_a_union_together():
    assert members(JSON[str | None]) == [Declared(str | None, is_json=True)]
    assert members(JSON[str] | bytes) == [Declared(str, is_json=True), Declared(bytes)]


def test_html_is_a_media_type():
    assert members(HTML) == [Declared(str, media=Media("text/html"))]


def test_metadata_of_others_is_left_alone():
    assert members(Annotated[int, {"a": []}, True, Any]) == [Declared(int)]


def test_a_mark_that_means_nothing_is_refused_with_the_place():
    with pytest.raises(HandlerSignatureError, match="the return annotation: a string") as caught:
        members(Annotated[bytes, "image/png"])
    assert caught.value.where == "app.py:1 (handler)"


@pytest.mark.parametrize("one", [200, status.GONE, 599, 204])
def test_final_statuses_are_for_results(one):
    assert checked_status(one) == status.code(one)


@pytest.mark.parametrize("one", [0, 99, 100, 199, 304, 600, "200", None, True])
def test_other_statuses_are_not(one):
    with pytest.raises(ValueError, match=r"."):
        checked_status(one)


@pytest.mark.parametrize("one", [204, 205])
def test_some_statuses_have_no_body(one):
    with pytest.raises(ValueError, match="annotate `-> None`, or choose another status"):
        checked_status(one, has_body=True)


def test_an_alias_is_what_it_stands_for():
    alias = TypeAliasType("Answer", Annotated[int, 201] | str)
    assert members(alias | None) == [
        Declared(int, status=201),
        Declared(str),
        Declared(type(None), is_null=True),
    ]
