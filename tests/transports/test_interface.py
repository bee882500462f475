"""
What all transports have in common.

A type checker compares the transports with their interface: tests/typing/transports.py.
"""

from __future__ import annotations

import pytest

from triows import WebSocketDisconnect
from triows._transports.interface import Ended, Traffic, disconnect, undelivered


def test_nothing_is_counted_at_first():
    assert Traffic() == Traffic(0, 0, 0, 0)


def test_each_direction_is_counted_by_itself():
    traffic = Traffic()
    traffic.count_received(5)
    traffic.count_received(7)
    traffic.count_sent(100)
    assert traffic == Traffic(
        messages_received=2, bytes_received=12, messages_sent=1, bytes_sent=100
    )


def test_an_empty_message_is_a_message():
    traffic = Traffic()
    traffic.count_received(0)
    traffic.count_sent(0)
    assert (traffic.messages_received, traffic.messages_sent) == (1, 1)


@pytest.mark.parametrize(
    ("ended", "reason"),
    [
        (Ended(1000, "bye"), "undelivered: 1000 bye"),
        (Ended(1001), "undelivered: 1001"),
    ],
)
def test_a_close_frame_that_did_not_arrive_is_a_1006_that_says_what_was_in_it(ended, reason):
    assert undelivered(ended) == Ended(1006, reason)


def test_a_handler_is_told_the_code_the_reason_and_whose_end_it_is():
    connection = object()
    exc = disconnect(connection, Ended(4000, "moved"))
    assert isinstance(exc, WebSocketDisconnect)
    assert (exc.code, exc.reason) == (4000, "moved")
    assert exc.source is connection


def test_a_handler_is_not_told_what_only_the_log_says():
    exc = disconnect(object(), Ended(1006, "", status=503, why="it was too slow"))
    assert str(exc) == "1006"


def test_each_call_gets_an_exception_of_its_own():
    # If two tasks raised the same one, each would add to the other's traceback.
    connection, ended = object(), Ended(1000)
    assert disconnect(connection, ended) is not disconnect(connection, ended)
