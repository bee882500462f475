"""
PATH -> ROUTE.

What comes in: the routes that the user writes (:class:`.route.WebSocketRoute`), and the ASGI scope
of a request. What goes out: for the routes, a :class:`.route.RouteDescription` of each handler.
For the request, a :class:`.tree.Match`, which has the route and its parameters. It is ``None`` if
no route matches. A path that isn't valid raises :exc:`.path.BadPath`.

Everything here is pure and synchronous. Nothing awaits, sees a socket, or knows a handler's
arguments. May import the base modules of triows, and Starlette's converters.

    template   reads "/rooms/{room_id:int}"
    notations  recognises what other frameworks would write for it
    path       reads the path of a request
    tree       finds the template that matches a path
    route      has the class that the user writes
    names      makes a path from the name of a route
"""

from __future__ import annotations

from .leaf import Match
from .path import BadPath, request_segments
from .route import MiddlewareFactory, RouteDescription, WebSocketRoute
from .template import Template
from .tree import RouteTree

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
