"""lihil's programs for HTTP on triows: the same, but for names, and for what the manual lists."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest

from tests.users.lihils import COUNTERPARTS, PROGRAMS, answered, made, moved
from triows import EventStream, Param, Route, ServerSentEvent, Triows, UploadFile
from triows.testing import TestClient, open_app

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


# What LocalClient does there


async def test_a_function_is_asked_as_if_it_were_an_endpoint():
    async def greet(name: Annotated[list[str], Param("query")]) -> list[str]:
        return name

    route = Route()
    route.get(greet)
    async with open_app(Triows(route)) as client:
        response = await client.get("/", params={"name": ["aloha", "hi"]})
    assert response.json() == ["aloha", "hi"]


async def test_a_form_and_then_headers_are_sent_to_one_route():
    route = Route("token")

    @route.post
    async def log_in(
        username: Annotated[str, Param("form")], file: UploadFile | None = None
    ) -> dict[str, str]:
        return {"token": f"{username} {file.filename if file else None}"}

    @route.get
    async def who(authorization: Annotated[str, Param("header")]) -> str:
        return authorization

    async with open_app(Triows(route)) as client:
        response = await client.post("/token", data={"username": "ada"}, files={"file": b"x"})
        token = response.json()["token"]
        response = await client.get("/token", headers={"authorization": token})
    assert response.text == "ada upload"


def test_events_are_read_line_by_line():
    route = Route("sse")

    @route.get
    async def count() -> EventStream:
        for number in range(3):
            yield ServerSentEvent({"n": number}, event="token")

    with TestClient(Triows(route)) as client, client.stream("GET", "/sse") as response:
        lines = [line for line in response.iter_lines() if line.startswith("data:")]
    assert lines == ['data: {"n":0}', 'data: {"n":1}', 'data: {"n":2}']
