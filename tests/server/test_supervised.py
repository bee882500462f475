"""Real processes of each kind under a service manager, which is a socket of the test's own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trio

from tests.server.clients import Closed, open_trio_websocket
from tests.server.harness.manager import PlayedManager
from tests.server.harness.process import APPLICATIONS, PATIENCE, TRIOWS, Output, ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.real_socket,
    pytest.mark.skipif(sys.platform != "linux", reason="service managers are Linux'"),
]

each_kind = pytest.mark.parametrize(
    "options", [[], ["--workers", "2"], ["--reload"]], ids=["single", "workers", "reload"]
)


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlayedManager]:
    played = PlayedManager(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", played.address)
    yield played
    played.socket.close()


@each_kind
def test_it_is_told_when_a_process_is_ready_reloads_and_stops(manager, options):
    with ServerProcess(TRIOWS, "ordinary:app", *options) as process:
        ready = manager.hear()
        process.send_signal(signal.SIGHUP)
        reloading, reloaded = manager.hear(), manager.hear()
        process.send_signal(signal.SIGTERM)
        stopping = manager.hear()
        assert process.wait() == 0
    assert ready["READY"] == "1"
    assert ready["STATUS"].startswith(f"serving ordinary:app on {process.url}")
    assert reloading["RELOADING"] == "1"
    assert int(reloading["MONOTONIC_USEC"]) > 0
    assert reloaded == ready
    assert stopping["STOPPING"] == "1"
    assert manager.heard() == []


@pytest.mark.parametrize("options", [[], ["--workers", "2"]], ids=["single", "workers"])
async def test_it_is_told_how_long_the_end_may_take(manager, options):
    with ServerProcess(TRIOWS, "ordinary:app", *options) as process:
        async with open_trio_websocket(f"{process.ws_url}/echo") as client:
            await client.send("hi")
            await client.receive()
            manager.heard()
            process.send_signal(signal.SIGTERM)
            told = await trio.to_thread.run_sync(manager.hear)
            with pytest.raises(Closed):
                await client.receive()
    # With connections, it is the budget. A parent gives each worker a second more.
    assert int(told["EXTEND_TIMEOUT_USEC"]) >= 1_000_000


@pytest.mark.parametrize("options", [[], ["--workers", "2"]], ids=["single", "workers"])
async def test_the_watchdog_hears_signs_of_life_only_while_each_loop_turns(
    manager, monkeypatch, options
):
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    with ServerProcess(TRIOWS, "blocking:app", *options) as process:
        heard = [manager.hear() for _ in range(4)]
        assert {"WATCHDOG": "1"} in heard
        async with open_trio_websocket(f"{process.ws_url}/block/sleep") as client:
            await client.receive()
            manager.heard()
            # That takes a second, in which there would be five.
            await trio.to_thread.run_sync(process.wait_for, "loop has been blocked")
            assert len(manager.heard()) <= 1
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGTERM)
            await trio.to_thread.run_sync(process.wait)


def test_a_worker_that_crashes_is_no_loop_that_stands_still(manager, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    with ServerProcess(TRIOWS, "ordinary:app", "--workers", "2") as process:
        (pid, *_) = re.findall(r"worker (\d+) is ready", process.output)
        os.kill(int(pid), signal.SIGKILL)
        process.wait_for("ended without being asked to")
        manager.heard()
        while manager.hear() != {"WATCHDOG": "1"}:
            pass


PRINT_ENVIRONMENT = """
import os
from triows import Triows

print("environment:", [name for name in os.environ if name.split("_")[0] in NAMES])
app = Triows()
"""


@pytest.mark.parametrize("options", [[], ["--workers", "2"]], ids=["single", "workers"])
def test_the_application_and_its_processes_do_not_know_the_manager(
    manager, monkeypatch, tmp_path, options
):
    names = {"NOTIFY", "WATCHDOG", "LISTEN"}
    (tmp_path / "printing.py").write_text(PRINT_ENVIRONMENT.replace("NAMES", repr(names)))
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        monkeypatch.setenv(name, "1000000")
    with ServerProcess(TRIOWS, "printing:app", *options, folder=tmp_path) as process:
        assert manager.hear()["READY"] == "1"
    assert "environment: []\n" in process.output


def test_a_manager_that_is_gone_keeps_nobody_from_serving(manager):
    manager.socket.close()
    with ServerProcess(TRIOWS, "ordinary:app") as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert process.output.count("the service manager can't be told what this process does") == 1


#: Binds a socket, passes it on as systemd does, and says where it is.
PASS_A_SOCKET = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[1], [*sys.argv[1:4], "run", "ordinary:app", *sys.argv[4:]])
"""


@pytest.mark.parametrize("options", [[], ["--workers", "2"]], ids=["single", "workers"])
def test_sockets_that_a_manager_passes_are_the_default(options):
    command = [sys.executable, "-c", PASS_A_SOCKET, sys.executable, "-m", "triows", *options]
    with subprocess.Popen(command, cwd=APPLICATIONS, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = next(line for line in process.stderr if "serving" in line)
            assert "127.0.0.1:8000" not in line
            assert "http://127.0.0.1:" in line
            process.terminate()
            process.stderr.read()
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()


@pytest.mark.parametrize("options", [["--workers", "2"], ["--reload"]], ids=["workers", "reload"])
def test_a_proxy_may_introduce_its_clients_at_a_socket_that_a_manager_passes(options):
    command = [sys.executable, "-c", PASS_A_SOCKET, sys.executable, "-m", "triows", *options]
    command += ["--proxy-protocol", "fd://3"]
    with subprocess.Popen(command, cwd=APPLICATIONS, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            output = Output(process.stderr)
            port = int(output.wait_for(r"serving .* on http://127.0.0.1:\d+").rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
                client.sendall(b"PROXY TCP4 1.2.3.4 10.0.0.1 5 80\r\nGET /nowhere HTTP/1.0\r\n\r\n")
                assert client.recv(12) == b"HTTP/1.1 404"  # and not 400
            process.terminate()
            assert process.wait(PATIENCE) == 0
            output.close()
        finally:
            process.kill()


#: Starts a command without any standard stream.
WITHOUT_STREAMS = """
import os, sys
for number in range(3):
    os.close(number)
os.execv(sys.argv[1], sys.argv[1:])
"""

#: Notes what a child process of the application finds at its standard streams.
TELLING = """
import subprocess, sys
from triows import Triows

CHILD = "import os; assert {os.readlink(f'/proc/self/fd/{n}') for n in range(3)} == {'/dev/null'}"

async def lifespan(app):
    with open("code", "w") as file:
        file.write(str(subprocess.call([sys.executable, "-c", CHILD])))
    yield

app = Triows(lifespan=lifespan)
"""


@pytest.mark.parametrize("options", [[], ["--workers", "2"]], ids=["single", "workers"])
def test_a_process_without_standard_streams_serves(manager, tmp_path, options):
    (tmp_path / "telling.py").write_text(TELLING)
    command = [sys.executable, "-c", WITHOUT_STREAMS, *TRIOWS, "telling:app"]
    with subprocess.Popen([*command, "--bind", "127.0.0.1:0", *options], cwd=tmp_path) as process:
        try:
            assert manager.hear()["READY"] == "1"
            process.terminate()
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
    assert (tmp_path / "code").read_text() == "0"
