"""A failing schedule is made shorter."""

import pytest

from _triows_schedules.seeds import Seed, parsed
from _triows_schedules.shrinking import shrunk


@pytest.mark.parametrize("needed", [{1}, {1000}, {17, 18, 19}, {17, 300}, set(range(1, 1001))])
def test_what_is_left_begins_and_ends_with_a_choice_that_matters(needed):
    calls: list[range] = []

    def fails(choices: range) -> bool:
        calls.append(choices)
        return needed <= set(choices)

    found = shrunk(1000, fails)
    assert (found[0], found[-1]) == (min(needed), max(needed))
    assert len(calls) < 25


def test_nothing_is_left_if_the_plain_order_fails_too():
    assert shrunk(1000, lambda choices: True) == range(0)


def test_what_is_left_has_failed_even_if_more_of_it_does_not():
    def fails(choices: range) -> bool:
        return len(choices) % 7 == 3

    found = shrunk(1000, fails)
    assert fails(found) or found == range(1, 1001)


@pytest.mark.parametrize("text", ["17", "17@0", "17@1", "17@3-200"])
def test_a_seed_is_read_as_it_is_written(text):
    assert str(parsed(text)) == text


def test_a_seed_says_which_choices_it_makes():
    assert parsed("17@3-5") == Seed(17, range(3, 6))
    assert parsed("17@4") == parsed("17@4-4") == Seed(17, range(4, 5))


@pytest.mark.parametrize(
    "text", ["17@", "17@5-", "17@00", "17@5-3", "17@0-3", "@1-2", "17@1-2-3", "17@a-b"]
)
def test_what_is_no_seed_is_refused(text):
    with pytest.raises(ValueError, match="seed"):
        parsed(text)
