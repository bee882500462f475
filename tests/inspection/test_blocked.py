"""What a loop's thread does at a moment, and whose code it is."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.inspection.looking import connected, serving
from triows import Triows, WebSocket
from triows._inspection.blocked import LoopView, Sample, blocker_of, waiting_at
from triows.testing import open_app


async def look(view: LoopView) -> Sample:
    """Look at the loop from another thread, while this task blocks it."""
    samples: list[Sample] = []
    thread = threading.Thread(target=lambda: samples.append(view.sample()))
    await trio.lowlevel.checkpoint()
    thread.start()
    thread.join()
    return samples[0]


async def sits(scope: Any, receive: Any, send: Any) -> None:
    await trio.sleep_forever()


async def test_the_task_that_runs_is_seen_down_to_its_innermost_function():
    async def outer() -> Sample:
        return await look(view)

    view = LoopView()
    sample = await outer()
    assert sample.task is trio.lowlevel.current_task()
    names = [frame.f_code.co_name for frame, _ in sample.frames]
    assert names.index("look") == names.index("outer") + 1
    assert not sample.is_debugged


async def test_what_was_handed_to_the_loop_is_not_the_work_of_whoever_did_that():
    samples: list[Sample] = []
    done = trio.Event()

    def callback() -> None:
        thread = threading.Thread(target=lambda: samples.append(view.sample()))
        thread.start()
        thread.join()
        done.set()

    view = LoopView()
    trio.lowlevel.current_trio_token().run_sync_soon(callback)
    await done.wait()
    (sample,) = samples
    # Trio calls what was given to run_sync_soon in a task of its own.
    assert sample.task is not trio.lowlevel.current_task()
    assert "callback" in [frame.f_code.co_name for frame, _ in sample.frames]


def test_between_two_tasks_it_is_the_loop_itself():
    blocker = blocker_of(Sample(None, []), [])
    assert str(blocker) == "a callback of the loop, or Trio itself, at"


@pytest.mark.parametrize("module", ["pdb", "code", "IPython.core", "pydevd"])
def test_a_debugger_is_noticed_by_its_module(module):
    names: dict[str, Any] = {"__name__": module, "sys": sys}
    exec("def prompt():\n    return sys._getframe()", names)
    frame = names["prompt"]()
    assert Sample(None, [(frame, 1)]).is_debugged


async def test_a_connection_is_named_by_its_route(autojump_clock):
    async def handler(ws: WebSocket, room: str) -> None:
        await ws.accept()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            tasks.extend([trio.lowlevel.current_task(), *nursery.child_tasks])
            await trio.sleep_forever()

    tasks: list[Any] = []
    app, outer = serving(handler, "rooms/{room}"), Triows()
    outer.mount("/in", app)
    async with connected(outer, "/in/rooms/secret"):
        await wait_all_tasks_blocked()
        found = [waiting_at(task, [outer]) for task in tasks]
    assert {one.who for one in found} == {
        "the connection to /in/rooms/{room} from testclient:50000"
    }
    assert str(found[0]).startswith(f"{found[0].who}, at\n")
    assert "await trio.sleep_forever()" in str(found[0])


async def test_a_request_is_named_by_its_path(autojump_clock):
    app = Triows()
    app.mount("/files", sits)
    async with open_app(app) as client, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def ask() -> None:
            async with client.stream("GET", "/files/a%0Ab", timeout=9):
                pass

        await wait_all_tasks_blocked()
        (exchange,) = app._exchanges
        task = exchange.lifetime.task
        assert task is not None
        who = waiting_at(task, [app]).who
        assert who == r"the request for /files/a\nb from testclient:50000"
        # Without the application, its scope is found in the frames of triows.
        assert waiting_at(task, []).who == who
        nursery.cancel_scope.cancel()


async def test_any_other_task_has_its_own_name(nursery):
    nursery.start_soon(trio.sleep_forever, name="writes\nthe report")
    await wait_all_tasks_blocked()
    (task,) = nursery.child_tasks
    assert waiting_at(task, [Triows()]).who == r"the task writes\nthe report"
