"""The same seed makes the same schedule, to the last step."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from _triows_schedules.schedule import MIX, Schedule
from tests.schedules.switches import switches

ROOT = Path(__file__).parents[2]

#: One for each strategy.
SEEDS = [str(seed) for seed in range(len(MIX))]


def told_by(python, hash_seed):
    done = subprocess.run(
        [python, "-m", "tests.schedules.switches", *SEEDS],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_switches_of_a_story_are_the_same_in_other_processes():
    told = told_by(sys.executable, "1")
    assert told.count("the schedule") == len(SEEDS)
    assert told.count("\n") > 1000
    assert told_by(sys.executable, "2") == told
    assert " at 0x" not in told


def environment(minor):
    """Find an environment of this checkout with that version of Python."""
    for name in (".venv", f".venv-{minor}"):
        config = ROOT / name / "pyvenv.cfg"
        if config.exists() and f"version = {minor}." in config.read_text():
            return config.with_name("bin") / "python"
    pytest.skip(f"no environment with Python {minor}: make PYTHON=python{minor} VENV=...")


@pytest.mark.parametrize("minor", ["3.11", "3.12", "3.13"])
def test_they_are_the_same_with_other_pythons(minor):
    assert told_by(environment(minor), "3") == told_by(sys.executable, "4")


def test_other_seeds_make_other_switches():
    assert len({tuple(switches(seed)) for seed in range(6)}) == 6


def orders(schedule, rounds=6, tasks=5):
    """The orders in which tasks run that are always ready."""
    order = []

    async def work(n):
        for _ in range(rounds):
            order.append(n)
            await trio.lowlevel.checkpoint()

    async def main():
        async with trio.open_nursery() as nursery:
            for n in range(tasks):
                nursery.start_soon(work, n)

    with schedule.installed():
        trio.run(main, clock=MockClock(autojump_threshold=0))
    return [order[i : i + tasks] for i in range(0, len(order), tasks)]


@pytest.mark.parametrize("kind", MIX, ids=lambda kind: kind.name)
def test_each_strategy_runs_every_task_once_in_each_round(kind):
    for seed in range(20):
        for order in orders(Schedule(seed, kind=kind)):
            assert sorted(order) == [0, 1, 2, 3, 4]


def test_with_unfair_a_task_waits_for_several_rounds_and_all_end():
    held = 0
    for seed in range(20):
        found = orders(Schedule(seed, unfair=True))
        assert sorted(n for order in found for n in order) == sorted([0, 1, 2, 3, 4] * 6)
        held += any(sorted(order) != [0, 1, 2, 3, 4] for order in found)
    assert held > 10


def test_the_second_loop_of_a_test_does_not_depend_on_the_first():
    one, other = Schedule(1), Schedule(1)
    orders(one, rounds=3)
    orders(other, rounds=300)
    assert orders(one) == orders(other)
