"""The pages about races and about cancellation find the mistakes that they show."""

import re
from pathlib import Path

import pytest_triows

pytest_plugins = ["pytester"]

GUIDES = Path(pytest_triows.__file__).parent / "docs" / "how-to"


def blocks(guide, language):
    page = (GUIDES / f"{guide}.md").read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.M | re.S)


def without_numbers(text):
    return re.sub(r"\d+(st|nd|rd|th)?", "0", text)


def without_marks(line):
    words = without_numbers(line).replace("steps", "step").removeprefix(">")
    return " ".join(words.split())


def test_the_chat_fails_without_the_copy_and_prints_what_the_page_shows(suite):
    chat = blocks("test-races", "python")[0]
    assert "in list(members):" in chat
    wrong = chat.replace("in list(members):", "in members:")
    result = suite(ini="trio_mode = true\ntriows_seed = 1", test_chat=wrong)
    result.assert_outcomes(failed=1)
    shown = blocks("test-races", "text")[0]
    assert without_numbers(shown) in without_numbers(result.stdout.str())
    # Which steps are in the sample, and which of them are marked, is up to the schedule.
    sample = next(block for block in blocks("test-races", "text") if "woken by" in block)
    printed = set(map(without_marks, result.outlines))
    assert [one for one in sample.splitlines() if without_marks(one) not in printed] == []


def test_a_seat_that_is_lost_prints_how_to_repeat_it_as_the_page_shows(suite):
    (seats,) = blocks("test-cancellation", "python")
    right = "    finally:\n"
    assert right in seats
    wrong = f"{right}        await trio.lowlevel.checkpoint()\n"
    result = suite(test_seats=f"import trio\n{seats.replace(right, wrong)}")
    assert result.parseoutcomes()["failed"]
    (shown,) = blocks("test-cancellation", "text")
    note = re.escape(without_numbers(shown.strip()))
    # Which task has made the step, and where it waits, is up to the schedule.
    step = re.escape("<story>, test_seats.py:0 story")
    assert step in note
    pattern = note.replace(step, "<.*>, .*:0 .*").replace("\n", "\nE *")
    assert re.search(pattern, without_numbers(result.stdout.str()))
