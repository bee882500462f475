"""A test that is cancelled, wherever it is, leaves nothing behind."""

from typing import Annotated

import trio
from trio.testing import MockClock

from triows import Triows, WebSocket, WebSocketRoute, use
from triows.testing import open_app


class CancelAfter(trio.abc.Instrument):
    """Cancels a scope after a number of steps of the scheduler."""

    def __init__(self, steps: int, scope: trio.CancelScope) -> None:
        self._left = steps
        self._scope = scope

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self._left -= 1
        if self._left == 0:
            self._scope.cancel()


def test_a_test_cancelled_at_any_step_leaves_nothing_behind():
    held: list[str] = []

    async def resource(ws: WebSocket):
        await ws.accept()
        held.append("resource")
        try:
            yield
        finally:
            await trio.sleep(0.1)  # awaits work
            held.remove("resource")

    async def tick(ws: WebSocket) -> None:
        while True:
            await trio.sleep(1)
            await ws.send("tick")

    route = WebSocketRoute("ws")

    @route.endpoint
    async def endpoint(
        ws: WebSocket, nursery: trio.Nursery, _held: Annotated[None, use(resource)]
    ) -> None:
        nursery.start_soon(tick, ws)
        async for message in ws:
            await ws.send(message)

    async def story(app: Triows) -> None:
        async with open_app(app) as client, client.websocket_connect("/ws") as near:
            await near.send("hello")
            assert await near.receive() == "hello"
            async with client.websocket_connect("/ws") as far:
                far.delay(0.5)
                await far.send("hello")
                await far.receive()
                far.vanish()
            await client.shutdown()

    async def cancelled_after(steps: int) -> bool:
        app = Triows(route)
        with trio.CancelScope() as scope:
            cancelling = CancelAfter(steps, scope)
            trio.lowlevel.add_instrument(cancelling)
            try:
                await story(app)
            finally:
                trio.lowlevel.remove_instrument(cancelling)
        assert not app.is_running
        assert len(app._connections) == 0
        assert not held
        return scope.cancelled_caught

    steps = 1
    while trio.run(cancelled_after, steps, clock=MockClock(autojump_threshold=0)):
        steps += 1
    assert steps > 100
