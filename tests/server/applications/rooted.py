"""An application that tells what its parts see of paths, to be served below a ``root_path``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse
from starlette.routing import Route as StarletteRoute
from starlette.staticfiles import StaticFiles

from triows import Request, Route, Triows, WebSocket, WebSocketRoute

__all__ = ["app"]


def facts(connection: Any, name: str, item: str) -> dict[str, str]:
    """What a handler sees."""
    scope = connection.scope
    return {
        "root_path": scope["root_path"],
        "path": scope["path"],
        "raw_path": scope["raw_path"].decode(),
        "url": str(connection.url),
        "url_for": str(connection.url_for(name, item="1")),
        "item": item,
    }


items = Route("items/{item}")
sockets = WebSocketRoute("ws/{item}")


@items.get(name="item")
async def tell(request: Request, item: str) -> dict[str, str]:
    return facts(request, "item", item)


@sockets.endpoint(name="socket")
async def tell_by_message(ws: WebSocket, item: str) -> None:
    await ws.accept()
    await ws.send_json(facts(ws, "socket", item))


async def tell_within(request: StarletteRequest) -> JSONResponse:
    return JSONResponse(facts(request, "item", request.path_params["item"]))


app = Triows(items, sockets)
app.mount("/starlette", Starlette(routes=[StarletteRoute("/{item}", tell_within, name="item")]))
app.mount("/inner", Triows(items, sockets))
pages = Path(__file__).with_name("pages")
app.mount("/files", StaticFiles(directory=pages, html=True))
