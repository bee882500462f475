from __future__ import annotations

import re

import pytest

from tests.raw import handshake
from trials.fuzz import campaign
from trials.fuzz.__main__ import certify
from trials.fuzz.attempt import HEAD, Attempt, read_attempts
from trials.fuzz.campaign import Campaign

pytestmark = pytest.mark.real_socket


def weak(rng, name):
    """In one case out of thirty, find the weakness of the application."""
    path = "/weak" if rng.random() < 1 / 30 else "/echo"
    return Attempt(name, [handshake(path), HEAD], "half")


def test_what_ended_the_server_is_found_kept_and_found_again(tmp_path, monkeypatch):
    monkeypatch.setitem(campaign.CATEGORIES, "weak", weak)
    monkeypatch.setattr(campaign, "ENOUGH", 2)
    monkeypatch.setattr(campaign, "SETTLING", 0.3)  # what is left does not matter
    options = {"seeds": tmp_path, "app": "tests.trials.fuzz.fragile:app"}
    attack = Campaign("weak", 1, certify(tmp_path), **options)
    attack.run(20)
    assert attack.deaths == 2
    assert "the server ended 2 times" in attack.problems
    (kept,) = tmp_path.glob("*.json")
    _, (attempt,) = read_attempts(kept)
    assert attempt.parts == (handshake("/weak"), HEAD)

    again = Campaign("weak", 1, certify(tmp_path), **options)
    assert not again.replay(kept)
    assert again.problems == [f"{kept.name} finds something again"]


def leaky(rng, name):
    """In one case out of four, leave a task behind."""
    path = "/leaky" if rng.random() < 1 / 4 else "/echo"
    return Attempt(name, [handshake(path), HEAD], "half")


def test_what_leaves_a_task_behind_is_found_kept_and_found_again(tmp_path, monkeypatch):
    monkeypatch.setitem(campaign.CATEGORIES, "leaky", leaky)
    for name, value in {"SETTLING": 0.3, "LEAK_SEARCH": 4, "LEAKING": 2}.items():
        monkeypatch.setattr(campaign, name, value)
    options = {"seeds": tmp_path, "app": "tests.trials.fuzz.fragile:app"}
    attack = Campaign("leaky", 1, certify(tmp_path), **options)
    attack.run(0.2)
    assert any(re.fullmatch(r"left: \d+ tasks, \d+ before", one) for one in attack.problems)
    (kept,) = tmp_path.glob("*.json")
    _, (attempt,) = read_attempts(kept)
    assert attempt.parts == (handshake("/leaky"), HEAD)

    again = Campaign("leaky", 1, certify(tmp_path), **options)
    assert not again.replay(kept)


@pytest.mark.parametrize("category", ["random", "tls", "forwarded", "introduced"])
def test_a_short_run_attacks_and_a_bystander_echoes(tmp_path, monkeypatch, category):
    # After such a short time, what is left says nothing.
    monkeypatch.setattr(campaign, "SETTLING", 0.3)
    monkeypatch.setattr(campaign, "LEAK_SEARCH", 0)
    attack = Campaign(category, 1, certify(tmp_path), seeds=tmp_path)
    attack.run(0.5)
    assert attack.done > 20
    assert attack.slowest_echo > 0
