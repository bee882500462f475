from __future__ import annotations

import gc
from functools import partial

from triows._inspection import places
from triows._inspection.places import place_of


async def handler() -> None:
    pass


def test_a_function_is_at_a_line_of_its_file():
    line = handler.__code__.co_firstlineno
    assert place_of(handler).endswith(f"test_places.py:{line} (handler)")


def test_it_is_looked_up_once(monkeypatch):
    async def another() -> None:
        pass

    known = place_of(another)
    monkeypatch.setattr(places, "where", lambda call: "looked up again")
    assert place_of(another) == known


def test_what_can_not_be_remembered_is_looked_up_each_time(monkeypatch):
    class Unhashable:
        __hash__ = None

        def __call__(self) -> None:
            pass

    monkeypatch.setattr(places, "where", lambda call: "app.py:1\n")
    assert place_of(Unhashable()) == r"app.py:1\n"


def test_it_is_forgotten_with_the_function():
    before = len(places._known)
    call = partial(handler)
    place_of(call)
    assert len(places._known) == before + 1
    del call
    gc.collect()
    assert len(places._known) <= before
