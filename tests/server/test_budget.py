"""How long the end of a served application may take."""

from __future__ import annotations

import math
import signal

import pytest

from triows import Drain, Timeouts, Triows
from triows._server.budget import AIR, INTERRUPT_GRACE, Budget, at_most

TIMEOUTS = Timeouts(close=1, teardown=2, shutdown_grace=30, disconnect_grace=5)


@pytest.fixture
def budget():
    return Budget.of(Triows(timeouts=TIMEOUTS), Drain())


def test_a_graceful_end_takes_as_long_as_the_drain_and_the_end_without_connections(budget):
    assert budget.graceful == Triows(timeouts=TIMEOUTS).drain_budget + budget.idle


def test_an_interrupted_application_has_less_time_than_a_terminated_one(budget):
    assert budget.idle < budget.interrupted < budget.graceful
    shorter = Triows(timeouts=TIMEOUTS).drain_seconds(INTERRUPT_GRACE)
    assert budget.interrupted == shorter + budget.idle


def test_an_end_at_once_has_time_for_closes_and_two_teardowns(budget):
    assert budget.at_once == 1 + 2 * 2 + AIR


def test_each_signal_has_its_time(budget):
    assert budget.after(signal.SIGINT) == budget.interrupted
    assert budget.after(signal.SIGTERM) == budget.graceful


def test_plain_requests_have_their_time_even_if_no_handler_needs_any():
    short = Timeouts(close=0.1, teardown=0.1, shutdown_grace=0.1, disconnect_grace=0.1)
    assert Budget.of(Triows(timeouts=short), Drain()).graceful >= 3  # Hypercorn's graceful_timeout


def test_a_delay_comes_on_top_after_sigterm_and_not_after_sigint(budget):
    delayed = Budget.of(Triows(timeouts=TIMEOUTS), Drain(delay=7))
    assert delayed.graceful == budget.graceful + 7
    assert (delayed.interrupted, delayed.idle) == (budget.interrupted, budget.idle)


def test_idle_connections_stay_within_the_time_that_there_is_anyway(budget):
    app = Triows(timeouts=TIMEOUTS)
    assert Budget.of(app, Drain(idle=0)) == Budget.of(app, Drain(idle=30)) == budget
    assert Budget.of(app, Drain(idle=100)).graceful == budget.idle + 100


def test_an_application_that_is_not_imported_has_that_of_the_default_settings():
    unknown = Budget.unknown()
    usual = Budget.of(Triows(), Drain())
    assert unknown.graceful == unknown.idle == unknown.at_once == usual.at_once


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (30, "for 30 s at most"),
        (1.25, "for 1.2 s at most"),
        (math.inf, "for as long as it takes"),
    ],
)
def test_it_is_told_in_words(seconds, text):
    assert at_most(seconds) == text
