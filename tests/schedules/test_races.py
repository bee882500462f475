"""Planted races are found soon, and their mended versions survive."""

import pytest

from _triows_schedules.seeds import derived
from tests.schedules.races import RACES, fails, runs_until_found

stories = pytest.mark.parametrize("story", RACES.values(), ids=RACES)


def test_there_are_more_than_twenty():
    assert len(RACES) > 20


@stories
def test_each_is_found_within_a_thousand_schedules(story):
    assert runs_until_found(story, 1000, "found") is not None


@stories
def test_each_is_found_beside_tasks_that_are_always_ready(story):
    assert runs_until_found(story, 1000, "crowd", crowd=5) is not None


def test_most_are_found_within_fifty_schedules():
    found = [runs_until_found(story, 50, "soon") for story in RACES.values()]
    assert sum(n is not None for n in found) > 20


@pytest.mark.unmeasured
@stories
def test_the_mended_version_survives(story):
    for run in range(60):
        assert not fails(story, derived("fixed", run), fixed=True)
