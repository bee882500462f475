"""The log's lines about connections that the server itself ends."""

from __future__ import annotations

import logging

import pytest

from triows._protocol.heads import read_head
from triows._server.arrival import Addresses
from triows._server.log_lines import log_closed, log_cut, log_refused

ENDS = Addresses(("1.2.3.4", 5), ("10.0.0.1", 80), secure=False)


@pytest.fixture(autouse=True)
def _info(caplog):
    caplog.set_level(logging.INFO)


def test_lines_name_the_peer_and_the_reason(caplog):
    log_closed(ENDS, "so it is")
    log_cut(ENDS, b"/a%0a", "so it is")
    log_refused(ENDS, 400, "so it\nis")
    assert caplog.messages == [
        "1.2.3.4:5 closed (so it is)",
        "1.2.3.4:5 '/a%0a' response cut: so it is",
        "1.2.3.4:5 refused 400 (so it\\nis)",
    ]
    assert {record.peer for record in caplog.records} == {"1.2.3.4:5"}
    assert caplog.records[-1].status == 400


def test_a_peer_without_an_address_is_not_known(caplog):
    log_closed(Addresses(None, None, secure=False), "so it is")
    log_closed(Addresses(None, ("/run/app.sock", None), secure=False), "so it is")
    assert caplog.messages == ["? closed (so it is)", "unix closed (so it is)"]


def test_a_refusal_names_the_request_if_its_head_could_be_read(caplog):
    log_refused(ENDS, 404, "so it is", read_head(b"GET /a%0a HTTP/1.1\r\nHost: a"))
    assert caplog.messages == ["1.2.3.4:5 GET '/a\\n' refused 404 (so it is)"]
