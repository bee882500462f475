"""
A Trio loop in a thread. It runs an application for tests that aren't async.

All clients of one application share one loop, because an application can run only once at a time.
"""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import outcome
import trio

from triows._errors import add_note
from triows._inspection.blocked import LoopView, blocker_of
from triows._managers import contextmanager
from triows._server.watchdog import told

from ._blocked import BLOCKED, LoopBlocked
from ._client import open_app
from ._leaks import LeakError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from triows import Triows

    from ._client import AppClient

__all__ = ["Loop", "LoopOver", "SharedLoop", "interruptible", "loop_of"]

T = TypeVar("T")

#: Options that must be the same for all clients of one application. The values are the names that
#: the clients have for them.
_SHARED = {
    "raise_app_exceptions": "raise_server_exceptions",
    "root_path": "root_path",
    "run_options": "backend_options",
}


@contextmanager
def interruptible(exc: BaseException | None) -> Iterator[None]:
    """
    Keep what interrupted a block, for example Ctrl-C, if leaving the block fails as well.

    Args:
        exc: The exception with which the block was left.
    """
    try:
        yield
    except (Exception, LoopBlocked) as later:
        if exc is None or isinstance(exc, Exception):
            raise
        if isinstance(later, LoopBlocked) and isinstance(exc, LoopBlocked):
            return  # both are about the same loop
        add_note(exc, f"leaving a block of TestClient failed, too: {later!r}")


#: How many seconds a loop gets at least to show that it runs, even on a busy machine.
_LEAST = 1.0

#: How many seconds this thread waits at a time. If a signal comes just before a thread begins to
#: wait, Python handles it only after the wait. With a longer wait, Ctrl-C would seem to do nothing.
_PIECE = 0.5

#: How many seconds it takes to force an end, if that is possible.
_FORCED = 3.0

#: How many seconds a start-up gets, when it is given up, to exit what it has entered. If it takes
#: longer, it has blocked the loop.
_START_UP = 25.0


def _take(items: queue.SimpleQueue[T], seconds: float) -> T:
    """
    Wait for an item, but react to Ctrl-C at any time.

    Raises:
        queue.Empty: No item came for *seconds*.
    """
    while seconds > _PIECE:
        with suppress(queue.Empty):
            return items.get(timeout=_PIECE)
        seconds -= _PIECE
    return items.get(timeout=seconds)


class LoopOver(RuntimeError):
    """The application isn't running any more."""

    def __init__(self) -> None:
        super().__init__(
            "the application isn't running any more: leave the client's block to see why"
        )


class Loop:
    """
    A Trio loop in a thread.

    Args:
        app: The application that runs in it.
        timeout: How many seconds the application may block the loop.
        run_options: Options for :func:`trio.run`.
        options: Options for :func:`~triows.testing.open_app`.
    """

    def __init__(
        self, app: Triows, *, timeout: float, run_options: Mapping[str, Any], **options: Any
    ) -> None:
        self._app = app
        self._patience = max(timeout, _LEAST)
        self._run_options = run_options
        self._given = {**options, "run_options": run_options}
        # If the loop is blocked, this object raises it in the test. The loop's own watchdog ends
        # what is left a little later.
        blocked = max(BLOCKED, self._patience)
        self.options = {**options, "timeout": timeout, "blocked": blocked}
        # It is a daemon, so that Ctrl-C in a test ends the process even if a handler hangs.
        self._thread = threading.Thread(target=self._run, name="triows TestClient", daemon=True)
        self._started: queue.SimpleQueue[outcome.Outcome[None]] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[outcome.Outcome[None]] = queue.SimpleQueue()
        self._scope = trio.CancelScope()
        self._token: trio.lowlevel.TrioToken | None = None
        self._stop: trio.Event
        self._view: LoopView
        # If the loop is blocked: the message that says where. Nobody waits for the loop after that.
        self._blocked: str | None = None
        self.client: AppClient
        self.nursery: trio.Nursery

    def differences(self, options: Mapping[str, Any]) -> list[str]:
        """
        Name the options of another client that this loop has with other values.

        Timeouts are not compared. Each client has its own, and the start-up is over.
        """
        return [name for key, name in _SHARED.items() if self._given[key] != options[key]]

    def start(self) -> None:
        """Start the loop and the application. Raise what its start-up raised."""
        try:
            self._thread.start()
            seconds = self.options["startup_timeout"] + _START_UP
            started = _take(self._started, seconds)
        except queue.Empty:
            error = LoopBlocked(self._blocked_text(seconds))
            self._give_up()
            raise error from None
        except BaseException:  # Ctrl-C
            self._give_up()
            raise
        if isinstance(started, outcome.Error):
            self._thread.join()
        started.unwrap()

    def _give_up(self) -> None:
        """
        Cancel a start-up, and wait until the resources that it has entered have exited.

        The thread is a daemon. If this returned earlier, the process would end in the middle of
        the cleanup after Ctrl-C.
        """
        if self._token is not None:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._scope.cancel)
        seconds = _START_UP
        while self._thread.is_alive() and seconds > 0:
            self._thread.join(_LEAST)
            seconds -= _LEAST
            if not self._turns(_FORCED):
                return

    def stop(self) -> None:
        """
        End the application and the loop. Raise what went wrong in them.

        Raises:
            LeakError: It doesn't end.
        """
        assert self._token is not None
        # It may have ended by itself, with an error that is raised below.
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._stop.set)
        if self._blocked is not None:
            return
        stage = self.client._stage
        ended = self._wait_ended()
        if ended is None:
            picture = self.call_sync(stage.alive.picture)
            raise LeakError(
                "the application has not ended: something in it can't be cancelled, for example a "
                f"thread that it waits for\n\n{picture}"
            )
        self._thread.join()
        ended.unwrap()

    def _wait_ended(self) -> outcome.Outcome[None] | None:
        """Wait for the loop's end. Return ``None`` if something can't be cancelled."""
        stage = self.client._stage
        # This is longer than open_app() takes in the worst case.
        seconds = stage.patience.ending + 3 * _LEAST
        while seconds > 0:
            with suppress(queue.Empty):
                return _take(self._ended, _LEAST)
            seconds -= _LEAST
            if stage.done.is_set() or stage.is_unending:
                # Everything was cancelled. What is left waits for a thread, for example.
                seconds = min(seconds, _FORCED)
        return None

    def call(self, fn: Callable[..., Awaitable[T]], *args: Any) -> T:
        """
        Call an async function in the loop, and wait for it.

        Raises:
            LoopOver: The application isn't running any more.
            LoopBlocked: The loop is blocked.
            BaseException: *fn* raised this.
        """
        answers: queue.SimpleQueue[outcome.Outcome[T]] = queue.SimpleQueue()

        async def answer() -> None:
            result: outcome.Outcome[T] = outcome.Error(LoopOver())
            try:
                result = outcome.Value(await fn(*args))
            except (Exception, LoopBlocked) as exc:  # noqa: BLE001 - raised in the other thread
                result = outcome.Error(exc)
            finally:
                answers.put(result)

        self.start_soon(answer)
        return self.wait(answers).unwrap()

    def start_soon(self, fn: Callable[[], Awaitable[object]]) -> None:
        """
        Start a task, which ends with the application at the latest.

        Raises:
            LoopOver: The application isn't running any more.
            LoopBlocked: The loop is blocked.
        """

        def start() -> None:
            try:
                self.nursery.start_soon(fn)
            except RuntimeError:  # the nursery is closed, because the application is ending
                raise LoopOver from None

        self.call_sync(start)

    def call_sync(self, fn: Callable[[], T]) -> T:
        """Call a function in the loop's thread. It raises the same errors as :meth:`call`."""
        answers: queue.SimpleQueue[outcome.Outcome[T]] = queue.SimpleQueue()
        self._soon(lambda: answers.put(outcome.capture(fn)))
        return self.wait(answers).unwrap()

    def wait(self, answers: queue.SimpleQueue[T]) -> T:
        """
        Wait for what the loop puts into a queue.

        Everything that the loop waits for has a limit of its own. So this only checks that the
        loop isn't blocked.

        Raises:
            LoopOver: The loop has ended.
            LoopBlocked: The loop is blocked.
        """
        while True:
            with suppress(queue.Empty):
                return _take(answers, self._patience)
            self._check_turning()
            if not self._thread.is_alive() and answers.empty():
                raise LoopOver

    def _soon(self, fn: Callable[[], object]) -> None:
        assert self._token is not None
        if self._blocked is not None:
            raise LoopBlocked(self._blocked)
        try:
            self._token.run_sync_soon(fn)
        except trio.RunFinishedError:
            raise LoopOver from None

    def _check_turning(self) -> None:
        if not self._turns(self._patience):
            self._blocked = self._blocked_text(self._patience)
            raise LoopBlocked(self._blocked)

    def _turns(self, seconds: float) -> bool:
        """Say whether the loop runs a callback within some seconds, or is over."""
        if self._token is None:
            return False
        turns: queue.SimpleQueue[None] = queue.SimpleQueue()
        try:
            self._token.run_sync_soon(turns.put, None)
            _take(turns, seconds)
        except queue.Empty:
            return False
        except trio.RunFinishedError:
            pass
        return True

    def _blocked_text(self, seconds: float) -> str:
        """Describe what the loop's thread is doing."""
        try:
            blocker = str(blocker_of(self._view.sample(), [self._app]))
        except (AttributeError, RuntimeError):  # it hasn't started yet, or it goes on
            blocker = "something that can't be seen"
        return told(seconds, blocker)

    def _run(self) -> None:
        ended = outcome.capture(lambda: trio.run(self._main, **self._run_options))
        self._started.put(ended)  # only used if the start-up failed
        self._ended.put(ended)

    async def _main(self) -> None:
        self._token, self._view = trio.lowlevel.current_trio_token(), LoopView()
        self._stop = trio.Event()
        with self._scope:
            async with (
                open_app(self._app, **self.options) as self.client,
                trio.open_nursery() as self.nursery,
            ):
                self._started.put(outcome.Value(None))
                await self._stop.wait()
                # After Ctrl-C, for example, a session may still be open. It must not prevent the
                # end.
                self.nursery.cancel_scope.cancel()


class SharedLoop:
    """The loop of one application. It exists while somebody holds it."""

    def __init__(self) -> None:
        # Held during the start and the stop, too, so that others wait until that is over.
        self._lock = threading.RLock()
        self._loop: Loop | None = None
        self._holders = 0

    def acquire(self, app: Triows, options: Mapping[str, Any], *, holds: bool) -> Loop:
        """
        Return the loop. Start it if it isn't running.

        Args:
            app: The application.
            options: The options for a new :class:`Loop`.
            holds: Whether the loop goes on at least until a :meth:`release`.

        Raises:
            RuntimeError: This would block a Trio loop, or others run the application with other
                options.
        """
        if trio.lowlevel.in_trio_run():
            raise RuntimeError(
                "TestClient would block this Trio loop: in async tests use "
                "`async with triows.testing.open_app(app) as client:`"
            )
        with self._lock:
            loop = self._loop
            if loop is None:
                loop = Loop(app, **options)
                loop.start()
                self._loop = loop
            elif others := loop.differences(options):
                raise RuntimeError(
                    f"another TestClient runs this application with other {' and '.join(others)}"
                    ": leave it first"
                )
            self._holders += holds
            return loop

    def release(self, *, holds: bool) -> None:
        """Undo an :meth:`acquire`. The last one stops the loop."""
        with self._lock:
            self._holders -= holds
            if self._holders == 0 and self._loop is not None:
                loop, self._loop = self._loop, None
                loop.stop()


_loops: WeakKeyDictionary[Triows, SharedLoop] = WeakKeyDictionary()
_loops_lock = threading.Lock()


def loop_of(app: Triows) -> SharedLoop:
    """Return the loop that all clients of *app* share."""
    with _loops_lock:
        return _loops.setdefault(app, SharedLoop())
