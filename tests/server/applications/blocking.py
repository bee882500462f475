"""Applications that block the event loop: in a handler, at the start-up, or with their log."""

import logging
import math
import multiprocessing
import re
import signal
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import trio

from triows import Timeouts, Triows, WebSocket, WebSocketRoute

logger = logging.getLogger("triows")


def sleep() -> None:
    while True:
        time.sleep(0.01)


def spin() -> None:
    while True:
        pass


def swallow() -> None:
    while True:
        with suppress(BaseException):
            time.sleep(0.01)


def wait_in_c() -> None:
    threading.Event().wait()


def lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def run_child() -> None:
    # The test reads the output until its end, so the child must not keep it open.
    quiet = subprocess.DEVNULL
    subprocess.run(["sleep", "600"], stdout=quiet, stderr=quiet, check=False)


def search() -> None:
    """Search with an expression that backtracks forever, and never releases the GIL."""
    re.match(r"(a+)+b", "a" * 100)


def write_log() -> None:
    while True:
        logger.warning("x" * 1000)


WAYS: dict[str, Callable[[], None]] = {
    one.__name__: one
    for one in (sleep, spin, swallow, wait_in_c, lock, run_child, search, write_log)
}

block_route = WebSocketRoute("block/{way}")


@block_route.endpoint
async def block(ws: WebSocket, way: str) -> None:
    await ws.accept()
    await ws.send("blocking")
    WAYS[way]()


echo_route = WebSocketRoute("echo")


@echo_route.endpoint
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for message in ws:
        await ws.send(message)


fork_route = WebSocketRoute("fork")


@fork_route.endpoint
async def fork(ws: WebSocket) -> None:
    """Fork a child process, end it by a signal, and report how it ended."""
    child = multiprocessing.get_context("fork").Process(target=wait_in_c)
    child.start()
    child.terminate()
    child.join()
    await ws.accept()
    await ws.send(str(child.exitcode))
    await ws.receive()


deaf_route = WebSocketRoute("deaf")


@deaf_route.endpoint
async def deafen(ws: WebSocket) -> None:
    """Remove what wakes Trio up for signals, as an asyncio loop does when it ends."""
    await ws.accept()
    signal.set_wakeup_fd(-1)
    await ws.send("deaf")
    await ws.receive()


stubborn_route = WebSocketRoute("stubborn")


@stubborn_route.endpoint
async def stay(ws: WebSocket) -> None:
    await ws.accept()
    await ws.send("here")
    await trio.sleep_forever()


async def blocked_lifespan(app: Any) -> AsyncIterator[None]:
    logger.info("blocking")
    wait_in_c()
    yield


routes = (block_route, echo_route, fork_route, deaf_route, stubborn_route)

#: Its end may take longer than any test waits.
app = Triows(*routes)
patient = Triows(*routes, timeouts=Timeouts(shutdown_grace=math.inf))
starting = Triows(lifespan=blocked_lifespan)
