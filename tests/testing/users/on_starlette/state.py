"""A counter that lives as long as the application."""

from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket


class Counter:
    def __init__(self, start: int) -> None:
        self.value = start

    def next(self) -> int:
        self.value += 1
        return self.value


@asynccontextmanager
async def lifespan(app):
    app.state.log = ["started"]
    yield {"counter": Counter(100), "name": "counter"}
    app.state.log.append("stopped")


async def next_numbers(ws: WebSocket) -> None:
    await ws.accept()
    async for _ in ws.iter_text():
        await ws.send_json({ws.state.name: ws.state.counter.next()})


async def tell_log(ws: WebSocket) -> None:
    await ws.accept()
    ws.app.state.log.append(f"visit {len(ws.app.state.log)}")
    await ws.send_json(ws.app.state.log)
    await ws.close()


async def value(request):
    return JSONResponse(request.state.counter.value)


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/value", value),
        WebSocketRoute("/count", next_numbers),
        WebSocketRoute("/log", tell_log),
    ],
)
