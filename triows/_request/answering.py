"""The line of a request to an endpoint: it sends the response when all is done."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from triows._errors import is_a, leaves
from triows._exchange.line import Conclusion
from triows._exchange.refusals import instance_of
from triows._reply import problem

from .line import RequestLine
from .transport import DISCONNECTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from triows._exchange.catchers import Replaced
    from triows._injection.factories import Factory
    from triows._reasons import Reason
    from triows._settings import Timeouts
    from triows.types import Scope

    from .transport import RequestTransport

__all__ = ["AnsweringLine"]


# The usual conclusion.
_TOLD = Conclusion(told=True)


class AnsweringLine(RequestLine):
    """
    Tells the client of one request the outcome, when the resources have exited.

    Args:
        transport: The request.
        timeouts: The timeouts of the route.
        scope: What was asked for.
        replaced: Returns what counts in place of errors, because the application catches some.
    """

    who = "the handler"
    tells_last = True

    __slots__ = (
        "_deliver_by",
        "_delivering",
        "_rest",
        "_scope",
        "_timeouts",
        "after",
        "finish",
    )

    def __init__(
        self,
        transport: RequestTransport,
        timeouts: Timeouts,
        scope: Scope,
        replaced: Replaced | None = None,
    ) -> None:
        super().__init__(transport, patience=timeouts.close, replaced=replaced)
        #: Hands over the end of the response, or all of it, if the handler has made one. It returns
        #: what is to be awaited then, if the client is slow.
        self.finish: Callable[[], Awaitable[None] | None] | None = None
        #: What runs after the response.
        self.after: Callable[[], Awaitable[None]] | None = None
        self._timeouts = timeouts
        self._scope = scope
        self._rest: Awaitable[None] | None = None
        # Once the server is shutting down: when the client must have got everything.
        self._deliver_by = math.inf
        self._delivering: trio.CancelScope | None = None

    @property
    def needs_nursery(self) -> bool:
        return self.transport.needs_watch

    def start(self, tasks: trio.Nursery | None) -> None:
        if self.transport.needs_watch:
            assert tasks is not None
            tasks.start_soon(self.transport.watch, name="<watch of the client>")

    @property
    def instance(self) -> str | None:
        return instance_of(self._scope)

    def _change(self) -> None:
        super()._change()
        self.on_gone()

    def is_end(self, error: BaseException) -> bool:
        # While the client of this request waits for its answer, somebody else's has left. Otherwise
        # an exit that fails with such an error would be lost, and the client told that all is done.
        return super().is_end(error) and (self.transport.left or not is_a(error, *DISCONNECTS))

    def too_slow(self, making: Factory | None) -> trio.TooSlowError:
        """Make the error for arguments that take longer than ``Timeouts.accept``."""
        waited = "" if making is None else f": it waited for the factory {making.name}"
        return trio.TooSlowError(
            "the arguments of the handler were not made within "
            f"{self._timeouts.accept:g} s (Timeouts.accept){waited}"
        )

    async def conclude(self, errors: list[BaseException], reason: Reason | None) -> Conclusion:
        if self.finish is None or reason is not None or (errors and self._is_failed(errors)):
            return await self._conclude_otherwise(errors, reason)
        try:
            self._rest = self.finish()
        except DISCONNECTS:
            return Conclusion(self._missing)
        except Exception as exc:  # noqa: BLE001 - nothing else may be left unanswered
            errors.append(exc)
            return await self._conclude_otherwise(errors, reason)
        return _TOLD

    async def _conclude_otherwise(
        self, errors: list[BaseException], reason: Reason | None
    ) -> Conclusion:
        self.after = None
        if not self.transport.begun:
            self.transport.status = None  # one was begun, and nothing of it was sent
        return await super().conclude(errors, reason)

    async def _answer_instead(self) -> None:
        """Say that something has failed, if a middleware or the server has refused the response."""
        if not self.transport.begun:
            with suppress(Exception):  # the first error is the one to report
                await self._respond(problem(500))

    def _is_failed(self, errors: list[BaseException]) -> bool:
        return any(not self.is_end(leaf) for error in errors for leaf in leaves(error))

    @property
    def delivered(self) -> bool:
        return self._rest is None and self.after is None

    async def shut_down(self) -> bool:
        self._deliver_by = trio.current_time() + self._timeouts.shutdown_grace
        if self._delivering is not None:
            self._delivering.deadline = self._deliver_by
        return await super().shut_down()

    async def wait_delivered(self) -> None:
        """Wait until the server has taken the whole response, and run what comes after it."""
        if self._rest is not None:
            # All is done, so the client should learn of it, even if that was done at the last
            # moment of a shutdown.
            at_least = trio.current_time() + self._timeouts.close
            with trio.CancelScope(deadline=max(self._deliver_by, at_least)) as self._delivering:
                rest, self._rest = self._rest, None
                try:
                    await rest
                except DISCONNECTS:
                    pass
                except Exception:
                    await self._answer_instead()
                    raise
        with trio.CancelScope(deadline=self._deliver_by) as self._delivering:
            if self.after is not None:
                await self.after()
