"""The exceptions are what the tree in their module says, and carry facts."""

from __future__ import annotations

import errno
import inspect
import re

import pytest
import starlette.exceptions
import starlette.websockets

from triows import exceptions
from triows.exceptions import (
    AddressError,
    ClientDisconnect,
    DependencyError,
    Disconnected,
    HandlerCancelled,
    InvalidMessage,
    NotRunningError,
    TriowsError,
    WebSocketClose,
    WebSocketDisconnect,
    WebSocketStateError,
    WrongDataType,
)

STARLETTES = {"HTTPException", "WebSocketException"}


def drawn() -> dict[str, str | None]:
    """Return each class in the tree with the one above it."""
    above: list[str] = []
    tree: dict[str, str | None] = {}
    for line in (exceptions.__doc__ or "").splitlines():
        if match := re.match(r"( *)\* :exc:`(\w+)`", line):
            level, name = len(match[1]) // 4, match[2]
            del above[level:]
            tree[name] = above[-1] if above else None
            above.append(name)
    return tree


def test_the_tree_has_every_exception():
    assert drawn().keys() == set(exceptions.__all__) - STARLETTES


@pytest.mark.parametrize(("name", "above"), drawn().items())
def test_each_exception_is_below_the_one_that_the_tree_says(name, above):
    bases = [base.__name__ for base in getattr(exceptions, name).__bases__]
    assert (above or "Exception") in bases


def test_those_of_starlette_are_starlettes_own():
    for name in STARLETTES:
        assert getattr(exceptions, name) is getattr(starlette.exceptions, name)


def test_everything_that_is_defined_is_exported():
    defined = {
        name
        for name, value in vars(exceptions).items()
        if inspect.isclass(value) and value.__module__ == exceptions.__name__
    }
    assert defined <= set(exceptions.__all__)


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        (ClientDisconnect, OSError),
        (AddressError, OSError),
        (WebSocketStateError, RuntimeError),
        (NotRunningError, RuntimeError),
        (WebSocketDisconnect, starlette.websockets.WebSocketDisconnect),
    ],
)
def test_code_that_knows_only_the_usual_class_catches_it(cls, builtin):
    assert issubclass(cls, builtin)


def test_both_ways_to_be_disconnected_have_one_class():
    assert issubclass(WebSocketDisconnect, Disconnected)
    assert issubclass(ClientDisconnect, Disconnected)
    assert WebSocketDisconnect().source is None


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (WebSocketDisconnect(1001, "going"), "1001 going"),
        (WebSocketDisconnect(), "1000"),
        (WebSocketClose(4001, "enough"), "4001 enough"),
        (WrongDataType("text was wanted"), "1003 text was wanted"),
        (HandlerCancelled("shutdown"), "the handler was cancelled: shutdown"),
        (HandlerCancelled("cancelled"), "the handler was cancelled"),
        (HandlerCancelled("timeout", "the entry"), "the entry was cancelled: timeout"),
        (AddressError(errno.EADDRINUSE, "port 80 is taken"), "port 80 is taken"),
    ],
)
def test_each_says_what_happened(error, text):
    assert isinstance(error, TriowsError)
    assert str(error) == text


@pytest.mark.parametrize(("code", "reason"), [(1005, ""), (999, ""), (1000, "x" * 124)])
def test_what_cannot_be_sent_cannot_be_raised(code, reason):
    with pytest.raises(ValueError, match=r"code|reason"):
        WebSocketClose(code, reason)


def test_the_peer_does_not_see_what_was_wrong_with_its_message():
    error = InvalidMessage("Expected `int`, got `str`")
    assert (error.code, error.reason) == (1007, "invalid message")
    assert error.detail == "Expected `int`, got `str`"


def test_a_dependency_is_shown_with_what_needs_it():
    error = DependencyError("nothing makes it", "app.py:3 (f)", ["handler", "f"])
    assert error.chain == ("handler", "f")
    assert "needed by: handler -> f" in str(error)
    assert "app.py:3 (f)" in str(error)
