"""What a plain request needs of the server: our own keeps all of it."""

from __future__ import annotations

import inspect

import pytest

from triows._request.transport import EngineRequest, nobody
from triows._server.request import StreamRequest


def members(of: type) -> set[str]:
    """The public names of a class, with its annotations and slots."""
    names = {*vars(of), *inspect.get_annotations(of), *vars(of).get("__slots__", ())}
    return {name for name in names if not name.startswith("_")}


def test_our_request_has_everything_that_is_needed():
    assert members(EngineRequest) <= members(StreamRequest)


@pytest.mark.parametrize(
    "name", sorted(name for name in members(EngineRequest) if hasattr(EngineRequest, name))
)
def test_its_methods_are_called_in_the_same_way(name):
    needed, ours = (getattr(one, name) for one in (EngineRequest, StreamRequest))
    assert inspect.signature(needed) == inspect.signature(ours)
    assert inspect.iscoroutinefunction(needed) == inspect.iscoroutinefunction(ours)


def test_nobody_is_told_until_somebody_wants_to_be():
    assert nobody() is None
