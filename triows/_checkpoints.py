"""
Checkpoints on the paths that raise.

A loop that catches everything, `while True: try: ... except Exception: pass`, must let the
other tasks run and must end when it is cancelled. So each public awaitable is a cancel point on
every path, and gives the other tasks a turn on every path that raises.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

__all__ = ["checkpointed"]

P = ParamSpec("P")
T = TypeVar("T")


def checkpointed(
    function: Callable[P, Coroutine[Any, Any, T]],
) -> Callable[P, Coroutine[Any, Any, T]]:
    """
    Make an async function a cancel point, and a full checkpoint wherever it raises.

    It is cancelled before it has done anything, or by what it awaits itself. An error that it
    raises is never replaced by a cancellation.

    It adds a coroutine to each call. What is called for each message says the same in its own
    body.
    """

    @wraps(function)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            return await function(*args, **kwargs)
        except Exception:
            await trio.lowlevel.cancel_shielded_checkpoint()
            raise

    return call
