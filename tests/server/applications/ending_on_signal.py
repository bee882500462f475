"""An application whose lifespan takes its time at the end, until a signal comes."""

import signal
from collections.abc import AsyncIterator
from typing import Any

import trio

from triows import Triows
from triows._server import run


async def linger(app: Any) -> AsyncIterator[None]:
    yield
    with trio.open_signal_receiver(signal.SIGWINCH) as signals:
        async for _ in signals:
            break


run.PROGRESS = 0.05
app = Triows(lifespan=linger)
