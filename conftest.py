"""
Runs the Python examples of the README and the docs, as part of the suite.

A document is one program: its ``python`` blocks run in order and share their names, as
the lines of a module do. A function ``test_...`` that a block defines is called, by
:func:`trio.run` if it is async; so an example can end in what it promises.
``<!--- skip: next -->`` before a block leaves it out.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import pytest
import trio
from hypothesis import HealthCheck, settings
from sybil import Sybil
from sybil.evaluators.python import pad
from sybil.parsers.markdown import CodeBlockParser, SkipParser

if TYPE_CHECKING:
    from sybil import Example

# Where tests have their assertions beside the test modules.
pytest.register_assert_rewrite("tests.server.peer", "tests.server.siege")

# How long an example takes depends on the machine, and says nothing about the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def module_of(example: Example) -> ModuleType:
    """
    The module that a document's blocks run in, made for the first of them.

    It is in :data:`sys.modules`, where the annotations of its classes are looked up.
    """
    module = example.namespace.get("module")
    if not isinstance(module, ModuleType):
        module = ModuleType(f"_example_{Path(example.path).stem}")
        example.namespace["module"] = sys.modules[module.__name__] = module
    return module


def run_block(example: Example) -> None:
    names = vars(module_of(example))
    known = set(names)
    source = pad(example.parsed, example.line + example.parsed.line_offset)
    exec(compile(source, example.path, "exec", dont_inherit=True), names)
    for name in set(names) - known:
        if name.startswith("test_") and isinstance(names[name], FunctionType):
            run_test(names[name])


def run_test(test: FunctionType) -> None:
    if inspect.iscoroutinefunction(test):
        trio.run(test)
    else:
        test()


def forget(namespace: dict[str, Any]) -> None:
    if module := namespace.get("module"):
        del sys.modules[module.__name__]


pytest_collect_file = Sybil(
    parsers=[CodeBlockParser("python", run_block), SkipParser()],
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
    teardown=forget,
).pytest()
