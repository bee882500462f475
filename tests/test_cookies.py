from __future__ import annotations

import pytest

from triows._cookies import parse_cookies


@pytest.mark.parametrize(
    ("header", "cookies"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        ("a=1; b=2", {"a": "1", "b": "2"}),
        (" a = 1 ;b=2;", {"a": "1", "b": "2"}),
        ("a=1=2", {"a": "1=2"}),
    ],
)
def test_pairs_are_parted_by_semicolons_and_stripped(header, cookies):
    assert parse_cookies(header) == cookies


def test_of_two_cookies_with_one_name_the_last_counts():
    assert parse_cookies("a=1; a=2") == {"a": "2"}


def test_text_without_an_equals_sign_is_a_cookie_without_a_name():
    assert parse_cookies("lonely; a=1") == {"": "lonely", "a": "1"}


@pytest.mark.parametrize(
    ("quoted", "value"),
    [
        ('"x y"', "x y"),
        (r'"\"x\""', '"x"'),
        (r'"\073"', ";"),
        (r'"\400"', "400"),
        ('"', '"'),
        ('"x', '"x'),
    ],
)
def test_quotes_and_escapes_are_removed(quoted, value):
    assert parse_cookies(f"a={quoted}") == {"a": value}


def test_a_long_quoted_cookie_takes_no_time():
    assert parse_cookies('a="' + "\\" * 100_000 + '"') == {"a": "\\" * 50_000}
