from __future__ import annotations

import pytest

from triows._command.kinds import MAX_WORKERS, Choice, Text, Workers


def test_text_is_taken_as_it_is():
    assert Text().from_text(" a b ") == " a b "


def test_a_word_may_be_in_capitals():
    assert Choice(("yes", "no")).from_text("YES") == "yes"


def test_another_word_is_told_which_there_are():
    with pytest.raises(ValueError, match="give one of yes, no, not 'maybe'"):
        Choice(("yes", "no")).from_text("maybe")


@pytest.mark.parametrize(
    ("text", "number"), [("1", 1), ("0002", 2), (str(MAX_WORKERS), MAX_WORKERS)]
)
def test_a_number_of_workers_may_begin_with_zeros(text, number):
    assert Workers().from_text(text) == number


@pytest.mark.parametrize("text", ["0", "000", "", "-1", "1.5", "two"])
def test_no_worker_is_refused(text):
    with pytest.raises(ValueError, match="give a whole number, 1 or more, not "):
        Workers().from_text(text)


@pytest.mark.parametrize("text", [str(MAX_WORKERS + 1), "9" * 5000])
def test_more_workers_than_any_machine_has_cores_are_refused(text):
    with pytest.raises(ValueError, match=f"{MAX_WORKERS} is the most"):
        Workers().from_text(text)
