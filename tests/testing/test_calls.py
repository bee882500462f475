"""How a test recognises what the application does for it."""

import contextvars

import pytest

from triows.testing._calls import Call, Calls, call_of

SCOPE = {"type": "http", "client": ["127.0.0.1", 1234], "path": "/"}


@pytest.fixture
def calls():
    return Calls(raises=True)


def known(calls):
    call = Call("http://testserver/", secure=False)
    call.address = ("127.0.0.1", 1234)
    calls.requests.add(call)
    return call


def in_a_task_of_its_own(function, *args):
    return contextvars.copy_context().run(function, *args)


async def test_a_call_is_recognised_by_the_address_of_its_client(calls):
    call = known(calls)

    def serve():
        calls.began(SCOPE)
        assert call.is_going
        assert call_of(contextvars.copy_context()) is call
        calls.over(SCOPE)

    in_a_task_of_its_own(serve)
    assert call.over.is_set()
    assert not call.is_going


async def test_a_call_is_recognised_by_its_mark(calls):
    call = Call("ws://testserver/", secure=False)

    def serve():
        call.mark()
        calls.began({"type": "websocket", "client": None})
        calls.over({"type": "websocket"})

    in_a_task_of_its_own(serve)
    assert call.over.is_set()


async def test_an_error_belongs_to_its_call_until_the_test_has_left_it(calls):
    call, first, second = known(calls), ValueError(), KeyError()

    def serve():
        calls.began(SCOPE)
        calls.failed(SCOPE, first)
        assert call.error is first
        calls.leave_request(call)
        assert (calls.errors, call.error) == ([first], None)
        calls.failed(SCOPE, second)
        calls.over(SCOPE)

    in_a_task_of_its_own(serve)
    assert calls.errors == [first, second]
    assert calls.requests == set()


async def test_an_error_of_somebody_else_is_one_of_the_application(calls):
    error = ValueError()

    def serve():
        calls.began(SCOPE | {"client": ["127.0.0.1", 1]})
        calls.failed(SCOPE, error)
        calls.over(SCOPE)

    known(calls)
    in_a_task_of_its_own(serve)
    assert calls.errors == [error]


async def test_errors_that_are_not_to_be_raised_are_logged(caplog):
    calls = Calls(raises=False)
    try:
        raise ValueError
    except ValueError as exc:
        in_a_task_of_its_own(calls.failed, SCOPE, exc)
    assert calls.errors == []
    assert "unhandled error in http '/'" in caplog.text


async def test_a_closed_connection_is_over_unless_the_application_goes_on(calls):
    call, other = known(calls), Call("http://testserver/", secure=False)
    in_a_task_of_its_own(calls.began, SCOPE)
    for one in (call, other):
        one.note_closed()
    assert (call.over.is_set(), other.over.is_set()) == (False, True)
