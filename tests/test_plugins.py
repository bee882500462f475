"""Plugins are put around a handler, and what isn't one is refused."""

from __future__ import annotations

import functools
import inspect
import re
from types import SimpleNamespace

import pytest

from triows import RouteSetupError
from triows._plugins import plugged

AT = "app.py:1 (handler)"


async def handler(room: str) -> None:
    called.append(f"handler of {room}")


called: list[str] = []


@pytest.fixture(autouse=True)
def nothing_called():
    called.clear()


def info_of(call):
    return SimpleNamespace(call=call, signature=inspect.signature(handler))


def named(name):
    def plugin(info):
        async def around(**kwargs) -> None:
            called.append(name)
            await info.call(**kwargs)

        return around

    return plugin


async def test_the_first_plugin_is_the_innermost():
    await plugged(handler, [named("first"), named("second")], info_of, AT)(room="7")
    assert called == ["second", "first", "handler of 7"]


async def test_a_plugin_that_is_given_twice_is_called_once():
    plugin = named("once")
    await plugged(handler, [plugin, plugin], info_of, AT)(room="7")
    assert called == ["once", "handler of 7"]


def test_without_plugins_it_is_the_handler_itself():
    assert plugged(handler, [], info_of, AT) is handler


async def async_plugin(info):
    return info.call


@pytest.mark.parametrize("plugin", [None, "a plugin", async_plugin])
def test_what_is_no_plain_function_is_no_plugin(plugin):
    with pytest.raises(RouteSetupError, match="isn't a plugin: give a function"):
        plugged(handler, [plugin], info_of, AT)


@pytest.mark.parametrize("returned", [None, print, "a handler"])
def test_what_it_returns_is_an_async_function(returned):
    def plugin(info):
        return returned

    with pytest.raises(RouteSetupError, match="let it return an `async def`"):
        plugged(handler, [plugin], info_of, AT)


def test_what_it_returns_takes_the_handlers_arguments():
    def plugin(info):
        @functools.wraps(info.call)
        async def around(other: str) -> None: ...

        return around

    with pytest.raises(RouteSetupError, match=re.escape("let it take **kwargs")):
        plugged(handler, [plugin], info_of, AT)
