from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.server.clients import Closed, open_trio_websocket
from tests.server.harness.process import TRIOWS, ServerProcess
from tests.server.harness.versions import Versions
from tests.server.test_workers import version_at
from triows._server.reload import watched

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.real_socket

SERVING = r"serving by process \d+"


@contextmanager
def reloading(versions: Versions, *options: str) -> Iterator[ServerProcess]:
    arguments = ["--reload", *options]
    with ServerProcess(TRIOWS, "versions:app", *arguments, folder=versions.folder) as process:
        process.wait_for(SERVING)
        yield process


async def ended(process: ServerProcess) -> Any:
    return await trio.to_thread.run_sync(process.wait)


async def test_a_change_is_served_and_the_peers_of_the_old_version_are_told(versions):
    with reloading(versions) as process:
        async with open_trio_websocket(f"{process.ws_url}/echo") as client:
            await client.send("hi")
            await client.receive()
            versions.write("two")
            with pytest.raises(Closed) as caught:
                await client.receive()
            # Nobody serves right now. The client waits, and isn't refused.
            assert await version_at(process) == "two"
    assert caught.value.args == (1001, "")
    assert "changed: versions.py" in process.output


async def test_a_handler_that_does_not_end_holds_no_change_up(versions):
    with reloading(versions) as process:
        async with open_trio_websocket(f"{process.ws_url}/stubborn") as client:
            await client.receive()
            start = trio.current_time()
            versions.write("two")
            with pytest.raises(Closed):
                await client.receive()
            assert await version_at(process) == "two"
            assert trio.current_time() - start < 9  # its own grace would be ten seconds


async def test_a_version_that_fails_waits_for_the_next_one(versions):
    with reloading(versions) as process:
        versions.write_text("import nothing_of_the_kind")
        process.wait_for("ModuleNotFoundError: No module named 'nothing_of_the_kind'")
        process.wait_for("waiting for a change")
        versions.write("three")
        process.wait_for(SERVING)
        assert await version_at(process) == "three"


@pytest.mark.usefixtures("measured_processes")
async def test_a_first_version_that_fails_waits_for_the_next_one(versions):
    versions.write_text("import nothing_of_the_kind")
    with ServerProcess(TRIOWS, "versions:app", "--reload", folder=versions.folder) as process:
        process.wait_for("waiting for a change")
        versions.write("two")
        process.wait_for(SERVING)
        assert await version_at(process) == "two"


def test_only_python_files_of_the_application_count(versions):
    site_packages = versions.folder / "venv" / "site-packages"
    site_packages.mkdir(parents=True)
    with reloading(versions) as process:
        (versions.folder / "notes.txt").write_text("x")
        (site_packages / "library.py").write_text("x = 1")
        versions.write("two")
        process.wait_for(SERVING)
        versions.write("three")
        process.wait_for(SERVING)
    changes = [line.split("changed: ")[1] for line in process.lines if "changed: " in line]
    assert changes == ["versions.py\n"] * 2


@pytest.mark.parametrize("version", ["one", "broken"])
@pytest.mark.usefixtures("measured_processes")
def test_ctrl_c_ends_it_without_a_traceback(versions, version):
    with reloading(versions) as process:
        if version == "broken":
            versions.write_text("raise SystemExit")
            process.wait_for("waiting for a change")
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait() == 0
    assert "Traceback" not in process.output


async def test_a_killed_watcher_leaves_no_process(versions):
    with reloading(versions) as process:
        process.send_signal(signal.SIGKILL)
        # This waits until no process has the output open any more.
        assert await ended(process) == -signal.SIGKILL
    assert "the process that started this worker is gone" in process.output


@pytest.mark.usefixtures("measured_processes")
async def test_a_second_signal_ends_it_at_once(versions):
    with reloading(versions) as process:
        async with open_trio_websocket(f"{process.ws_url}/stubborn") as client:
            await client.receive()
            process.send_signal(signal.SIGTERM)
            process.wait_for("shutting down")
            process.send_signal(signal.SIGTERM)
            with pytest.raises(Closed) as caught:
                await client.receive()
        assert await ended(process) == 128 + signal.SIGTERM
    assert caught.value.args == (1001, "")


def test_only_reload_imports_what_it_needs():
    program = "import sys, triows._cli; sys.exit('watchfiles' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("folder", [None, ".", "src", "{}/src"])
def test_a_folder_inside_the_current_one_is_watched_with_it(import_folder, folder):
    here = str(import_folder)
    assert watched(folder and folder.format(here)) == [here]


@pytest.mark.parametrize("folder", ["..", "../src", "{}-src"])
def test_a_folder_elsewhere_is_watched_as_well(import_folder, folder):
    here = str(import_folder)
    there = folder.format(here)
    assert watched(there) == [here, os.path.abspath(there)]


async def test_the_file_of_a_unix_socket_is_removed_although_the_process_has_failed(versions):
    path = versions.folder / "here.sock"
    with reloading(versions, "--bind", f"unix:{path}") as process:
        versions.write_text("1 / 0")
        process.wait_for("waiting for a change")
        process.send_signal(signal.SIGINT)
        assert await ended(process) == 0
    assert not path.exists()
