from __future__ import annotations

from collections import Counter

import pytest
from attrs import evolve

from trials.restart.__main__ import lines
from trials.restart.clients import CROWD
from trials.restart.servers import Workers
from trials.restart.tally import Tally
from trials.restart.ways import MAY_LOSE, WAYS, ZERO, Result, missing, run


def result(tally: Tally, zero: frozenset[str] = ZERO) -> Result:
    return Result(tally, [], 1.0, zero)


@pytest.mark.parametrize("column", sorted(ZERO))
def test_one_of_what_must_not_happen_is_a_failure(column):
    tally = Tally()
    assert result(tally).is_fine
    tally.mishap(column, "it happened")
    assert not result(tally).is_fine


def test_a_post_may_be_lost_if_the_proxy_cannot_know():
    tally = Tally()
    tally.mishap("POST lost", "a POST was lost")
    assert result(tally, MAY_LOSE).is_fine


def test_a_post_that_was_carried_out_twice_is_counted():
    tally = Tally(answered=[1, 2])
    tally.compare(Counter({1: 2, 2: 1, 3: 1}))
    assert [one.sentence for one in tally.mishaps] == ["POST 1 was carried out 2 times"]


def test_a_post_that_was_answered_and_not_carried_out_is_counted():
    tally = Tally(answered=[1, 2])
    tally.compare(Counter([1]))
    assert [one.sentence for one in tally.mishaps] == ["POST 2 was answered, and not carried out"]


def test_a_mishap_is_told_with_what_was_done_before():
    tally = Tally()
    tally.mark("SIGTERM")
    for _ in range(2):
        tally.mishap("cut", "a WebSocket was cut")
    _, told, end = lines("nginx", 4, result(tally))
    assert told.startswith("    2 x a WebSocket was cut, 0 ms after SIGTERM")
    assert end == "    FAILED"


class TwoWorkers(Workers):
    """They start in half the time."""

    OPTIONS = ("--workers", "2")


A_FEW_WAYS = {
    "processes": WAYS["nginx"],
    "workers": evolve(WAYS["haproxy-new-workers"], servers=TwoWorkers),
}


@pytest.mark.real_socket
@pytest.mark.parametrize("name", A_FEW_WAYS)
def test_the_clients_come_while_the_servers_restart(name, tmp_path):
    way = A_FEW_WAYS[name]
    if (reason := missing(way)) is not None:
        pytest.skip(reason)
    found = run(way, len(way.servers.HOSTS), tmp_path, dict.fromkeys(CROWD, 1))
    counts = found.tally.counts
    assert found.problems == []
    assert counts["websockets"] > 0
    assert counts["GET"] > counts["GET lost"]
    assert len(found.tally.answered) == counts["POST"] - counts["POST lost"] > 0
    assert counts["told"] > 0
    assert (tmp_path / "proxy.log").exists()
    assert "triows: serving" in (tmp_path / "server-0.log").read_text()
