"""What Param() says about a parameter that is made from the whole body, and where it may be."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, TypedDict

import attrs
import msgspec
import pydantic
import pytest

from triows import HandlerSignatureError, Param, Triows
from triows._injection.bodies import body_spec, check_fields, is_body, is_form
from triows._injection.marks import Site
from triows._injection.parameter import MISSING
from triows._request.kind import request_kind
from triows._request.upload import UploadFile

POSTS = request_kind(Triows, "POST")
GETS = request_kind(Triows, "GET")
SITE = Site("`value`", "app.py:1 (handler)", "value: ")

Name = Annotated[str, Param(min_length=3)]


class Page(msgspec.Struct):
    size: int = 1


class OurStruct(msgspec.Struct):
    name: Name


@dataclasses.dataclass
class OurData:
    name: Name


@attrs.define
class OurAttrs:
    name: Name


class OurRecord(TypedDict):
    name: Name


class OurModel(pydantic.BaseModel):
    name: Name


class Around(msgspec.Struct):
    pages: list[OurStruct | None]


class Tree(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(max_length=3)]
    children: list[Tree] = []


class Alternative(pydantic.BaseModel):
    size: int = pydantic.Field(validation_alias=pydantic.AliasChoices("size", "width"))


def plan(annotation, mark=None, default=MISSING, kind=POSTS):
    return body_spec("value", annotation, default, kind, SITE, mark)


def refused(*args, **options):
    with pytest.raises(HandlerSignatureError) as caught:
        plan(*args, **options)
    return str(caught.value).partition("\n")[0]


def decode(spec, data):
    return spec.decoder.known[b"application/json"](data)


@pytest.mark.parametrize(
    ("annotation", "mark", "is_it"),
    [
        (Page, None, True),
        (list[Page] | None, None, True),
        (bytes, None, True),
        (str, None, False),
        (str, Param("body"), True),
        (Page, Param("query"), False),
        (Page, Param(decoder=str), False),
    ],
)
def test_the_type_or_the_mark_says_that_it_is_the_body(annotation, mark, is_it):
    assert is_body(annotation, mark) is is_it


@pytest.mark.parametrize(
    ("annotation", "mark", "kind", "is_it"),
    [
        (UploadFile, None, POSTS, True),
        (UploadFile, None, GETS, False),
        (str, Param("form"), POSTS, True),
        (Page, Param("body"), POSTS, False),
    ],
)
def test_the_type_or_the_mark_says_that_it_is_of_a_form(annotation, mark, kind, is_it):
    assert is_form(annotation, mark, kind) is is_it


def test_a_constraint_of_the_mark_is_checked():
    spec = plan(list[int], Param("body", max_length=1))
    assert decode(spec, b"[1]") == [1]
    with pytest.raises(Exception, match="422"):
        decode(spec, b"[1,2]")


def test_a_decoder_takes_the_bytes_whatever_their_type_is():
    spec = plan(Page, Param("body", decoder=lambda data: Page(len(data))))
    assert spec.decoder.media_types == ("*/*",)
    assert spec.decoder.for_type(b"text/csv")(b"abc") == Page(3)


def test_two_decoders_make_two_values():
    mark, other = Param("body", decoder=len), Param("body", decoder=bytes)
    assert plan(Any, mark) == plan(Any, mark)
    assert plan(Any, mark) != plan(Any, other)


@pytest.mark.parametrize(
    ("annotation", "mark", "problem"),
    [
        (Page, Param("body", alias="page"), "has an alias, and the body as a whole has no name"),
        (
            list[int],
            Param("body", decoder=len, max_length=1),
            "has constraints that its decoder replaces",
        ),
        (list[Alternative], Param("body", max_length=1), "give them to pydantic.Field()"),
        (int, Param("body", max_length=1), "can't be made from a body: "),
        (Page, Param("body", decoder=lambda: 1), "can't be made from a body: the decoder"),
    ],
)
def test_what_would_have_no_effect_is_refused(annotation, mark, problem):
    assert problem in refused(annotation, mark)


def test_a_request_without_a_body_has_none_to_read():
    assert refused(Page, Param("body"), kind=GETS) == (
        '`value` can not be read: a GET request has no body for Param("body") to read'
    )


@pytest.mark.parametrize(
    "annotation",
    [
        OurStruct, OurData, OurAttrs, OurRecord, OurModel, list[OurStruct], dict[str, OurData],
        OurAttrs | None, Annotated[OurRecord, "text"],
    ],
)  # fmt: skip
def test_our_marks_in_a_field_are_refused_since_nobody_would_check_them(annotation):
    with pytest.raises(HandlerSignatureError) as caught:
        check_fields(annotation, SITE)
    assert str(caught.value).startswith(
        "`value`, field `name`, has Param() in its Annotated, which does nothing in a body: write "
        "`name: Annotated[str, msgspec.Meta(...)]`"
    )


def test_they_are_found_in_classes_inside_others():
    with pytest.raises(HandlerSignatureError, match="`value`, field `pages`, field `name`, has"):
        check_fields(Around, SITE)


@pytest.mark.parametrize("annotation", [Tree, list[Tree], Alternative, dict[str, Any], int])
def test_other_fields_are_left_to_the_library(annotation):
    check_fields(annotation, SITE)
