from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from triows._where import where, where_called

HERE = os.path.abspath(__file__)


def line_of(func: Any) -> int:
    line: int = func.__code__.co_firstlineno
    return line


async def plain() -> None: ...


def decorator(func: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(func)
    def wrapper(*args: Any) -> Any:
        return func(*args)

    return wrapper


@decorator
@decorator
async def decorated() -> None: ...


class Greeter:
    async def __call__(self) -> None: ...

    async def method(self) -> None: ...

    @classmethod
    async def of_class(cls) -> None: ...

    @staticmethod
    async def static() -> None: ...


class Silent:
    pass


class Yes:
    """Has every attribute."""

    def __getattr__(self, name: str) -> Any:
        return Yes()


def test_a_function_is_named_with_its_file_and_line() -> None:
    assert where(plain) == f"{HERE}:{line_of(plain)} (plain)"


def test_a_nested_function_is_named_with_where_it_is_nested() -> None:
    def inner() -> None: ...

    name = "test_a_nested_function_is_named_with_where_it_is_nested.<locals>.inner"
    assert where(inner) == f"{HERE}:{line_of(inner)} ({name})"


def test_the_place_of_a_call_is_where_the_user_calls_triows() -> None:
    def call() -> str:
        return where_called()

    assert where_called() == f"{HERE}:{line_of(call) + 3} ({_name_of_this_test})"
    assert call() == f"{HERE}:{line_of(call) + 1} ({_name_of_this_test}.<locals>.call)"


_name_of_this_test = "test_the_place_of_a_call_is_where_the_user_calls_triows"


def test_a_lambda_has_a_line_too() -> None:
    assert where(lambda: None).endswith("<lambda>)")


@pytest.mark.parametrize(
    "wrapped",
    [
        functools.partial(plain),
        functools.partial(functools.partial(plain)),
        decorator(plain),
        functools.partial(decorator(plain)),
        decorator(functools.partial(plain)),
        decorator(decorator(functools.partial(decorator(plain)))),
    ],
)
def test_wrappers_are_looked_through(wrapped: Any) -> None:
    assert where(wrapped) == where(plain)


def test_a_decorated_function_is_named_and_not_its_decorator() -> None:
    inner: Any = decorated
    inner = inner.__wrapped__.__wrapped__
    assert where(decorated) == f"{HERE}:{line_of(inner)} (decorated)"


@pytest.mark.parametrize(
    ("given", "func", "name"),
    [
        (Greeter(), Greeter.__call__, "Greeter.__call__"),
        (functools.partial(Greeter()), Greeter.__call__, "Greeter.__call__"),
        (Greeter().method, Greeter.method, "Greeter.method"),
        (functools.partial(Greeter().method), Greeter.method, "Greeter.method"),
        (Greeter.of_class, Greeter.of_class.__func__, "Greeter.of_class"),  # type: ignore[attr-defined]
        (Greeter.static, Greeter.static, "Greeter.static"),
        (Greeter.__dict__["static"], Greeter.static, "Greeter.static"),
    ],
)
def test_methods_and_callable_objects_are_named_by_their_function(
    given: Any, func: Any, name: str
) -> None:
    assert where(given) == f"{HERE}:{line_of(func)} ({name})"


def test_a_class_is_named_by_its_own_line() -> None:
    with open(__file__) as file:
        line = file.read().split("\n").index("class Silent:") + 1
    assert where(Silent) == f"{HERE}:{line} (Silent)"


def test_a_decorated_class_inside_a_function_is_named_by_its_first_line() -> None:
    if HERE:

        @functools.total_ordering  # this is its first line
        class Inner:
            class Innermost: ...

            def __lt__(self, other: object) -> bool:
                return True

    with open(__file__) as file:
        lines = file.read().split("\n")
    line = next(n for n, text in enumerate(lines, 1) if text.endswith("# this is its first line"))
    name = "test_a_decorated_class_inside_a_function_is_named_by_its_first_line.<locals>.Inner"
    assert where(Inner) == f"{HERE}:{line} ({name})"
    assert where(Inner.Innermost) == f"{HERE}:{line + 2} ({name}.Innermost)"


def test_a_file_is_read_once_for_all_its_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    where(Silent)
    monkeypatch.delattr("ast.parse")
    assert where(Greeter).endswith("(Greeter)")


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="a class knows its line")
def test_a_class_whose_file_can_no_longer_be_read_is_named_by_its_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "module_that_changes.py"
    file.write_text("class Kept: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    kept = importlib.import_module("module_that_changes").Kept
    monkeypatch.setitem(sys.modules, "module_that_changes", sys.modules.pop("module_that_changes"))
    file.write_text("class Kept(:  # being written")
    assert where(kept) == "<module_that_changes> (Kept)"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (len, "<builtins> (len)"),
        (functools.partial(len), "<builtins> (len)"),
        (int, "<builtins> (int)"),
        (type("Made", (), {"__module__": "nowhere"}), "<nowhere> (Made)"),
        (Silent(), f"<{__name__}> (Silent)"),
        (None, "<builtins> (NoneType)"),
        ([].append, "<builtins> (list.append)"),
    ],
)
def test_what_has_no_source_is_named_by_its_module(given: Any, text: str) -> None:
    assert where(given) == text


def test_code_from_no_file_keeps_its_name() -> None:
    names: dict[str, Any] = {}
    exec("def made(): ...", names)
    assert where(names["made"]) == "<string>:1 (made)"


def test_a_relative_file_is_made_absolute() -> None:
    names: dict[str, Any] = {}
    exec(compile("def made(): ...", "some/file.py", "exec"), names)
    assert where(names["made"]) == f"{os.path.abspath('some/file.py')}:1 (made)"


def test_an_object_that_answers_to_every_name_does_no_harm() -> None:
    assert where(Yes()) == f"<{__name__}> (Yes)"


def test_a_circle_of_wrappers_does_no_harm() -> None:
    def one() -> None: ...

    def two() -> None: ...

    one.__wrapped__, two.__wrapped__ = two, one  # type: ignore[attr-defined]
    assert where(one).startswith(f"{HERE}:")
