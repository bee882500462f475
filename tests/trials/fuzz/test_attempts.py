from __future__ import annotations

from random import Random

import pytest

from trials.fuzz.attempt import HEAD, Attempt, read_attempts, write_attempts
from trials.fuzz.campaign import CATEGORIES
from trials.fuzz.mutation import cut, mutated, rearranged


@pytest.mark.unmeasured
@pytest.mark.parametrize("category", CATEGORIES)
def test_an_attempt_follows_from_its_number(category):
    make = CATEGORIES[category]
    first, second = ([make(Random(n), str(n)) for n in range(300)] for _ in range(2))
    assert first == second
    assert len({attempt.parts for attempt in first}) > 150


def test_most_streams_of_frames_come_after_the_handshake():
    attempts = [CATEGORIES["frames"](Random(n), str(n)) for n in range(100)]
    assert sum(attempt.parts[1:2] == (HEAD,) for attempt in attempts) > 70


def test_what_is_cut_is_whole_again_in_one():
    data = bytes(range(256))
    cuts = [cut(Random(n), data) for n in range(50)]
    assert {b"".join(parts) for parts in cuts} == {data}
    assert max(map(len, cuts)) > 2


def test_bytes_are_changed_in_few_places():
    data = bytes(100)
    changed = [mutated(Random(n), data, [b"token"]) for n in range(100)]
    assert any(b"token" in one for one in changed)
    assert len(set(changed)) > 50


def test_nothing_can_be_changed_too():
    assert [mutated(Random(n), b"", [b"x"], most=0) for n in range(9)] == [b""] * 9


def test_parts_are_dropped_doubled_and_swapped():
    parts = [b"a", b"b", b"c"]
    changed = [b"".join(rearranged(Random(n), parts)) for n in range(200)]
    assert {b"abc", b"ab", b"bac", b"aabc"} <= set(changed)
    assert parts == [b"a", b"b", b"c"]


def test_what_is_kept_is_read_as_it_was(tmp_path):
    attempt = Attempt("frames-1-2", [b"GET \xff\0\r\n", HEAD, b""], "half", inside_tls=True)
    write_attempts(tmp_path / "frames-1-2.json", "death", [attempt])
    assert read_attempts(tmp_path / "frames-1-2.json") == ("death", [attempt])
    assert "make fuzz" in (tmp_path / "frames-1-2.json").read_text()
