from __future__ import annotations

import pytest

from triows._printable import printable


@pytest.mark.parametrize("text", ["", "plain", "h\xe9llo", "\N{SNOWMAN}", "\\n", "a b"])
def test_what_can_be_printed_is_left_as_it_is(text):
    assert printable(text) is text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a\nb", r"a\nb"),
        ("a\rb", r"a\rb"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\x85", r"\x85"),
        ("\u2028", r"\u2028"),
        ("\u202e", r"\u202e"),
        ("\ud800", r"\ud800"),
        ("\U000e0001", r"\U000e0001"),
    ],
)
def test_what_could_move_the_cursor_is_escaped(text, escaped):
    assert printable(text) == escaped
    assert printable(text).isprintable()
