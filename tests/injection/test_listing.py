"""Parameters as a person would write them."""

from typing import Any

import msgspec
import pytest

from tests.injection.kinds import WEBSOCKETS
from triows._injection.listing import written
from triows._injection.parameter import MISSING
from triows._injection.params import param_spec
from triows.types import Param


class Page(msgspec.Struct):
    after: str
    size: int = 10
    tags: list[str] = []


def lines(annotation, default=MISSING, source="query"):
    spec = param_spec(
        "value",
        annotation,
        default,
        mark=Param(source),
        path_keys={},
        kind=WEBSOCKETS,
        where="chat.py:12",
    )
    return list(written(spec.known))


@pytest.mark.parametrize(
    ("annotation", "default", "line"),
    [
        (int, MISSING, "query value: int"),
        (int, 10, "query value: int = 10"),
        (str | None, None, "query value: str | None = None"),
        (str, "a\nb", r"query value: str = 'a\nb'"),
        (str, "x" * 99, f"query value: str = '{36 * 'x'}..."),
    ],
)
def test_a_parameter_is_one_line_with_its_default(annotation, default, line):
    assert lines(annotation, default) == [line]


def test_each_field_of_a_pack_is_a_line():
    assert lines(Page, source="header") == [
        "header after: str",
        "header size: int = 10",
        "header tags: list[str] (optional)",
    ]


def test_no_field_is_required_if_the_pack_has_a_default():
    assert lines(Page, Page("x"))[0] == "query after: str (optional)"


def test_a_default_that_can_not_be_written_is_said_to_be_optional():
    class Unshowable:
        def __repr__(self) -> str:
            raise RuntimeError

    assert lines(Any, Unshowable()) == ["query value: Any (optional)"]
