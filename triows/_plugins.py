"""Puts plugins around handlers."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from ._routing.handlers import is_handler
from ._where import name_of, where
from .exceptions import RouteSetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ._routing.handlers import Handler
    from ._routing.options import Plugin

__all__ = ["plugged"]


def plugged(
    handler: Handler, plugins: Iterable[Plugin], info: Callable[[Handler], Any], at: str
) -> Handler:
    """
    Put plugins around a handler, the first one innermost. One that is given twice is called once.

    Args:
        handler: The handler.
        plugins: The plugins.
        info: Makes what a plugin gets to know, with the function that it has to call.
        at: ``file:line (name)`` of the handler.

    Raises:
        RouteSetupError: One of them isn't a plugin, or what it returns can't be called in the
            handler's place.
    """
    for plugin in {id(plugin): plugin for plugin in plugins}.values():
        handler = _plugged(plugin, info(handler), at)
    return handler


def _plugged(plugin: Any, info: Any, at: str) -> Handler:
    """
    Put a plugin around a handler.

    Raises:
        RouteSetupError: It isn't a plugin, or what it returns can't be called in the handler's
            place.
    """
    if not callable(plugin) or inspect.iscoroutinefunction(plugin):
        raise RouteSetupError(
            f"{plugin!r} isn't a plugin: give a function (`def`) that takes an EndpointInfo and "
            "returns an async function",
            where(plugin) if callable(plugin) else at,
        )
    handler: Handler = plugin(info)
    if not is_handler(handler):
        raise RouteSetupError(
            f"the plugin {name_of(plugin)} returned {handler!r}: let it return an `async def`, "
            "which is called in the handler's place",
            where(plugin),
        )
    try:
        # Look at the wrapper's own signature. With functools.wraps, it would show the handler's.
        signature = inspect.signature(handler, follow_wrapped=False)
        signature.bind(**dict.fromkeys(info.signature.parameters))
    except (TypeError, ValueError) as exc:
        raise RouteSetupError(
            f"what the plugin {name_of(plugin)} returned can't be called with the handler's "
            f"arguments ({exc}): let it take **kwargs",
            where(plugin),
        ) from None
    return handler
