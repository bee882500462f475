"""Public names in the documentation: the reference is up to date, and examples use all of them."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

import triows
import triows.inspect
import triows.testing

ROOT = Path(__file__).parent.parent
PUBLIC = ("triows", "triows.testing", "triows.inspect")

# Methods that a handler, a test or a program calls. The others of a public class are for servers
# and plugins, and the reference is enough for them.
MEMBERS = {
    "Triows": {
        *("include_routes", "mount", "override", "routes", "state", "running", "is_running"),
        *("drain_budget", "include"),
    },
    "WebSocketRoute": {"endpoint", "ws_handler", "sub", "merge", "add_middleware"},
    "WebSocket": {
        name
        for name, value in vars(triows.WebSocket).items()
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, property))
    }
    - {"application_state"},
    "Triows(...)": set(inspect.signature(triows.Triows).parameters) - {"routes"},
}


def exports(module: str) -> set[str]:
    return set(importlib.import_module(module).__all__)


@pytest.fixture(scope="module")
def build() -> ModuleType:
    """The module that writes the reference."""
    spec = importlib.util.spec_from_file_location("_docs_build", ROOT / "docs" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_a_text_without_a_program_of_its_own_stays_as_it_is(
    build: ModuleType, tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1)\n```\n\n```text\n?\n```\n\n```text\nby hand\n```\n")
    made = build.with_outputs(page)
    assert made == "```python\nprint(1)\n```\n\n```text\n1\n```\n\n```text\nby hand\n```\n"


def test_what_is_made_from_the_code_is_up_to_date(build: ModuleType) -> None:
    stale = [path for path, text in build.pages().items() if path.read_text("utf-8") != text]
    assert stale == [], "run `make docs`"


@pytest.mark.real_socket  # the pages use sockets in another process
@pytest.mark.parametrize("name", ["inspect", "test-failures"])
def test_a_text_that_is_shown_is_what_the_tests_print(build: ModuleType, name: str) -> None:
    page = ROOT / "docs" / "how-to" / f"{name}.md"
    assert page in build.TESTED
    made = build.with_lines(page, build.printed_by_tests(page))
    assert made == page.read_text("utf-8"), "run `make docs`"


def test_only_the_line_numbers_of_a_shown_text_are_renewed(
    build: ModuleType, tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    page.write_text("```text\nprocess 1: a.py:5 after\n  0.3 s\n```\n")
    made = build.with_lines(page, "before\nprocess 77: a.py:6 after 0.4 s\n")
    assert made == "```text\nprocess 1: a.py:6 after\n  0.3 s\n```\n"
    with pytest.raises(ValueError, match=r"no test of page\.md prints this"):
        build.with_lines(page, "process 77: b.py:6 after 0.4 s")


@pytest.mark.parametrize("module", PUBLIC)
def test_the_reference_has_every_public_name(module: str) -> None:
    page = (ROOT / "docs" / "reference" / f"{module}.md").read_text("utf-8")
    described = set(re.findall(r"^### `(\w+)`$", page, re.MULTILINE))
    assert described == exports(module)


def test_a_public_alias_has_to_say_what_it_is(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, names = build.load()["triows"], build.Names()
    assert "sent as `text/html`" in "\n".join(build.entry(module, "HTML", names))
    monkeypatch.setattr(build, "comment", lambda _: "")
    with pytest.raises(ValueError, match=r"HTML is public and has no `#:` comment"):
        list(build.entry(module, "HTML", names))


def test_no_role_of_sphinx_is_left_in_the_reference() -> None:
    for module in PUBLIC:
        page = (ROOT / "docs" / "reference" / f"{module}.md").read_text("utf-8")
        assert re.findall(r":\w+:`|(?<!`)``\w", page) == []


def programs() -> list[str]:
    """The programs that the tests run: those in the README, the docs and the examples."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    found = [path.read_text("utf-8") for path in (ROOT / "examples").glob("*.py")]
    for page in pages:
        text = re.sub(
            r"^<!--- skip: next -->\n```python\n.*?^```",
            "",
            page.read_text("utf-8"),
            flags=re.DOTALL | re.MULTILINE,
        )
        found += re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return found


def used_names() -> set[str]:
    """The names, attributes and keyword arguments in all programs."""
    used: set[str] = set()
    for program in programs():
        for node in ast.walk(ast.parse(program)):
            match node:
                case ast.Name(id=name) | ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
                    used.add(name)
    return used


@pytest.mark.parametrize("module", PUBLIC)
def test_an_example_uses_every_public_name(module: str) -> None:
    assert exports(module) - used_names() == set()


@pytest.mark.parametrize("of", MEMBERS)
def test_an_example_uses_what_is_called_most(of: str) -> None:
    assert MEMBERS[of] - used_names() == set()


def test_the_reference_has_every_setting() -> None:
    page = (ROOT / "docs" / "reference" / "triows.md").read_text("utf-8")
    for settings in (triows.Timeouts, triows.Limits, triows.Compression):
        for name in inspect.signature(settings).parameters:
            assert f"#### `{settings.__name__}.{name}`\n" in page


def test_the_arguments_of_an_attrs_class_are_described_once() -> None:
    page = (ROOT / "docs" / "reference" / "triows.testing.md").read_text("utf-8")
    (entry,) = re.findall(r"^### `Network`\n(.*?)^##", page, re.DOTALL | re.MULTILINE)
    assert "class Network(\n    *,\n    piece: int | None = None,\n" in entry
    assert "    delay: float | tuple[float, float] = (0.0, 0.1),\n" in entry
    for name in inspect.signature(triows.testing.Network).parameters:
        assert f"\n- `{name}`: " in entry
    assert "### `Network." not in page


def test_the_tree_of_exceptions_is_the_one_that_the_classes_form() -> None:
    page = (ROOT / "docs" / "reference" / "exceptions.md").read_text("utf-8")
    (drawn,) = re.findall(r"^```text\n(TriowsError\n.*?)^```", page, re.DOTALL | re.MULTILINE)
    above: list[str] = []
    bases: dict[str, str] = {}
    for line in drawn.splitlines():
        indent, name = re.match(r"([│├└─ ]*)(\w+)", line).groups()
        del above[len(indent) // 4 :]
        bases[name] = above[-1] if above else "Exception"
        above.append(name)
    ours = {name: getattr(triows, name) for name in triows.exceptions.__all__}
    assert bases == {
        name: next(one.__name__ for one in kind.__bases__ if issubclass(one, Exception))
        for name, kind in ours.items()
        if issubclass(kind, triows.TriowsError)
    }
