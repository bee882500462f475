"""The tests in this folder also run on Starlette's client, with only their imports changed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent.parent

FILES = sorted(path for path in HERE.glob("test_*.py") if path.name != Path(__file__).name)

#: How an import line of a test begins for triows, and how for Starlette.
IMPORTS = {
    "from triows.testing import ": "from starlette.testclient import ",
    "from triows import ": "from starlette.websockets import ",
    "from tests.testing.users.on_triows.": "from tests.testing.users.on_starlette.",
}


def moved(text):
    """Return a test file as it would be written for Starlette."""
    for ours, theirs in IMPORTS.items():
        text = re.sub(f"^{re.escape(ours)}", theirs, text, flags=re.MULTILINE)
    return text


@pytest.fixture(scope="module")
def starlettes(tmp_path_factory):
    """A folder with the files, with Starlette's imports."""
    folder = tmp_path_factory.mktemp("starlette")
    for path in FILES:
        (folder / path.name).write_text(moved(path.read_text()))
    return folder


def test_there_are_six():
    assert len(FILES) == 6


def test_nothing_but_imports_is_another(starlettes):
    for path in FILES:
        ours = path.read_text().splitlines()
        theirs = (starlettes / path.name).read_text().splitlines()
        changed = [pair for pair in zip(ours, theirs, strict=True) if pair[0] != pair[1]]
        assert changed
        assert all(line.startswith("from ") for pair in changed for line in pair)
        assert "triows" not in "\n".join(theirs).replace("from tests.testing", "")


def test_they_pass_on_starlettes_client(starlettes):
    # Run without the configuration of our own suite.
    program = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:triows"]
    done = subprocess.run(
        [*program, "-c", os.devnull, "--rootdir", str(starlettes), str(starlettes)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    # As many tests as pytest collects here, where each parameter counts.
    here = subprocess.run(
        [*program, "--collect-only", "-W", "ignore", *map(str, FILES)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    (passed,) = re.findall(r"^(\d+) passed", done.stdout, re.MULTILINE)
    (collected,) = re.findall(r"^(\d+) tests collected", here.stdout, re.MULTILINE)
    assert passed == collected
