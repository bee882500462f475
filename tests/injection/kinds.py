"""Kinds of route for the tests: the one of WebSockets, and a toy one of plain requests."""

import trio
from starlette.requests import Request

from triows import Triows
from triows._injection.kinds import APP, NAMES_OF_ALL, NURSERY, Given, RouteKind
from triows._websocket.kind import websocket_kind

WEBSOCKETS = websocket_kind(Triows)

REQUEST = Given("Request")
REQUESTS = RouteKind(
    noun="request",
    givens={Request: REQUEST, trio.Nursery: NURSERY, Triows: APP},
    names={**NAMES_OF_ALL, "request": "Request", "WebSocket": "Request", "websocket": "Request"},
    unmistakable=("request", "nursery"),
    no_body="a GET request has no body",
)
