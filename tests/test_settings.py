"""Every number of a connection can be changed, and a bad one is refused with its name."""

from __future__ import annotations

import math

import attrs
import pytest

from triows._settings import Compression, Limits, Settings, Timeouts

SECONDS = [one.name for one in attrs.fields(Timeouts)]
COUNTS = [one.name for one in attrs.fields(Limits)]
FROM_ZERO = {"disconnect_grace", "shutdown_grace"}


def test_the_defaults_are_those_that_the_docs_give():
    assert Timeouts() == Timeouts(accept=10, ping_interval=20, send=30, close=5, teardown=5)
    assert Limits() == Limits(message_size=2**20, inbox=32, connections=None)
    assert Compression() == Compression(window_bits=12, context_takeover=True)


def test_they_cannot_be_changed_but_copied_with_changes():
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Timeouts().send = 1
    assert attrs.evolve(Timeouts(), send=1) == Timeouts(send=1)


def test_they_take_no_positional_arguments():
    with pytest.raises(TypeError):
        Timeouts(1)


@pytest.mark.parametrize("name", SECONDS)
def test_a_timeout_may_be_any_time_or_none(name):
    for seconds in (0.001, 1, 10**9, math.inf):
        assert getattr(Timeouts(**{name: seconds}), name) == seconds


@pytest.mark.parametrize("name", SECONDS)
def test_a_timeout_may_be_zero_only_if_it_is_a_grace(name):
    if name in FROM_ZERO:
        assert getattr(Timeouts(**{name: 0}), name) == 0
    else:
        with pytest.raises(ValueError, match=rf"^Timeouts\.{name} must be more than 0 seconds"):
            Timeouts(**{name: 0})


@pytest.mark.parametrize("name", SECONDS)
@pytest.mark.parametrize("value", [-1, math.nan, True, "5", None])
def test_a_timeout_is_a_number(name, value):
    with pytest.raises(ValueError, match=rf"^Timeouts\.{name} must be .* not {value!r}$"):
        Timeouts(**{name: value})


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [0, -1, 1.5, True, math.inf, "5"])
def test_a_limit_is_a_whole_number_above_zero(name, value):
    with pytest.raises(ValueError, match=rf"^Limits\.{name} must be a whole number, 1 or more"):
        Limits(**{name: value})
    assert getattr(Limits(**{name: 1}), name) == 1


@pytest.mark.parametrize("name", COUNTS)
def test_only_the_number_of_connections_may_have_no_limit(name):
    if name == "connections":
        assert Limits(connections=None).connections is None
    else:
        with pytest.raises(ValueError, match=rf"^Limits\.{name} .* not None$"):
            Limits(**{name: None})


@pytest.mark.parametrize(
    ("name", "least", "most"), [("window_bits", 9, 15), ("memory_level", 1, 9), ("level", 1, 9)]
)
def test_compression_has_the_ranges_of_zlib(name, least, most):
    for value in (least, most):
        assert getattr(Compression(**{name: value}), name) == value
    for value in (least - 1, most + 1, True, least + 0.5):
        with pytest.raises(
            ValueError, match=rf"Compression\.{name} .* from {least} to {most}, not"
        ):
            Compression(**{name: value})


def test_a_setting_that_does_not_exist_is_refused_with_what_to_write():
    with pytest.raises(TypeError, match="ping_interval"):
        Timeouts(heartbeat=5)


def test_messages_are_not_compressed_by_default():
    assert Settings(Timeouts(), Limits()).compression is None
