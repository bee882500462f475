from __future__ import annotations

import functools
import inspect
from typing import Any

import pytest
from attrs import frozen

from triows import RouteSetupError
from triows._plugins import plugged
from triows._where import where


@frozen
class Info:
    """What plugins get to know."""

    func: Any
    signature: inspect.Signature


async def handler(room: str, page: int = 1) -> str:
    return f"{room} {page}"


def around(*plugins: Any) -> Any:
    signature = inspect.signature(handler)
    return plugged(handler, plugins, lambda func: Info(func, signature), where(handler))


def saying(word: str) -> Any:
    def plugin(info: Info) -> Any:
        async def wrapper(**arguments: Any) -> str:
            return f"{word}({await info.func(**arguments)})"

        return wrapper

    return plugin


def test_without_plugins_a_handler_stays_as_it_is():
    assert around() is handler


async def test_the_first_plugin_is_the_innermost():
    assert await around(saying("a"), saying("b"))(room="x") == "b(a(x 1))"


async def test_a_plugin_that_is_given_twice_is_called_once():
    once = saying("a")
    assert await around(once, saying("b"), once)(room="x", page=2) == "b(a(x 2))"


def test_a_plugin_may_return_the_handler_itself():
    assert around(lambda info: info.func) is handler


async def not_a_plugin(info: Info) -> None: ...


@pytest.mark.parametrize("plugin", ["audit", None, not_a_plugin])
def test_what_is_no_plugin_is_refused(plugin):
    with pytest.raises(RouteSetupError, match="isn't a plugin: give a function") as caught:
        around(plugin)
    at = where(plugin) if callable(plugin) else where(handler)
    assert caught.value.where == at


@pytest.mark.parametrize("made", [None, lambda **arguments: None, "text"])
def test_a_plugin_that_makes_no_async_function_is_refused(made):
    def plugin(info: Info) -> Any:
        return made

    with pytest.raises(RouteSetupError, match=r"plugin returned .* let it return an `async def`"):
        around(plugin)


def test_a_plugin_whose_function_takes_other_arguments_is_refused():
    def plugin(info: Info) -> Any:
        @functools.wraps(info.func)
        async def wrapper(room: str) -> None: ...

        return wrapper

    with pytest.raises(RouteSetupError, match=r"let it take \*\*kwargs") as caught:
        around(plugin)
    assert caught.value.where == where(plugin)
