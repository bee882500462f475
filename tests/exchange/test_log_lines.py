from __future__ import annotations

import logging

import pytest

from triows._exchange.log_lines import in_brackets, log_refusal


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, "triows")
    return caplog


SCOPE = {"path": "/rooms/a\nb", "client": ("10.0.0.1", 1234)}


@pytest.mark.parametrize(
    ("route", "why", "line"),
    [
        ("/rooms/{room}", "full", "10.0.0.1:1234 /rooms/{room} refused 503 (full)"),
        ("/rooms/{room}", "", "10.0.0.1:1234 /rooms/{room} refused 503"),
        (None, "full", "10.0.0.1:1234 '/rooms/a\\nb' refused 503 (full)"),
    ],
)
def test_a_refusal_is_one_line_with_the_route_or_the_path(log, route, why, line):
    log_refusal(SCOPE, 503, route, why)
    (record,) = log.records
    assert (record.getMessage(), record.levelname) == (line, "INFO")
    assert (record.route, record.peer, record.status) == (route, "10.0.0.1:1234", 503)


def test_a_peer_that_the_server_does_not_know_is_a_question_mark(log):
    log_refusal({"path": "/"}, 404, None, "")
    assert log.messages == ["? '/' refused 404"]


def test_no_reason_needs_no_brackets():
    assert in_brackets("") == ""


def test_a_reason_stays_on_its_line_and_is_cut():
    assert in_brackets("a\nb") == r" (a\nb)"
    assert in_brackets("a" * 1000) == f" ({'a' * 300})"
