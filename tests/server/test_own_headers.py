"""The headers that the server adds to each response."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

import pytest

from triows._server.config import Config
from triows._server.own_headers import OwnHeaders


class Timer:
    """Notes what it is asked to call."""

    def __init__(self):
        self.added = []

    def add(self, pinged, seconds):
        self.added.append((pinged, seconds))


@pytest.fixture
def timer():
    return Timer()


def read(lines):
    return dict(line.split(b": ", 1) for line in lines.split(b"\r\n") if line)


def test_they_tell_the_date_and_who_serves(timer):
    headers = read(OwnHeaders(Config(), timer)())
    assert headers.pop(b"server") == b"triows"
    assert parsedate_to_datetime(headers.pop(b"date").decode()).tzname() == "UTC"
    assert headers == {}


def test_the_configuration_may_leave_them_out(timer):
    config = Config()
    config.include_date_header = config.include_server_header = False
    headers = OwnHeaders(config, timer)
    assert headers() == headers() == b""
    assert len(timer.added) == 1


def test_the_configuration_may_name_other_services(timer):
    config = Config()
    config.alt_svc_headers = ['h2=":443"']
    assert read(OwnHeaders(config, timer)())[b"alt-svc"] == b'h2=":443"'


def test_they_are_made_anew_when_the_timer_says_that_they_are_old(timer):
    config = Config()
    headers = OwnHeaders(config, timer)
    first = headers()
    config.include_date_header = False
    assert headers() is first
    (pinged, seconds) = timer.added.pop()
    assert seconds <= 1
    pinged.on_due()
    assert b"date" not in headers()
    assert len(timer.added) == 1
