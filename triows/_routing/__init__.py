"""
PATH -> ROUTE.

What comes in: the routes that the user writes (:class:`.route.Route` and
:class:`.websocket_route.WebSocketRoute`), and the ASGI scope of a request. What goes out: for the
routes, a :class:`.node.RouteDescription` of each handler. For the request, a :class:`.leaf.Match`,
which has the route and its parameters. It is a :class:`.leaf.Mismatch` if the path has something
else than the request asks for, and ``None`` if no route matches. A path that isn't valid raises
:exc:`.path.BadPath`.

Everything here is pure and synchronous. Nothing awaits, sees a socket, or knows a handler's
arguments. May import the base modules of triows, and Starlette's converters.

What the user writes:

    route            has the class for plain requests
    websocket_route  has the class for WebSockets
    registrar        has what such classes have in common
    kind             says how they differ, as data
    handlers         says what can be a handler
    options          has the settings of routes, and how they are inherited
    node             keeps the handlers and the settings, in a tree, and describes them
    mistakes         says what to give in place of what isn't a route

What the application asks:

    router           finds a route by its path, and a path by its name
    path             reads the path of a request
    tree             finds the template that matches a path
    leaf             has what a template leads to: a WebSocket, methods, or both
    names            makes a path from the name of a route

Both:

    template         reads "/rooms/{room_id:int}"
    notations        recognises what other frameworks would write for it
"""

from __future__ import annotations

from .leaf import Match, Mismatch
from .node import RouteDescription
from .options import MiddlewareFactory
from .path import BadPath, request_method, request_segments
from .route import Route
from .router import Router
from .template import Template
from .tree import RouteTree
from .websocket_route import WebSocketRoute

__all__ = [
    "BadPath",
    "Match",
    "MiddlewareFactory",
    "Mismatch",
    "Route",
    "RouteDescription",
    "RouteTree",
    "Router",
    "Template",
    "WebSocketRoute",
    "request_method",
    "request_segments",
]
