"""Plain requests of the async client, and what they share with its connections."""

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from triows import Triows, WebSocket, WebSocketRoute
from triows.testing import WebSocketDenialResponse, open_app


async def test_a_cookie_that_a_response_set_opens_a_connection():
    async def login(request):
        response = PlainTextResponse("welcome")
        response.set_cookie("session", request.query_params["name"])
        return response

    async def handler(ws: WebSocket) -> None:
        if "session" not in ws.cookies:
            await ws.reject(401)
            return
        await ws.accept()
        await ws.send(ws.cookies["session"])

    route = WebSocketRoute("")
    route.endpoint(handler)
    app = Triows(route)
    app.mount("/pages", Starlette(routes=[Route("/login", login, methods=["POST"])]))
    async with open_app(app) as client:
        with pytest.raises(WebSocketDenialResponse, match="401"):
            async with client.websocket_connect("/"):
                pytest.fail("it was refused")
        await client.post("/pages/login?name=ada")
        async with client.websocket_connect("/") as ws:
            assert await ws.receive() == "ada"
        async with client.websocket_connect("/", headers={"cookie": "session=grace"}) as ws:
            assert await ws.receive() == "grace"
        # Two responses set the same cookie, and the last one counts.
        await client.post("/pages/login?name=hedy")
        async with client.websocket_connect(client.base_url.replace("http", "ws")) as ws:
            assert await ws.receive() == "hedy"
        with pytest.raises(WebSocketDenialResponse, match="401"):
            async with client.websocket_connect("ws://elsewhere/"):
                pytest.fail("it is another host's")
