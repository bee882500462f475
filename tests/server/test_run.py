from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from tests.server.clients import Closed, open_websockets
from tests.server.process import FOLDER, PATIENCE, TRIOWS, ServerProcess

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
    with ServerProcess(TRIOWS, "served:app", *options) as process:
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
    assert "shutting down" in process.output
    assert "Traceback" not in process.output


async def test_a_second_signal_ends_at_once():
    with ServerProcess(TRIOWS) as process:
        async with open_websockets(f"{process.ws_url}/stubborn") as client:
            await client.receive()
            process.send_signal(signal.SIGTERM)
            process.wait_for("shutting down")
            process.send_signal(signal.SIGTERM)
            # The handler would have ten seconds; its peer is told all the same.
            with pytest.raises(Closed) as caught:
                await client.receive()
            code = await trio.to_thread.run_sync(process.wait)
    assert caught.value.args == (1001, "")
    assert code == 128 + signal.SIGTERM
    assert "Traceback" not in process.output


def run_failing(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command where it ends by itself."""
    return subprocess.run(
        [*TRIOWS, *arguments],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_a_failing_start_up_ends_with_1_and_its_traceback():
    done = run_failing("failing:app", "--bind", "127.0.0.1:0")
    assert done.returncode == 1
    assert "RuntimeError: there is no database" in done.stderr
    assert "failing.py" in done.stderr
    assert done.stdout == ""


def test_an_address_in_use_ends_with_1_and_says_so():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run_failing("served:app", "--bind", f"127.0.0.1:{taken.getsockname()[1]}")
    assert done.returncode == 1
    assert "Address already in use" in done.stderr


def test_an_application_that_is_not_there_ends_with_2():
    done = run_failing("nowhere:app")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("triows: ")
    assert "nowhere" in done.stderr


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
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    finally:
        process.__exit__()
    assert "Traceback" not in process.output


def test_a_peer_that_never_reads_holds_no_process_beyond_the_time_it_announced():
    with ServerProcess(TRIOWS, "slow:ending") as process:
        host, _, port = process.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as peer:
            peer.sendall(
                b"GET /flood HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                % host.encode()
            )
            process.wait_for("pouring")
            process.send_signal(signal.SIGTERM)
            assert process.wait() == 0
    assert "Traceback" not in process.output


@pytest.mark.parametrize("option", ["--certfile", "--keyfile"])
def test_half_of_what_tls_needs_is_refused(option):
    done = subprocess.run(
        [*TRIOWS, "served:app", option, "one.pem"],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2
    assert "--certfile and --keyfile go together" in done.stderr
