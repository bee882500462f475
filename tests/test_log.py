"""What a peer sends begins no line in the log ``triows``."""

from __future__ import annotations

import io
import logging

import pytest

from triows import Triows, WebSocket, WebSocketRoute
from triows._connection.endpoint import peer_of
from triows._log import logger
from triows._printable import printable
from triows.testing import open_app

FORGED = "2026-01-01 00:00:00,000 INFO triows: all is well"

ENDINGS = ["\n", "\r", "\x0b", "\x85", "\u2028", "\u2029", "\x1b[2K", "\u202e", "\0", "\ud800"]


def logged(exc: BaseException) -> str:
    """Give what a handler of the standard library writes about an error."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    try:
        logger.error("it failed", exc_info=exc)
    finally:
        logger.removeHandler(handler)
    return stream.getvalue()


def raised(exc: BaseException) -> BaseException:
    try:
        raise exc
    except BaseException as caught:  # noqa: BLE001 - whatever it is
        return caught


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_message_with_the_end_of_a_line_stays_on_its_line(ending):
    quoted = f"bad room {ending}{FORGED}"
    plain = ValueError(quoted)
    caused = RuntimeError("no room")
    caused.__cause__ = ValueError(quoted)
    noted = KeyError("room")
    noted.add_note(quoted)
    group = ExceptionGroup("several", [ValueError(quoted), ExceptionGroup("more", [noted])])
    for exc in (plain, caused, noted, group):
        text = logged(raised(exc))
        forged = [line for line in text.splitlines() if FORGED in line]
        assert forged
        assert all("bad room" in line for line in forged)
        assert all(line.isprintable() for line in text.split("\n"))


def test_the_rest_of_a_traceback_is_as_python_writes_it(caplog):
    exc = raised(ValueError("an ordinary message"))
    text = logged(exc)
    formatted = logging.Formatter().formatException((type(exc), exc, exc.__traceback__))
    assert text == f"it failed\n{formatted}\n"


async def test_the_error_of_a_handler_that_quotes_its_peer_is_on_one_line(autojump_clock, caplog):
    route = WebSocketRoute("ws")

    @route.endpoint
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        raise ValueError(await ws.receive_text())

    with caplog.at_level(logging.ERROR):
        async with (
            open_app(Triows(route), raise_app_exceptions=False) as app,
            app.websocket_connect("/ws") as client,
        ):
            await client.send_text(f"x\n{FORGED}")
            await client.expect_close(1011)
    assert rf"ValueError: x\n{FORGED}" in caplog.text
    assert FORGED not in caplog.text.splitlines()


def test_an_address_that_middleware_took_from_a_header_is_printable():
    assert peer_of({"client": ("1.2.3.4\x85" + FORGED, 1)}).isprintable()


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_can_not_be_printed_is_escaped(ending):
    text = printable(f"a{ending}b é 漢")
    assert text.isprintable()
    assert text.encode()
    assert text.endswith("b é 漢")
