"""
The private names of Trio that schedules use. No other module knows any.

Trio has a switch for Hypothesis: with ``_ALLOW_DETERMINISTIC_SCHEDULING``, it sorts each batch by
the numbers of its tasks, and lets ``_r``, a :class:`random.Random`, shuffle it. ``_r`` is looked up
for each batch, so another object in its place gets the batch itself. What is used besides:

- ``Task._counter``: the number of a task, which is higher the later it was started.
- ``GLOBAL_RUN_CONTEXT``: where a thread's loop keeps what is its own, such as the task that runs.
  Trio clears it when the loop ends.
- ``Runner.runq``, for ``--triows-unfair`` only: the tasks of the next batch.
- The name of the task that calls what other threads hand over.
- ``Deadlines.add``: of two deadlines at the same time, Trio lets that pass first whose scope has
  the lower address. Here it is that which was set first.
- ``EntryQueue.run_sync_soon``, and ``TheIOManager`` with ``wait_readable`` and ``wait_writable``:
  what comes from threads and sockets goes through them. They are watched, to tell that a schedule
  does not decide everything. If these are missing, that is not told.

:func:`missing` tells what of it is not there. Then tests run without schedules.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from heapq import heappush
from itertools import count
from typing import TYPE_CHECKING, Any

from trio.testing import MockClock

try:
    from trio._core import _run
except ImportError:  # then all names are missing
    _run = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    from trio import CancelScope

__all__ = ["BYSTANDERS", "LOOP", "between_steps", "installed", "missing", "run_queue", "source"]

#: What the loop looks up for each batch.
_LOOKED_UP = ("_r", "_ALLOW_DETERMINISTIC_SCHEDULING", "shuffle", "_counter")

#: Where the loop of this thread keeps what is its own.
LOOP: Any = getattr(_run, "GLOBAL_RUN_CONTEXT", None)

#: Tasks that wake up when a thread says so, by the real clock. The order of the others must not
#: depend on whether they are in a batch. The first is Trio's: it calls what threads hand over. The
#: second belongs to the watchdog of triows.testing, which waits until all tasks wait.
BYSTANDERS = frozenset({"<TrioToken.run_sync_soon task>", "<watchdog>"})

#: Modules with what the watchdog has called in the loop, which is for tests that hang.
_WATCHDOGS = ("triows._server.watchdog", "triows.testing._blocked")

_numbers = count()


def missing(run: Any = _run) -> list[str]:
    """List the names that this release of Trio does not have, or does not use as expected."""
    found: list[str] = []
    code = getattr(getattr(run, "unrolled_run", None), "__code__", None)
    names = set(_names_in(code))
    found += [f"{name} in trio._core._run.unrolled_run" for name in _LOOKED_UP if name not in names]
    for path in ("_r.random", "GLOBAL_RUN_CONTEXT.__dict__", "Deadlines.add"):
        if not _has(run, path):
            found.append(f"trio._core._run.{path}")
    for cls, name in (("Task", "_counter"), ("Runner", "runq"), ("Deadlines", "_heap")):
        fields = {field.name for field in getattr(getattr(run, cls, None), "__attrs_attrs__", ())}
        if name not in fields:
            found.append(f"trio._core._run.{cls}.{name}")
    return found


def _names_in(code: Any) -> Iterator[str]:
    """All names that a function looks up, and the functions in it."""
    yield from getattr(code, "co_names", ())
    for constant in getattr(code, "co_consts", ()):
        if hasattr(constant, "co_names"):
            yield from _names_in(constant)


def _has(owner: Any, path: str) -> bool:
    for name in path.split("."):
        if not hasattr(owner, name):
            return False
        owner = getattr(owner, name)
    return True


def source() -> Any:
    """Give the source of randomness that loops have now."""
    return getattr(_run, "_r", None)


def run_queue() -> Any:
    """Give the tasks of the next batch of this thread's loop."""
    return LOOP.runner.runq


@contextmanager
def between_steps() -> Iterator[None]:
    """Let the task of this thread's loop whose step is about to begin look as if it waited."""
    # An instrument is called when Trio says already that it runs, and its frames don't run yet.
    # If it says so in another way, the task stands at a line of ours.
    task = LOOP.__dict__.pop("task", None)
    try:
        yield
    finally:
        if task is not None:
            LOOP.task = task


@contextmanager
def installed(random: Random, note_outside: Callable[[str], None]) -> Iterator[None]:
    """
    Let the loops of this process have another source of randomness meanwhile.

    Args:
        random: The source.
        note_outside: Called with what comes from outside the loop: the real clock, threads, or
            sockets.
    """

    def add(self: Any, deadline: float, cancel_scope: CancelScope) -> None:
        heappush(self._heap, (deadline, next(_numbers), cancel_scope))
        self._active += 1
        if not isinstance(LOOP.runner.clock, MockClock):
            note_outside("the real clock")

    run: Any = _run
    before = run._r, run._ALLOW_DETERMINISTIC_SCHEDULING, run.Deadlines.add
    run._r, run._ALLOW_DETERMINISTIC_SCHEDULING, run.Deadlines.add = random, True, add
    try:
        with ExitStack() as stack:
            for cls, name, what in _watched():
                stack.enter_context(_told(cls, name, what, note_outside))
            yield
    finally:
        run._r, run._ALLOW_DETERMINISTIC_SCHEDULING, run.Deadlines.add = before


def _watched() -> Iterator[tuple[type, str, str]]:
    """What is watched, with the word for what comes from there."""
    io = getattr(_run, "TheIOManager", None)
    for cls, name, what in (
        (getattr(_run, "EntryQueue", None), "run_sync_soon", "threads"),
        (io, "wait_readable", "sockets"),
        (io, "wait_writable", "sockets"),
    ):
        if hasattr(cls, name):
            yield cls, name, what  # type: ignore[misc]  # hasattr() says that it is there


@contextmanager
def _told(cls: Any, name: str, what: str, note: Callable[[str], None]) -> Iterator[None]:
    """Have calls of a method noted meanwhile, if they come from outside or wait for it."""
    method = getattr(cls, name)

    def noted(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not _is_ours(self, args):
            note(what)
        return method(self, *args, **kwargs)

    setattr(cls, name, noted)
    try:
        yield
    finally:
        setattr(cls, name, method)


def _is_ours(owner: Any, args: tuple[Any, ...]) -> bool:
    """Whether a call is one that changes nothing: of the loop itself, or of our watchdog."""
    runner = getattr(LOOP, "runner", None)
    if owner is getattr(runner, "io_manager", None):
        # Trio itself waits for a socket by which threads wake it.
        return getattr(LOOP, "task", None) is None or LOOP.task.name in BYSTANDERS
    module = getattr(args[0], "__module__", None) or ""
    return owner is getattr(runner, "entry_queue", None) or module in _WATCHDOGS
