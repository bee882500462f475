"""What the README tells a new user to do, done."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def block(language: str, containing: str) -> str:
    """The fenced block of the README in which a text stands."""
    found = re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    (text,) = [text for text in found if containing in text]
    return text


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    """A folder with the README's first program, as the README says to save it."""
    (tmp_path / "hello.py").write_text(block("python", "async def talk"))
    return tmp_path


def test_the_first_program_has_the_routes_that_are_shown(hello: Path) -> None:
    shown = block("console", "triows routes hello:app").partition("triows routes hello:app\n")[2]
    printed = subprocess.run(
        [sys.executable, "-m", "triows", "routes", "hello:app"],
        cwd=hello,
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert printed.stdout.split() == shown.split()
    assert printed.stderr == ""


def test_every_file_that_is_linked_exists() -> None:
    linked = re.findall(r"\]\(([^)#:]+)\)", README)
    assert linked
    missing = [name for name in linked if not (ROOT / name.replace("\n", "")).exists()]
    assert missing == []


def test_the_commands_that_are_shown_are_targets_of_make() -> None:
    makefile = (ROOT / "Makefile").read_text()
    commands = re.findall(r"^\$ make (\w+)", README, re.MULTILINE)
    assert commands == ["demo", "test"]
    assert all(re.search(rf"^{command}:", makefile, re.MULTILINE) for command in commands)
