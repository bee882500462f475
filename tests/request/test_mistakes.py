"""What people write into a return annotation that says nothing there."""

from __future__ import annotations

import http
from http import HTTPStatus
from typing import Annotated, Any, ClassVar, Final, Literal, Optional, Union

import msgspec
import pytest
from starlette.responses import JSONResponse, Response

from triows import HTTPException, status
from triows._request.mistakes import problem_of_mark, problem_of_type, problem_of_value
from triows.types import HTML, JSON, Media, Param, use


class User(msgspec.Struct):
    id: int


class Gone(HTTPException): ...


def function() -> None: ...


@pytest.mark.parametrize("one", [201, HTTPStatus.CREATED, status.CREATED])
def test_a_status_is_no_type(one: Any) -> None:
    problem = problem_of_type(one)
    assert problem is not None
    assert "write `Annotated[TYPE, 201]`" in problem
    assert "or `Annotated[None, 201]`" in problem


def test_who_returns_a_number_that_may_be_a_status_is_told_what_to_write() -> None:
    assert "write `JSON[Literal[201]]`" in (problem_of_type(Literal[201]) or "")
    assert "JSON" not in (problem_of_type(201) or "")
    assert problem_of_value(Literal[201]) is None


@pytest.mark.parametrize(
    ("part", "remedy"),
    [
        (tuple[User, 201], "`-> Annotated[User, 201]`"),  # type: ignore[valid-type]
        (tuple[User, status.CREATED], "`-> Annotated[User, 201]`"),
        (tuple[User, HTTPStatus], "`-> Annotated[User, HTTPStatus.CREATED]`"),
        ((User, 201), "`-> Annotated[User, 201]`"),
        ((list[User], 404, dict), "`-> Annotated[list[User], 404]`"),
        ((201, 202), "`-> Annotated[TYPE, 201]`"),
    ],
)
def test_a_status_in_a_tuple_is_told_from_an_item(part: Any, remedy: str) -> None:
    assert remedy in (problem_of_type(part) or "")


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (5, "5"),
        (True, "True"),
        ([User], "[<class"),
        ({"id": int}, "{'id'"),
        ((int, str), "(<class"),
        (list[5], "5"),  # type: ignore[valid-type]
        (User(1), "User(id=1)"),
        (..., "Ellipsis"),
        (status, "triows.status"),
        (http, "http"),
        (print, "print"),
        (function, "function"),
        (status.code, "code"),
        (Media("image/png"), "Media("),
        (Param("query"), "ParamMark("),
        (use(function), "UseMark("),
        (Union, "Union"),
        (Optional, "Optional"),
        (Literal, "Literal"),
        (Annotated, "Annotated"),
        (Final[int], "Final"),
        (ClassVar[int], "ClassVar"),
    ],
)
def test_what_is_no_type_is_refused_by_name(part: Any, name: str) -> None:
    problem = problem_of_type(part)
    assert problem is not None
    assert problem.startswith(name)
    assert "isn't a type: write the type of what the handler returns" in problem
    assert problem_of_value(part) == problem


@pytest.mark.parametrize(
    "part",
    [
        None,
        User,
        Any,
        User | None,
        list[User],
        tuple[User, int],
        tuple[int, ...],
        tuple[()],
        dict[str, Any],
        Literal["created"],
        Literal[200, 404],
        Literal[7],
        Response,
        HTTPStatus,
    ],
)
def test_types_are_right(part: Any) -> None:
    assert problem_of_type(part) is None


@pytest.mark.parametrize(
    ("mark", "remedy"),
    [
        ("created", "write status.CREATED"),
        ("Created", "write status.CREATED"),
        ("CREATED", "write status.CREATED"),
        ("status.CREATED", "write status.CREATED"),
        ("HTTP_201_CREATED", "write status.CREATED"),
        ("201", "write status.CREATED"),
        (" 201 Created ", "write status.CREATED"),
        ("299", "write 299"),
        ("not found", "write status.NOT_FOUND"),
        ("Not-Found", "write status.NOT_FOUND"),
        ("Content Too Large", "write status.REQUEST_ENTITY_TOO_LARGE"),
        ("Request Entity Too Large", "write status.REQUEST_ENTITY_TOO_LARGE"),
        (201.0, "write 201"),
        ((201,), "write 201"),
        ([200, 404], "write `Annotated[TYPE, 200] | Annotated[TYPE, 404]`"),
        (Literal[200, 404], "write `Annotated[TYPE, 200] | Annotated[TYPE, 404]`"),
        (status, "write status.CREATED, for example"),
        (HTTPStatus, "write status.CREATED, for example"),
        (Gone, "write `User | Gone`"),
        (Gone(410), "write `User | Gone`"),
        (JSONResponse, "write `User | JSONResponse`"),
        (JSON, "write `HTML`, or `JSON[User]`"),
        (HTML, "write `HTML`, or `JSON[User]`"),
        (Param("query"), "take it out"),
        (use(function), "take it out"),
    ],
)
def test_a_mark_that_says_nothing_is_refused_with_what_to_write(mark: Any, remedy: str) -> None:
    assert remedy in (problem_of_mark(mark, "User") or "")


@pytest.mark.parametrize(
    "mark",
    [
        "a user",
        "what was created",
        "200 users",
        "",
        "ä",
        True,
        None,
        1.5,
        [],
        {"status": "created"},
        [200, "a"],
        User,
        msgspec.Meta(title="created"),
        object(),
    ],
)
def test_the_marks_of_others_are_left_alone(mark: Any) -> None:
    assert problem_of_mark(mark, "User") is None
