from __future__ import annotations

import os
import shlex

import pytest
from hypothesis import given, strategies as st

from triows._command.environment import read_environment, set_missing
from triows._command.file import UnusableFile


@pytest.fixture
def written(tmp_path):
    def write(text):
        (tmp_path / "app.env").write_text(text)
        return str(tmp_path / "app.env")

    return write


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("NAME=value", "value"),
        ("NAME=", ""),
        ("NAME=''", ""),
        ("  export NAME = a b  ", "a b"),
        ("NAME=a # a comment", "a"),
        ("NAME=a#b", "a#b"),
        ("NAME='a # b'  # a comment", "a # b"),
        ("NAME=postgres://ada:pa'ss@host/db?a=b", "postgres://ada:pa'ss@host/db?a=b"),
        ("NAME='a\\nb'", "a\\nb"),
        (r'NAME="a\n\"b\" \\"', 'a\n"b" \\'),
        ("NAME=$HOME", "$HOME"),
    ],
)
def test_a_line_has_a_name_and_a_value(written, line, value):
    assert read_environment(written(f"# a comment\n\n{line}\n")) == {"NAME": value}


def test_the_last_line_of_a_name_counts(written):
    assert read_environment(written("A=1\nB=2\nA=3\n")) == {"A": "3", "B": "2"}


@pytest.mark.parametrize(
    "line", ["NAME", "=secret", "1A=secret", "A B=secret", "A='secret", 'A="secret', "A='sec'ret"]
)
def test_another_line_is_told_by_its_number_and_not_shown(written, line):
    with pytest.raises(UnusableFile, match=r"app.env', line 2: write NAME=value$") as caught:
        read_environment(written(f"A=1\n{line}\n"))
    assert "secret" not in str(caught.value)


def test_what_is_set_already_stays(written, monkeypatch):
    monkeypatch.setenv("TRIOWS_TEST_SET", "before")
    monkeypatch.delenv("TRIOWS_TEST_MISSING", raising=False)
    set_missing(written("TRIOWS_TEST_SET=file\nTRIOWS_TEST_MISSING=file\n"))
    assert os.environ["TRIOWS_TEST_SET"] == "before"
    assert os.environ.pop("TRIOWS_TEST_MISSING") == "file"


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"])))
def test_what_a_shell_would_quote_is_read_back(tmp_path_factory, value):
    if "'" not in value:
        file = tmp_path_factory.getbasetemp() / "quoted.env"
        file.write_text(f"NAME={shlex.quote(value)}", encoding="utf-8")
        assert read_environment(str(file)) == {"NAME": value}
