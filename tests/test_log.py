"""Nothing that a peer sends can begin a line in the log ``triows``."""

from __future__ import annotations

import io
import logging
import traceback
import types
from typing import Any

import pytest

from triows import Triows, WebSocket, WebSocketRoute
from triows._log import logger, peer_of
from triows._printable import printable
from triows._traceback import summary, users_traceback
from triows.testing import open_app

FORGED = "2026-01-01 00:00:00,000 INFO triows: all is well"

ENDINGS = ["\n", "\r", "\x0b", "\x85", "\u2028", "\u2029", "\x1b[2K", "\u202e", "\0", "\ud800"]


def logged(exc: BaseException) -> str:
    """Return what a log handler of the standard library writes about an error."""
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


def evaluated(source: str, name: str = "<peer>") -> BaseException:
    """Return the error of running code that somebody sent."""
    try:
        exec(compile(source, name, "exec"))
    except BaseException as caught:  # noqa: BLE001 - whatever it is
        return caught
    raise AssertionError("it works")


# Python compiles no source with a null character, or that can't be encoded.
PARSED = [ending for ending in ENDINGS if ending not in "\0\ud800"]


@pytest.mark.parametrize("ending", PARSED)
def test_a_source_that_can_not_be_parsed_stays_on_its_line(ending):
    text = logged(evaluated(f'[1, "bad {ending}{FORGED}'))
    assert all(line.isprintable() for line in text.split("\n"))
    assert FORGED not in text.splitlines()


@pytest.mark.parametrize("ending", PARSED)
def test_a_made_up_syntax_error_stays_on_its_lines(ending):
    quoted = f"bad {ending}{FORGED}"
    text = logged(raised(SyntaxError(quoted, (quoted, 1, 1, quoted))))
    assert all(line.isprintable() for line in text.split("\n"))
    assert FORGED not in text.splitlines()
    assert text.count("bad ") == text.count("all is well") >= 3


@pytest.mark.parametrize("ending", PARSED)
@pytest.mark.parametrize("base", [Exception, SyntaxError])
def test_the_name_of_a_class_stays_on_its_line(ending, base):
    quoted = f"bad {ending}{FORGED}"
    text = logged(raised(type(quoted, (base,), {"__module__": quoted})("text")))
    assert all(line.isprintable() for line in text.split("\n"))
    assert text.splitlines()[-1].startswith("bad ")
    assert text.splitlines()[-1].endswith("all is well: text")


@pytest.mark.parametrize("ending", PARSED)
def test_the_name_of_a_file_or_of_a_function_stays_on_its_line(ending):
    quoted = f"bad {ending}{FORGED}"
    exc = evaluated("def f():\n    raise ValueError(1)\nf()", quoted)
    frame = exc.__traceback__.tb_next.tb_next.tb_frame
    function = types.FunctionType(frame.f_code.replace(co_name=quoted), {})
    for error in (exc, calling(function)):
        text = logged(error)
        assert all(line.isprintable() for line in text.split("\n"))
        assert FORGED not in text.splitlines()
        assert "all is well" in text


def calling(function: Any) -> BaseException:
    try:
        function()
    except ValueError as caught:
        return caught
    raise AssertionError("it works")


class Closed(Exception):
    """Raises when asked for any attribute."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_error_that_says_nothing_of_itself_is_logged_with_its_place_and_text(ending):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    try:
        raise Closed(f"bad {ending}{FORGED}")
    except Closed:
        logger.exception("it failed")
    finally:
        logger.removeHandler(handler)
    text = stream.getvalue()
    assert all(line.isprintable() for line in text.split("\n"))
    assert text.startswith("it failed\nTraceback (most recent call last):\n")
    assert "test_an_error_that_says_nothing" in text
    assert text.splitlines()[-1].startswith("Closed: bad ")


def test_a_line_of_source_with_an_escape_is_printable(tmp_path):
    path = tmp_path / "steering.py"
    path.write_bytes(b"raise ValueError  # \x1b[31m \x0c \xc2\x85 \xe2\x80\xa8 red\n")
    exc = evaluated(path.read_text("utf-8"), str(path))
    text = logged(exc)
    assert r"# \x1b[31m " in text
    # Python 3.13 leaves out what follows the first character that ends a line.
    printed = "".join(traceback.format_exception(exc)).split("\n")
    assert text.split("\n") == ["it failed", *map(printable, printed)]


def test_a_users_traceback_is_printable_too():
    exc = evaluated("raise ValueError('\\x1b[31m')", f"bad \n{FORGED}")
    text = users_traceback(exc)
    assert all(line.isprintable() for line in text.split("\n"))
    assert FORGED not in text.splitlines()
    assert summary(exc) == r"ValueError: \x1b[31m"
    closed = raised(Closed("closed"))
    assert users_traceback(closed).endswith("\nClosed: closed\n")
    assert summary(closed) == "Closed: closed"


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
