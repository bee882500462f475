"""The order of a run: all servers take turns, so that noise affects all of them equally."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable
from contextlib import AsyncExitStack

from .measure import Measure
from .peers import Peer
from .process import ServerProcess
from .results import Case, Run

__all__ = ["Rounds"]


class Rounds:
    """
    Running servers, and the run for which they are measured.

    Args:
        peers: The servers.
        run: Gets the results.
    """

    def __init__(self, peers: list[Peer], run: Run) -> None:
        self._peers = peers
        self._run = run
        self._servers: dict[str, ServerProcess] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Rounds:
        try:
            for peer in self._peers:
                await self._start(peer)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    async def _start(self, peer: Peer) -> ServerProcess:
        server = await self._stack.enter_async_context(ServerProcess(peer))
        self._servers[peer.name] = server
        return server

    async def measure(self, measures: Iterable[Measure]) -> None:
        """Ask each question of each server, in each round."""
        for measure in measures:
            case = Case(measure.name, measure.parameters)
            self._run.cases.append(case)
            for number in range(min(self._run.rounds, measure.most_rounds or self._run.rounds)):
                shift = number % len(self._peers)
                # Each round begins with another server, because the order must not matter.
                for peer in self._peers[shift:] + self._peers[:shift]:
                    if peer.name not in case.failures:
                        await self._sample(measure, case, peer)
            _say(f"{_describe(case)}: done\n")

    async def _sample(self, measure: Measure, case: Case, peer: Peer) -> None:
        server = self._servers[peer.name]
        if not server.alive:
            server = await self._start(peer)
        if not measure.applies(server):
            return
        _say(f"{_describe(case)}: {peer.name}")
        gc.collect()
        gc.disable()
        try:
            sample = await measure.sample(server, self._run.seconds)
        except Exception as error:  # noqa: BLE001 (it is a result: it is kept and shown)
            case.failures[peer.name] = _sentence(error)
            _say(f"{_describe(case)}: {peer.name} FAILED: {_sentence(error)}\n")
        else:
            case.samples.setdefault(peer.name, []).append(sample)
        finally:
            gc.enable()


def _describe(case: Case) -> str:
    return " ".join([case.measure, *(f"{k}={v}" for k, v in case.parameters.items())])


def _sentence(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _say(text: str) -> None:
    """Show progress, on a single line if the terminal can do that."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
    elif text.endswith("\n"):
        sys.stderr.write(text)
    sys.stderr.flush()
