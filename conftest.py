"""
Runs the Python programs in the README and the docs, as part of the suite.

A document is one program: its ``python`` blocks run in order and share their names, like the
lines of a module. If the document says "Save this as ``hello.py``", a block can import that program
as ``hello``, as its reader does. A function ``test_...`` that a block defines is called. If it is
async, Trio runs it, on a virtual clock. It gets the clock if it asks for pytest-trio's
``autojump_clock``. So a page can test what it says. ``<!--- skip: next -->`` before a block leaves
the block out.

The pages ``docs/how-to/test*.md`` are about tests, so they are different: each block there is a
test module of its own, with its fixtures, and pytest runs it like any other.
"""

from __future__ import annotations

import gc
import inspect
import os
import re
import sys
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings, strategies as st
from sybil import Document, Sybil
from sybil.evaluators.python import pad
from sybil.integration.pytest import SybilItem
from sybil.parsers.markdown import CodeBlockParser, SkipParser
from trio.testing import MockClock

from tests.hanging import (
    pytest_configure,
    pytest_timeout_cancel_timer,
    pytest_timeout_set_timer,
)
from tests.real_clock import (
    pytest_runtest_call,
    pytest_runtest_protocol,
    pytest_runtest_teardown,
)
from tests.scale import SCALE
from triows.testing import open_server

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from sybil import Example

__all__ = [
    "pytest_collect_file",
    "pytest_collection",
    "pytest_collection_finish",
    "pytest_configure",
    "pytest_itemcollected",
    "pytest_plugins",
    "pytest_runtest_call",
    "pytest_runtest_protocol",
    "pytest_runtest_teardown",
    "pytest_timeout_cancel_timer",
    "pytest_timeout_set_timer",
]

# Hundreds of processes that tests start import triows, and pytest rewrites each module of tests.
# Let Python keep what it compiles, whatever the environment says: it would do all that every time.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

pytest_plugins = ["tests.measuring"]

# Tests have assertions in these modules, too.
pytest.register_assert_rewrite("tests.server.harness.peer", "tests.server.harness.checked")

# How long an example of Hypothesis takes depends on the machine. It says nothing about the code.
settings.register_profile(
    "untimed",
    max_examples=100 * SCALE,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("untimed")


# How a document names the file that its reader saves a block in.
SAVED = r"(?:Save this as|Create a file) `(\w+)\.py`"


# What a block imports to connect over a socket.
CLIENT = "websockets.sync"


# What the test of a block calls if it uses sockets.
SOCKETS = rf"triows\.serve\b|\b(open_server|serve)\(|\b{CLIENT}\b"


def module_of(example: Example) -> ModuleType:
    """
    The module that a document's blocks run in, made for the first of them.

    It is in :data:`sys.modules`, because the annotations of its classes are looked up there.
    """
    module = example.namespace.get("module")
    if not isinstance(module, ModuleType):
        module = ModuleType(f"_example_{Path(example.path).stem}")
        names = [module.__name__, *re.findall(SAVED, example.document.text)]
        example.namespace |= {"module": module, "names": names}
        sys.modules |= dict.fromkeys(names, module)
    return module


def code_of(example: Example) -> CodeType:
    """Compile a block, with the line numbers that it has in its document."""
    source = pad(example.parsed, example.line + example.parsed.line_offset)
    return compile(source, example.path, "exec", dont_inherit=True)


def run_block(example: Example) -> None:
    names = vars(module_of(example))
    known = set(names)
    exec(code_of(example), names)
    for name in set(names) - known:
        if name.startswith("test_") and isinstance(names[name], FunctionType):
            run_test(names[name], is_a_client=CLIENT in example.parsed)


def run_test(test: FunctionType, *, is_a_client: bool) -> None:
    if inspect.iscoroutinefunction(test) and is_a_client:
        # A virtual clock would jump to a timeout while the sockets work.
        trio.run(test)
    elif inspect.iscoroutinefunction(test):
        # If an example waits for seconds, nobody has to wait for it.
        clock = MockClock(autojump_threshold=0)
        arguments = [clock] if "autojump_clock" in inspect.signature(test).parameters else []
        trio.run(test, *arguments, clock=clock)
    else:
        test()


def forget(namespace: dict[str, Any]) -> None:
    for name in namespace.get("names", ()):
        del sys.modules[name]


@given(st.none())
def run_an_example(_: None) -> None:
    """Have Hypothesis set itself up."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Don't look for garbage while thousands of tests are made, none of which is any."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Keep the collector away from the modules and the thousands of tests, which stay anyway."""
    # At its first example, Hypothesis makes a source of random numbers. Where it repeats the same
    # examples each time, as under CI, old versions look whether somebody keeps the source. They
    # don't see a module that the collector leaves alone.
    run_an_example()
    gc.collect()
    gc.freeze()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark examples that use sockets. A guard fails those that are missed."""
    if isinstance(item, SybilItem):
        # A block without a test only defines something.
        text = str(item.example.parsed)
        uses = "def test_" in text and re.search(SOCKETS, text)
    elif isinstance(item, pytest.Function) and item.getparent(BlockOfTests):
        params = item.callspec.params if hasattr(item, "callspec") else {}
        uses = "serve" in item.fixturenames or open_server in params.values()
    else:
        return
    if uses:
        item.add_marker(pytest.mark.real_socket)


collect_examples = Sybil(
    parsers=[CodeBlockParser("python", run_block), SkipParser()],
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
    teardown=forget,
).pytest()


class BlockOfTests(pytest.Module):
    """A block of a document as a test module: pytest runs exactly what the page shows."""

    example: Example

    def _getobj(self) -> ModuleType:
        module = ModuleType(f"_tests_of_{self.path.stem}_{self.example.line}")
        # The annotations of its classes are looked up there, as for a module on disk.
        sys.modules[module.__name__] = module
        exec(code_of(self.example), vars(module))
        return module


class PageOfTests(pytest.File):
    """A document whose blocks are test modules."""

    def collect(self) -> Iterator[pytest.Module]:
        blocks: list[Example] = []
        parsers = [CodeBlockParser("python", blocks.append), SkipParser()]
        for example in Document.parse(str(self.path), *parsers).examples():
            example.evaluate()  # appends it, if it is not to be skipped
        for example in blocks:
            name = f"line:{example.line}"
            block = BlockOfTests.from_parent(
                self, path=self.path, name=name, nodeid=f"{self.nodeid}::{name}"
            )
            block.example = example
            yield block


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.match("docs/how-to/test*.md"):
        return PageOfTests.from_parent(parent, path=file_path)
    return collect_examples(file_path, parent)
