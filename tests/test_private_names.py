"""
The private names of other packages that triows uses, and what happens when one is gone.

The names of Trio that schedules use have tests of their own: tests/schedules/test_internals.py.
"""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio
from trio._core import _run

from triows import _left_open
from triows._exchange import lifetime, nursery as own_nursery
from triows._inspection import blocked
from triows.testing import _tasks

ROOT = Path(__file__).parents[1]
FILES = [
    *(ROOT / "triows").rglob("*.py"),
    *(ROOT / "_triows_schedules").rglob("*.py"),
    ROOT / "pytest_triows.py",
]

#: Which names there are. Whoever adds one says below, or where it says, what happens without it.
FOREIGN = {
    # Trio.
    "_cancel_status": "below",
    "_nested_child_finished": "below",
    "_parent": "below",
    "_pending_excs": "below",
    "_next_send_fn": "below",
    "_core": "below, and tests/schedules/test_internals.py",
    "_threads": "below",
    "_ALLOW_DETERMINISTIC_SCHEDULING": "tests/schedules/test_internals.py",
    "_heap": "tests/schedules/test_internals.py",
    "_r": "tests/schedules/test_internals.py",
    # Hypercorn. Without it, no server starts: each test of tests/server fails.
    "_create_sockets": "tests/server",
    # CPython. They are documented, but for two.
    "_getframe": "sys: documented",
    "_current_frames": "sys: documented",
    "_args_from_interpreter_flags": "subprocess: tests/test_cli.py",
    "_str": "traceback.TracebackException: tests/test_traceback.py",
    "_is_protocol": "typing: tests/injection/test_signatures.py",
    # Tools for tests.
    "_anyio_original_func": "Hypothesis with anyio: tests/schedules/test_plugin.py",
    "_current_build_context": "Hypothesis: tests/schedules/test_plugin.py",
    "_fixtureinfo": "pytest: tests/testing/test_plugin.py",
    "_initrequest": "pytest: tests/schedules/test_plugin.py",
    "_instance": "pytest: tests/schedules/test_plugin.py",
    "_obj": "pytest: tests/schedules/test_plugin.py",
    "_report_sections": "pytest: tests/schedules/test_plugin.py",
    "_pytest_kwargs": "pytest-trio: tests/schedules/test_plugin.py",
    "_pytest": "pytest: tests/schedules/test_plugin.py",
    "_setupstate": "pytest: tests/schedules/test_telling.py",
    "_pydevd_bundle": "the debugger of PyCharm and VS Code: tests/server/test_watchdog.py",
}


def is_private(name: str) -> bool:
    return (
        name.startswith("_") and not name.startswith("__") and name.isidentifier() and name != "_"
    )


def mentioned(tree: ast.AST) -> set[str]:
    """The private names after a dot, and in strings that are nothing else than names."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.update(node.value.split("."))
    return set(filter(is_private, found))


def defined(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.add(node.name)
            case ast.Attribute(value=ast.Name(id="self" | "cls" | "new"), ctx=ast.Store()):
                found.add(node.attr)
            case ast.Name(ctx=ast.Store()):
                found.add(node.id)
            case ast.arg():
                found.add(node.arg)
            case ast.alias():
                found.add(node.asname or node.name)
    return found


@pytest.mark.unmeasured
def test_all_private_names_of_others_are_known():
    trees = [ast.parse(file.read_text()) for file in FILES]
    ours = set[str]().union(*map(defined, trees)) | {part for f in FILES for part in f.parts}
    ours |= {file.stem for file in FILES}
    used = set[str]().union(*map(mentioned, trees)) - ours
    assert used == set(FOREIGN)


def test_this_release_of_trio_has_those_that_are_not_for_schedules():
    fields = {
        cls: {field.name for field in cls.__attrs_attrs__}
        for cls in (_run.CancelStatus, _run.CancelScope, _run.Task)
    }
    assert {"_scope", "_parent"} <= fields[_run.CancelStatus]
    assert hasattr(_run.CancelStatus, "effectively_cancelled") or (
        "effectively_cancelled" in fields[_run.CancelStatus]
    )
    assert "_cancel_status" in fields[_run.CancelScope]
    assert {"_cancel_status", "_next_send_fn"} <= fields[_run.Task]
    assert "_pending_excs" in inspect.getsource(trio.Nursery.__init__)
    assert trio.run.__globals__["__name__"] == blocked._RUN
    assert trio.to_thread.run_sync.__globals__["__name__"] == "trio._threads"


def test_without_cancel_status_only_a_scopes_own_cancellation_is_seen():
    assert lifetime._is_cancelled(SimpleNamespace(cancel_called=True))
    assert not lifetime._is_cancelled(SimpleNamespace(cancel_called=False))
    assert not lifetime._is_cancelled(SimpleNamespace(cancel_called=False, _cancel_status=object()))


def test_without_pending_excs_a_cancelled_nursery_counts_as_cancelled_from_within():
    for called in (True, False):
        one = SimpleNamespace(cancel_scope=SimpleNamespace(cancel_called=called))
        assert own_nursery._is_cancelled_within(one) is called


@pytest.mark.parametrize("status", [None, object(), SimpleNamespace(_scope=SimpleNamespace())])
def test_without_the_names_inside_shields_stay(status):
    _tasks.unshield(SimpleNamespace(_cancel_status=status), trio.CancelScope())
    _tasks.unshield(SimpleNamespace(), trio.CancelScope())


@pytest.mark.parametrize("status", [None, object()])
async def test_without_the_scope_of_a_status_what_was_left_open_stays(monkeypatch, status):
    monkeypatch.setattr(_left_open, "scopes_of", lambda _task: status)
    assert await _left_open.close_left_open(scopes=None) is None


async def test_without_the_end_of_a_nursery_only_its_scope_is_closed(monkeypatch):
    class Status:
        _scope = trio.CancelScope()

    task = SimpleNamespace(child_nurseries=[SimpleNamespace(cancel_scope=Status._scope)])
    Status._scope.__enter__()
    assert await _left_open._close(task, Status) is None
