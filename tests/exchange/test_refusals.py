from __future__ import annotations

import json
from http import HTTPStatus

import pytest

from triows import HTTPException, WebSocketClose
from triows._exchange.refusals import agreed, if_all, invalid_request
from triows._param_error import ParamError

ERRORS = [
    ParamError("query", "page", "it isn't an int"),
    ParamError("path", "room", "it is missing"),
]


@pytest.mark.parametrize(("count", "detail"), [(1, "1 mistake"), (2, "2 mistakes")])
def test_parameters_that_can_not_be_used_are_all_in_a_422(count, detail):
    reply = invalid_request(ERRORS[:count])
    body = json.loads(reply.body)
    assert (reply.status, body["title"]) == (422, "Unprocessable Content")
    assert body["detail"] == f"{detail} in the request"
    assert (
        body["errors"]
        == [
            {"location": "query", "name": "page", "message": "it isn't an int"},
            {"location": "path", "name": "room", "message": "it is missing"},
        ][:count]
    )


def test_exceptions_are_taken_if_all_of_them_are_of_the_kinds():
    http, close, other = HTTPException(401), WebSocketClose(4001), ValueError()
    assert if_all([http, close], HTTPException, WebSocketClose) == [http, close]
    assert if_all([http, close], HTTPException) == []
    assert if_all([http, other], HTTPException, WebSocketClose) == []


@pytest.mark.parametrize(
    ("errors", "status"),
    [
        ([HTTPException(401)], 401),
        ([HTTPException(401, "who?"), HTTPException(401, "who?")], 401),
        ([HTTPException(401, "who?"), HTTPException(401, "what?")], None),
        ([HTTPException(401), HTTPException(HTTPStatus.FORBIDDEN)], None),
        ([HTTPException(401, "", {"a": "1"}), HTTPException(401, "", {"a": "1"})], 401),
        ([HTTPException(401, "", {"a": "1"}), HTTPException(401, "", {"a": "2"})], None),
        ([HTTPException(401), ValueError()], None),
        ([ValueError()], None),
        ([], None),
    ],
)
def test_a_refusal_is_what_all_exceptions_agree_on(errors, status):
    reply = agreed(errors)
    assert (reply and reply.status) == status


def test_the_log_tells_the_detail_of_a_refusal_or_what_raised_it():
    first, second = agreed([HTTPException(401, "who?")]), agreed([HTTPException(401, "")])
    assert first is not None
    assert second is not None
    assert (first.why, second.why) == ("who?", "HTTPException")


def test_a_refusal_that_can_not_be_sent_is_raised():
    with pytest.raises(ValueError, match="status"):
        agreed([HTTPException(200, "fine")])


def test_a_refusal_says_where_it_happened_if_that_is_known():
    reply = agreed([HTTPException(410), HTTPException(410)], "/rooms/1")
    assert json.loads(reply.body)["instance"] == "/rooms/1"
    assert "instance" not in json.loads(agreed([HTTPException(410)]).body)
