"""Which errors only mean that an exchange ends, and what the log says about a cancelled handler."""

from __future__ import annotations

import pytest

from triows._exchange.ends import is_end, source_of, why_cancelled
from triows._reasons import Reason
from triows.exceptions import (
    ClientDisconnect,
    HandlerCancelled,
    WebSocketClose,
    WebSocketDisconnect,
)

OURS, OTHERS = object(), object()


def gone(source: object, cls=WebSocketDisconnect):
    error = cls()
    error.source = source
    return error


@pytest.mark.parametrize("cls", [WebSocketDisconnect, ClientDisconnect])
def test_a_disconnect_of_the_exchange_itself_is_its_end(cls):
    assert is_end(gone(OURS, cls), OURS)
    assert is_end(cls(), OURS)


def test_a_disconnect_of_another_exchange_is_news():
    assert not is_end(gone(OTHERS), OURS)


def test_that_the_handler_was_cancelled_is_an_end():
    assert is_end(HandlerCancelled("shutdown"), OURS)


@pytest.mark.parametrize("error", [ValueError(), WebSocketClose(1000), KeyboardInterrupt()])
def test_any_other_error_is_none(error):
    assert not is_end(error, OURS)


def test_a_disconnect_whose_class_lies_is_still_about_its_source():
    class Lying(WebSocketDisconnect):
        def __getattribute__(self, name):
            raise RuntimeError("no")

    error = Lying.__new__(Lying)
    object.__setattr__(error, "source", OURS)
    assert source_of(error) is OURS


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (None, ""),
        (Reason.TIMEOUT, ""),
        (Reason.TASK_FAILED, ""),
        (Reason.CANCELLED, "it was cancelled from outside"),
        (Reason.RESOURCE_FAILED, "a resource failed, and it was cancelled"),
        (
            Reason.PEER_GONE,
            "it did not end within its disconnect_grace, and was cancelled",
        ),
    ],
)
def test_the_log_says_why_unless_an_error_says_more(reason, said):
    assert why_cancelled(reason, "it") == said
