"""
PATH -> ROUTE.

In: the routes that the user describes (:class:`.route.WebSocketRoute`), and the ASGI scope
of a request. Out: for the routes, one :class:`.route.RouteDescription` per handler; for the
request, the :class:`.tree.Match` that says which of them it is for and with which
parameters, or nothing, or :exc:`.path.BadPath`.

Pure and synchronous: nothing here awaits, sees a socket or knows what a handler is called
with. May import the base modules of triows, and Starlette's converters.

    template   reads "/rooms/{room_id:int}"
    notations  recognises what other frameworks would write for it
    path       reads the path of a request
    tree       finds the template that a path fits
    route      what the user writes
    names      makes a path of a route's name
"""

from __future__ import annotations

from .path import BadPath, request_segments
from .route import MiddlewareFactory, RouteDescription, WebSocketRoute
from .template import Template
from .tree import Match, RouteTree

__all__ = [
    "BadPath",
    "Match",
    "MiddlewareFactory",
    "RouteDescription",
    "RouteTree",
    "Template",
    "WebSocketRoute",
    "request_segments",
]
