from __future__ import annotations

import msgspec
import pytest
import trio

from triows import (
    HandlerCancelled,
    HTTPException,
    InvalidMessage,
    WebSocketClose,
    WebSocketDisconnect,
    WebSocketException,
    WrongDataType,
)
from triows._websocket.verdict import Verdict, judge


def answers(verdict: Verdict) -> tuple[int, int]:
    """The code if the connection was accepted, and the status if it wasn't."""
    return verdict.code, verdict.refusal.status


def grouped(*errors: BaseException) -> BaseException:
    return BaseExceptionGroup("of a nursery", [BaseExceptionGroup("inner", errors)])


def test_a_handler_that_returned_is_1000_or_403():
    verdict = judge(None, None, accepted=True)
    assert (answers(verdict), verdict.reason, verdict.error) == ((1000, 403), "", None)


@pytest.mark.parametrize(
    ("why", "expected"),
    [
        ("cancelled", (1001, 503)),
        ("shutdown", (1001, 503)),
        ("timeout", (1011, 500)),
        ("task failed", (1011, 500)),
        ("resource failed", (1011, 500)),
    ],
)
def test_a_cancelled_handler_is_told_apart_by_its_reason(why, expected):
    verdict = judge(None, why, accepted=True)
    assert (answers(verdict), verdict.error) == (expected, None)


@pytest.mark.parametrize("error", [ValueError(), SystemExit(1), trio.TooSlowError()])
@pytest.mark.parametrize("cancelled", [None, "shutdown", "peer gone"])
def test_an_error_is_1011_or_500_and_reported_whatever_else_happened(error, cancelled):
    verdict = judge(error, cancelled, accepted=True)
    assert (answers(verdict), verdict.error) == ((1011, 500), error)


@pytest.mark.parametrize("error", [WebSocketDisconnect(1006), HandlerCancelled("shutdown")])
def test_the_end_itself_is_no_error(error):
    own = error.source = object()
    assert judge(error, None, accepted=True, own=own).error is None
    with_another = grouped(error, WebSocketDisconnect(1001))
    assert judge(with_another, None, accepted=True, own=own).error is None


def test_an_error_beside_an_end_is_reported():
    error = grouped(WebSocketDisconnect(1006), ValueError())
    verdict = judge(error, None, accepted=True)
    assert (verdict.code, verdict.error) == (1011, error)


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (WebSocketClose(4001, "no"), 4001, "no"),
        (WebSocketClose(), 1000, ""),
        (WrongDataType("expected text"), 1003, "expected text"),
        (InvalidMessage("the field `password` is missing"), 1007, "invalid message"),
        (WebSocketException(4001, "no"), 4001, "no"),
        (WebSocketException(1008), 1008, ""),
    ],
)
def test_a_close_is_sent_as_it_was_raised_and_not_reported(error, code, reason):
    for raised in (error, grouped(error), grouped(WebSocketDisconnect(1006), error)):
        verdict = judge(raised, None, accepted=True)
        assert (verdict.code, verdict.reason, verdict.error) == (code, reason, None)


def test_a_close_before_accept_is_403():
    assert judge(WebSocketClose(4001), None, accepted=False).refusal.status == 403


def test_a_close_before_accept_is_told_in_the_body():
    refusal = judge(WebSocketClose(1008, "who are you?"), None, accepted=False).refusal
    told = msgspec.json.decode(refusal.body)
    assert (told["close_code"], told["detail"]) == (1008, "who are you?")
    plain = judge(WebSocketClose(), None, accepted=False).refusal
    assert plain.body == judge(None, None, accepted=False).refusal.body


def test_starlettes_exception_before_accept_is_told_as_ours_is():
    refusal = judge(WebSocketException(1008, "who are you?"), None, accepted=False).refusal
    assert refusal == judge(WebSocketClose(1008, "who are you?"), None, accepted=False).refusal


@pytest.mark.parametrize(
    "error",
    [
        WebSocketException(1005),
        WebSocketException(1006, "gone"),
        WebSocketException(1015),
        WebSocketException(999),
        WebSocketException(-1),
        WebSocketException(2999),
        WebSocketException(5000),
        WebSocketException(0),
        WebSocketException(True),
        WebSocketException(None),
        WebSocketException("4001"),
        WebSocketException(4001, "x" * 124),
        WebSocketException(4001, "é" * 62),
        WebSocketException(4001, "\ud800"),
        WebSocketException(4001, b"bytes"),
        WebSocketException(4001, {"not": "hashable"}),
    ],
    ids=repr,
)
@pytest.mark.parametrize("accepted", [True, False])
def test_an_exception_of_starlettes_that_can_not_be_sent_is_the_applications_mistake(
    error, accepted
):
    error.__dict__.pop("__notes__", None)
    for raised in (error, grouped(error)):
        verdict = judge(raised, None, accepted=accepted)
        assert (answers(verdict), verdict.error) == ((1011, 500), raised)
        assert error.__notes__[0].startswith("it can't close the connection: ")


def test_a_close_of_ours_and_one_of_starlettes_may_agree():
    error = grouped(WebSocketClose(4001, "no"), WebSocketException(4001, "no"))
    assert answers(judge(error, None, accepted=True)) == (4001, 403)
    error = grouped(WebSocketClose(4001, "no"), WebSocketException(4002, "no"))
    assert judge(error, None, accepted=True).error is error


def test_one_close_that_comes_twice_is_one():
    error = WebSocketClose(4001)
    assert answers(judge(grouped(error, error), None, accepted=True)) == (4001, 403)


def test_two_closes_are_an_error_for_none_of_them_is_the_true_one():
    error = grouped(WebSocketClose(4001), WebSocketClose(4002))
    verdict = judge(error, None, accepted=True)
    assert (verdict.code, verdict.error) == (1011, error)


def test_an_http_exception_before_accept_is_the_refusal():
    verdict = judge(grouped(HTTPException(401, "who?", {"X": "1"})), None, accepted=False)
    assert (verdict.refusal.status, verdict.error) == (401, None)
    assert (b"x", b"1") in verdict.refusal.headers


def test_an_http_exception_after_accept_is_an_error():
    error = HTTPException(401)
    verdict = judge(error, None, accepted=True)
    assert (verdict.code, verdict.error) == (1011, error)


@pytest.mark.parametrize(
    "error",
    [
        HTTPException(204, ""),
        HTTPException(401, headers={"x": "a\r\nb"}),
        HTTPException(401, headers={"content-length": "0"}),
        HTTPException(401, "\ud800"),
        HTTPException("401", "as a str"),
    ],
)
def test_an_http_exception_that_can_not_be_sent_is_500_and_reported_with_its_reason(error):
    verdict = judge(error, None, accepted=False)
    assert (verdict.refusal.status, verdict.error) == (500, error)
    assert "it can't refuse a handshake: " in error.__notes__[0]


def test_the_same_close_by_two_tasks_is_that_close():
    error = ExceptionGroup("", [WebSocketClose(4001, "bye"), WebSocketClose(4001, "bye")])
    verdict = judge(error, None, accepted=True)
    assert (verdict.code, verdict.reason, verdict.error) == (4001, "bye", None)


def test_that_another_connection_is_over_is_an_error_of_this_one():
    own, other = object(), object()
    error = WebSocketDisconnect(1000)
    error.source = other
    verdict = judge(error, None, accepted=True, own=own)
    assert (verdict.code, verdict.error) == (1011, error)
    error.source = own
    assert judge(error, None, accepted=True, own=own).error is None


@pytest.mark.parametrize("source", [None, object()])
def test_that_another_handler_was_cancelled_is_an_error_of_this_one(source):
    error = HandlerCancelled("shutdown")
    error.source = source
    verdict = judge(error, None, accepted=True, own=object())
    assert (verdict.code, verdict.error) == (1011, error)
