"""
A thread that notices when a Trio loop is blocked.

A task can't notice that, because it would have to wait for its turn. The thread asks the loop to
call a function, four times within the seconds that a block may take. If the loop has not called it
by the next look, the thread looks at what the loop's thread is doing. This costs an idle loop four
wake-ups a second by default, and a busy one a short call in each round.

The thread counts only time in which the loop could have run:

- If the process is stopped (SIGSTOP, a suspended machine), or gets no processor time, the thread
  does not run either. When it wakes up late, it counts the processor time that the loop's thread
  has used since the last look, and not the time that has passed.
- C code that holds the interpreter's lock (a regular expression, a large ``json.loads``) stops the
  thread as well. It uses the processor, and when it returns, the thread gets the lock. The loop's
  thread is then still at the line that called it, so the thread can name that line afterwards. If
  such code runs in another thread, the loop's thread uses no processor time, and isn't blamed.
- A busy loop may keep the lock from the thread as well, although it turns. Each time that the loop
  gives the lock up, for a short call of the system, it may have it back before the thread wakes
  up. So the thread counts no more than the loop's longest round.
- While a debugger waits for a person, the thread counts nothing.
"""

from __future__ import annotations

import gc
import logging
import math
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import trio

from triows._inspection.blocked import Blocker, LoopView, blocker_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from triows._app import Triows
    from triows._inspection.blocked import Sample

__all__ = ["RESOLUTION", "Block", "Watchdog", "blocks_named", "told"]

logger = logging.getLogger("triows")

W = TypeVar("W")

#: How many times the thread looks within the seconds that a block may take. It notices a block
#: late by at most one such part.
_LOOKS = 4

#: Seconds that the thread gets to end. It needs no time, unless nobody reads the log.
_THREADS_END = 1.0


class Times:
    """
    The time, and the processor time that the loop's thread has used.

    Make it in the loop's own thread.
    """

    #: Returns the time, in seconds. The loop calls it in each of its rounds.
    now = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self._thread: int | None = None
        if hasattr(time, "pthread_getcpuclockid"):
            self._thread = time.pthread_getcpuclockid(threading.get_ident())

    def used(self) -> float:
        """
        Return the processor time, in seconds.

        Raises:
            trio.RunFinishedError: The loop's thread has ended.
        """
        if self._thread is None:  # macOS and Windows count the whole process only
            return time.process_time()
        try:
            return time.clock_gettime(self._thread)
        except OSError:
            raise trio.RunFinishedError from None


class Rounds(trio.abc.Instrument):
    """
    Measures how long the rounds of the loop take, from one wait for I/O to the next.

    Args:
        times: The times of the loop.
    """

    def __init__(self, times: Times) -> None:
        self._now = times.now
        self._began = self._now()
        self._longest = 0.0

    def before_io_wait(self, timeout: float) -> None:
        """Called by Trio in each round."""
        now = self._now()
        self._longest = max(self._longest, now - self._began)
        self._began = now

    def longest(self, now: float) -> float:
        """Return the length of the longest round since the last call, in seconds."""
        found = max(self._longest, now - self._began)
        self._longest = 0.0
        return found


class Block:
    """A time in which the loop does not run."""

    def __init__(self) -> None:
        #: How long it has lasted so far. The true time is at most a quarter of the limit longer.
        self.seconds = 0.0
        #: The task that was seen to run, and for how long already.
        self.task: trio.lowlevel.Task | None = None
        self.held = 0.0
        #: Whether it was reported.
        self.told = False
        self._collections = _collections()

    def note(self, sample: Sample, seconds: float) -> None:
        """Add what was seen now, and the time since the last look."""
        if sample.task is not self.task:
            self.task, self.held = sample.task, 0.0
        self.seconds += seconds
        self.held += seconds

    def text(self, blocker: Blocker) -> str:
        """Describe the block, and what causes it."""
        if self.held >= self.seconds / 2:
            return told(self.seconds, blocker, self._collected())
        return (
            f"the Trio loop has been busy for {self.seconds:.1f} s with one round of many tasks. "
            f"At the moment it runs {blocker}{self._collected()}\n  ({_REMEDY})"
        )

    def _collected(self) -> str:
        if _collections() == self._collections:
            return ""
        return "\n  (Python ran a full garbage collection in that time)"


def told(seconds: float, blocker: Blocker | str, more: str = "") -> str:
    """Describe a block of *seconds*. *more* lines come after the stack."""
    text = f"the Trio loop has been blocked for {seconds:.1f} s by {blocker}{more}"
    return f"{text}\n  ({_REMEDY})"


_REMEDY = (
    "while this runs, no other task can: await instead of blocking, or move the work to a thread: "
    "await trio.to_thread.run_sync(function)"
)


def _collections() -> int:
    """Return how many full garbage collections there have been."""
    return int(gc.get_stats()[-1]["collections"])


class Watchdog(Generic[W]):
    """
    Watches the Trio loop in which :meth:`watching` is called.

    Subclasses decide what to do. Their methods below are called in the thread.
    """

    def __init__(self) -> None:
        self.view = LoopView()
        self.token = trio.lowlevel.current_trio_token()
        self._times = Times()
        self._rounds = Rounds(self._times)
        # The objects for which it watches, and the seconds that a block may take for each.
        self._entries: list[tuple[W, float]] = []
        #: Seconds between two looks, at most.
        self.rest = _DAY
        self._answered = False
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    @classmethod
    @contextmanager
    def watching(cls, one: W, seconds: float) -> Iterator[None]:
        """
        Watch the loop for the length of a block. Each loop has one thread.

        Args:
            one: The object for which it watches.
            seconds: How long a block may take, or ``math.inf`` to watch nothing.
        """
        if seconds == math.inf:
            yield
            return
        there = _there.get()
        dog: Any = there.get(cls) or cls()
        _there.set({**there, cls: dog})
        dog._entries.append((one, seconds))
        try:
            dog.start()
            yield
        finally:
            dog._entries.remove((one, seconds))
            if not dog._entries:
                _there.set({kind: one for kind, one in _there.get().items() if kind is not cls})
                dog.stop()

    @property
    def seconds(self) -> float:
        """How long a block may take: the least of all numbers given."""
        return min((seconds for _, seconds in tuple(self._entries)), default=math.inf)

    @property
    def watched(self) -> tuple[W, ...]:
        """The objects for which it watches."""
        return tuple(one for one, _ in tuple(self._entries))

    # What subclasses do.

    def blocked(self, block: Block, sample: Sample) -> None:
        """Called when the loop has been blocked for too long, at each look until it is over."""

    def unblocked(self, block: Block) -> None:
        """Called when a block that was reported is over."""

    def turning(self, used: float) -> None:
        """
        Called when the loop runs.

        Args:
            used: Seconds of processor time that the loop's thread has used so far.
        """

    # The thread. The loop's thread starts and stops it.

    def start(self) -> None:
        """Watch from now on. It has no effect if it watches already."""
        if self._thread is None:
            trio.lowlevel.add_instrument(self._rounds)
            # It is a daemon, so a process that ends does not wait for it.
            self._thread = threading.Thread(target=self._run, name="triows watchdog", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._over.set()
        if self._thread is not None:
            trio.lowlevel.remove_instrument(self._rounds)
            self._thread.join(_THREADS_END)

    def _run(self) -> None:
        try:
            self._look_on()
        except trio.RunFinishedError:
            pass
        except Exception:
            logger.exception("the thread that watches the Trio loop has failed")

    def _look_on(self) -> None:
        block: Block | None = None
        before, used_before = self._times.now(), self._times.used()
        self._ask()
        while not self._over.wait(tick := min(self.seconds / _LOOKS, self.rest)):
            now, used_now = self._times.now(), self._times.used()
            passed, used = now - before, used_now - used_before
            before, used_before = now, used_now
            longest = self._rounds.longest(now)
            late = passed > 2 * tick
            counted = min(passed, used, longest) if late else passed
            answered = self._answered
            if answered:
                if block is not None and block.told:
                    self.unblocked(block)
                block = None
                self._ask()
            # If the thread itself was held up, the loop may have answered before that.
            if answered and not (late and counted >= self.seconds):
                self.turning(used_now)
                continue
            with suppress(RuntimeError):  # it runs again at this very moment
                block = self._note(block or Block(), counted)

    def _note(self, block: Block, seconds: float) -> Block | None:
        sample = self.view.sample()
        if sample.is_debugged:
            return None
        block.note(sample, seconds)
        if block.seconds >= self.seconds - RESOLUTION:
            self.blocked(block, sample)
        return block

    def _ask(self) -> None:
        self._answered = False
        self.token.run_sync_soon(self._answer, idempotent=True)

    def _answer(self) -> None:
        self._answered = True


#: The parts of a limit, as they are measured, may add up to so many seconds less.
RESOLUTION = 0.001

#: How many seconds a thread waits at most. Python doesn't allow much more.
_DAY = 86400.0

#: The watchdogs of a loop, one of each class.
_there: trio.lowlevel.RunVar[dict[type, Any]] = trio.lowlevel.RunVar("triows watchdogs", {})


class _Warner(Watchdog["Triows"]):
    """Writes one warning for each block to the log."""

    def blocked(self, block: Block, sample: Sample) -> None:
        if not block.told:
            logger.warning("%s", block.text(blocker_of(sample, self.watched)))
            block.told = True

    def unblocked(self, block: Block) -> None:
        logger.info("the Trio loop runs again, after at least %.1f s", block.seconds)


@contextmanager
def blocks_named(app: Triows) -> Iterator[None]:
    """
    During a block, warn about code that blocks this loop for ``timeouts.blocked`` seconds.

    Args:
        app: The application whose connections the warning can name.
    """
    with _Warner.watching(app, app.timeouts.blocked):
        yield
