"""A counter that lives as long as the application."""

from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from triows import Triows, WebSocket, WebSocketRoute


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


count = WebSocketRoute("count")
log = WebSocketRoute("log")


@count.endpoint
async def next_numbers(ws: WebSocket) -> None:
    await ws.accept()
    async for _ in ws:
        await ws.send_json({ws.state.name: ws.state.counter.next()})


@log.endpoint
async def tell_log(ws: WebSocket) -> None:
    await ws.accept()
    ws.app.state.log.append(f"visit {len(ws.app.state.log)}")
    await ws.send_json(ws.app.state.log)


async def value(request):
    return JSONResponse(request.state.counter.value)


app = Triows(count, log, lifespan=lifespan)
app.mount("/", Starlette(routes=[Route("/value", value)]))
