from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from tests.raw import handshake
from tests.server.clients import Closed, open_websockets
from tests.server.harness.process import APPLICATIONS, PATIENCE, TRIOWS, ServerProcess

pytestmark = pytest.mark.real_socket


async def test_the_seed_program_is_served(triows_run, open_client):
    url = f"{triows_run.ws_url}/web_socket/session123?max_users=5"
    async with open_client(url) as client:
        assert await client.receive() == "Hello, world!"
        with pytest.raises(Closed) as caught:
            await client.receive()
    assert caught.value.args == (1000, "")


async def test_it_serves_tls(authority, cafile, tmp_path):
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    options = ["--certfile", str(tmp_path / "cert.pem"), "--keyfile", str(tmp_path / "key.pem")]
    with ServerProcess(TRIOWS, "ordinary:app", *options) as process:
        async with open_websockets(f"{process.ws_url}/echo", cafile=cafile) as client:
            await client.send("secret")
            assert await client.receive() == "secret"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_tells_the_peers_and_ends_with_0(open_client, number):
    with ServerProcess(TRIOWS) as process:
        async with open_client(f"{process.ws_url}/echo") as client:
            await client.send("hi")
            await client.receive()
            process.send_signal(number)
            with pytest.raises(Closed) as caught:
                await client.receive()
        assert await trio.to_thread.run_sync(process.wait) == 0
    assert caught.value.args == (1001, "")
    assert "s at most: closing 1 connection\n" in process.output
    assert re.search(r"ended after \d+\.\d s\n$", process.output)
    assert "Traceback" not in process.output


def test_without_a_connection_little_time_is_announced():
    with ServerProcess(TRIOWS) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    # This is for the application's own resources. With connections, it would be 36.5 s.
    assert "shutting down, for 6.5 s at most: there is no connection\n" in process.output


@pytest.mark.usefixtures("measured_processes")
async def test_an_end_that_takes_its_time_says_what_is_left():
    with ServerProcess(TRIOWS) as process:
        async with open_websockets(f"{process.ws_url}/stubborn") as client:
            await client.receive()
            process.send_signal(signal.SIGTERM)
            await trio.to_thread.run_sync(
                process.wait_for, r"still closing 1 connection, for [\d.]+ s at most"
            )
            process.send_signal(signal.SIGTERM)
            await trio.to_thread.run_sync(process.wait)


def test_an_end_without_a_connection_says_which_resource_takes_its_time():
    with ServerProcess(TRIOWS, "ending_on_signal:app") as process:
        process.send_signal(signal.SIGTERM)
        process.wait_for(r"still waiting for linger to exit, for [\d.]+ s at most$")
        process.send_signal(signal.SIGWINCH)
        assert process.wait() == 0
    assert "0 connections" not in process.output


async def test_a_second_signal_ends_at_once():
    with ServerProcess(TRIOWS) as process:
        async with open_websockets(f"{process.ws_url}/stubborn") as client:
            await client.receive()
            process.send_signal(signal.SIGTERM)
            process.wait_for("shutting down")
            process.send_signal(signal.SIGTERM)
            # The handler would have ten seconds, but its peer is told at once.
            with pytest.raises(Closed) as caught:
                await client.receive()
            code = await trio.to_thread.run_sync(process.wait)
    assert caught.value.args == (1001, "")
    assert code == 128 + signal.SIGTERM
    assert "Traceback" not in process.output


def run_failing(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    return subprocess.run(
        [*TRIOWS, *arguments],
        cwd=APPLICATIONS,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def told_by(done: subprocess.CompletedProcess[str]) -> str:
    """Return what it wrote after its first line, which says what it starts."""
    first, _, rest = done.stderr.partition("\n")
    assert re.search(r"INFO triows: starting \w+:app \(process \d+\)$", first)
    return rest


def files_in(traceback: str) -> set[str]:
    """Return the files of the frames in a traceback."""
    return set(re.findall(r'File "([^"]+)"', traceback))


@pytest.mark.parametrize("options", [[], ["--workers", "2"]])
def test_a_failing_start_up_ends_with_1_and_the_users_own_frames(options):
    done = run_failing("failing_start:app", "--bind", "127.0.0.1:0", *options)
    assert done.returncode == 1
    told = "triows: the application failed to start: RuntimeError: there is no database\n"
    assert told_by(done).startswith(told)
    assert files_in(done.stderr) == {str(APPLICATIONS / "failing_start.py")}
    assert done.stdout == ""


async def test_an_application_that_fails_while_it_is_served_says_so_even_if_a_signal_follows():
    with ServerProcess(TRIOWS, "failing_later:app") as process:
        async with open_websockets(f"{process.ws_url}/poison") as client:
            with pytest.raises(Closed) as caught:
                await client.receive()
        await trio.to_thread.run_sync(process.wait_for, "closing the pool")
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGWINCH)
        assert await trio.to_thread.run_sync(process.wait) == 1
    assert caught.value.args == (1001, "")
    assert "ERROR triows: read_feed failed, so the application ends now\n" in process.output
    why = "(a resource of the application failed, and the handler was cancelled)"
    assert f" /poison closed 1001 '' {why} " in process.output
    told = "triows: the application failed while it was served: RuntimeError: the feed is gone\n"
    assert told in process.output


def test_an_application_that_fails_at_its_end_ends_with_1_and_the_users_own_frames(versions):
    versions.write("one", ending="raise RuntimeError('it was not saved')")
    with ServerProcess(TRIOWS, "versions:app", folder=versions.folder) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 1
    told = "triows: the application failed at its shutdown: RuntimeError: it was not saved\n"
    assert told in process.output
    assert files_in(process.output) == {str(versions.folder / "versions.py")}


@pytest.mark.parametrize("options", [[], ["--workers", "2"], ["--reload"]])
def test_an_address_in_use_ends_with_2_and_one_line(options):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run_failing("ordinary:app", "--bind", address, *options)
    assert done.returncode == 2
    told = f"triows: --bind: can't listen at {address}: the address is in use by another process"
    assert told_by(done).startswith(told)
    assert len(told_by(done).splitlines()) == 1


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("nowhere.invalid:8000", "there is no host of that name"),
        ("192.0.2.1:8000", "this machine does not have that address"),
        ("unix:/", "there is a folder of that name"),
        (f"unix:{__file__}", "there is a file of that name"),
        ("unix:/nowhere/at/all", "there is no folder '/nowhere/at'"),
        (f"unix:/tmp/{'x' * 200}", "the path is too long for a Unix socket"),
        ("fd://99", "there is no such descriptor"),
    ],
)
def test_an_address_that_can_not_be_bound_ends_with_2_and_the_reason(address, told):
    done = run_failing("ordinary:app", "--bind", "127.0.0.1:0", "--bind", address)
    assert done.returncode == 2
    assert told_by(done).startswith(f"triows: --bind: can't listen at {address}: {told}")
    assert len(told_by(done).splitlines()) == 1


def test_an_application_that_is_not_there_ends_with_2():
    done = run_failing("nowhere:app")
    assert (done.returncode, done.stdout) == (2, "")
    assert told_by(done).startswith("triows: 'nowhere:app': there is no module 'nowhere'")


def test_the_installed_command_is_the_module():
    done = [
        subprocess.run([*command, "--version"], capture_output=True, check=True).stdout
        for command in (
            [sys.executable, "-m", "triows"],
            [Path(sys.executable).with_name("triows")],
        )
    ]
    assert done[0] == done[1]
    assert done[0].startswith(b"triows ")


def test_a_signal_during_the_start_up_ends_it():
    process = ServerProcess(TRIOWS, "slow:starting")
    try:
        process.wait_for("waiting for the database")
        assert f" starting slow:starting (process {process.pid})\n" in process.lines[0]
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    finally:
        process.__exit__()
    assert "Traceback" not in process.output


def test_a_peer_that_never_reads_holds_no_process_beyond_the_time_it_announced():
    slow = ServerProcess(TRIOWS, "slow:ending")
    with slow as process, socket.create_connection(process.address) as peer:
        peer.sendall(handshake("/flood"))
        process.wait_for("pouring")
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert "Traceback" not in process.output


@pytest.mark.parametrize("option", ["--certfile", "--keyfile"])
def test_half_of_what_tls_needs_is_refused(option):
    done = subprocess.run(
        [*TRIOWS, "ordinary:app", option, "one.pem"],
        cwd=APPLICATIONS,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2
    assert "go together" in done.stderr


def test_the_log_may_be_json():
    with ServerProcess(TRIOWS, "ordinary:app", "--log-format", "json") as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    records = [json.loads(line) for line in process.lines]
    assert [one["message"].partition(" ")[0] for one in records][:2] == ["starting", "serving"]
    assert {(one["level"], one["logger"]) for one in records} == {("INFO", "triows")}
    assert {one["process"] for one in records} == {process.pid}
