"""Tracebacks as text. What in them could begin a line is tested in ``test_log``."""

from __future__ import annotations

import json

import pytest

from triows._traceback import summary, users_place, users_traceback, whole_traceback


def mine() -> None:
    json.loads("{")


def error_of(function) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - any
        function()
    return caught.value


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("a mistake"), "ValueError: a mistake"),
        (ValueError(), "ValueError"),
        (ValueError("two\n  lines"), "ValueError: two lines"),
        (ValueError("\x1b[31m"), r"ValueError: \x1b[31m"),
    ],
)
def test_a_summary_is_one_line(error, text):
    assert summary(error) == text


def test_a_whole_traceback_is_as_python_writes_it():
    error = error_of(mine)
    text = whole_traceback(error, error.__traceback__)
    assert text.startswith("Traceback (most recent call last):\n")
    assert "in mine\n" in text
    assert "json/decoder.py" in text
    assert text.endswith("\n")


def test_of_a_users_traceback_only_the_users_frames_are_left():
    text = users_traceback(error_of(mine))
    assert "in mine\n" in text
    assert "json" not in text.replace("json.loads", "").replace("json.decoder.JSON", "")


def test_the_causes_are_cut_too():
    def failing() -> None:
        try:
            mine()
        except ValueError as exc:
            raise RuntimeError("it failed") from exc

    text = users_traceback(error_of(failing))
    assert "The above exception was the direct cause" in text
    assert "json/decoder.py" not in text


def test_a_group_is_written_with_what_is_in_it():
    text = users_traceback(ExceptionGroup("both", [error_of(mine), ValueError("two")]))
    assert "both (2 sub-exceptions)" in text
    assert "ValueError: two" in text
    assert "json/decoder.py" not in text


def test_where_there_is_no_frame_of_the_user_those_of_libraries_are_kept():
    error = error_of(mine)
    while error.__traceback__.tb_frame.f_code.co_filename == __file__:
        error.__traceback__ = error.__traceback__.tb_next
    assert "json/decoder.py" in users_traceback(error)


def test_the_place_is_the_innermost_line_of_the_user():
    file, _, line = users_place(error_of(mine)).rpartition(":")
    assert file == __file__
    assert int(line) == mine.__code__.co_firstlineno + 1


def test_an_error_that_was_never_raised_has_no_place():
    assert users_place(ValueError()) is None
