"""The kinds of routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from attrs import frozen

from .handlers import check_http_handler, check_websocket_handler

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HTTP", "WEBSOCKET", "Kind"]


@frozen(eq=False)
class Kind:
    """
    How routes of one kind differ from others, as data.

    Nothing in this folder asks which kind a route is. What compiles the handlers may: it finds the
    kind in the description of a route.

    Attributes:
        name: What ASGI and Starlette call its protocol.
        check_handler: Refuses what can't be a handler. It is called with the function, and with
            ``file:line (name)`` of it.
        remedy: What to do if there is no handler, for messages.
    """

    name: Literal["http", "websocket"]
    check_handler: Callable[[Any, str], None]
    remedy: str


WEBSOCKET = Kind(
    name="websocket",
    check_handler=check_websocket_handler,
    remedy="decorate an `async def` with @route.endpoint",
)

HTTP = Kind(
    name="http",
    check_handler=check_http_handler,
    remedy="decorate a function with @route.get, @route.post or another method",
)
