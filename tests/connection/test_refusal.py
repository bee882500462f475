from __future__ import annotations

import json
from http import HTTPStatus

import pytest

from triows import HTTPException
from triows._connection.refusal import (
    bad_parameters,
    from_exception,
    problem,
    try_later,
    upgrade_required,
)
from triows._injection.params import ParamError


def test_a_problem_is_what_rfc_9457_says():
    refusal = problem(404, "no such room", {"X-A": "1"}, room="kitchen")
    assert json.loads(refusal.body) == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "no such room",
        "room": "kitchen",
    }
    assert refusal.headers == [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(refusal.body)).encode()),
        (b"x-a", b"1"),
    ]


def test_a_problem_without_detail_has_none():
    assert set(json.loads(problem(404).body)) == {"type", "title", "status"}


@pytest.mark.parametrize("status", [400, 499, 520, 599])
def test_every_status_has_a_title(status):
    assert json.loads(problem(status).body)["title"]


def test_the_title_of_422_is_the_same_on_every_python():
    assert json.loads(problem(422).body)["title"] == "Unprocessable Content"


@pytest.mark.parametrize("status", [0, 100, 101, 200, 304, 600])
def test_what_is_no_refusal_does_not_refuse(status):
    with pytest.raises(ValueError, match=f"from 300 to 599, not {status}"):
        problem(status)


def test_a_redirection_refuses():
    assert problem(302, headers={"location": "/login"}).status == 302


def test_text_of_the_peer_stays_inside_the_json():
    body = problem(400, 'a"\r\n\0<script>').body
    assert json.loads(body)["detail"] == 'a"\r\n\0<script>'
    assert not {0, 10, 13} & set(body)


def test_bad_parameters_are_all_listed():
    errors = [
        ParamError("query", "times", "Expected `int`, got `str`"),
        ParamError("header", "x-token", "Missing"),
    ]
    refusal = bad_parameters(errors)
    found = json.loads(refusal.body)
    assert refusal.status == 422
    assert found["detail"] == "2 parameters of the request can't be used"
    assert found["errors"] == [
        {"location": "query", "name": "times", "message": "Expected `int`, got `str`"},
        {"location": "header", "name": "x-token", "message": "Missing"},
    ]


def test_one_bad_parameter_is_one():
    refusal = bad_parameters([ParamError("query", "a", "Missing")])
    assert json.loads(refusal.body)["detail"] == "1 parameter of the request can't be used"


def test_who_should_come_again_is_told_when():
    refusal = try_later("the server is shutting down")
    assert refusal.status == HTTPStatus.SERVICE_UNAVAILABLE
    assert (b"retry-after", b"5") in refusal.headers


def test_plain_http_is_told_to_upgrade():
    refusal = upgrade_required()
    assert refusal.status == HTTPStatus.UPGRADE_REQUIRED
    assert {(b"upgrade", b"websocket"), (b"connection", b"Upgrade")} <= set(refusal.headers)


def test_an_http_exception_keeps_status_detail_and_headers():
    refusal = from_exception(HTTPException(401, "who?", {"WWW-Authenticate": "Basic"}))
    assert refusal.status == 401
    assert json.loads(refusal.body)["detail"] == "who?"
    assert (b"www-authenticate", b"Basic") in refusal.headers


def test_a_detail_that_is_no_text_is_written_as_one():
    assert json.loads(from_exception(HTTPException(400, {"a": 1})).body)["detail"] == "{'a': 1}"
