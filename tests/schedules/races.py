"""
Planted races and cancellation bugs, of the kinds that async Python has, each with its mend.

A story raises if its bug shows. With ``fixed`` it takes the lines that are right, and never raises.

This program prints a table: after how many runs each strategy finds each of them. With ``--fixed``,
it runs the mended ones.

    python -m tests.schedules.races --runs 1000 --crowd 5
    python -m tests.schedules.races --runs 2000 --fixed
"""

from __future__ import annotations

import argparse
import statistics
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio
from trio.lowlevel import checkpoint
from trio.testing import MockClock

from _triows_schedules.schedule import MIX, Kind, Schedule
from _triows_schedules.seeds import derived
from triows import Triows, WebSocket, WebSocketDisconnect, WebSocketRoute
from triows.testing import open_app

Story = Callable[[bool], Awaitable[None]]

RACES: dict[str, Story] = {}


def race(story: Story) -> Story:
    RACES[story.__name__] = story
    return story


async def steps(n: int) -> None:
    """Do other things meanwhile, such as asking a database."""
    for _ in range(n):
        await checkpoint()


# Check, then act.


@race
async def a_withdrawal_checks_and_then_waits(fixed: bool) -> None:
    balance = 100
    lock = trio.Lock()

    async def withdraw(amount: int, before: int) -> None:
        nonlocal balance
        await steps(before)
        if fixed:
            async with lock:
                if balance >= amount:
                    await checkpoint()
                    balance -= amount
        elif balance >= amount:
            await checkpoint()
            balance -= amount

    async with trio.open_nursery() as nursery:
        nursery.start_soon(withdraw, 80, 3)
        nursery.start_soon(withdraw, 80, 4)
    assert balance >= 0


@race
async def a_connection_is_opened_twice(fixed: bool) -> None:
    opened = 0
    connection: object = None
    lock = trio.Lock()

    async def connect() -> object:
        nonlocal opened
        opened += 1
        await steps(2)
        return object()

    async def get(before: int) -> None:
        nonlocal connection
        await steps(before)
        if fixed:
            async with lock:
                if connection is None:
                    connection = await connect()
        elif connection is None:
            connection = await connect()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(get, 1)
        nursery.start_soon(get, 3)
    assert opened == 1


@race
async def two_tasks_close_one_file(fixed: bool) -> None:
    closed: list[str] = []
    is_closed = False

    async def close(name: str, before: int) -> None:
        nonlocal is_closed
        await steps(before)
        if is_closed:
            return
        if fixed:
            is_closed = True
        await steps(1)  # flush
        is_closed = True
        closed.append(name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(close, "reader", 5)
        nursery.start_soon(close, "writer", 6)
    assert len(closed) == 1, closed


@race
async def an_old_session_removes_the_new_one(fixed: bool) -> None:
    users: dict[str, object] = {}
    leave = trio.Event()

    async def connection(before: int, *, stays: bool) -> None:
        await steps(before)
        session = users["ada"] = object()
        if not stays:
            await leave.wait()
            await steps(1)
            if not fixed or users.get("ada") is session:
                del users["ada"]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: connection(0, stays=False))
        nursery.start_soon(lambda: connection(3, stays=True))
        await steps(2)
        leave.set()
    assert "ada" in users


# Waiting and waking.


@race
async def a_wakeup_is_lost(fixed: bool) -> None:
    queue: deque[int] = deque()
    changed = trio.Event()

    async def produce() -> None:
        nonlocal changed
        for i in range(3):
            await steps(2)
            queue.append(i)
            changed.set()
            changed = trio.Event()

    async def consume() -> None:
        for _ in range(3):
            while not queue:
                event = changed
                await checkpoint()  # logs that it waits
                await (event if fixed else changed).wait()
            queue.popleft()

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(produce)
            nursery.start_soon(consume)


@race
async def a_subscription_is_announced_before_it_is_there(fixed: bool) -> None:
    subscribers: list[list[str]] = []
    announced = trio.Event()
    inbox: list[str] = []

    async def subscribe() -> None:
        if fixed:
            subscribers.append(inbox)
        announced.set()
        await steps(1)
        if not fixed:
            subscribers.append(inbox)

    async def publish() -> None:
        await announced.wait()
        for subscriber in subscribers:
            subscriber.append("news")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(publish)
        nursery.start_soon(subscribe)
    assert inbox == ["news"]


@race
async def a_server_is_started_before_it_listens(fixed: bool) -> None:
    listens = False

    async def serve(task_status: trio.TaskStatus[None]) -> None:
        nonlocal listens
        if not fixed:
            task_status.started()
        await steps(2)
        listens = True
        if fixed:
            task_status.started()

    async with trio.open_nursery() as nursery:
        await nursery.start(serve)
        await steps(1)  # looks up the name
        assert listens, "connection refused"


@race
async def siblings_are_taken_to_start_in_order(fixed: bool) -> None:
    settings: dict[str, int] = {}
    read = trio.Event()

    async def load() -> None:
        settings["port"] = 80
        read.set()

    async def use() -> None:
        if fixed:
            await read.wait()
        assert settings["port"] == 80

    async with trio.open_nursery() as nursery:
        nursery.start_soon(load)
        nursery.start_soon(use)


@race
async def a_queue_that_is_empty_is_taken_for_work_that_is_done(fixed: bool) -> None:
    send, receive = trio.open_memory_channel[int](10)
    done = 0
    idle = trio.Event()

    async def work() -> None:
        nonlocal done
        async for _ in receive:
            await steps(1)
            done += 1
            if done == 3:
                idle.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        for i in range(3):
            await send.send(i)
        if fixed:
            await idle.wait()
        else:
            while send.statistics().current_buffer_used:
                await checkpoint()
            await steps(1)  # for the last
        assert done == 3, done
        send.close()


# Orders over several tasks.


@race
async def a_member_joins_while_others_are_told(fixed: bool) -> None:
    members: dict[str, list[str]] = {"ada": [], "ben": []}

    async def say(text: str) -> None:
        await steps(3)
        for member in list(members.values()) if fixed else members.values():
            member.append(text)
            await checkpoint()

    async def join(name: str) -> None:
        await steps(5)
        members[name] = []

    async with trio.open_nursery() as nursery:
        nursery.start_soon(say, "hello")
        nursery.start_soon(join, "cid")


@race
async def two_publishers_are_heard_in_different_orders(fixed: bool) -> None:
    subscribers: list[list[str]] = [[], [], []]
    lock = trio.Lock()

    async def publish(text: str) -> None:
        await steps(2)
        if fixed:
            async with lock:
                await deliver(text)
        else:
            await deliver(text)

    async def deliver(text: str) -> None:
        for subscriber in subscribers:
            await checkpoint()
            subscriber.append(text)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(publish, "a")
        nursery.start_soon(publish, "b")
    assert all(one == subscribers[0] for one in subscribers), subscribers


@race
async def who_joins_sees_somebody_who_has_left(fixed: bool) -> None:
    members = ["ada", "ben"]
    seen: list[str] = []

    async def leave() -> None:
        await steps(4)
        members.remove("ben")
        if "cid" in members:
            seen.remove("ben")

    async def join() -> None:
        await steps(3)
        snapshot = list(members)
        await checkpoint()  # sends its greeting
        if fixed:
            snapshot = list(members)
        members.append("cid")
        seen.extend(snapshot)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave)
        nursery.start_soon(join)
    assert "ben" not in seen


@race
async def locks_are_taken_in_different_orders(fixed: bool) -> None:
    locks = {name: trio.Lock() for name in "abc"}

    async def transfer(first: str, second: str, before: int) -> None:
        await steps(before)
        if fixed:
            first, second = sorted((first, second))
        async with locks[first]:
            await steps(1)
            async with locks[second]:
                await steps(1)

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(transfer, "a", "b", 4)
            nursery.start_soon(transfer, "b", "a", 6)


@race
async def a_lease_is_taken_from_an_owner_that_renews_it(fixed: bool) -> None:
    renewals = 0
    is_taken = False

    async def renew() -> None:
        nonlocal renewals
        for _ in range(12):
            renewals += 1
            await checkpoint()
            assert not is_taken

    async def challenge() -> None:
        nonlocal is_taken
        missed, seen = 0, 0
        for _ in range(12):
            await checkpoint()
            missed, seen = missed + (renewals == seen), renewals
            if missed == 3 and not fixed:
                is_taken = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(renew)
        nursery.start_soon(challenge)


@race
async def a_sampler_never_sees_that_others_are_busy(fixed: bool) -> None:
    busy = False
    is_over = False

    async def work() -> None:
        nonlocal busy
        while not is_over:
            busy = True
            await checkpoint()
            busy = False
            await checkpoint()

    async def sample() -> None:
        nonlocal is_over
        seen = 0
        for _ in range(9):
            seen += busy
            await steps(2)
        is_over = True
        assert fixed or seen

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        nursery.start_soon(sample)


@race
async def an_alarm_is_raised_and_then_taken_back(fixed: bool) -> None:
    fresh = False
    is_over = False

    async def report() -> None:
        nonlocal fresh
        while not is_over:
            fresh = True
            await checkpoint()
            fresh = False
            await checkpoint()

    async def watch() -> None:
        nonlocal is_over
        missed = good = 0
        is_raised = False
        for _ in range(14):
            missed, good = (0, good + 1) if fresh else (missed + 1, 0)
            is_raised |= missed >= 4
            if is_raised and good >= 4 and not fixed:
                raise AssertionError("nobody has thought of taking an alarm back")
            await steps(2)
        is_over = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(report)
        nursery.start_soon(watch)


# Cancellation.


@race
async def a_lock_stays_locked(fixed: bool) -> None:
    lock = trio.Lock()
    scope = trio.CancelScope()

    async def work() -> None:
        with scope:
            await steps(3)
            await lock.acquire()
            if fixed:
                try:
                    await steps(1)
                finally:
                    lock.release()
                return
            await steps(1)  # logs that it has the lock
            try:
                await steps(1)
            finally:
                lock.release()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        await steps(4)
        scope.cancel()
    assert not lock.locked()


@race
async def cleanup_awaits_when_it_is_cancelled(fixed: bool) -> None:
    rooms = {"ada"}
    scope = trio.CancelScope()

    async def visit() -> None:
        with scope:
            try:
                await steps(4)
            finally:
                with trio.CancelScope(shield=fixed):
                    await steps(1)  # tells the others
                    rooms.discard("ada")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(visit)
        await steps(6)
        scope.cancel()
    assert not rooms


@race
async def a_permit_is_released_that_was_never_got(fixed: bool) -> None:
    free = 1
    most = 1
    changed = trio.Event()

    async def acquire() -> None:
        nonlocal free
        while not free:
            await changed.wait()
        await checkpoint()
        free -= 1

    def release() -> None:
        nonlocal free, most, changed
        free += 1
        most = max(most, free)
        changed.set()
        changed = trio.Event()

    async def work(scope: trio.CancelScope, before: int) -> None:
        with scope:
            await steps(before)
            if fixed:
                await acquire()
            try:
                if not fixed:
                    await acquire()
                await steps(2)
            finally:
                release()

    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()
        nursery.start_soon(work, scope, 2)
        await steps(3)
        scope.cancel()
    assert most == 1


@race
async def what_was_done_is_undone_as_cancelled(fixed: bool) -> None:
    paid = False
    scope = trio.CancelScope()
    receipt = trio.Event()
    undone = False

    async def pay() -> None:
        nonlocal paid, undone
        with scope:
            await receipt.wait()
            paid = True
        if scope.cancelled_caught if fixed else scope.cancel_called:
            undone = True

    async def bank() -> None:
        await steps(4)
        receipt.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pay)
        nursery.start_soon(bank)
        await steps(5)
        scope.cancel()
    assert not (paid and undone)


@race
async def a_pong_comes_when_the_time_is_over(fixed: bool) -> None:
    ponged = dead = False

    async def watch() -> None:
        nonlocal dead
        await trio.sleep(5)
        if fixed:
            await trio.testing.wait_all_tasks_blocked()
        dead = not ponged

    async def pong() -> None:
        nonlocal ponged
        await trio.sleep(5)
        ponged = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        nursery.start_soon(pong)
    assert not dead


@race
async def a_pooled_connection_is_lost(fixed: bool) -> None:
    pool = ["one"]
    scope = trio.CancelScope()

    async def ping(connection: str) -> None:
        await steps(1)

    async def use() -> None:
        with scope:
            await steps(4)
            connection = pool.pop()
            try:
                if fixed:
                    await ping(connection)
            finally:
                if fixed:
                    pool.append(connection)
            if not fixed:
                await ping(connection)
                pool.append(connection)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(use)
        nursery.start_soon(steps, 9)
        await steps(5)
        scope.cancel()
    assert pool == ["one"]


@race
async def a_message_is_lost_when_receiving_is_cancelled(fixed: bool) -> None:
    queue: deque[int] = deque()
    arrived = trio.Event()
    got: list[int] = []
    scope = trio.CancelScope()

    async def receive() -> int:
        await arrived.wait()
        if fixed:
            await checkpoint()
            return queue.popleft()
        message = queue.popleft()
        await checkpoint()  # notes that it was received
        return message

    async def handle() -> None:
        with scope:
            got.append(await receive())

    async def put() -> None:
        await steps(4)
        queue.append(1)
        arrived.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(handle)
        nursery.start_soon(put)
        await steps(7)
        scope.cancel()
    assert got or queue


@race
async def a_task_is_started_when_its_owner_is_cancelled(fixed: bool) -> None:
    stopped: list[str] = []
    running: list[str] = []
    stop = trio.Event()

    async def own() -> None:
        try:
            await stop.wait()
        finally:
            stopped.extend(running)

    async def start(name: str) -> None:
        await steps(3)
        if fixed and stop.is_set():
            return
        await checkpoint()  # connects
        if fixed and stop.is_set():
            return
        running.append(name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(own)
        nursery.start_soon(start, "worker")
        await steps(4)
        stop.set()
    assert running == stopped


# In an application, where a send that fits yields once in many calls.


@race
async def a_chat_tells_everybody_who_has_joined(fixed: bool) -> None:
    members: dict[str, WebSocket] = {}
    route = WebSocketRoute("chat/{name}")

    @route.endpoint
    async def chat(ws: WebSocket, name: str) -> None:
        await ws.accept()
        members[name] = ws
        try:
            async for message in ws:
                for member in list(members.values()) if fixed else members.values():
                    with suppress(WebSocketDisconnect):  # it is leaving
                        await member.send(message)
        finally:
            del members[name]

    async def visit(name: str, before: int) -> None:
        await steps(before)
        async with client.websocket_connect(f"/chat/{name}") as ws:
            await ws.send("hello")
            await ws.receive()

    async with open_app(Triows(route)) as client, trio.open_nursery() as nursery:
        for n, name in enumerate(("ada", "ben", "cid")):
            nursery.start_soon(visit, name, 3 * n)


@race
async def two_numbers_are_the_same(fixed: bool) -> None:
    last = 0
    route = WebSocketRoute("count")

    @route.endpoint
    async def count(ws: WebSocket) -> None:
        nonlocal last
        await ws.accept()
        async for _ in ws:
            if fixed:
                last += 1
                await ws.send(str(last))
            else:
                number = last + 1
                await ws.send(str(number))
                last = number

    async def visit() -> None:
        async with client.websocket_connect("/count") as ws:
            await ws.send("next")
            numbers.append(await ws.receive())

    numbers: list[str | bytes] = []
    async with open_app(Triows(route)) as client, trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(visit)
    assert len(set(numbers)) == 2


def fails(
    story: Story, seed: int, *, fixed: bool = False, crowd: int = 0, kind: Kind | None = None
) -> bool:
    """
    Run a story under a schedule.

    Args:
        story: The story.
        seed: The schedule's.
        fixed: Whether the mended lines run.
        crowd: How many other tasks there are that are always ready.
        kind: The strategy, if not the one that the seed picks.

    Returns:
        Whether it fails.
    """

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(crowd):
                nursery.start_soon(steps, 100)
            await story(fixed)
            nursery.cancel_scope.cancel()

    with Schedule(seed, kind=kind).installed():
        try:
            trio.run(main, clock=MockClock(autojump_threshold=0))
        except Exception:  # noqa: BLE001 - whatever a story raises
            return True
    return False


def runs_until_found(
    story: Story, most: int, start: object, *, crowd: int = 0, kind: Kind | None = None
) -> int | None:
    """Count the runs until a story fails; ``None`` if it never does."""
    for run in range(most):
        if fails(story, derived(start, run), crowd=crowd, kind=kind):
            return run + 1
    return None


def cell(found: list[int | None], most: int) -> str:
    """Show a median, or that most of the tries found nothing."""
    median = statistics.median(most + 1 if n is None else n for n in found)
    return f"> {most}" if median > most else f"{median:g}"


def print_table(stories: dict[str, Story], runs: int, repeat: int, crowd: int) -> None:
    kinds: dict[str, Kind | None] = {"the mix": None, **{kind.name: kind for kind in MIX}}
    print(f"| race, with a crowd of {crowd} |", " | ".join(kinds), "|")
    print("|---" * (len(kinds) + 1) + "|")
    for name, story in stories.items():
        cells = []
        for kind in kinds.values():
            found = [
                runs_until_found(story, runs, ("table", n), crowd=crowd, kind=kind)
                for n in range(repeat)
            ]
            cells.append(cell(found, runs))
        print("|", name.replace("_", " "), "|", " | ".join(cells), "|", flush=True)


def print_survivals(stories: dict[str, Story], runs: int) -> None:
    for name, story in stories.items():
        failed = [run for run in range(runs) if fails(story, derived("fixed", run), fixed=True)]
        result = f"FAILED in {failed[:5]}" if failed else f"survived {runs} schedules"
        print(f"{name}, fixed: {result}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=1000, help="how many runs there are at most")
    parser.add_argument("--repeat", type=int, default=5, help="the median of how many is shown")
    parser.add_argument("--crowd", type=int, default=0, help="how many other tasks are ready")
    parser.add_argument("--fixed", action="store_true", help="run the fixed stories instead")
    parser.add_argument("names", nargs="*", help="the names of some races")
    given = parser.parse_args()
    stories = {name: RACES[name] for name in given.names or RACES}
    if given.fixed:
        print_survivals(stories, given.runs)
    else:
        print_table(stories, given.runs, given.repeat, given.crowd)


if __name__ == "__main__":
    main()
