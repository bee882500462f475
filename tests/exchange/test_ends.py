from __future__ import annotations

import pytest
import trio

from triows import ClientDisconnect, HandlerCancelled, HTTPException, WebSocketDisconnect
from triows._exchange.ends import explain_cancellations, is_end, source_of, why_cancelled
from triows._reasons import Reason

OWN, OTHER = object(), object()


def about(
    source: object, error: WebSocketDisconnect | HandlerCancelled | None = None
) -> WebSocketDisconnect | HandlerCancelled:
    error = error or WebSocketDisconnect(1006)
    error.source = source
    return error


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (about(OWN), True),
        (about(None), True),
        (WebSocketDisconnect(1000), True),  # an application has made it
        (ClientDisconnect(), True),
        (about(OWN, HandlerCancelled("shutdown")), True),
        (about(OTHER), False),
        (about(OTHER, HandlerCancelled("shutdown")), False),
        (HandlerCancelled("shutdown"), False),  # an application has made it
        (trio.BrokenResourceError(), False),
        (HTTPException(400), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_an_end_is_what_several_tasks_may_notice_of_it(error, is_one):
    assert is_end(error, OWN) == is_one


def test_a_disconnect_knows_what_it_is_about():
    assert (source_of(about(OWN)), source_of(ClientDisconnect())) == (OWN, None)


def test_a_disconnect_that_raises_when_it_is_asked_is_looked_at_all_the_same():
    class Sly(WebSocketDisconnect):
        def __getattribute__(self, name: str) -> object:
            raise LookupError

    error = Sly()
    object.__setattr__(error, "source", OTHER)
    assert source_of(error) is OTHER
    assert not is_end(error, OWN)


def test_that_another_handler_was_cancelled_ends_no_exchange_that_has_no_source_either():
    assert not is_end(HandlerCancelled("shutdown"), None)


def test_that_another_handler_was_cancelled_is_told_in_a_note():
    own, other = about(OWN, HandlerCancelled("shutdown")), HandlerCancelled("shutdown")
    explain_cancellations(ExceptionGroup("", [own, other, ValueError()]), OWN)
    assert not hasattr(own, "__notes__")
    assert "another handler" in other.__notes__[0]


@pytest.mark.parametrize("reason", Reason)
def test_the_log_says_why_a_handler_was_cancelled_unless_an_error_says_more(reason):
    why = why_cancelled(reason, "the application")
    assert ("the application" in why) == (reason not in {Reason.TIMEOUT, Reason.TASK_FAILED})


def test_a_handler_that_was_not_cancelled_needs_no_word():
    assert why_cancelled(None, "the handler") == ""
