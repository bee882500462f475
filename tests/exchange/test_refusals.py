"""Refusals that all kinds of exchange have in common."""

from __future__ import annotations

import json

import pytest

from triows import HTTPException
from triows._exchange.refusals import agreed, bad_parameters, if_all
from triows._injection.query import ParamError


def test_all_parameters_that_cannot_be_used_are_told_at_once():
    errors = [
        ParamError("query", "page", "Expected `int`"),
        ParamError("header", "x-token", "missing"),
    ]
    reply = bad_parameters(errors)
    body = json.loads(reply.body)
    assert reply.status == 422
    assert body["detail"] == "2 parameters of the request can't be used"
    assert body["errors"] == [
        {"location": "query", "name": "page", "message": "Expected `int`"},
        {"location": "header", "name": "x-token", "message": "missing"},
    ]


def test_exceptions_count_only_if_all_are_of_the_kinds():
    one, two, other = ValueError(), KeyError(), OSError()
    assert if_all([one, two], ValueError, LookupError) == [one, two]
    assert if_all([one, other], ValueError, LookupError) == []
    assert if_all([], ValueError) == []


def test_exceptions_that_agree_are_one_refusal():
    reply = agreed([HTTPException(403, "not you"), HTTPException(403, "not you")])
    assert reply is not None
    assert (reply.status, reply.why) == (403, "not you")


@pytest.mark.parametrize(
    "found",
    [
        [],
        [ValueError()],
        [HTTPException(403, "not you"), ValueError()],
        [HTTPException(403, "not you"), HTTPException(401, "who?")],
        [HTTPException(403, "not you"), HTTPException(403, "not now")],
    ],
)
def test_where_they_do_not_agree_there_is_none(found):
    assert agreed(found) is None
