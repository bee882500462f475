"""Handlers that are plain functions run in worker threads."""

from __future__ import annotations

import inspect
from contextlib import suppress
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any

import trio

from triows._log import logger
from triows._where import where

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

__all__ = ["follow_threads", "in_thread"]

# Where the threads are noted that go on although the request has stopped waiting for them.
_going_on: ContextVar[list[_Thread] | None] = ContextVar("_going_on", default=None)


def follow_threads() -> list[_Thread]:
    """
    Return a list for the request of the calling task.

    Each thread is added that the request's handler has stopped waiting for. It may still use what
    the handler got, so the resources must not exit before :meth:`_Thread.wait_over`.
    """
    threads: list[_Thread] = []
    _going_on.set(threads)
    return threads


def in_thread(
    handler: Callable[..., Any], limiter: trio.CapacityLimiter
) -> Callable[..., Awaitable[Any]]:
    """
    Make an async function that calls a plain one in a worker thread.

    If it is cancelled, the thread goes on, because nothing can stop it. What it returns or raises
    is dropped.

    Args:
        handler: The function.
        limiter: Says how many threads there may be at a time. Calls above that wait.

    Returns:
        The function. It raises :exc:`TypeError` if the plain one returns a coroutine.
    """

    @wraps(handler)
    async def call(**arguments: Any) -> Any:
        thread = _Thread(handler, arguments)
        try:
            return await trio.to_thread.run_sync(
                thread.run, abandon_on_cancel=True, limiter=limiter
            )
        except trio.Cancelled:
            thread.stop()
            raise

    return call


class _Thread:
    """
    One call of a handler in a worker thread.

    Two threads use it, and each first writes what it has done, and then reads what the other one
    has. So at least one of them sees both.

    Args:
        handler: The function.
        arguments: Its arguments.
    """

    def __init__(self, handler: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
        self._handler = handler
        self._arguments = arguments
        self._is_begun = self._is_over = self._is_stopped = False
        # Called in the thread when it is over. Whoever waits for that makes it.
        self._wake: Callable[[], object] | None = None

    def run(self) -> Any:
        """Call the handler. This runs in the thread."""
        self._is_begun = True
        if self._is_stopped:
            return None  # it was waiting for a thread, and nobody wants the result any more
        try:
            return _checked(self._handler(**self._arguments), self._handler)
        finally:
            self._is_over = True
            if self._wake is not None:
                with suppress(trio.RunFinishedError):
                    self._wake()

    def stop(self) -> None:
        """Note that nobody waits for the result any more."""
        self._is_stopped = True
        if not self._is_begun:
            return
        threads = _going_on.get()
        if threads is not None:
            threads.append(self)

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"the thread of {where(self._handler)}"

    async def wait_over(self, until: float) -> bool:
        """
        Wait until it is over, and return whether it is.

        If it isn't, it is abandoned, and that is logged. A cancellation has no effect on this.

        Args:
            until: When to stop waiting, on Trio's clock.
        """
        over, token = trio.Event(), trio.lowlevel.current_trio_token()
        self._wake = lambda: token.run_sync_soon(over.set)
        if not self._is_over:
            with trio.CancelScope(deadline=until, shield=True):
                await over.wait()
        if not self._is_over:
            logger.error(
                "%s was cancelled, and its thread goes on. Its resources exit now, although it may "
                "still use them, and nobody gets what it returns. Let it call "
                "trio.from_thread.check_cancelled() between its steps, or give it a longer "
                "Timeouts.disconnect_grace",
                where(self._handler),
            )
        return self._is_over


def _checked(result: Any, handler: Callable[..., Any]) -> Any:
    """Refuse a coroutine, which only the loop's thread could run."""
    if inspect.iscoroutine(result):
        result.close()  # Python would warn of it, too
        raise TypeError(
            f"the handler returned the coroutine of {result.__qualname__}(): make the handler "
            f"`async def`, and `await` that\n  at {where(handler)}"
        )
    return result
