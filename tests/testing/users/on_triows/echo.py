"""A calculator that speaks JSON."""

import msgspec

from triows import Triows, WebSocket, WebSocketRoute


class Sum(msgspec.Struct, forbid_unknown_fields=True):
    id: int
    add: list[int]


strict = WebSocketRoute("strict")
lenient = WebSocketRoute("lenient")
echo = WebSocketRoute("echo")


@strict.endpoint
async def calculate(ws: WebSocket) -> None:
    await ws.accept()
    async for wish in ws.iter_json(Sum):
        await ws.send_json({"id": wish.id, "sum": sum(wish.add)})


@lenient.endpoint
async def try_to_calculate(ws: WebSocket) -> None:
    await ws.accept()
    async for text in ws.iter_text():
        try:
            wish = msgspec.json.decode(text, type=Sum)
        except msgspec.DecodeError:
            await ws.send_json({"error": "what?"})
        else:
            await ws.send_json({"id": wish.id, "sum": sum(wish.add)})


@echo.endpoint
async def repeat(ws: WebSocket, mode: str = "text") -> None:
    await ws.accept()
    while True:
        await ws.send_json(await ws.receive_json(), mode)


app = Triows(strict, lenient, echo)
