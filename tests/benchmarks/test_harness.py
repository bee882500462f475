"""The benchmarks' harness, with rounds so short that they measure nothing."""

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.results import Run, load

pytest.importorskip("picows")
pytest.importorskip("uvloop")

pytestmark = [
    pytest.mark.real_socket,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

ROOT = Path(__file__).parents[2]

#: How many seconds a busy machine may take for something.
PATIENCE = 50


def bench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def measured(folder: Path, *arguments: str) -> Run:
    """A run of one short round of triows and of plain Hypercorn."""
    short = ("--servers", "triows,hypercorn", "--rounds", "1", "--seconds", "0.02")
    done = bench(folder, *arguments, *short)
    assert done.returncode == 0, done.stdout + done.stderr
    run = load(folder / "build/benchmarks/results.json")
    for name in run.servers:
        assert f"| {name}" in done.stdout
    return run


def test_echoes_of_every_server_are_counted(tmp_path: Path) -> None:
    run = measured(tmp_path, "echo", "--size", "32,70000", "--flight", "2", "--connections", "3")
    assert [case.parameters["size"] for case in run.cases] == [32, 70000]
    for case in run.cases:
        for name in ("triows", "hypercorn"):
            (sample,) = case.samples[name]
            assert sample.count >= 6
            assert sample.server > 0


def test_everyone_gets_what_is_fanned_out(tmp_path: Path) -> None:
    (case,) = measured(tmp_path, "fanout", "--connections", "5").cases
    assert all(case.rate(name) for name in ("triows", "hypercorn"))


def test_handshakes_are_counted(tmp_path: Path) -> None:
    (case,) = measured(tmp_path, "handshakes", "--at-once", "2").cases
    assert all(case.rate(name) for name in ("triows", "hypercorn"))


def test_an_idle_connection_takes_memory(tmp_path: Path) -> None:
    (case,) = measured(tmp_path, "memory", "--connections", "200").cases
    for name in ("triows", "hypercorn"):
        assert (case.value(name, "echoed") or 0) > 0


def test_latency_is_measured_at_a_server_s_own_half_load_and_at_that_of_the_slowest(
    tmp_path: Path,
) -> None:
    own, same = measured(tmp_path, "latency", "--connections", "2").cases
    assert "rate" not in own.parameters
    for name in ("triows", "hypercorn"):
        p50, p99 = own.value(name, "p50"), own.value(name, "p99")
        assert 0 < (p50 or 0) <= (p99 or 0)
        assert same.value(name, "rate") == same.parameters["rate"]


def test_small_requests_are_counted_one_by_one_and_pipelined(tmp_path: Path) -> None:
    cases = measured(tmp_path, "requests", "--connections", "2", "--pipelined", "1,3").cases
    assert [case.parameters["pipelined"] for case in cases] == [1, 3]
    for case in cases:
        assert all(case.rate(name) for name in ("triows", "hypercorn"))


def test_typed_requests_are_counted_and_with_a_body_only_for_frameworks(tmp_path: Path) -> None:
    typed, bodies = measured(tmp_path, "typed", "--connections", "2").cases
    assert (typed.measure, bodies.measure) == ("typed", "typed_bodies")
    assert all(typed.rate(name) for name in ("triows", "hypercorn"))
    assert list(bodies.samples) == ["triows"]


def test_frameworks_answer_typed_requests_as_triows_does(tmp_path: Path) -> None:
    pytest.importorskip("lihil")
    pytest.importorskip("fastapi")
    short = ("--servers", "lihil,fastapi", "--rounds", "1", "--seconds", "0.02")
    done = bench(tmp_path, "typed", *short)
    assert done.returncode == 0, done.stdout + done.stderr
    for case in load(tmp_path / "build/benchmarks/results.json").cases:
        assert list(case.samples) == ["lihil", "fastapi"]


def test_bodies_of_both_directions_and_files_are_counted(tmp_path: Path) -> None:
    cases = measured(tmp_path, "bodies", "--connections", "1").cases
    assert [case.measure for case in cases] == ["uploads", "downloads", "files"]
    for case in cases:
        assert all(case.rate(name) for name in ("triows", "hypercorn"))


def test_the_latency_of_requests_is_measured_for_servers_that_keep_up(tmp_path: Path) -> None:
    own, same = measured(tmp_path, "request-latency", "--connections", "2").cases
    for name in ("triows", "hypercorn"):
        p50, p99 = own.value(name, "p50"), own.value(name, "p99")
        assert 0 < (p50 or 0) <= (p99 or 0)
        assert same.value(name, "rate") == same.parameters["rate"]


def test_an_unknown_server_is_a_mistake_that_names_the_known_ones(tmp_path: Path) -> None:
    done = bench(tmp_path, "echo", "--servers", "nobody")
    assert done.returncode == 2
    assert "no such server: nobody" in done.stderr
    assert "hypercorn" in done.stderr


def test_the_triows_of_another_checkout_takes_part(tmp_path: Path) -> None:
    package = tmp_path / "other/triows"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('the other triows')")
    done = bench(tmp_path, "echo", "--servers", "hypercorn", "--before", "other")
    assert done.returncode == 1
    assert "before ended:\nthe other triows" in done.stderr


def test_a_server_does_not_outlive_the_process_that_measures(tmp_path: Path) -> None:
    script = """
import asyncio
from benchmarks.peers import PEERS
from benchmarks.process import ServerProcess

async def main():
    async with ServerProcess(PEERS["hypercorn"]) as server:
        print(server.pid, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as harness:
        assert harness.stdout is not None
        pid = int(harness.stdout.readline())
        watched = os.pidfd_open(pid)
        harness.kill()
    try:
        assert select.select([watched], [], [], PATIENCE)[0]
    finally:
        os.close(watched)
