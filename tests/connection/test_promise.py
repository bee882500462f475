"""
The promise: however a connection ends, its resources exit, and everyone is told the truth.

One property, tried on thousands of generated connections. ``promise_cases`` says what may
happen, ``promise_story`` lets it happen, ``promise_oracle`` says what has to be true then.
"""

import os

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from promise_cases import Case, cases
from promise_oracle import check
from promise_story import play
from trio.testing import MockClock

EXAMPLES = int(os.environ.get("TRIOWS_PROMISE_EXAMPLES", "2000"))


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(case=cases(), order=st.random_module())  # Trio runs the tasks of a tick in random order
def test_resources_exit_and_everyone_is_told_the_truth_however_a_connection_ends(
    case: Case, order: object
):
    check(trio.run(play, case, clock=MockClock(autojump_threshold=0)))
