"""The states of a connection's two sides, and what follows which."""

from __future__ import annotations

from itertools import product

import pytest

from triows._transports.state import Happening, Ours, Theirs, after

HANG_UP, CLOSE_FRAME, EOF, END = (
    Happening.HANG_UP,
    Happening.CLOSE_FRAME,
    Happening.EOF,
    Happening.END,
)


def follow(state, *happenings):
    for what in happenings:
        state = after(state, what)
    return state


@pytest.mark.parametrize(
    ("happenings", "state"),
    [
        ([], Ours.OPEN),
        ([END], Ours.ENDED),
        ([HANG_UP], Ours.LEFT),
        ([HANG_UP, END], Ours.ENDED),
        ([END, HANG_UP], Ours.ENDED),
        ([HANG_UP, HANG_UP], Ours.LEFT),
    ],
)
def test_our_side_knows_of_a_hang_up_before_it_knows_of_the_end(happenings, state):
    assert follow(Ours.OPEN, *happenings) is state


@pytest.mark.parametrize(
    ("happenings", "state"),
    [
        ([], Theirs.OPEN),
        ([CLOSE_FRAME], Theirs.CLOSED),
        ([EOF], Theirs.GONE),
        ([HANG_UP], Theirs.HUNG_UP),
        ([HANG_UP, CLOSE_FRAME], Theirs.CLOSED),
        ([HANG_UP, EOF], Theirs.GONE),
        ([EOF, CLOSE_FRAME], Theirs.CLOSED),
    ],
)
def test_what_the_peer_does_changes_its_side(happenings, state):
    assert follow(Theirs.OPEN, *happenings) is state


def test_nothing_changes_the_side_of_a_peer_that_has_sent_its_close_frame():
    for what in Happening:
        assert after(Theirs.CLOSED, what) is Theirs.CLOSED


def test_nothing_but_the_end_ends_our_side_for_good():
    for what in Happening:
        assert after(Ours.ENDED, what) is Ours.ENDED


def test_whatever_happens_again_changes_nothing_the_second_time():
    for state, what in product([*Ours, *Theirs], Happening):
        once = after(state, what)
        assert after(once, what) is once


def test_each_side_stays_on_its_side():
    for state, what in product([*Ours, *Theirs], Happening):
        assert type(after(state, what)) is type(state)


def test_no_state_is_left_and_then_reached_again():
    """Every way through the states ends, whatever happens in whatever order."""
    for happenings in product(Happening, repeat=4):
        for state in (Ours.OPEN, Theirs.OPEN):
            way = [state]
            for what in happenings:
                following = after(way[-1], what)
                if following is not way[-1]:
                    assert following not in way
                    way.append(following)
