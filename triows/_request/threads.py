"""Handlers that are plain functions run in worker threads."""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Any

import trio

from triows._log import logger
from triows._where import where

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["in_thread"]


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
        begun = False

        def run() -> Any:
            nonlocal begun
            begun = True
            return _checked(handler(**arguments), handler)

        try:
            return await trio.to_thread.run_sync(run, abandon_on_cancel=True, limiter=limiter)
        except trio.Cancelled:
            if begun:  # otherwise it was waiting for a thread
                logger.warning(
                    "%s was cancelled, and its thread goes on: nobody gets what it returns",
                    where(handler),
                )
            raise

    return call


def _checked(result: Any, handler: Callable[..., Any]) -> Any:
    """Refuse a coroutine, which only the loop's thread could run."""
    if inspect.iscoroutine(result):
        result.close()  # Python would warn of it, too
        raise TypeError(
            f"the handler returned the coroutine of {result.__qualname__}(): make the handler "
            f"`async def`, and `await` that\n  at {where(handler)}"
        )
    return result
