"""A log in JSON: one object in one line for each record."""

from __future__ import annotations

import json
import logging
import logging.config
import math
import sys
from typing import Any

import pytest
import structlog
from hypothesis import given, strategies as st

import triows
from triows import HTTPException, Route, Triows
from triows.testing import open_app


def record(message: str = "hello", *args: Any, **extra: Any) -> logging.LogRecord:
    made = logging.getLogger("chat").makeRecord(
        "chat", logging.WARNING, __file__, 1, message, args, None, extra=extra
    )
    made.created = 1_700_000_000.123456
    return made


def written(made: logging.LogRecord) -> dict[str, Any]:
    line = triows.JsonFormatter().format(made)
    assert line.isascii()
    assert line.isprintable()
    found: dict[str, Any] = json.loads(
        line, parse_constant=pytest.fail, object_pairs_hook=without_repetition
    )
    return found


def without_repetition(members: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(members)) == len(members)
    return dict(members)


def test_a_record_is_one_object_with_its_extra():
    made = record("%s joins", "ada", room="lobby", count=3)
    assert list(written(made).items()) == [
        ("time", "2023-11-14T22:13:20.123Z"),
        ("level", "WARNING"),
        ("logger", "chat"),
        ("message", "ada joins"),
        ("process", made.process),
        ("room", "lobby"),
        ("count", 3),
    ]


def test_an_error_is_one_string_with_its_traceback():
    made = record()
    try:
        raise ValueError("bad\nroom")
    except ValueError:
        made.exc_info = sys.exc_info()
    text = written(made)["exception"]
    assert text.startswith("Traceback (most recent call last):\n")
    assert text.endswith(r"ValueError: bad\nroom")


def test_what_another_formatter_has_written_about_an_error_is_used():
    made = record()
    made.exc_text = "it failed"
    assert written(made)["exception"] == "it failed"


def test_no_error_is_no_member():
    made = record()
    made.exc_info = (None, None, None)
    assert "exception" not in written(made)


def test_a_stack_is_one_string():
    made = record()
    made.stack_info = "Stack (most recent call last):\n  File ..."
    assert written(made)["stack"] == made.stack_info


def test_an_extra_does_not_take_the_place_of_a_member():
    found = written(record(time="noon", level=11, exception="none", stack=[]))
    assert (found["time_"], found["level_"], found["exception_"]) == ("noon", 11, "none")
    assert found["level"] == "WARNING"


@pytest.mark.parametrize("names", [("time", "time_"), ("time_", "time"), (1, "1")])
def test_no_extra_takes_the_place_of_another(names):
    made = record()
    vars(made).update(zip(names, ["first", "second"], strict=True))
    assert sorted(map(str, written(made).values()))[-3:] == ["first", "hello", "second"]


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")


class BrokenDict(dict[str, int]):
    def items(self) -> Any:
        raise KeyError("no items")


class Known:
    def __str__(self) -> str:
        return "known"


def circle() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Known(), "known"),
        ({"deep": [Known()]}, {"deep": ["known"]}),
        (math.nan, "nan"),
        ([math.inf], "[inf]"),
        ({(1, 2): 3}, "{(1, 2): 3}"),
        (b"bytes", "b'bytes'"),
        (circle(), "[[...]]"),
        (Broken(), "<Broken that can't be written: RuntimeError: no text>"),
        (BrokenDict(a=1), "{'a': 1}"),
        ({"deep": {1: 1, "1": 2}}, "{'deep': {1: 1, '1': 2}}"),
        ({1: 1}, {"1": 1}),
        (None, None),
    ],
)
def test_a_value_that_json_does_not_have_becomes_text(value, text):
    assert written(record(value=value))["value"] == text


@pytest.mark.parametrize(
    ("message", "argument", "told"),
    [
        ("%d users", "x", "%d users (its arguments can't be put in: TypeError: %d format: "),
        ("%s joins", Broken(), "%s joins (its arguments can't be put in: RuntimeError: no text)"),
        (Broken(), None, "<Broken that can't be written: RuntimeError: no text>"),
    ],
)
def test_a_message_that_can_not_be_made_says_why(message, argument, told):
    assert told in written(record(message, *([] if argument is None else [argument])))["message"]


@pytest.mark.parametrize("created", [1e20, "noon", None])
def test_a_time_that_is_none_becomes_text(created):
    made = record()
    made.created = created
    assert written(made)["time"] == str(created)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.text(st.characters(codec=None)), json_values)
def test_whatever_is_logged_comes_back_from_one_line(message, value):
    found = written(record("%s", message, value=value))
    assert found["message"] == message
    assert found["value"] == value


CONFIGURATION: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "all": {
            "class": "logging.StreamHandler",
            "formatter": "chosen",
            "stream": "ext://sys.stdout",
        }
    },
    "loggers": {"triows": {"handlers": ["all"], "level": "INFO", "propagate": False}},
}


@pytest.fixture
def configured():
    """Set up the logger, as a program does, and undo that."""
    log = logging.getLogger("triows")
    before = log.handlers[:], log.level, log.propagate

    def configure(formatter: dict[str, Any]) -> None:
        logging.config.dictConfig({**CONFIGURATION, "formatters": {"chosen": formatter}})

    yield configure
    log.handlers[:], log.level, log.propagate = before


def app() -> Triows:
    route = Route("rooms/{name}")

    @route.get
    async def enter(name: str) -> str:
        raise HTTPException(403, "full")

    return Triows(route)


async def ask(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    async with open_app(app()) as client:
        await client.get("/rooms/a%0Ab?token=secret")
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


WANTED = {
    "peer": "testclient:50000",
    "route": "/rooms/{name}",
    "cause": "full",
    "method": "GET",
    "path": r"/rooms/a\nb",
    "status": 403,
    "bytes_received": 0,
}


@pytest.mark.parametrize(
    "formatter", [{"()": "triows.JsonFormatter"}, {"class": "triows.JsonFormatter"}]
)
async def test_a_configuration_names_it_and_gets_what_records_carry(configured, capsys, formatter):
    configured(formatter)
    (refused,) = await ask(capsys)
    assert {name: refused[name] for name in WANTED} == WANTED


async def test_structlog_takes_records_over_with_what_they_carry(configured, capsys):
    configured(
        {
            "()": structlog.stdlib.ProcessorFormatter,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
            "foreign_pre_chain": [structlog.stdlib.add_log_level, structlog.stdlib.ExtraAdder()],
        }
    )
    (refused,) = await ask(capsys)
    assert {name: refused[name] for name in WANTED} == WANTED
    assert refused["level"] == "info"
    assert refused["event"].startswith(r"testclient:50000 GET '/rooms/a\nb' answered 403 (full)")
