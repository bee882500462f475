"""What blocks a loop is described, from inside the loop or from another thread."""

from __future__ import annotations

import sys
import threading

import pytest
import trio

from tests.connecting import opened
from triows import Triows, WebSocket, WebSocketRoute
from triows._inspection.blocked import Blocker, LoopView, Sample, blocker_of, waiting_at
from triows._stacks import Frame


def seen_from_a_thread(view: LoopView) -> Sample:
    """Look at the loop while its thread waits here."""
    found: list[Sample] = []
    thread = threading.Thread(target=lambda: found.append(view.sample()))
    thread.start()
    thread.join()
    return found[0]


async def test_the_task_that_runs_is_seen_with_its_lines():
    sample = seen_from_a_thread(LoopView())
    assert sample.task is trio.lowlevel.current_task()
    functions = [frame.f_code.co_name for frame, _ in sample.frames]
    assert "seen_from_a_thread" in functions
    assert functions.index("test_the_task_that_runs_is_seen_with_its_lines") < functions.index(
        "seen_from_a_thread"
    )


async def test_a_callback_of_the_loop_is_seen_with_its_lines():
    found: list[Sample] = []
    view, done = LoopView(), trio.Event()

    def callback() -> None:
        found.append(seen_from_a_thread(view))
        done.set()

    trio.lowlevel.current_trio_token().run_sync_soon(callback)
    await done.wait()
    frames = blocker_of(found[0], []).frames
    assert any(frame.function.endswith(".callback") for frame in frames)


@pytest.mark.parametrize(
    ("module", "debugged"), [("pdb", True), ("IPython.terminal", True), ("app.pdb", False)]
)
def test_a_debugger_is_recognized_by_its_modules(module, debugged):
    frame = eval("__import__('sys')._getframe()", {"__name__": module})
    assert Sample(None, [(frame, 1)]).is_debugged is debugged


def test_nothing_that_runs_is_a_callback():
    here = sys._getframe()
    assert blocker_of(Sample(None, [(here, here.f_lineno)]), []).who == (
        "a callback of the loop, or Trio itself"
    )


async def test_a_task_is_named_with_the_line_at_which_it_waits():
    async with trio.open_nursery() as nursery:

        async def wait(task_status) -> None:
            task_status.started(trio.lowlevel.current_task())
            await trio.sleep_forever()

        task = await nursery.start(wait, name="reads\nthe feed")
        await trio.testing.wait_all_tasks_blocked()
        blocker = waiting_at(task, [])
        assert blocker.who == r"the task reads\nthe feed"
        assert "await trio.sleep_forever()" in str(blocker)
        nursery.cancel_scope.cancel()


async def test_a_connection_is_named_with_its_route_and_its_peer(autojump_clock):
    tasks: list[trio.lowlevel.Task] = []
    route = WebSocketRoute("rooms/{room}")

    @route.endpoint
    async def handler(ws: WebSocket, room: str) -> None:
        await ws.accept()
        tasks.append(trio.lowlevel.current_task())
        await ws.receive()

    app = Triows(route)
    async with opened(app) as client, client.websocket_connect("/rooms/7"):
        await trio.testing.wait_all_tasks_blocked()
        who = waiting_at(tasks[0], [app]).who
        assert who.startswith("the connection to /rooms/{room} from ")


def test_a_blocker_is_written_with_its_lines():
    blocker = Blocker("the task f", (Frame("/nowhere.py", 3, "f", "application"),))
    assert str(blocker) == "the task f, at\n  /nowhere.py:3 in f"
