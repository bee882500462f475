"""A log in JSON: one object in one line for each record."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, Final

from ._errors import text_of
from ._request_ids import current
from ._traceback import whole_traceback

__all__ = ["JsonFormatter"]

# What every record has. The rest was given as `extra`. The last three are made by formatters and by
# Python 3.12 and newer.
_OWN: Final = frozenset(
    {*vars(logging.makeLogRecord({})), "message", "asctime", "exc_text", "taskName"}
)


class JsonFormatter(logging.Formatter):
    """
    Writes each record as one line of JSON, for programs that collect logs.

    Name it in a configuration of logging:

        "formatters": {"json": {"()": "triows.JsonFormatter"}}

    ``triows run --log-format json`` uses it. An object has these members, in this order: ``time``
    (UTC, as in RFC 3339, with milliseconds), ``level``, ``logger``, ``message``, ``process`` (its
    number), then everything that was given as ``extra``, the ``request_id`` if the server has
    :class:`RequestIds`, and, if there is one, ``exception`` (the
    traceback, as one string) and ``stack``. An ``extra`` with the name of one of these gets an
    underscore at its end. A value that JSON doesn't have becomes text.

    A line is ASCII and has no line break in it, whatever is logged.

    Args:
        fmt: Has no effect, and neither have the other arguments of :class:`logging.Formatter`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        members: dict[str, Any] = {
            "time": _time(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
            "process": record.process,
        }
        given = {name: value for name, value in vars(record).items() if name not in _OWN}
        if "request_id" not in given and (request_id := current.get()) is not None:
            given["request_id"] = request_id
        at_end = {"exception": _exception(record), "stack": record.stack_info}
        for key, value in given.items():
            name = _text(key)
            while name in members or name in at_end:
                name += "_"
            members[name] = value
        members |= {name: text for name, text in at_end.items() if text}
        pairs = (f"{json.dumps(name)}: {_written(value)}" for name, value in members.items())
        return f"{{{', '.join(pairs)}}}"


def _time(created: float) -> str:
    try:
        at = datetime.fromtimestamp(created, UTC)
    except (OSError, OverflowError, TypeError, ValueError):  # somebody else has made the record
        return _text(created)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as exc:  # noqa: BLE001 - the arguments may raise anything
        return f"{_text(record.msg)} (its arguments can't be put in: {text_of(exc)})"


def _exception(record: logging.LogRecord) -> str | None:
    if record.exc_text:  # our own record, or another formatter has written it
        return record.exc_text
    if not record.exc_info or record.exc_info[1] is None:
        return None
    _, exc, start = record.exc_info
    return whole_traceback(exc, start).rstrip("\n")


def _written(value: Any) -> str:
    try:
        # Without NaN and the infinities, which JSON doesn't have.
        written = json.dumps(value, default=_text, allow_nan=False)
        if isinstance(value, dict | list | tuple):
            json.loads(written, object_pairs_hook=_check_names)
    except Exception:  # noqa: BLE001 - a container of somebody else's may raise anything
        return json.dumps(_text(value))
    return written


def _check_names(members: list[tuple[str, Any]]) -> None:
    """Refuse an object with the same name twice, which dictionaries with 1 and "1" become."""
    if len(dict(members)) < len(members):
        raise ValueError


def _text(value: Any) -> str:
    """Write a value as text. A log must not fail because somebody's ``__str__`` does."""
    try:
        return str(value)
    except Exception as exc:  # noqa: BLE001 - whatever it raises
        return f"<{type(value).__name__} that can't be written: {text_of(exc)}>"
