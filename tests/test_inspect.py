from __future__ import annotations

import inspect

import attrs
import msgspec
import pytest

import triows.inspect
from triows.inspect import Frame, Tree

EXPORTED = {name: getattr(triows.inspect, name) for name in triows.inspect.__all__}
CLASSES = [name for name, value in EXPORTED.items() if inspect.isclass(value)]


@pytest.mark.parametrize("name", EXPORTED)
def test_what_it_exports_says_that_it_is_from_here(name):
    assert EXPORTED[name].__module__ == "triows.inspect"


@pytest.mark.parametrize("name", CLASSES)
def test_the_data_is_frozen_and_its_types_are_known(name):
    cls = EXPORTED[name]
    assert all(not isinstance(one, str) for one in cls.__annotations__.values())
    if attrs.has(cls):
        assert cls.__setattr__ is not object.__setattr__


def test_msgspec_writes_and_reads_the_data():
    frame = Frame("a.py", 1, "f", "application")
    assert msgspec.json.decode(msgspec.json.encode(frame), type=Frame) == frame
    msgspec.json.Decoder(Tree)
