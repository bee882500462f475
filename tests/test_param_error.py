"""What is wrong with a request, one by one."""

from __future__ import annotations

import attrs
import pytest

from triows import HTTPException, InvalidRequest, ParamError, Route, Triows
from triows.testing import open_app

ERRORS = [
    ParamError("body", "items.0.price", "too cheap"),
    ParamError("query", "page", "there is no such page"),
]


def test_equal_errors_are_the_same_error():
    assert dict.fromkeys([*ERRORS, attrs.evolve(ERRORS[0])]) == dict.fromkeys(ERRORS)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        ERRORS[0].name = "other"  # type: ignore[misc]


def test_an_exception_has_them_and_says_what_they_say():
    error = InvalidRequest(ERRORS)
    assert error.errors == tuple(ERRORS)
    assert (error.status_code, error.detail) == (422, "too cheap; there is no such page")


async def test_a_handler_may_raise_some_of_its_own():
    route = Route("")

    @route.post
    async def refuse() -> None:
        raise InvalidRequest(ERRORS)

    async with open_app(Triows(route)) as client:
        response = await client.post("/")
    assert response.status_code == 422
    assert response.json()["detail"] == "2 mistakes in the request"
    assert response.json()["errors"] == [attrs.asdict(one) for one in ERRORS]


async def test_an_application_may_answer_them_in_another_way():
    route = Route("")

    @route.get
    async def number(n: int) -> None:
        pass

    app = Triows(route)

    @app.catch(InvalidRequest)
    def answer(error: InvalidRequest) -> HTTPException:
        return HTTPException(400, {one.name: one.message for one in error.errors})

    async with open_app(app) as client:
        assert (await client.get("/?n=x")).json()["detail"] == {"n": "Expected `int`"}
