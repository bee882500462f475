"""lihil's programs for HTTP on triows: the same, but for names, and for what the manual lists."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.users.lihils import COUNTERPARTS, PROGRAMS, answered, made, moved
from triows.testing import TestClient

ROOT = Path(__file__).parent.parent.parent
NAMES = list(PROGRAMS)


def fits(got, expected):
    """Say whether an answer is the expected one. Of a problem, some members are enough."""
    if isinstance(expected, dict) and isinstance(got, dict) and "status" in got:
        return expected.items() <= got.items()
    return got == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_program_answers_as_it_did(name):
    program = PROGRAMS[name]
    text = moved(program)
    assert "lihil" not in text.lower()
    with TestClient(made(text)) as client:
        for ask in program.asks:
            status, got = answered(client.request(*ask.line.split(" "), **ask.sent))
            assert (status, fits(got, ask.got)) == (ask.status, True), (ask.line, got)


@pytest.fixture(scope="module")
def told_by_lihil():
    """What lihil itself answers, by program."""
    pytest.importorskip("lihil")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.users.lihils"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_program_of_lihil(name, told_by_lihil):
    program, told = PROGRAMS[name], told_by_lihil[name]
    assert isinstance(told, list) is program.runs_there, told
    for ask, answer in zip(program.asks, told, strict=True) if program.runs_there else ():
        status, got = ask.there or (ask.status, ask.got)
        assert (answer[0], fits(answer[1], got)) == (status, True), (ask.line, answer)


def rows():
    """The left sides of the table for those who come from lihil."""
    page = (ROOT / "docs" / "how-to" / "migrate.md").read_text("utf-8")
    section = page.partition("## From lihil")[2].partition("\n## ")[0]
    return re.findall(r"^\| (.*?) \| ", section, re.MULTILINE)


@pytest.mark.parametrize("name", list(COUNTERPARTS))
def test_the_manual_lists_each_name_that_is_another_one(name):
    same = COUNTERPARTS[name] == (name, "triows")
    word = name.removesuffix("()")
    assert same or any(re.search(rf"`[^`]*\b{word}\b[^`]*`", row) for row in rows())
