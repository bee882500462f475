"""What a shutdown does with newcomers and with idle connections: the settings."""

from __future__ import annotations

import math

import pytest

from triows import Drain


def test_by_default_the_listener_goes_at_once_and_idle_connections_stay_for_a_second():
    assert Drain() == Drain(delay=0, idle=1, listen=False)


@pytest.mark.parametrize("name", ["delay", "idle"])
@pytest.mark.parametrize("value", [-1, math.inf, math.nan, True, "5", None])
def test_a_time_that_is_no_number_of_seconds_is_refused(name, value):
    with pytest.raises(ValueError, match=f"Drain.{name} must be a number of seconds, 0 or more"):
        Drain(**{name: value})


def test_whether_to_listen_is_true_or_false():
    with pytest.raises(TypeError, match=r"Drain.listen must be True or False, not 1"):
        Drain(listen=1)
