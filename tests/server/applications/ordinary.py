"""The handlers that most tests need."""

from typing import Annotated

import trio

from triows import (
    AsyncResource,
    Ignore,
    Param,
    Triows,
    WebSocket,
    WebSocketRoute,
    use,
)

# A program from lihil's documentation, with which the project began.

ws_route = WebSocketRoute("web_socket/{session_id}")


async def ws_factory(ws: Ignore[WebSocket]) -> Ignore[AsyncResource[WebSocket]]:
    await ws.accept()
    yield ws
    await ws.close()


@ws_route.ws_handler
async def ws_handler(
    ws: Annotated[WebSocket, use(ws_factory, reuse=False)], session_id: str, max_users: int
):
    assert session_id == "session123" and max_users == 5  # noqa: PT018 - this is quoted
    await ws.send_text("Hello, world!")


echo_route = WebSocketRoute("echo")


@echo_route.endpoint
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for message in ws:
        await ws.send(message)


typed_route = WebSocketRoute("rooms/{room}")


@typed_route.endpoint
async def typed(
    ws: WebSocket,
    room: int,
    times: int,
    tags: list[str] = [],  # noqa: B006 - nobody changes it
    token: Annotated[str, Param("header", alias="x-token")] = "",
) -> None:
    await ws.accept()
    await ws.send_json({"room": room, "times": times, "tags": tags})


mistaken_route = WebSocketRoute("mistaken/{how}")


@mistaken_route.endpoint
async def mistaken(ws: WebSocket, how: str) -> None:
    """Do something that would break a server without checks."""
    if how == "subprotocol":
        await ws.accept("never-offered")
    elif how == "header":
        await ws.accept(headers={"x-a": "1\r\nset-cookie: b=2"})
    elif how == "reserved":
        await ws.accept(headers={"sec-websocket-protocol": "x"})
    elif how == "exit":
        raise SystemExit(3)
    elif how == "silent":
        return
    await ws.accept()
    if how == "text":
        await ws.send("\ud800")
    elif how == "unread":
        await ws.send("enough")


stubborn_route = WebSocketRoute("stubborn")


@stubborn_route.endpoint
async def stubborn(ws: WebSocket) -> None:
    await ws.accept()
    await ws.send("here")
    await trio.sleep_forever()


routes = [ws_route, echo_route, typed_route, mistaken_route, stubborn_route]
app = Triows(*routes)
