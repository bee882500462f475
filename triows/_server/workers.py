"""
Several processes that serve the same addresses, and the parent that looks after them.

The parent listens and never accepts. Each worker inherits the sockets, imports the application
itself, and serves it as a single process would. The parent has a *slot* for each worker. When a
worker is replaced, another one takes its slot.
"""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING

import trio
from attrs import define, field

from .budget import AIR
from .interrupts import SIGHUP, SIGNALLED, SIGNALS, Echoes, Hangup
from .listening import listening
from .notify import NOBODY, Notifier
from .worker import Worker, close_after, exit_in_words

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Sequence

    from hypercorn.config import Config

    from .listening import Listener
    from .notify import Manager
    from .proxy import Proxy
    from .worker import Command

__all__ = ["supervise"]

logger = logging.getLogger("triows")

# Seconds between a crash and the start of another worker. The first delay is too short for users
# to notice. The last one is about the time that a database takes to restart.
FIRST_DELAY, LAST_DELAY = 0.2, 30.0

# A worker that has served for this long did not crash for the same reason as the one before it.
RAN_WELL = 30.0


def supervise(
    command: Command,
    name: str,
    config: Config,
    *,
    workers: int,
    check: Callable[[], str | None],
    manager: Manager = NOBODY,
    proxy: Proxy | None = None,
    tree_signal: int | None = None,
) -> int:
    """
    Serve with *workers* processes until a signal ends it.

    If the process has no terminal, SIGHUP replaces the workers one by one. If it has one, SIGHUP
    means that the terminal was closed, and ends it.

    Args:
        command: The command that runs a worker, given the descriptors that it inherits.
        name: What the log calls the application.
        config: Hypercorn's configuration.
        workers: How many, at least one.
        check: Reads the files that a new worker would read. Returns why it could not start, if so.
        manager: The service manager that has started the process.
        proxy: The proxies in front of the server.
        tree_signal: A signal that is passed on to all workers.

    Returns:
        The exit code. It is 0 if all ended gracefully, 128 + n if one had to be forced after signal
        n, and 1 if one failed at its end. If the first worker fails to start, it is that worker's.

    Raises:
        OSError: An address can't be bound.
    """
    with listening(config, proxy=proxy) as addresses:
        return trio.run(_supervise, command, name, addresses, workers, check, manager, tree_signal)


async def _supervise(
    command: Command,
    name: str,
    addresses: Sequence[Listener],
    workers: int,
    check: Callable[[], str | None],
    manager: Manager,
    tree_signal: int | None,
) -> int:
    hangup = Hangup.of_this_process()
    others = () if tree_signal is None else (tree_signal,)
    if hangup is not Hangup.IGNORED:
        others = (*others, SIGHUP)
    notifier = Notifier(manager)
    with trio.open_signal_receiver(*SIGNALS, *others) as signals:
        async with trio.open_nursery() as nursery:
            async with trio.open_nursery() as endings:
                with trio.CancelScope() as serving:
                    async with trio.open_nursery() as keepers:
                        supervisor = Supervisor(
                            command,
                            name,
                            addresses,
                            workers,
                            tree_signal,
                            check=check,
                            hangup=hangup,
                            notifier=notifier,
                            serving=serving,
                            keepers=keepers,
                            endings=endings,
                        )
                        nursery.start_soon(supervisor.take, signals)
                        nursery.start_soon(notifier.run, supervisor.all_turn)
                        await supervisor.serve()
                supervisor.dismiss_all()
            nursery.cancel_scope.cancel()
        return supervisor.ended()


@define
class Backoff:
    """The seconds between a failure and the next attempt."""

    _next: float = FIRST_DELAY

    def after(self, ran: float) -> float:
        """
        Return the delay after a failure.

        Args:
            ran: For how many seconds the failed worker had served.
        """
        delay = FIRST_DELAY if ran >= RAN_WELL else self._next
        self._next = min(2 * delay, LAST_DELAY)
        return delay


@define(eq=False)
class Slot:
    """A place for one worker."""

    worker: Worker | None = None
    #: Held while a worker is started for it.
    starting: trio.Lock = field(factory=trio.Lock)
    #: The task that fills the slot when it is empty.
    attempt: trio.CancelScope = field(factory=trio.CancelScope)
    backoff: Backoff = field(factory=Backoff)


class Supervisor:
    """
    The parent process.

    Args:
        command: As in :func:`supervise`.
        name: As in :func:`supervise`.
        addresses: The listeners from which the workers accept.
        workers: How many workers there are.
        tree_signal: As in :func:`supervise`.
        check: As in :func:`supervise`.
        hangup: What SIGHUP means.
        notifier: Tells the service manager.
        serving: Around the serving. It is cancelled when the workers have to end.
        keepers: Runs what keeps the slots filled.
        endings: Runs the ends of workers.
    """

    def __init__(
        self,
        command: Command,
        name: str,
        addresses: Sequence[Listener],
        workers: int,
        tree_signal: int | None,
        *,
        check: Callable[[], str | None],
        hangup: Hangup,
        notifier: Notifier,
        serving: trio.CancelScope,
        keepers: trio.Nursery,
        endings: trio.Nursery,
    ) -> None:
        self._command = command
        self._name = name
        self._addresses = addresses
        self._slots = [Slot() for _ in range(workers)]
        self._tree_signal = tree_signal
        self._check = check
        self._hangup = hangup
        self._notifier = notifier
        self._echoes = Echoes()
        self._code = 0
        # Workers that nobody has told to end.
        self._live: set[Worker] = set()
        # Workers that were told to end, and for which _end() waits.
        self._dismissed: set[Worker] = set()
        self._signal: int | None = None
        self._stopped_at = 0.0
        self._hurry = trio.Event()
        self._serving = serving
        self._keepers = keepers
        self._endings = endings
        self._replacing = trio.CancelScope()
        self._wanted = trio.Event()

    def dismiss_all(self) -> None:
        """Tell all workers to end, and close the listening sockets after they have done so."""
        live = list(self._live)
        self._endings.start_soon(close_after, live, self._addresses)
        for worker in live:
            self._dismiss(worker)

    def ended(self) -> int:
        """Return the exit code, when everything has ended."""
        if self._signal is not None:
            logger.info("ended after %.1f s", trio.current_time() - self._stopped_at)
        return self._code

    def _pids(self) -> str:
        pids = sorted(worker.pid for worker in self._live | self._dismissed)
        return ", ".join(map(str, pids)) or "none is left"

    async def all_turn(self) -> bool:
        """Return ``True`` when the event loop of each worker that serves has turned."""
        async with trio.open_nursery() as nursery:
            for slot in self._slots:
                if slot.worker is not None:
                    nursery.start_soon(slot.worker.wait_turn)
        return True

    async def take(self, signals: AsyncIterable[int]) -> None:
        """Do what signals ask for."""
        async for number in signals:
            if number == SIGHUP and self._hangup is Hangup.RELOADS:
                # A worker that is being started now may run an older version.
                self._wanted.set()
                self._replacing.cancel()
            elif number == self._tree_signal:
                for worker in self._live | self._dismissed:
                    worker.pass_on(number)
            elif not self._echoes.is_echo(number, trio.current_time()):
                self._stop(number)

    def _stop(self, number: int) -> None:
        if number == SIGHUP:
            logger.info("the terminal was closed")
        if self._signal is None:
            # Each of them says how long it may take, because it knows its connections.
            message = f"stopping the workers: {self._pids()}"
            logger.info("%s", message)
            seconds = [one.budget.after(number) for one in self._live | self._dismissed]
            self._notifier.tell_stopping(message, max(seconds, default=0.0) + AIR)
            self._stopped_at = trio.current_time()
        else:
            logger.info("stopping the workers at once: %s", self._pids())
            self._hurry.set()
            self._code = SIGNALLED + number
        self._signal = number
        self._serving.cancel()

    # Keeping the slots filled.

    async def serve(self) -> None:
        """Start the workers. If the first one fails to start, nothing else is started."""
        first, *others = self._slots
        # One worker starts before the others. If an error would stop them all, it is shown only
        # once, and everything ends here.
        worker = await self._started()
        if isinstance(worker, int):
            self._code = exit_code(worker)
            return
        self._fill(first, worker)
        self._keepers.start_soon(self._replace_when_wanted)
        async with trio.open_nursery() as nursery:
            for slot in others:
                nursery.start_soon(self._attempt, slot)
        logger.info("%s", self._status)
        self._notifier.tell_ready(self._status)

    @property
    def _status(self) -> str:
        urls = ", ".join(one.url for one in self._addresses)
        return f"serving {self._name} on {urls} by {len(self._slots)} workers"

    async def _started(self) -> Worker | int:
        """Start a worker and wait until it serves. If it fails to start, return its code."""
        try:
            worker = await Worker.start(self._command, self._addresses)
        except OSError as exc:
            # The system has no memory or process left, or Python is being reinstalled.
            logger.error("a worker can't be started: %s", exc)  # noqa: TRY400 - it isn't a bug
            return 1
        self._live.add(worker)
        try:
            ready = await worker.wait_ready()
        except trio.Cancelled:
            self._dismiss(worker)
            raise
        if ready:
            logger.info("worker %d is ready", worker.pid)
            return worker
        code = await self._gone(worker)
        logger.error("worker %d failed to start: %s", worker.pid, exit_in_words(code))
        return code

    def _fill(self, slot: Slot, worker: Worker) -> None:
        """Let *worker* serve in *slot*, and end the worker that served there."""
        old, slot.worker = slot.worker, worker
        if old is not None:
            self._dismiss(old)
        self._keepers.start_soon(self._keep, slot, worker)

    async def _keep(self, slot: Slot, worker: Worker) -> None:
        """Replace *worker* when it ends, unless it has been replaced by then."""
        await worker.wait_worn_out()
        if slot.worker is worker and worker.is_running:
            logger.info("worker %d is replaced: it has served max_requests", worker.pid)
            self._keepers.start_soon(self._attempt, slot, worker)
        await worker.wait()
        if slot.worker is not worker:
            return
        slot.worker = None
        code = await self._gone(worker)
        assert worker.ready_at is not None
        ran = trio.current_time() - worker.ready_at
        logger.error("worker %d ended without being asked to: %s", worker.pid, exit_in_words(code))
        await self._refill(slot, ran)

    async def _refill(self, slot: Slot, ran: float, old: Worker | None = None) -> None:
        """Start workers for a slot that is empty or has *old*, until one serves."""
        delay = slot.backoff.after(ran)
        logger.info("the next worker is started in %g s", delay)
        await trio.sleep(delay)
        await self._attempt(slot, old)

    async def _attempt(self, slot: Slot, old: Worker | None = None) -> None:
        async with slot.starting:
            if slot.worker is not old:  # it was replaced meanwhile
                return
            with trio.CancelScope() as slot.attempt:
                worker = await self._started()
                if isinstance(worker, Worker):
                    self._fill(slot, worker)
                    return
        self._keepers.start_soon(self._refill, slot, 0, old)

    # Replacing them.

    async def _replace_when_wanted(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            with trio.CancelScope() as self._replacing:
                self._notifier.tell_reloading("replacing the workers")
                await self._replace()
                self._notifier.tell_ready(self._status)

    async def _replace(self) -> None:
        """
        Replace each worker by one that serves already, one after the other.

        The next slot does not wait until the old worker has drained. Otherwise clients that
        one old worker has sent away would often connect to the next old one, which sends them
        away again.
        """
        if (reason := self._check()) is not None:
            logger.error("no worker is replaced: %s", reason)
            return
        logger.info("replacing the workers")
        for number, slot in enumerate(self._slots):
            # A worker that is being started there runs an older version, and may never be ready.
            slot.attempt.cancel()
            async with slot.starting:
                worker = await self._started()
                if isinstance(worker, int):
                    logger.error(
                        "replacing stops here: %d of %d workers are new, the others go on",
                        number,
                        len(self._slots),
                    )
                    return
                self._fill(slot, worker)
        logger.info("all workers are new")

    # Their ends.

    async def _gone(self, worker: Worker) -> int:
        """Forget a worker that has ended by itself, and return its exit code."""
        self._live.discard(worker)
        worker.close()
        return await worker.wait()

    def _dismiss(self, worker: Worker) -> None:
        self._live.discard(worker)
        self._dismissed.add(worker)
        self._endings.start_soon(self._end, worker)

    async def _end(self, worker: Worker) -> None:
        # Whatever else ends a worker, such as its replacement, it has all of its grace.
        number = signal.SIGINT if self._signal == signal.SIGINT else signal.SIGTERM
        code = await worker.end(self._hurry, number, others=self._signal is None)
        self._dismissed.discard(worker)
        # If the signal ended a worker that didn't handle signals yet, nothing was interrupted.
        graceful = code == 0 or (
            -code in {signal.SIGINT, signal.SIGTERM} and worker.ready_at is None
        )
        if graceful:
            logger.info("worker %d has ended", worker.pid)
            return
        logger.error("worker %d has ended with %s", worker.pid, exit_in_words(code))
        if self._signal is not None and self._code == 0:
            forced = worker.killed or exit_code(code) > SIGNALLED
            self._code = SIGNALLED + self._signal if forced else 1


def exit_code(code: int) -> int:
    """Return the shell's number for a child's exit code, which is -n for signal n."""
    return code if code >= 0 else SIGNALLED - code
