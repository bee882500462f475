from __future__ import annotations

import logging

from triows._watch import Watch


async def handler() -> None:
    pass


def reported(caplog, scope) -> logging.LogRecord:
    try:
        raise ValueError("a mistake")
    except ValueError as exc:
        Watch().failed(scope, exc)
    (record,) = caplog.records
    return record


def test_an_error_is_logged_with_the_path_and_the_peer(caplog):
    scope = {"type": "websocket", "path": "/a\nb", "client": ("10.0.0.1", 1234)}
    record = reported(caplog, scope)
    assert record.levelno == logging.ERROR
    assert record.message == r"unhandled error in websocket '/a\nb', peer 10.0.0.1:1234"
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "a mistake"


def test_the_handler_is_named_if_one_was_found(caplog):
    scope = {"type": "websocket", "path": "/", "client": None, "endpoint": handler}
    assert "test_watch.py:" in reported(caplog, scope).message
    assert caplog.messages[0].endswith(" (handler)")


def test_beginning_and_being_over_are_not_logged(caplog):
    caplog.set_level(logging.DEBUG)
    watch = Watch()
    watch.began({"type": "http"})
    watch.over({"type": "http"})
    assert not caplog.records
