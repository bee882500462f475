"""The system drops signals to the first process of a container. They end `triows` all the same."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from tests.server.harness.process import TRIOWS, ServerProcess

pytestmark = [
    pytest.mark.real_socket,
    pytest.mark.skipif(sys.platform != "linux", reason="containers are Linux"),
]

#: Runs a command as the first process of a container.
UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]

#: The command, in a process that takes itself for the first one.
PRETENDING = [
    sys.executable,
    "-c",
    "import os; os.getpid = lambda: 1; from triows._cli import main; raise SystemExit(main())",
    "run",
]


def can_unshare() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0


contained = pytest.mark.skipif(not can_unshare(), reason="the system allows no PID namespaces")


def inner(process: ServerProcess) -> int:
    """The process in the container, as the system outside knows it."""
    parent = process.pid
    with open(f"/proc/{parent}/task/{parent}/children") as children:
        return int(children.read().split()[0])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("hangs", ["in Python", "in the kernel", "in C"])
@pytest.mark.parametrize(
    "command", [PRETENDING, pytest.param(UNSHARE + TRIOWS, marks=contained)], ids=["", "contained"]
)
def test_a_signal_ends_the_first_process_while_it_imports(command, hangs, number, monkeypatch):
    monkeypatch.setenv("HANGS", hangs)
    process = ServerProcess(command, "hanging_import:app")
    try:
        process.wait_for("importing")
        if command is PRETENDING:
            process.send_signal(number)
        else:
            os.kill(inner(process), number)
        assert process.wait() == 128 + number
        assert "Traceback" not in process.output
        assert "caught" not in process.output
    finally:
        process.__exit__()
