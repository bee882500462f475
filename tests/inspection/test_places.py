from __future__ import annotations

import gc
from weakref import ref

import pytest

from triows._inspection import places
from triows._inspection.places import where


def test_a_place_is_the_file_the_line_and_the_name():
    line = test_a_place_is_the_file_the_line_and_the_name.__code__.co_firstlineno
    name = "test_a_place_is_the_file_the_line_and_the_name"
    assert where(test_a_place_is_the_file_the_line_and_the_name) == f"{__file__}:{line} ({name})"


def test_a_place_is_looked_up_once(monkeypatch):
    def function() -> None: ...

    first = where(function)
    monkeypatch.setattr(places, "place_of", lambda call: pytest.fail("it is known"))
    assert where(function) == first


def test_a_function_is_not_kept_alive():
    def function() -> None: ...

    where(function)
    kept = ref(function)
    del function
    gc.collect()
    assert kept() is None


class Unhashable:
    __hash__ = None

    def __call__(self) -> None: ...


class Slotted:
    __slots__ = ()

    def __call__(self) -> None: ...


@pytest.mark.parametrize("call", [Unhashable(), Slotted()])
def test_what_can_not_be_remembered_has_a_place_all_the_same(call):
    assert where(call).endswith(f"({type(call).__name__}.__call__)")


def test_a_name_that_can_not_be_printed_is_escaped():
    def function() -> None: ...

    function.__qualname__ = "a\nb"
    assert where(function).endswith(r"(a\nb)")
