"""A live plain request."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Protocol

import trio

from triows._exchange.lifetime import Lifetime
from triows._exchange.registry import Served
from triows._left_open import close_left_open, scopes_of

from .transport import nobody

if TYPE_CHECKING:
    from triows._exchange.lifetime import Body, LifetimeStage
    from triows._injection.hosts import ResourceStack
    from triows.types import Scope

    from .line import RequestLine
    from .transport import RequestTransport

__all__ = ["RequestExchange"]


class _Served(Served, Protocol):
    """What serves a request, as far as the request has to know it."""

    def line_of(self, transport: RequestTransport, scope: Scope) -> RequestLine:
        """Make the line of a request."""


class RequestExchange:
    """
    A request that the calling task serves. It is an :class:`~triows._exchange.registry.Exchange`.

    Most requests end by themselves, and leave nothing open. So a request has a lifetime only if it
    doesn't, or from the moment when somebody asks for it, to end it or to look at it.

    Args:
        served: What serves it.
        transport: The request.
        scope: What was asked for.
        around: The scope around the task, if it was lent. See :class:`.Lifetime`.
    """

    is_connection = False

    __slots__ = (
        "_around",
        "_is_served",
        "_lifetime",
        "_stack",
        "_started",
        "is_reading",
        "rest",
        "scope",
        "scopes",
        "served",
        "task",
        "transport",
    )

    def __init__(
        self,
        served: _Served,
        transport: RequestTransport,
        scope: Scope,
        around: trio.CancelScope | None,
    ) -> None:
        self.served = served
        self.transport = transport
        self.scope = scope
        #: Whether the body is read, because the handler's arguments need it.
        self.is_reading = False
        # The resources that are entered without a lifetime.
        self._stack: ResourceStack | None = None
        #: What is left to do while they are held.
        self.rest: Body | None = None
        self._around = around
        #: The task that serves it, and what was open in that before.
        self.task = trio.lowlevel.current_task()
        self.scopes = scopes_of(self.task)
        self._is_served = True
        self._started: float = transport.now()
        self._lifetime: Lifetime | None = None

    @property
    def lifetime(self) -> Lifetime:
        """Its lifetime. It is made when somebody asks for it."""
        if self._lifetime is None:
            timeouts = self.served.settings.timeouts
            line = self.served.line_of(self.transport, self.scope)
            self._lifetime = Lifetime(
                line,
                timeouts,
                started=self._started,
                around=self._around,
                timer=None if self._around is None else self.transport.timer,
            )
            if self._stack is not None:
                self._lifetime.hold(self._stack)
            line.on_gone = self._lifetime.note_gone
            self._lifetime.task = self.task if self._is_served else None
            if line.tells_last and self.transport.left:
                self._lifetime.note_gone()
            if not self._is_served:
                line.note_over()
        return self._lifetime

    @property
    def stage(self) -> LifetimeStage:
        """What it is doing. This begins its lifetime."""
        lifetime = self.lifetime
        return "arguments" if self.is_reading and not lifetime.is_ending else lifetime.stage

    def follow_client(self) -> None:
        """Let the lifetime know when the client leaves, or has left."""
        self.transport.on_left = self.note_left
        if self.transport.left:
            self.note_left()

    def note_left(self) -> None:
        """Note that the client has left."""
        self.lifetime.note_gone()

    @property
    def is_over(self) -> bool:
        """Whether it has ended by itself, and left nothing open, if its application has."""
        return (
            self._lifetime is None
            and self.transport.complete
            and self._around is not None
            and self._around.deadline == math.inf
        )

    def hold(self, stack: ResourceStack) -> None:
        """
        Let the lifetime, if there will be one, see and exit resources that were entered before.

        Args:
            stack: They are all on it.
        """
        self._stack = stack
        if self._lifetime is not None:
            self._lifetime.hold(stack)

    async def close_left_open(self) -> None:
        """Close what the application has opened in the task, and left open."""
        if scopes_of(self.task) is not self.scopes:
            await close_left_open(self.scopes)

    async def end(self, error: BaseException | None) -> None:
        """
        End it, because its application has ended.

        Args:
            error: What the application raised.

        Raises:
            BaseException: What went wrong, as one exception.
        """
        try:
            await self.lifetime.run(self.rest or partial(_ended, error))
        finally:
            del error  # its traceback refers to this frame

    def note_over(self) -> None:
        """Note that nothing runs any more, and that the scope serves others from now on."""
        self._around = self._stack = None
        self._is_served = False
        self.transport.on_left = nobody  # which would be a cycle of references

    @property
    def duration(self) -> float:
        """How many seconds it has taken so far."""
        return trio.current_time() - self._started

    @property
    def why(self) -> str:
        """What the log says about its end."""
        return "" if self._lifetime is None else self._lifetime.why

    @property
    def is_incomplete(self) -> bool:
        """Whether its response has begun, and its end is missing."""
        return self.transport.begun and not self.transport.complete

    def is_cut_off(self, *, within: bool) -> bool:
        """
        Say whether its response must not go on.

        Args:
            within: Whether middlewares are around it, so that it must have ended by now.
        """
        lifetime = self._lifetime
        is_cancelled = lifetime is not None and lifetime.cancelled is not None
        return self.is_incomplete and (within or is_cancelled)


async def _ended(
    error: BaseException | None, _stack: ResourceStack, _nursery: trio.Nursery | None
) -> None:
    """Be the body of an exchange whose application has ended."""
    try:
        if error is not None:
            raise error
    finally:
        del error
