"""Serving an application as a process, until a signal comes."""

from __future__ import annotations

import logging
import math
import signal
from functools import partial
from typing import TYPE_CHECKING

import trio
from attrs import evolve

from triows._counted import counted
from triows._errors import is_a, leaves, only, unwrapped
from triows._inspection.hanging import starting
from triows._inspection.remains import Remains
from triows._inspection.signals import print_on_signal
from triows.exceptions import AddressError

from .budget import INTERRUPT_GRACE, Budget, at_most
from .interrupts import SIGHUP, SIGNALLED, Hangup
from .lifeline import STOPPED, WORN_OUT
from .listening import listening, listening_by
from .notify import NOBODY, Notifier, turns
from .serve import serve_until
from .signals import SignalWatch
from .tls import CertificateError, credentials

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypercorn.config import Config

    from triows._app import Triows
    from triows._request_ids import RequestIds

    from .drain import Drain
    from .lifeline import Inherited, Lifeline
    from .notify import Manager
    from .proxy import Proxy
    from .server import Server
    from .tls import Credentials

__all__ = ["ApplicationError", "run"]

logger = logging.getLogger("triows")

#: Seconds between two lines about a shutdown that takes long.
PROGRESS = 5.0


def run(
    app: Triows,
    name: str,
    config: Config,
    *,
    drain: Drain,
    request_ids: RequestIds | None = None,
    inherited: Inherited | None = None,
    manager: Manager = NOBODY,
    proxy: Proxy | None = None,
    renew: Callable[[], Credentials | None] | None = None,
    tree_signal: int | None = None,
) -> int:
    """
    Serve until a signal ends it. Drain on the first signal, and stop at once on a second.

    After SIGINT, which is Ctrl-C, handlers have one second. After SIGTERM and SIGQUIT, and when the
    terminal is closed, they have all of their ``shutdown_grace``. :class:`.SignalWatch` ends a
    process that takes longer than announced.

    Args:
        app: The application.
        name: What the log calls it.
        config: Hypercorn's configuration.
        drain: What a shutdown does with newcomers and with idle connections.
        request_ids: Gives each exchange an id, for the log.
        inherited: For a worker, what it gets from its parent. The worker accepts from these sockets
            and not from ``config.bind``. It also drains when the parent is gone.
        manager: The service manager that has started the process. For a worker, its parent tells
            the manager what there is to tell.
        proxy: The proxies in front of the server.
        renew: Reads the certificate and what belongs to it again, after SIGHUP. By default, that is
            what *config* names. It raises :exc:`CertificateError`, too.
        tree_signal: A signal that prints what is alive, at any time between start-up and end.

    Returns:
        The exit code: 0 after a graceful end, 128 + n if a second signal n was needed.

    Raises:
        AddressError: An address can't be bound.
        CertificateError: The certificate or its key can't be used.
        ApplicationError: The application raised something.
    """
    try:
        rest = (inherited, manager, drain, request_ids, proxy)
        renew = renew or partial(credentials, config)
        return trio.run(_serve_observed, app, config, name, tree_signal, renew, *rest)
    except BaseExceptionGroup as group:
        # The nurseries of this module wrap what passes through them.
        error = only(group)
        if error is None:
            raise
    raise error


async def _serve_observed(
    app: Triows,
    config: Config,
    name: str,
    tree_signal: int | None,
    renew: Callable[[], Credentials | None],
    inherited: Inherited | None,
    manager: Manager,
    drain: Drain,
    request_ids: RequestIds | None,
    proxy: Proxy | None,
) -> int:
    """Serve until signalled. If *tree_signal* is given, print the tree when it comes."""
    process = _Process(app, config, renew, inherited, manager, drain, request_ids, proxy)
    with process.signals.watching():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(process.notifier.run, turns)
            if tree_signal is not None:
                # This is around everything, so that you can look at a start-up or a shutdown that
                # hangs.
                await nursery.start(print_on_signal, app, tree_signal)
            await process.serve(name)
            nursery.cancel_scope.cancel()
        if inherited is None:  # for a worker, the parent logs this
            process.say_goodbye()
    return process.code


class ApplicationError(Exception):
    """
    The application raised something that ends the process.

    Args:
        stage: When it failed, as the end of a sentence: ``failed to start``.
        error: What it raised.
    """

    def __init__(self, stage: str, error: BaseException) -> None:
        self.stage = stage
        self.error = error
        super().__init__(f"the application {stage}")


class _Process:
    """
    The server as a process: how it reacts to signals, and its exit code.

    Args:
        app: The application.
        config: As in :func:`run`.
        renew: As in :func:`run`.
        inherited: For a worker.
        manager: As in :func:`run`.
        drain: As in :func:`run`.
        request_ids: As in :func:`run`.
        proxy: As in :func:`run`.
    """

    def __init__(
        self,
        app: Triows,
        config: Config,
        renew: Callable[[], Credentials | None],
        inherited: Inherited | None,
        manager: Manager,
        drain: Drain,
        request_ids: RequestIds | None,
        proxy: Proxy | None,
    ) -> None:
        self.code = 0
        self.notifier = Notifier(manager)
        lifeline = None if inherited is None else inherited.lifeline
        self.signals = SignalWatch(
            Budget.of(app, drain),
            Remains(app),
            self._end,
            self._reload,
            Hangup.of_this_process(),
            lifeline,
        )
        self._app = app
        self._inherited = inherited
        self._drain = drain
        self._request_ids = request_ids
        self._proxy = proxy
        self._scope = trio.CancelScope()
        self._stop = trio.Event()
        # Whether a shutdown has begun. Once the application has failed, none begins.
        self._stopping = False
        self._config = config
        self._renew = renew
        self._server: Server | None = None
        # What people read about the process while it serves.
        self._serving = ""
        self._stopped_by = 0
        self._stopped_at = math.inf

    async def serve(self, name: str) -> None:
        """Serve until the first signal's drain is over, or until a second signal."""
        try:
            with self._scope:
                await self._serve(name)
        except Exception as exc:
            first: BaseException
            (first, *more) = leaves(exc)
            if is_a(first, AddressError, CertificateError):
                raise first from None
            error = unwrapped(exc) if more else first
            raise ApplicationError(self._stage, error) from exc

    @property
    def _stage(self) -> str:
        if not self.signals.started:
            return "failed to start"
        return "failed at its shutdown" if self._stopping else "failed while it was served"

    async def _serve(self, name: str) -> None:
        inherited = self._inherited
        opening = partial(listening, self._config, proxy=self._proxy)
        if inherited is not None:
            opening = partial(listening_by, self._config, inherited)
        # This outlives the server, because the application's resources exit after it.
        async with trio.open_nursery() as beside:
            async with trio.open_nursery() as nursery:
                ending = partial(self._shut_down, beside)
                serve = partial(
                    serve_until,
                    ending,
                    self._drain,
                    request_ids=self._request_ids,
                    proxy=self._proxy,
                    worn_out=None if inherited is None else self._report_worn_out,
                )
                urls = await nursery.start(serve, self._app, self._config, opening)
                self.signals.note_started(Budget.of(self._app, self._drain))
                if self._inherited is None:
                    self._serving = f"serving {name} on {', '.join(urls)}"
                    logger.info("%s", self._serving)
                    self.notifier.tell_ready(self._serving)
                else:
                    self._inherited.lifeline.ready(Budget.of(self._app, self._drain))
            beside.cancel_scope.cancel()

    def _end(self, number: int, at_once: bool) -> None:
        """React to a signal, in the event loop."""
        if number == SIGHUP:
            logger.info("the terminal was closed")
        if not self._stop.is_set():
            self._stopped_by, self._stopped_at = number, trio.current_time()
        elif at_once:
            self.code = SIGNALLED + number
        self._stop.set()
        if at_once:
            what = "ending at once" if self.signals.started else "ending the start-up"
            start = starting(self._app)
            waits = "" if start is None else f": {start}"
            logger.info("%s, %s%s", what, at_most(Budget.of(self._app, self._drain).at_once), waits)
            self._scope.cancel()

    def _reload(self) -> None:
        """React to a signal that asks for files to be read again, in the event loop."""
        if self._server is None or self._stop.is_set():
            logger.info("SIGHUP has no effect during a start-up or a shutdown")
            return
        self.notifier.tell_reloading("reading the certificate again")
        self._renew_certificate(self._server)
        self.notifier.tell_ready(self._serving)

    def _renew_certificate(self, server: Server) -> None:
        try:
            renewed = self._renew()
        except CertificateError as exc:
            logger.error("the old certificate stays: %s", exc)  # noqa: TRY400 - a file is to blame
            return
        if renewed is None:
            logger.info("SIGHUP has no effect: there is no certificate to read again")
            return
        server.renew_certificate(renewed)
        logger.info("new connections get the certificate that is there now")

    async def _shut_down(self, beside: trio.Nursery, server: Server) -> None:
        """Wait for the first signal, and drain the server."""
        self._server = server
        await self._stop.wait()
        self._stopping = True
        if self._inherited is not None:
            await self._inherited.lifeline.wait_told()
            beside.start_soon(self._report_stopped, self._inherited.lifeline, server)
        drain, grace = self._drain, math.inf
        if self._stopped_by == signal.SIGINT:
            drain, grace = evolve(drain, delay=0, idle=0), INTERRUPT_GRACE
        drain = evolve(drain, delay=server.delay(drain))
        others_drained = None
        if self._inherited is not None and server.stays(drain):
            # Other workers may have connections. Newcomers are answered until those have ended.
            others_drained = self._inherited.lifeline.wait_all_drained
        elif not (server.connections or drain.delay):
            # Accept none, so that the end has less to wait for.
            await server.stop_accepting(drain)
        budget = Budget.of(self._app, drain)
        if server.connections or drain.delay:
            seconds = budget.after(self._stopped_by)
            before = f"listening for {drain.delay:g} s more, then " if drain.delay else ""
            what = f"{before}closing {counted(server.connections, 'connection')}"
        elif others_drained is not None:
            seconds = budget.after(self._stopped_by)
            what = "listening until the other workers have drained"
        else:
            seconds, what = budget.idle, "there is no connection"
            self.signals.end_within(seconds)
        message = f"shutting down, {at_most(seconds)}: {what}"
        logger.info("%s", message)
        self.notifier.tell_stopping(message, seconds)
        beside.start_soon(self._report_progress, server)
        await server.shut_down(drain, grace=grace, others_drained=others_drained)

    async def _report_worn_out(self, server: Server) -> None:
        """Ask the parent for another worker, and serve until that one is ready."""
        await server.wait_worn_out()
        assert self._inherited is not None
        self._inherited.lifeline.report(WORN_OUT)

    async def _report_stopped(self, lifeline: Lifeline, server: Server) -> None:
        """Tell the parent when nobody is accepted any more."""
        await server.wait_stopped_listening()
        lifeline.report(STOPPED)

    async def _report_progress(self, server: Server) -> None:
        """Log what is left from time to time, until all has ended."""
        while True:
            await trio.sleep(PROGRESS)
            message = f"still {self._doing(server)}, {at_most(self.signals.seconds_left)}"
            logger.info("%s", message)
            self.notifier.tell_status(message)

    def _doing(self, server: Server) -> str:
        """Say what the shutdown waits for."""
        if self._app.is_running and not self._app._exchanges.draining and server.is_listening:
            return "listening"
        if server.connections:
            return f"closing {counted(server.connections, 'connection')}"
        exiting = self._app._resources.exiting
        return "shutting down" if exiting is None else f"waiting for {exiting} to exit"

    def say_goodbye(self) -> None:
        """Log that the end is over, if a signal began it."""
        if self._stop.is_set():
            logger.info("ended after %.1f s", trio.current_time() - self._stopped_at)
