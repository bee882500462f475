from __future__ import annotations

import os
import re
import signal
import socket
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.server.clients import Closed, open_trio_websocket
from tests.server.harness.process import PATIENCE, TRIOWS, ServerProcess
from tests.server.harness.versions import Versions
from tests.server.test_run import run_failing
from triows._server.config import free_port
from triows._server.workers import LAST_DELAY, RAN_WELL, Backoff, supervise

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.real_socket

HANDSHAKE = (
    b"GET /block HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)

READY = r"worker \d+ is ready"


@contextmanager
def workers(versions: Versions, number: int = 2, *options: str) -> Iterator[ServerProcess]:
    """Serve the application by several workers."""
    arguments = ["--workers", str(number), *options]
    with ServerProcess(TRIOWS, "versions:app", *arguments, folder=versions.folder) as process:
        yield process


def workers_of(process: ServerProcess) -> list[int]:
    """Return the process ids of the workers that have been ready so far."""
    return [int(number) for number in re.findall(r"worker (\d+) is ready", process.output)]


def wait_replaced(process: ServerProcess, old: list[int]) -> None:
    """Wait until new workers serve and the *old* ones have ended."""
    process.wait_for("all workers are new")
    for number in old:
        line = f"worker {number} has ended"
        if line not in process.output:
            process.wait_for(line)


async def version_at(process: ServerProcess) -> str | bytes:
    async with open_trio_websocket(f"{process.ws_url}/version") as client:
        return await client.receive()


async def in_thread(function: Any, *args: Any) -> Any:
    """Wait for the log or the end in a thread, while clients go on."""
    return await trio.to_thread.run_sync(function, *args)


# Crashes


async def test_a_crashed_worker_is_logged_and_replaced(versions):
    with workers(versions) as process:
        first = workers_of(process)[0]
        os.kill(first, signal.SIGSEGV)
        process.wait_for(f"worker {first} ended without being asked to: SIGSEGV")
        process.wait_for(READY)
        assert await version_at(process) == "one"
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


def test_the_delay_after_a_crash_grows_to_half_a_minute():
    backoff = Backoff()
    delays = [backoff.after(ran=0) for _ in range(12)]
    assert delays[:3] == [0.2, 0.4, 0.8]
    assert delays[-1] == LAST_DELAY == 30


def test_the_delay_is_short_again_after_a_worker_has_served_for_a_while():
    backoff = Backoff()
    delays = [backoff.after(ran) for ran in (0, 0, 0, RAN_WELL, 0)]
    assert delays == [0.2, 0.4, 0.8, 0.2, 0.4]


def test_a_worker_that_keeps_failing_is_started_again_with_growing_delays(versions):
    with workers(versions) as process:
        first = workers_of(process)[0]
        versions.write_text("raise RuntimeError('there is no database')")
        os.kill(first, signal.SIGKILL)
        for delay in ("0.2", "0.4"):
            process.wait_for(f"the next worker is started in {delay} s")
        versions.write("two")
        process.wait_for(READY)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


def test_a_first_start_that_fails_ends_with_1_and_one_traceback():
    done = run_failing("failing_start:app", "--workers", "3", "--bind", "127.0.0.1:0")
    assert done.returncode == 1
    assert done.stderr.count("failed to start: RuntimeError: there is no database") == 1
    assert done.stderr.count("Traceback") == 1
    assert "failing_start.py" in done.stderr


@pytest.mark.usefixtures("measured_processes")
def test_an_application_that_is_not_there_ends_several_workers_with_2():
    done = run_failing("nowhere:app", "--workers", "3", "--bind", "127.0.0.1:0")
    assert done.returncode == 2
    assert done.stderr.count("there is no module 'nowhere'") == 1


def test_a_worker_that_the_system_does_not_start_is_logged(caplog):
    code = supervise(lambda numbers: ["/nowhere/python"], "it", free_port(), workers=2, check=str)
    assert code == 1
    assert "a worker can't be started" in caplog.text


def test_workers_run_with_the_interpreters_options_of_the_parent(versions):
    versions.write("one", starting="print('debug:', __debug__)")
    optimising = [sys.executable, "-O", "-m", "triows", "run"]
    options = ["versions:app", "--workers", "2"]
    with ServerProcess(optimising, *options, folder=versions.folder) as process:
        pass
    assert process.output.count("debug: False") == 2


def test_a_worker_that_has_served_its_requests_is_replaced_before_it_ends(versions):
    settings = versions.folder / "settings.toml"
    settings.write_text("max_requests = 1")
    with workers(versions, 2, "--config", str(settings)) as process:
        for _ in range(3):  # one of the two gets two of them
            assert answer_at(socket.AF_INET, process.address).startswith(b"HTTP/1.1 404 ")
        line = process.wait_for(r"worker \d+ is replaced: it has served max_requests")
        process.wait_for(READY)
        process.wait_for(f"worker {line.split()[1]} has ended")
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert "ERROR" not in process.output


# The end


# This passes only if all workers end at the same time.
MEET = """
    folder = Path("ends")
    (folder / str(os.getpid())).touch()
    while len(list(folder.iterdir())) < 2:
        await trio.sleep(0.01)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_all_workers_at_the_same_time(versions, number):
    (versions.folder / "ends").mkdir()
    versions.write("one", ending=MEET.strip())
    with workers(versions) as process:
        async with open_trio_websocket(f"{process.ws_url}/echo") as client:
            await client.send("hi")
            await client.receive()
            process.send_signal(number)
            with pytest.raises(Closed) as caught:
                await client.receive()
        assert await in_thread(process.wait) == 0
    assert caught.value.args == (1001, "")
    assert process.output.count("has ended") == 2
    assert re.search(r"ended after \d+\.\d s\n$", process.output)
    assert "Traceback" not in process.output


async def test_ctrl_c_in_a_terminal_is_one_signal_for_each_worker(versions):
    with workers(versions) as process:
        async with open_trio_websocket(f"{process.ws_url}/echo") as client:
            await client.send("hi")
            await client.receive()
            os.killpg(process.pid, signal.SIGINT)
            with pytest.raises(Closed) as caught:
                await client.receive()
        assert await in_thread(process.wait) == 0
    assert caught.value.args == (1001, "")
    assert process.output.count("shutting down") == 2
    assert "Traceback" not in process.output


async def test_a_second_signal_ends_all_workers_at_once(versions):
    with workers(versions) as process:
        async with open_trio_websocket(f"{process.ws_url}/stubborn") as client:
            await client.receive()
            process.send_signal(signal.SIGTERM)
            process.wait_for("shutting down")
            process.send_signal(signal.SIGTERM)
            # The handler would have ten seconds, but its peer is told at once.
            with pytest.raises(Closed) as caught:
                await client.receive()
        assert await in_thread(process.wait) == 128 + signal.SIGTERM
    assert caught.value.args == (1001, "")
    assert "Traceback" not in process.output


@pytest.mark.usefixtures("measured_processes")
def test_a_worker_that_is_stuck_is_killed_and_the_exit_code_says_so(versions):
    with workers(versions) as process:
        stuck = workers_of(process)[0]
        os.kill(stuck, signal.SIGSTOP)
        process.send_signal(signal.SIGTERM)
        process.wait_for("stopping the workers")
        process.send_signal(signal.SIGTERM)  # otherwise it would take the whole budget
        process.wait_for(f"worker {stuck} is killed")
        assert process.wait() == 128 + signal.SIGTERM


@pytest.mark.usefixtures("measured_processes")
def test_an_application_that_fails_at_its_shutdown_gives_1(versions):
    versions.write("one", ending="raise RuntimeError('it was not saved')")
    with workers(versions) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 1
    assert process.output.count("at its shutdown: RuntimeError: it was not saved") == 2


BLOCKING = """
import os, time
from pathlib import Path
from triows import Triows, WebSocket, WebSocketRoute

route = WebSocketRoute("block")

@route.endpoint
async def block(ws: WebSocket) -> None:
    print("blocking", os.getpid())
    while not Path("enough").exists():
        time.sleep(0.01)

app = Triows(route)
"""


STAYING = (
    BLOCKING.replace(
        """        time.sleep(0.01)
""",
        """        with trio.CancelScope(shield=True):
            await trio.sleep(0.01)
""",
    )
    .replace("blocking", "staying")
    .replace("import os, time", "import os, trio")
)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems can't end the listening")
def test_a_blocked_worker_keeps_no_newcomer_waiting_when_all_end(versions):
    versions.write_text(BLOCKING)
    with workers(versions) as process, socket.create_connection(process.address) as client:
        client.sendall(HANDSHAKE)
        blocked = int(process.wait_for(r"blocking \d+").split()[1])
        (other,) = {*workers_of(process)} - {blocked}
        process.send_signal(signal.SIGTERM)
        process.wait_for(f"worker {other} has ended")
        # The worker that is blocked may take longer than this.
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(process.address, timeout=5)
        assert f"worker {blocked} has ended" not in process.output
        (versions.folder / "enough").touch()
        assert process.wait() == 0
    assert "Traceback" not in process.output


def test_workers_that_drain_and_listen_answer_newcomers_until_the_last_has_drained(versions):
    versions.write_text(STAYING)
    path = versions.folder / "here.sock"
    options = ("--drain-listen", "--bind", f"unix:{path}")
    with (
        workers(versions, 2, *options) as process,
        socket.create_connection(process.address) as client,
    ):
        client.sendall(HANDSHAKE)
        process.wait_for("staying")
        process.send_signal(signal.SIGTERM)
        process.wait_for("until the other workers have drained")
        for _ in range(8):  # any worker may accept them
            assert answer_at(socket.AF_INET, process.address).startswith(b"HTTP/1.1 404 ")
            assert answer_at(socket.AF_UNIX, str(path)).startswith(b"HTTP/1.1 404 ")
        (versions.folder / "enough").touch()
        assert process.wait() == 0
    assert not path.exists()


def test_the_file_of_a_unix_socket_is_removed_if_no_worker_lives_at_the_end(versions):
    path = versions.folder / "here.sock"
    with workers(versions, 2, "--bind", f"unix:{path}") as process:
        versions.write_text("raise RuntimeError('there is no database')")
        for worker in workers_of(process):
            os.kill(worker, signal.SIGKILL)
        process.wait_for("the next worker is started in 0.4 s")
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert not path.exists()


async def test_workers_whose_parent_was_killed_drain_and_end(versions):
    with workers(versions) as process:
        async with open_trio_websocket(f"{process.ws_url}/echo") as client:
            await client.send("hi")
            await client.receive()
            process.send_signal(signal.SIGKILL)
            with pytest.raises(Closed) as caught:
                await client.receive()
        # This waits until no process has the output open any more.
        assert await in_thread(process.wait) == -signal.SIGKILL
    assert caught.value.args == (1001, "")
    assert process.output.count("the process that started this worker is gone") == 2
    assert "Traceback" not in process.output


def test_a_signal_during_the_first_start_ends_it():
    process = ServerProcess(TRIOWS, "slow:starting", "--workers", "2")
    try:
        process.wait_for("waiting for the database")
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    finally:
        process.__exit__()
    assert "Traceback" not in process.output


# Replacing


async def test_sighup_replaces_the_workers_and_refuses_nobody(versions):
    seen: list[str | bytes] = []

    async def go_on_connecting(process: ServerProcess, over: trio.Event) -> None:
        while not over.is_set():
            try:
                seen.append(await version_at(process))  # this raises if the client is refused
            except Closed as exc:
                # An old worker served it, and had no time to send anything else.
                assert exc.args == (1001, "")  # noqa: PT017

    with workers(versions) as process:
        over = trio.Event()
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(go_on_connecting, process, over)
            versions.write("two")
            old = workers_of(process)
            process.send_signal(signal.SIGHUP)
            await in_thread(wait_replaced, process, old)
            over.set()
        assert await version_at(process) == "two"
        process.send_signal(signal.SIGTERM)
        assert await in_thread(process.wait) == 0
    assert {"one", "two"} == set(seen)


async def test_a_replaced_worker_tells_its_peers_when_the_new_one_serves(versions):
    with workers(versions, 2) as process:
        async with open_trio_websocket(f"{process.ws_url}/echo") as client:
            await client.send("hi")
            await client.receive()
            process.send_signal(signal.SIGHUP)
            with pytest.raises(Closed) as caught:
                await client.receive()
            assert process.wait_for("is ready|shutting down") == "is ready"
    assert caught.value.args == (1001, "")


@pytest.mark.usefixtures("measured_processes")
async def test_a_new_version_that_fails_to_start_replaces_nobody(versions):
    with workers(versions) as process:
        async with open_trio_websocket(f"{process.ws_url}/echo") as client:
            versions.write("two", starting="raise RuntimeError('there is no database')")
            process.send_signal(signal.SIGHUP)
            process.wait_for("RuntimeError: there is no database")
            process.wait_for("0 of 2 workers are new, the others go on")
            await client.send("still there")
            assert await client.receive() == "still there"
        assert await version_at(process) == "one"
        process.send_signal(signal.SIGTERM)
        assert await in_thread(process.wait) == 0


async def test_sighup_during_a_start_that_hangs_starts_the_version_of_now(versions):
    with workers(versions) as process:
        old = workers_of(process)
        versions.write("two", starting="print('hanging'); await trio.sleep_forever()")
        process.send_signal(signal.SIGHUP)
        process.wait_for("hanging")
        versions.write("three")
        process.send_signal(signal.SIGHUP)
        wait_replaced(process, old)
        assert await version_at(process) == "three"
        process.send_signal(signal.SIGTERM)
        assert await in_thread(process.wait) == 0


@pytest.mark.usefixtures("measured_processes")
async def test_sighup_ends_a_start_after_a_crash_that_hangs(versions):
    with workers(versions) as process:
        crashing, *old = workers_of(process)
        versions.write("two", starting="print('hanging'); await trio.sleep_forever()")
        os.kill(crashing, signal.SIGKILL)
        process.wait_for("hanging")
        versions.write("three")
        process.send_signal(signal.SIGHUP)
        wait_replaced(process, old)
        assert await version_at(process) == "three"
        process.send_signal(signal.SIGTERM)
        assert await in_thread(process.wait) == 0


def test_a_signal_while_workers_are_replaced_ends_all(versions):
    with workers(versions) as process:
        versions.write("two", starting="print('hanging'); await trio.sleep_forever()")
        process.send_signal(signal.SIGHUP)
        process.wait_for("hanging")
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert process.output.count("has ended") == 3


# Addresses


def answer_at(family: socket.AddressFamily, address: Any) -> bytes:
    """Send any request, and return the first line of the answer."""
    with socket.socket(family) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(address)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return sock.recv(1000).splitlines()[0]


def test_several_addresses_are_served_by_all_workers(versions):
    path = str(versions.folder / "here.sock")
    with workers(versions, 2, "--bind", f"unix:{path}") as process:
        host, _, port = process.url.removeprefix("http://").partition(":")
        answers = {
            answer_at(socket.AF_INET, (host, int(port))),
            answer_at(socket.AF_UNIX, path),
        }
    assert answers == {b"HTTP/1.1 404 Not Found"}


@pytest.mark.usefixtures("measured_processes")
async def test_workers_serve_tls(versions, authority):
    certificate = authority.issue_cert("127.0.0.1")
    file = versions.folder / "both.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(file)
    cafile = str(versions.folder / "ca.pem")
    authority.cert_pem.write_to_path(cafile)
    with workers(versions, 2, "--certfile", str(file), "--keyfile", str(file)) as process:
        url = f"{process.ws_url}/version"
        assert url.startswith("wss://")
        async with open_trio_websocket(url, cafile=cafile) as client:
            assert await client.receive() == "one"
        process.send_signal(signal.SIGTERM)
        assert await in_thread(process.wait) == 0


# What is refused


@pytest.mark.parametrize("number", ["0", "-1"])
def test_no_workers_at_all_are_refused(number):
    done = run_failing("ordinary:app", "--workers", number)
    assert done.returncode == 2
    assert "--workers: give a whole number, 1 or more" in done.stderr


def test_reload_with_several_workers_is_refused():
    done = run_failing("ordinary:app", "--workers", "2", "--reload")
    assert done.returncode == 2
    assert "leave --workers out" in done.stderr


def test_the_parent_logs_as_the_configuration_file_says(versions):
    config = versions.folder / "triows.toml"
    config.write_text(
        """
        [logconfig_dict]
        version = 1
        formatters.ours = {format = "[ours] %(message)s"}
        handlers.all = {class = "logging.StreamHandler", formatter = "ours"}
        root = {handlers = ["all"], level = "INFO"}
        """
    )
    versions.write("one")
    options = ["--workers", "2", "--config", str(config)]
    with ServerProcess(TRIOWS, "versions:app", *options, folder=versions.folder) as process:
        assert "[ours] serving versions:app" in process.output
