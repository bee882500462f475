"""A line that notes what a lifetime does with it, and a resource that notes when it exits."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from triows._exchange.lifetime import Lifetime
from triows._exchange.line import Conclusion
from triows._injection.call import make_value
from triows._injection.factories import Factory
from triows._settings import Timeouts
from triows.exceptions import Disconnected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from triows._injection.hosts import ResourceStack
    from triows._reasons import Reason

__all__ = ["NotingLine", "entered", "lifetime_over"]


class NotingLine:
    """A :class:`triows._exchange.line.Line`. The test says what its peer does."""

    noun = "call"
    who = "the callee"
    needs_nursery = True
    is_complete = False
    tells_last = False
    #: The source of its exceptions.
    own = "this call"

    def __init__(self) -> None:
        #: What was called, in order.
        self.calls: list[str] = []
        #: The arguments of :meth:`conclude` and :meth:`aclose`.
        self.outcome: tuple[list[BaseException], Reason | None] | None = None
        self.closing: dict[str, bool] = {}
        #: What :meth:`conclude` decides. By default, errors are reported.
        self.conclusion: Conclusion | None = None
        #: What the two raise, if anything.
        self.conclude_raises: Exception | None = None
        self.aclose_raises: Exception | None = None
        self.delivered = True
        self.ended = False
        #: Set when the peer has got everything.
        self.got_all = trio.Event()
        #: What the peer does at a shutdown: it leaves after so many seconds, or stays.
        self.leaves_after: float | None = None
        self.explained: list[BaseException] = []
        self.is_over = False
        self.reader_ended = False
        #: What the line's own task raises when it is cancelled, if anything.
        self.reader_raises: Exception | None = None

    def start(self, tasks: trio.Nursery | None) -> None:
        self.calls.append("start")
        if tasks is not None and self.needs_nursery:
            tasks.start_soon(self._read)

    async def _read(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self.reader_ended = True
            if self.reader_raises is not None:
                raise self.reader_raises

    def is_end(self, error: BaseException) -> bool:
        return isinstance(error, Disconnected)

    def explain(self, error: BaseException) -> None:
        self.explained.append(error)

    async def conclude(self, errors: list[BaseException], reason: Reason | None) -> Conclusion:
        await trio.lowlevel.cancel_shielded_checkpoint()
        self.calls.append("conclude")
        self.outcome = (list(errors), reason)
        if self.conclude_raises is not None:
            raise self.conclude_raises
        real = [error for error in errors if not self.is_end(error)]
        return self.conclusion or Conclusion(failed=bool(real), told=True)

    async def shut_down(self) -> bool:
        self.calls.append("shut_down")
        if self.leaves_after is None:
            await trio.lowlevel.checkpoint()
            return True
        await trio.sleep(self.leaves_after)
        return False

    def note_over(self) -> None:
        self.is_over = True

    async def wait_delivered(self) -> None:
        self.calls.append("wait_delivered")
        await self.got_all.wait()

    async def aclose(self, *, cancelled: bool, from_outside: bool) -> None:
        await trio.lowlevel.cancel_shielded_checkpoint()
        self.calls.append("aclose")
        self.closing = {"cancelled": cancelled, "from_outside": from_outside}
        if self.aclose_raises is not None:
            raise self.aclose_raises


def lifetime_over(line: NotingLine, **timeouts: float) -> Lifetime:
    """Make a lifetime whose timeouts are easy to tell apart."""
    return Lifetime(
        line, Timeouts(**{"disconnect_grace": 2, "shutdown_grace": 10, "teardown": 4, **timeouts})
    )


async def entered(
    stack: ResourceStack, note: Callable[[str], None], *, exits: float = 0, error: Any = None
) -> None:
    """Enter a resource. It notes what it sees at its exit, takes some seconds, and may raise."""

    @asynccontextmanager
    async def resource() -> AsyncIterator[None]:
        seen = "exit"
        try:
            yield
        except BaseException as exc:
            seen = f"exit after {type(exc).__name__}"
            raise
        finally:
            await trio.sleep(exits)
            note(seen)
            if error is not None:
                raise error

    await make_value(Factory.of(resource), {}, stack, patience=1)
