from __future__ import annotations

import pytest

from trials.soak.stages import STAGES, Findings, cycles, shutdown

pytestmark = pytest.mark.real_socket


def test_what_is_wrong_is_counted_and_said(capsys):
    findings = Findings()
    findings.check(True, "fine")
    findings.check(False, "broken")
    assert findings.problems == 1
    assert capsys.readouterr().out == "    fine\n    FAILED: broken\n"


def test_a_few_connections_are_made_and_what_is_left_is_compared(capsys):
    cycles(Findings(), 0.002)
    said = capsys.readouterr().out
    assert "20 connections, in" in said
    assert "before: " in said
    assert "after:  " in said
    assert "    0 tracebacks\n    it still echoes\n" in said


def test_a_few_clients_are_told_of_the_end(capsys):
    findings = Findings()
    shutdown(findings, 0.004)
    said = capsys.readouterr().out
    assert findings.problems == 0, said
    assert "8 clients saw 8 x 1001" in said
    assert "resources: 8 entered, 8 exited" in said


def test_large_bodies_take_little_memory_and_clients_may_leave(capsys):
    findings = Findings()
    STAGES["bodies"](findings, 0.005)
    said = capsys.readouterr().out
    assert findings.problems == 0, said
    assert "    parts of 5 MB, in" in said
    assert "    slow file of 0 MB, in" in said
    assert "    2 clients left in the middle of upload: " in said
