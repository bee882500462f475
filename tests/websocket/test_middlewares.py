"""Starlette's middlewares around handlers of WebSockets, on the application and on a route."""

from typing import Any

import pytest
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from triows import Request, Route, Triows, WebSocket, WebSocketRoute, WebSocketStateError
from triows.testing import WebSocketDenialResponse, open_app

at_both = pytest.mark.parametrize("where", ["application", "route"])


def echoing(where: str, middleware: Any) -> Triows:
    """Make an application that answers messages at "/ws", and has a login at "/login"."""
    options = {"middlewares": [middleware]}
    on_route = options if where == "route" else {}
    route, login = WebSocketRoute("ws", **on_route), Route("login", **on_route)

    @login.post
    async def log_in(request: Request) -> None:
        request.session["user"] = "ann"

    @route.endpoint
    async def echo(ws: WebSocket) -> None:
        if "session" in ws.scope:
            ws.session["seen"] = ws.session.get("user")
        await ws.accept()
        async for message in ws:
            if message == "ping":
                try:
                    message = str(await ws.ping() >= 0)  # noqa: PLW2901
                except WebSocketStateError:
                    message = "no ping"  # noqa: PLW2901
            elif message == "user":
                message = ws.session["seen"]  # noqa: PLW2901
            await ws.send(message)

    return Triows(route, login, **(options if where == "application" else {}))


class Refusing(BaseHTTPMiddleware):
    async def dispatch(self, request: Any, call_next: Any) -> Any:
        raise AssertionError


@at_both
@pytest.mark.parametrize(
    "middleware",
    [
        Middleware(Refusing),
        Middleware(GZipMiddleware, minimum_size=0),
        Middleware(CORSMiddleware, allow_origins=[]),
        Middleware(TrustedHostMiddleware, allowed_hosts=["testserver"]),
    ],
)
async def test_these_leave_a_connection_alone(where, middleware):
    async with open_app(echoing(where, middleware)) as client:
        headers = {"origin": "https://testserver"}
        async with client.websocket_connect("/ws", headers=headers) as ws:
            await ws.send_text("x" * 1000)
            assert await ws.receive_text() == "x" * 1000
            await ws.send_text("ping")
            assert await ws.receive_text() == "True"


@at_both
async def test_a_trusted_host_is_needed(where):
    middleware = Middleware(TrustedHostMiddleware, allowed_hosts=["elsewhere"])
    async with open_app(echoing(where, middleware)) as client:
        with pytest.raises(WebSocketDenialResponse) as refused:
            async with client.websocket_connect("/ws"):
                pass
    assert refused.value.status_code == 400


@at_both
async def test_a_session_can_be_read_but_no_change_is_kept_and_there_are_no_pings(where):
    middleware = Middleware(SessionMiddleware, secret_key="key")
    async with open_app(echoing(where, middleware)) as client:
        response = await client.post("/login")
        headers = {"cookie": response.headers["set-cookie"].partition(";")[0]}
        async with client.websocket_connect("/ws", headers=headers) as ws:
            assert "set-cookie" not in dict(ws.headers)
            await ws.send_text("user")
            assert await ws.receive_text() == "ann"
            await ws.send_text("ping")
            assert await ws.receive_text() == "no ping"
