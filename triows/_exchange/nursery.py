"""The nursery of one exchange, for which its handler may ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from triows._errors import without_cancelled

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OwnNursery"]


def _is_cancelled_within(nursery: trio.Nursery) -> bool:
    """
    Say whether a task of a nursery has failed, or somebody has cancelled the nursery.

    A nursery also cancels itself when a cancellation from outside has ended one of its tasks
    before the others. Trio shows the difference only in what it will raise.
    """
    pending = getattr(nursery, "_pending_excs", ())
    by_outside = bool(pending) and all(without_cancelled(exc) is None for exc in pending)
    return nursery.cancel_scope.cancel_called and not by_outside


class OwnNursery:
    """
    Keeps a nursery open, in a task of its own.

    It is not around the handler, so it can be cancelled at once when the peer leaves, while the
    handler gets its grace.

    Args:
        on_failure: Called if one of its tasks fails, with the error.
        noun: What inspection calls the exchange.
    """

    def __init__(
        self, on_failure: Callable[[BaseException], None], noun: str = "connection"
    ) -> None:
        self._noun = noun
        self._on_failure = on_failure
        self._nursery: trio.Nursery | None = None
        # Whether the exchange is about to end, so that the nursery's tasks have to.
        self._ending = False
        self._handler_left, self._left = trio.Event(), trio.Event()

    async def open(self, tasks: trio.Nursery) -> trio.Nursery:
        """
        Open the nursery, and return it.

        Args:
            tasks: Where the task that holds it runs. :meth:`leave` ends that task.
        """
        opened = trio.Event()
        tasks.start_soon(self._hold, opened, name=f"<{self._noun} nursery>")
        await opened.wait()
        assert self._nursery is not None
        return self._nursery

    def cancel(self) -> None:
        """Cancel the tasks in it, and those that are started later, because the exchange ends."""
        self._ending = True
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    async def leave(self, seconds: float) -> bool:
        """
        Close it, because the handler is over. Its tasks have some *seconds* to clean up.

        A cancellation has no effect on this.

        Returns:
            Whether they have ended.
        """
        self._handler_left.set()
        if self._nursery is None:
            self._ending = True  # its task hasn't run yet, and ends as soon as it does
            return True
        self._nursery.cancel_scope.cancel()
        with trio.move_on_after(seconds, shield=True):
            await self._left.wait()
        return self._left.is_set()

    async def _hold(self, opened: trio.Event) -> None:
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                opened.set()
                if self._ending:  # already
                    nursery.cancel_scope.cancel()
                try:
                    await trio.sleep_forever()
                except trio.Cancelled:
                    # A handler in its grace, or one that was cancelled from outside and does
                    # not know yet, may start further tasks. They end at once, as those before
                    # them did; a nursery that is closed would raise instead.
                    crashed = _is_cancelled_within(nursery) and not self._ending
                    if not crashed:
                        # This always ends, because leave() is called on every path.
                        with trio.CancelScope(shield=True):
                            await self._handler_left.wait()
                    raise
        except BaseException as exc:  # noqa: BLE001 - it is the exchange's error
            error = without_cancelled(exc)
            if error is not None:
                self._on_failure(error)
        finally:
            self._left.set()
