"""What the signals of terminals, shells and supervisors do to real processes of each kind."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.server.clients import Closed, open_trio_websocket
from tests.server.harness.process import APPLICATIONS, PATIENCE, TRIOWS, ServerProcess
from tests.server.harness.terminal import Terminal
from tests.server.test_workers import workers_of

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.real_socket

each_kind = pytest.mark.parametrize(
    "options", [[], ["--workers", "2"], ["--reload"]], ids=["single", "workers", "reload"]
)


@contextmanager
def serving(options: list[str], command: list[str] = TRIOWS) -> Iterator[ServerProcess]:
    with ServerProcess(command, "ordinary:app", *options) as process:
        if "--reload" in options:
            process.wait_for(r"serving by process \d+")
        yield process


async def ended(process: ServerProcess) -> Any:
    return await trio.to_thread.run_sync(process.wait)


async def is_told(client: Any) -> bool:
    """Whether the peer gets the close frame of a shutdown, and no other."""
    with pytest.raises(Closed) as caught:
        await client.receive()
    return caught.value.args == (1001, "")


@each_kind
async def test_sigquit_drains(options):
    with serving(options) as process:
        async with open_trio_websocket(f"{process.ws_url}/echo") as client:
            await client.send("hi")
            await client.receive()
            process.send_signal(signal.SIGQUIT)
            assert await is_told(client)
        assert await ended(process) == 0


async def test_sigquit_gives_handlers_the_time_that_sigterm_gives_them():
    with ServerProcess(TRIOWS, "blocking:patient") as process:
        async with open_trio_websocket(f"{process.ws_url}/stubborn") as client:
            await client.receive()
            process.send_signal(signal.SIGQUIT)
            process.wait_for("shutting down, for as long as it takes")


@each_kind
async def test_a_terminal_that_is_closed_drains(options):
    with Terminal() as terminal, serving(options, terminal.command(TRIOWS)) as process:
        async with open_trio_websocket(f"{process.ws_url}/echo") as client:
            await client.send("hi")
            await client.receive()
            terminal.close()
            assert await is_told(client)
        assert await ended(process) == 0


def test_a_process_ends_in_order_though_nobody_can_read_its_log_any_more():
    with Terminal() as terminal:
        served = [*TRIOWS, "ordinary:app", "--bind", "127.0.0.1:0"]
        command = terminal.command_with_streams(served)
        with subprocess.Popen(command, cwd=APPLICATIONS, start_new_session=True) as process:
            try:
                terminal.wait_for(b"serving ordinary:app")
                terminal.close()
                assert process.wait(PATIENCE) == 0
            finally:
                process.kill()


@pytest.mark.parametrize("options", [[], ["--workers", "2"]], ids=["single", "workers"])
async def test_nohup_outlives_the_terminal(options):
    command = ["nohup", *TRIOWS]
    with Terminal() as terminal, serving(options, terminal.command(command)) as process:
        async with open_trio_websocket(f"{process.ws_url}/echo") as client:
            terminal.close()
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGTERM)
            assert await is_told(client)
        assert await ended(process) == 0
    assert "terminal" not in process.output
    assert "SIGHUP" not in process.output


async def test_without_a_terminal_sighup_ends_nothing():
    with serving([]) as process:
        async with open_trio_websocket(f"{process.ws_url}/echo") as client:
            process.send_signal(signal.SIGHUP)
            process.wait_for("SIGHUP has no effect")
            await client.send("still there")
            assert await client.receive() == "still there"


async def test_without_a_terminal_sighup_does_not_end_what_reloads():
    with serving(["--reload"]) as process:
        async with open_trio_websocket(f"{process.ws_url}/echo") as client:
            process.send_signal(signal.SIGHUP)
            process.wait_for("SIGHUP has no effect")
            await client.send("still there")
            assert await client.receive() == "still there"


def test_without_a_terminal_sighup_does_not_end_a_start_up():
    process = ServerProcess(TRIOWS, "slow:starting")
    try:
        process.wait_for("waiting for the database")
        process.send_signal(signal.SIGHUP)
        process.wait_for("SIGHUP has no effect")
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    finally:
        process.__exit__()


@pytest.mark.parametrize("closes", [False, True], ids=["a service", "at a terminal"])
def test_sighup_during_the_import_ends_only_what_had_a_terminal(closes, monkeypatch):
    monkeypatch.setenv("HANGS", "in Python")
    with Terminal() as terminal:
        command = terminal.command(TRIOWS) if closes else TRIOWS
        process = ServerProcess(command, "hanging_import:app")
        try:
            process.wait_for("importing")
            if closes:
                terminal.close()
            else:
                process.send_signal(signal.SIGHUP)
                process.send_signal(signal.SIGTERM)
            assert process.wait() == -(signal.SIGHUP if closes else signal.SIGTERM)
        finally:
            process.__exit__()


# Ctrl-C


@each_kind
async def test_ctrl_c_at_a_terminal_is_heard_once_by_a_process_behind_a_wrapper(options):
    wrapper = [TRIOWS[0], "-c", WRAPPER, *TRIOWS]
    with Terminal() as terminal, serving(options, terminal.command(wrapper)) as process:
        async with open_trio_websocket(f"{process.ws_url}/echo") as client:
            await client.send("hi")
            await client.receive()
            terminal.press(b"\x03")
            assert await is_told(client)
        assert await ended(process) == 0
    assert "at once" not in process.output
    assert "passed on" in process.output


#: Starts a command, and passes Ctrl-C on to it, as ``uv run`` does.
WRAPPER = """
import signal, subprocess, sys
child = subprocess.Popen(sys.argv[1:])
def pass_on(number, frame):
    child.send_signal(number)
    print("passed on", flush=True)
signal.signal(signal.SIGINT, pass_on)
sys.exit(child.wait())
"""


async def test_a_sigterm_right_after_a_sigint_is_a_second_signal():
    with serving([]) as process:
        async with open_trio_websocket(f"{process.ws_url}/stubborn") as client:
            await client.receive()
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGTERM)
            assert await is_told(client)
        assert await ended(process) in {128 + signal.SIGINT, 128 + signal.SIGTERM}


# A supervisor that signals all processes of a service, as systemd does


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
async def test_a_signal_to_all_processes_of_a_service_counts_once(number):
    options = ["--workers", "2", "--tree-on-signal"]
    with ServerProcess(TRIOWS, "blocking:patient", *options) as process:
        async with open_trio_websocket(f"{process.ws_url}/stubborn") as client:
            await client.receive()
            process.send_signal(number)
            # Otherwise the system could merge the parent's signal with the next one.
            process.wait_for("closing 1 connection")
            for worker in workers_of(process):
                with suppress(ProcessLookupError):  # the other one has nothing to wait for
                    os.kill(worker, number)
            for _ in range(2):  # when it answers again, it has seen what came before
                process.send_signal(signal.SIGUSR1)
                process.wait_for("/stubborn  ")
            assert "at once" not in process.output
            process.send_signal(number)
            assert await ended(process) == 128 + number
