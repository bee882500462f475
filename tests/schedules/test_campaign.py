"""What ``make schedules`` leaves out, and how it ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

TESTS = """
import pytest

def test_passes():
    pass

@pytest.fixture
def broken():
    yield
    assert not {breaks}

def test_is_not_torn_down(broken):
    pass

@pytest.mark.xfail
def test_fails_as_expected():
    assert False
"""


@pytest.fixture
def campaign(tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\n")

    def run(*args, breaks=False):
        (tmp_path / "test_some.py").write_text(TESTS.format(breaks=breaks))
        command = [sys.executable, "-m", "tests.schedules.campaign", "--schedules", "2"]
        return subprocess.run(
            [*command, *args, "test_some.py"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_what_has_passed_in_all_phases_is_left_out_and_what_has_not_is_run_again(campaign):
    first = campaign(breaks=True)
    assert first.returncode == 1
    assert "2 passed, 1 xfailed, 1 error" in first.stdout
    second = campaign()
    assert second.returncode == 0
    assert "1 passed, 2 deselected" in second.stdout


def test_a_campaign_in_which_nothing_is_left_ends_well_and_can_begin_again(campaign):
    campaign()
    over = campaign()
    assert over.returncode == 0
    assert "Nothing is left" in over.stdout
    again = campaign("--again")
    assert "2 passed, 1 xfailed" in again.stdout


def test_a_campaign_without_tests_fails(campaign):
    assert campaign("--part", "1/1", "no_such_file.py").returncode != 0
