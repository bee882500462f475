from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.authentication import requires as starlettes_requires

from triows._routing.handlers import (
    check_http_handler,
    check_websocket_handler,
    is_async_generator,
    is_handler,
)
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


class Yields:
    async def __call__(self) -> AsyncIterator[None]:
        yield


class SyncHandler:
    def __call__(self) -> None: ...


class WrappedHandler:
    @functools.wraps(handler)
    def __call__(self) -> Any:
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


@pytest.mark.parametrize("check", [check_websocket_handler, check_http_handler])
def test_a_handler_that_was_called_is_refused_without_a_warning(check: Any) -> None:
    with pytest.raises(RouteSetupError, match="give the `async def` itself, without calling it"):
        check(handler(), "here")


@pytest.mark.parametrize("check", [check_websocket_handler, check_http_handler])
def test_a_handler_with_starlettes_requires_is_refused(check: Any) -> None:
    @starlettes_requires("admin")
    async def guarded(websocket: Any) -> None: ...

    with pytest.raises(RouteSetupError, match=r"write triows\.requires"):
        check(guarded, "here")


@pytest.mark.parametrize(
    ("func", "expected"),
    [
        (yields, True),
        (functools.partial(yields), True),
        (Yields(), True),
        (Yields, False),
        (handler, False),
        (sync, False),
    ],
)
def test_an_async_generator_is_what_a_call_makes(func: Any, expected: bool) -> None:
    assert is_async_generator(func) is expected


@pytest.mark.parametrize("func", [handler, sync, yields, Handler(), Yields(), SyncHandler()])
def test_a_request_may_be_handled_in_three_forms(func: Any) -> None:
    check_http_handler(func, "here")


@pytest.mark.parametrize("func", [wrapped, WrappedHandler(), functools.partial(wrapped)])
def test_a_sync_function_around_an_async_one_does_not_handle_requests(func: Any) -> None:
    with pytest.raises(RouteSetupError, match="write `async def` in the decorator") as caught:
        check_http_handler(func, "here")
    assert caught.value.where == "here"


@pytest.mark.parametrize("kind", [staticmethod, classmethod])
def test_the_decorator_of_a_route_comes_below_those_of_a_class(kind):
    async def handler() -> None: ...

    with pytest.raises(RouteSetupError, match=f"write @{kind.__name__} first"):
        check_http_handler(kind(handler), "here")
