"""The descriptors with which a process starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from triows._server.descriptors import passed_addresses

# The standard streams

#: Starts a command without the descriptors that its first argument lists.
WITHOUT = """
import os, sys
for number in map(int, sys.argv[1].split(",")):
    os.close(number)
os.execv(sys.argv[2], sys.argv[2:])
"""

#: Writes what it finds at the standard streams into a file.
PROBE = """
import json, os, sys
from triows._server.descriptors import open_missing_streams
open_missing_streams()
print("printed")
print("printed", file=sys.stderr)
with open(sys.argv[1], "w") as file:
    found = {
        "targets": [os.readlink(f"/proc/self/fd/{number}") for number in range(3)],
        "inherited": [os.get_inheritable(number) for number in range(3)],
        "missing": [sys.stdin, sys.stdout, sys.stderr].count(None),
        "next": file.fileno(),
    }
    json.dump(found, file)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="this looks into /proc")
@pytest.mark.parametrize("missing", ["0", "1", "2", "0,1,2"])
def test_a_missing_stream_leads_nowhere_and_nothing_else_takes_its_number(tmp_path, missing):
    file = tmp_path / "found"
    command = [sys.executable, "-c", WITHOUT, missing, sys.executable, "-c", PROBE, str(file)]
    subprocess.run(command, capture_output=True, check=True)
    found = json.loads(file.read_text())
    assert {found["targets"][int(number)] for number in missing.split(",")} == {"/dev/null"}
    assert found["inherited"] == [True] * 3
    assert found["missing"] == 0
    assert found["next"] > 2


# Sockets that a manager passes


def variables(**others: str) -> dict[str, str]:
    return {
        "LISTEN_PID": str(os.getpid()),
        "LISTEN_FDS": "2",
        "LISTEN_FDNAMES": "http:https",
        "HOME": "/root",
        **others,
    }


def test_sockets_that_a_manager_passes_have_addresses(monkeypatch):
    kept = []
    monkeypatch.setattr(os, "set_inheritable", lambda *call: kept.append(call))
    given = variables()
    assert passed_addresses(given) == ["fd://3", "fd://4"]
    assert kept == [(3, False), (4, False)]  # child processes don't get them
    assert given == {"HOME": "/root"}


@pytest.mark.parametrize(
    "others", [{"LISTEN_PID": "1"}, {"LISTEN_FDS": "many"}, {"LISTEN_FDS": "0"}]
)
def test_sockets_for_another_process_are_left_alone(monkeypatch, others):
    kept = []
    monkeypatch.setattr(os, "set_inheritable", lambda *call: kept.append(call))
    given = variables(**others)
    assert passed_addresses(given) == []
    assert kept == []
    assert given == {"HOME": "/root"}


def test_a_process_without_a_manager_has_none():
    assert passed_addresses({}) == []


def test_sockets_that_are_missing_are_noticed_later(monkeypatch):
    def fail(*_call: object) -> None:
        raise OSError

    monkeypatch.setattr(os, "set_inheritable", fail)
    assert passed_addresses(variables(LISTEN_FDS="1")) == ["fd://3"]
