from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.authentication import requires as starlettes_requires

from triows._routing.handlers import check_websocket_handler, is_handler
from triows.exceptions import RouteSetupError


async def handler() -> None: ...


def sync() -> None: ...


async def yields() -> AsyncIterator[None]:
    yield


class Handler:
    async def __call__(self) -> None: ...


@functools.wraps(handler)
def wrapped() -> Any:
    return handler()


@pytest.mark.parametrize(
    ("func", "expected"),
    [
        (handler, True),
        (functools.partial(functools.partial(handler)), True),
        (Handler(), True),
        (Handler().__call__, True),
        (functools.partial(Handler()), True),
        (Handler, False),
        (sync, False),
        (yields, False),
        (wrapped, False),
        ("handler", False),
    ],
)
def test_a_handler_is_what_gives_a_coroutine_when_called(func: Any, expected: bool) -> None:
    assert is_handler(func) is expected
    if expected:
        check_websocket_handler(func, "here")
    else:
        with pytest.raises(RouteSetupError):
            check_websocket_handler(func, "here")


@pytest.mark.parametrize(
    ("func", "problem"),
    [
        (sync, "call what blocks with `await trio.to_thread.run_sync"),
        (wrapped, "write `async def` in the decorator"),
        (Handler, "Handler is a class, so give an instance with an async __call__"),
        (yields, "does not yield it"),
    ],
)
def test_a_function_that_is_refused_is_named_with_its_place(func: Any, problem: str) -> None:
    with pytest.raises(RouteSetupError, match=problem) as caught:
        check_websocket_handler(func, "here")
    assert caught.value.where == "here"


def test_a_handler_that_was_called_is_refused_without_a_warning() -> None:
    with pytest.raises(RouteSetupError, match="give the `async def` itself, without calling it"):
        check_websocket_handler(handler(), "here")


def test_a_handler_that_requires_starlettes_websocket_is_refused() -> None:
    @starlettes_requires("admin")
    async def guarded(websocket: Any) -> None: ...

    with pytest.raises(RouteSetupError, match=r"write triows\.requires"):
        check_websocket_handler(guarded, "here")
