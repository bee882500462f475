"""Does what the tutorials tell their readers to do."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TUTORIAL = (ROOT / "docs/tutorial.md").read_text("utf-8")
TUTORIAL_OF_REQUESTS = (ROOT / "docs/tutorial-requests.md").read_text("utf-8")


def blocks(language: str, text: str = TUTORIAL) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that a reader has at the end."""
    _, with_names, rooms, membership, talk, tests = blocks("python")
    above_the_route, _, _ = with_names.partition("chat = ")
    folder = tmp_path_factory.mktemp("chat")
    (folder / "chat.py").write_text("\n\n".join([above_the_route, rooms, membership, talk]))
    (folder / "test_chat.py").write_text(tests)
    (ini,) = blocks("ini")
    (folder / "pytest.ini").write_text(ini)
    return folder


@pytest.fixture(scope="module")
def guestbook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for the second tutorial."""
    _, bodies, _, transaction, routes, live, app, tests = blocks("python", TUTORIAL_OF_REQUESTS)
    above_the_route, _, _ = bodies.partition("book = ")
    routes, _, _ = routes.partition("app = ")
    folder = tmp_path_factory.mktemp("guestbook")
    program = "\n\n".join([above_the_route, transaction, routes, live, app])
    (folder / "guestbook.py").write_text(program)
    (folder / "test_guestbook.py").write_text(tests)
    (ini,) = blocks("ini", TUTORIAL_OF_REQUESTS)
    (folder / "pytest.ini").write_text(ini)
    return folder


#: With the same options as `make types`, mypy finds in the cache what that has checked.
TYPES = ("--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache"))


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_the_tests_that_are_shown_pass_as_they_are_shown(chat: Path) -> None:
    tested = run("pytest", "-q", "-p", "no:cacheprovider", folder=chat)
    assert "3 passed" in tested.stdout, tested.stdout


def test_the_chat_passes_a_strict_type_check(chat: Path) -> None:
    pytest.importorskip("mypy", reason="the environment of `make test-lowest` has no mypy")
    checked = run("mypy", "--strict", *TYPES, "chat.py", folder=chat)
    assert checked.stdout == "Success: no issues found in 1 source file\n", checked.stdout


def test_the_tests_of_the_guest_book_pass_as_they_are_shown(guestbook: Path) -> None:
    tested = run("pytest", "-q", "-p", "no:cacheprovider", folder=guestbook)
    assert "3 passed" in tested.stdout, tested.stdout


def test_the_guest_book_passes_a_strict_type_check(guestbook: Path) -> None:
    pytest.importorskip("mypy", reason="the environment of `make test-lowest` has no mypy")
    checked = run("mypy", "--strict", *TYPES, "guestbook.py", folder=guestbook)
    assert checked.stdout == "Success: no issues found in 1 source file\n", checked.stdout


def test_each_step_of_the_guest_book_makes_a_program(
    tmp_path: Path,
) -> None:
    first, bodies, missing, *_ = blocks("python", TUTORIAL_OF_REQUESTS)
    without_app, _, _ = bodies.partition("app = ")
    for number, program in enumerate([first, bodies, f"{without_app}\n\n{missing}"]):
        (tmp_path / f"step_{number}.py").write_text(program)
        listed = run("triows", "routes", f"step_{number}:app", folder=tmp_path)
        assert listed.returncode == 0, listed.stderr


def test_what_each_step_says_about_the_file_is_true() -> None:
    _, with_names, rooms, membership, talk, _ = blocks("python")
    assert re.search(r"^Name = ", with_names, re.MULTILINE)
    assert re.search(r"^chat = ", with_names, re.MULTILINE)
    assert rooms.rstrip().splitlines()[-1].startswith("SharedRooms = ")
    assert "async def membership" in membership
    assert talk.startswith("chat = ")
