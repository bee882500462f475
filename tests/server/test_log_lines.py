"""The log's lines about connections that the server itself ends."""

from __future__ import annotations

import logging

import pytest

from triows._protocol.heads import read_head
from triows._server.arrival import Addresses
from triows._server.log_lines import log_closed, log_cut, log_other_host, log_refused

TCP = Addresses(("10.0.0.1", 1234), ("10.0.0.2", 80), secure=False)
UNIX = Addresses(None, ("/run/app.sock", None), secure=False)


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, "triows")
    return caplog


def test_a_connection_that_is_closed_has_a_reason(log):
    log_closed(UNIX, "it came\nlate")
    assert log.messages == [r"unix closed (it came\nlate)"]


def test_a_response_that_is_cut_has_its_path_and_a_reason(log):
    log_cut(TCP, "/a\nb", "cancelled")
    assert log.messages == [r"10.0.0.1:1234 '/a\nb' response cut: cancelled"]
    assert (log.records[0].path, log.records[0].cause) == (r"/a\nb", "cancelled")


def test_a_refusal_has_what_could_be_read_of_the_request(log):
    log_refused(TCP, 400, "no Host")
    log_refused(TCP, 404, "elsewhere", read_head(b"GET /a%0Ab HTTP/1.1\r\nHost: a"))
    assert log.messages == [
        "10.0.0.1:1234 refused 400 (no Host)",
        r"10.0.0.1:1234 GET '/a\nb' refused 404 (elsewhere)",
    ]


def test_a_host_that_is_not_served_is_shown_in_part(log):
    log_other_host(TCP, 404, read_head(b"GET / HTTP/1.1\r\nHost: " + b"a" * 200))
    assert log.messages == [
        f"10.0.0.1:1234 GET '/' refused 404 (its host isn't in server_names: '{'a' * 100}')"
    ]
