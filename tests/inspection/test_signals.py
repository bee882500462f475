from __future__ import annotations

import io
import logging
import os
import re
import signal

import pytest
import trio

from tests.inspection.looking import connected, serving
from tests.server.clients import open_websockets
from tests.server.harness.process import TRIOWS, ServerProcess
from triows import Triows, WebSocket
from triows.inspect import print_on_signal


async def talk(ws: WebSocket) -> None:
    await ws.accept()
    async for _ in ws:
        pass


class Output(io.StringIO):
    """A standard error that reports when one of Trio's threads has written something."""

    def __init__(self) -> None:
        super().__init__()
        self._flushed = trio.Event()

    def flush(self) -> None:
        trio.from_thread.run_sync(self._flushed.set)

    async def take(self) -> str:
        """Wait for output, and take it."""
        await self._flushed.wait()
        self._flushed = trio.Event()
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return text


# It is async, so it is made after pytest has replaced standard error for the test.
@pytest.fixture
async def output(monkeypatch):
    output = Output()
    monkeypatch.setattr("sys.stderr", output)
    return output


async def test_each_signal_prints_the_tree(output, nursery):
    app = serving(talk)
    await nursery.start(print_on_signal, app)
    os.kill(os.getpid(), signal.SIGUSR1)
    assert re.search(rf"process {os.getpid()}: +0 connections", await output.take())
    async with connected(app) as client:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert re.search(rf"process {os.getpid()}: +1 connection\n", await output.take())
        await client.close()


async def test_another_signal_may_be_asked_for(output, nursery):
    await nursery.start(print_on_signal, Triows(), signal.SIGUSR2)
    os.kill(os.getpid(), signal.SIGUSR2)
    assert "0 connections" in await output.take()


async def test_a_signal_is_as_it_was_when_nobody_prints_any_more():
    before = signal.getsignal(signal.SIGUSR1)
    async with trio.open_nursery() as nursery:
        await nursery.start(print_on_signal, Triows())
        assert signal.getsignal(signal.SIGUSR1) != before
        nursery.cancel_scope.cancel()
    assert signal.getsignal(signal.SIGUSR1) == before


async def test_a_system_without_the_signal_is_told_so(monkeypatch):
    monkeypatch.delattr(signal, "SIGUSR1")
    with pytest.raises(ValueError, match="this system has no SIGUSR1"):
        await print_on_signal(Triows())


class Told(logging.Handler):
    """Reports when one of Trio's threads has logged something."""

    def __init__(self) -> None:
        super().__init__()
        self.event = trio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        trio.from_thread.run_sync(self.event.set)


async def test_an_output_that_is_closed_does_not_end_the_program(
    monkeypatch, caplog, tmp_path, nursery
):
    closed = (tmp_path / "closed").open("w")
    closed.close()
    monkeypatch.setattr("sys.stderr", closed)
    told = Told()
    logger = logging.getLogger()  # behind pytest's own handlers
    logger.addHandler(told)
    try:
        await nursery.start(print_on_signal, Triows())
        os.kill(os.getpid(), signal.SIGUSR1)
        await told.event.wait()
    finally:
        logger.removeHandler(told)
    (record,) = caplog.records
    assert record.message.startswith("the tree can't be printed: ")


@pytest.mark.real_socket
@pytest.mark.usefixtures("measured_processes")
async def test_a_served_process_prints_its_tree_on_the_signal():
    with ServerProcess(TRIOWS, "ordinary:app", "--tree-on-signal") as process:
        async with open_websockets(f"{process.ws_url}/echo") as client:
            await client.send("hi")
            await client.receive()
            process.send_signal(signal.SIGUSR1)
            found = rf"process {process.pid}:  1 connection"
            await trio.to_thread.run_sync(process.wait_for, found)
            await trio.to_thread.run_sync(process.wait_for, "async for message in ws:")
            # The connection goes on.
            await client.send("again")
            assert await client.receive() == "again"
        process.send_signal(signal.SIGTERM)
        assert await trio.to_thread.run_sync(process.wait) == 0


@pytest.mark.real_socket
@pytest.mark.usefixtures("measured_processes")
async def test_every_worker_prints_its_tree_on_the_signal_to_the_parent():
    options = ["--workers", "2", "--tree-on-signal"]
    with ServerProcess(TRIOWS, "ordinary:app", *options) as process:
        pids = re.findall(r"worker (\d+) is ready", process.output)
        process.send_signal(signal.SIGUSR1)
        for _ in pids:
            process.wait_for(r"process \d+:  0 connections")
        printed = re.findall(r"process (\d+):", process.output)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert sorted(printed) == sorted(pids)
