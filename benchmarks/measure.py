"""The interface of a measure, and the window of time in which it is taken."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import ClassVar, Protocol

from .process import ServerProcess
from .results import Sample
from .usage import usage

__all__ = ["Measure", "window"]

#: A window may become this many times as long as it should be.
AT_MOST = 4

#: How many seconds the first answer may take on a busy machine.
PATIENCE = 10


class Measure(Protocol):
    """One kind of measure, with its parameters."""

    #: Its name.
    name: ClassVar[str]
    #: More rounds than this would say nothing new. ``None`` if they would.
    most_rounds: ClassVar[int | None]

    @property
    def parameters(self) -> dict[str, int]:
        """Its parameters, by name."""

    def applies(self, server: ServerProcess) -> bool:
        """Whether it can be measured with this server."""

    async def sample(self, server: ServerProcess, seconds: float) -> Sample:
        """Measure once, for about *seconds*."""


async def window(
    server: ServerProcess,
    seconds: float,
    count: Callable[[], float],
    enough: int = 16,
    pass_time: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Sample:
    """
    Watch for *seconds* how far *count* gets, and what that costs. Meanwhile, *pass_time* runs.

    If it hasn't increased by *enough*, the window becomes longer, up to :data:`AT_MOST` times. If
    it hasn't increased at all, the window becomes as long as :data:`PATIENCE`.

    Raises:
        TimeoutError: It hasn't increased by one in all that time.
    """
    me = [os.getpid()]
    counted, clock = count(), time.perf_counter()
    server_before, client_before = server.usage(), usage(me)
    done, passed = 0.0, 0.0
    while passed < seconds * AT_MOST or (done < 1 and passed < PATIENCE):
        await pass_time(seconds)
        done, passed = count() - counted, time.perf_counter() - clock
        if done >= enough:
            break
    took, gave = server.usage() - server_before, usage(me) - client_before
    if done < 1:
        raise TimeoutError(f"nothing came back in {passed:.1f} s")
    return Sample(
        count=round(done),
        seconds=passed,
        server=took.on_core,
        server_waiting=took.waiting,
        client=gave.on_core,
        client_waiting=gave.waiting,
    )
