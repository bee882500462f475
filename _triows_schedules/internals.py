"""
The private names of Trio that schedules use. No other module knows any.

Trio has a switch for Hypothesis: with ``_ALLOW_DETERMINISTIC_SCHEDULING``, it sorts each batch by
the numbers of its tasks, and lets ``_r``, a :class:`random.Random`, shuffle it. ``_r`` is looked up
for each batch, so another object in its place gets the batch itself. What is used besides:

- ``Task._counter``: the number of a task, which is higher the later it was started.
- ``GLOBAL_RUN_CONTEXT``: where a thread's loop keeps what is its own. Trio clears it when the loop
  ends.
- ``Runner.runq``, for ``--triows-unfair`` only: the tasks of the next batch.
- The name of the task that calls what other threads hand over.
- ``Deadlines.add``: of two deadlines at the same time, Trio lets that pass first whose scope has
  the lower address. Here it is that which was set first.

:func:`missing` tells what of it is not there. Then tests run without schedules.
"""

from __future__ import annotations

from contextlib import contextmanager
from heapq import heappush
from itertools import count
from typing import TYPE_CHECKING, Any

try:
    from trio._core import _run
except ImportError:  # then all names are missing
    _run = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from trio import CancelScope

__all__ = ["BYSTANDERS", "LOOP", "installed", "missing", "run_queue"]

#: What the loop looks up for each batch.
_LOOKED_UP = ("_r", "_ALLOW_DETERMINISTIC_SCHEDULING", "shuffle", "_counter")

#: Where the loop of this thread keeps what is its own.
LOOP: Any = getattr(_run, "GLOBAL_RUN_CONTEXT", None)

#: Tasks that wake up when a thread says so, by the real clock. The order of the others must not
#: depend on whether they are in a batch. The first is Trio's: it calls what threads hand over. The
#: second belongs to the watchdog of triows.testing, which waits until all tasks wait.
BYSTANDERS = frozenset({"<TrioToken.run_sync_soon task>", "<watchdog>"})

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


def run_queue() -> Any:
    """Give the tasks of the next batch of this thread's loop."""
    return LOOP.runner.runq


def _add(self: Any, deadline: float, cancel_scope: CancelScope) -> None:
    heappush(self._heap, (deadline, next(_numbers), cancel_scope))
    self._active += 1


@contextmanager
def installed(random: Random) -> Iterator[None]:
    """Let the loops of this process have another source of randomness meanwhile."""
    run: Any = _run
    before = run._r, run._ALLOW_DETERMINISTIC_SCHEDULING, run.Deadlines.add
    run._r, run._ALLOW_DETERMINISTIC_SCHEDULING, run.Deadlines.add = random, True, _add
    try:
        yield
    finally:
        run._r, run._ALLOW_DETERMINISTIC_SCHEDULING, run.Deadlines.add = before
