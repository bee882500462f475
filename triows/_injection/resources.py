"""
Resources that close however the connection ends.

The obvious designs break the promise, each in its own way; ``tests/injection/
test_traps.py`` holds one test for each of them.

1. An :class:`contextlib.AsyncExitStack` in the handler's task: once the handler is
   cancelled, every ``await`` in a ``finally`` is cancelled again.
2. The same with a shield around the exits: a factory that holds a nursery or a cancel
   scope across its ``yield`` was entered outside the shield and is left inside it. Trio
   calls that a corrupted cancel scope stack, and rightly.
3. A shield that is switched on late, around factories that were entered without it: the
   cancellation has by then reached the factories' own nurseries, and what is nested in
   those stays cancelled.

What holds is pytest-trio's answer for fixtures: **each resource lives in a task of its
own**, its :class:`Host`. There it is entered, waits while the handler uses it, and is
exited, all at one place in one scope stack, so whatever it holds across its ``yield`` is
nested as it was written. Cancellation from outside reaches the handler first, because
hosts are shielded; the hosts go on until they are released, one by one, the last entered
first, each with a deadline. A host never lets an error out into the nursery it shares
with the others: it records it, so that the others still close in order.
"""

from __future__ import annotations

import contextlib
import inspect
from typing import TYPE_CHECKING, Any

import trio

from triows._errors import add_note, consists_of, without
from triows._managers import AsyncGeneratorManager, GeneratorManager, considerate
from triows._where import where
from triows.exceptions import (
    DependencyError,
    HandlerCancelled,
    ResourceExpired,
    TeardownTimeout,
    WebSocketDisconnect,
)

from .factories import shown

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable, Mapping

    from .factories import Factory

__all__ = ["Host", "ResourceStack"]


class Host:
    """
    The task that one resource lives in.

    Args:
        factory: What makes the resource.
        arguments: Its arguments, ready.
        on_expired: Called once, from the host's task, when the resource fails while it is in
            use: a background task of its own died, or a deadline around its ``yield`` passed.
            It should cancel those who use the resource. It is not called if somebody cancels
            a scope or nursery around the ``yield`` on purpose, by ``cancel()``: the resource
            then stays until its turn to exit, and exits as otherwise. A resource that wants to
            end its connection raises an error in a background task.
    """

    def __init__(
        self, factory: Factory, arguments: Mapping[str, Any], on_expired: Callable[[Host], None]
    ) -> None:
        self.factory = factory
        self.value: Any = None
        self.error: BaseException | None = None
        self.entered = False
        self.expired = False
        #: The task that it lives in, and the context manager there, for whoever wants to see where
        #: it is. ``None`` before and after, because both would keep alive what the resource held.
        self.task: trio.lowlevel.Task | None = None
        self.manager: object = None
        #: Set when the resource is entered, or failed to be.
        self.settled = trio.Event()
        self.done = trio.Event()
        self._arguments = arguments
        self._on_expired = on_expired
        self._released = trio.Event()
        # What is raised at its yield, and whether a bare yield is left out.
        self._thrown: BaseException | None = None
        self._spares_bare = False
        self._left_by: BaseException | None = None
        # Shielded from the start, so that a cancellation from outside arrives by
        # cancel_entry() or not at all.
        self._entry = trio.CancelScope(shield=True)
        # Becomes a shield against _entry at the moment the resource is entered: a
        # cancel_entry() that comes in the same tick must not spoil the exit. This is no
        # third trap: it matters only for a resource that was entered all the same.
        self._life = trio.CancelScope()

    async def run(self, context: contextvars.Context) -> None:
        """Enter the resource, hold it until it is released, and exit it. This never raises."""
        # A factory and its handler see one another's context variables, as if they had
        # been one task. Trio has no public argument for this; pytest-trio does the same.
        self.task = trio.lowlevel.current_task()
        self.task.context = context
        await trio.lowlevel.cancel_shielded_checkpoint()
        try:
            with self._entry, self._life:
                await self._live()
        except BaseException as exc:  # noqa: BLE001 - the stack reports it
            self.error = exc
        self.task = self.manager = None
        try:
            self._judge()
        except Exception as exc:  # noqa: BLE001 - whoever waits for the end has to learn of it
            self.error = exc
        finally:
            # Their tracebacks know this host.
            self._thrown = self._left_by = None
            self.settled.set()
            self.done.set()

    async def _live(self) -> None:
        try:
            manager = self.manager = _manager_of(self.factory, self._arguments)
            if isinstance(manager, contextlib.AbstractAsyncContextManager):
                async with manager as value:
                    await self._hold(value)
            else:
                with manager as value:
                    await self._hold(value)
        except BaseException as exc:
            self._left_by = exc
            if exc.__traceback__ is not None and exc.__traceback__.tb_next is None:
                # Python itself refused something, and nothing else would say whose it was.
                add_note(exc, f"this is about the resource {self.factory.name}{self._at}")
            raise

    @property
    def _at(self) -> str:
        return f"\n  at {where(self.factory.call)}"

    async def _hold(self, value: Any) -> None:
        """Wait at the resource's ``yield``, and raise there what the release says."""
        self._life.shield = True
        self.value = value
        self.entered = True
        self.settled.set()
        try:
            await self._released.wait()
        except trio.Cancelled as exc:
            # Only a scope of the resource's own can have been cancelled here. If that happened by
            # itself, its users have to go first; then Cancelled goes where it belongs, into the
            # resource. If somebody called cancel(), they meant it, and nobody is surprised.
            meant = exc.source == "explicit"
            if not meant:
                self._expire()
            # Not without end: whoever owns the stack releases every host on every path.
            with trio.CancelScope(shield=True):
                await self._released.wait()
            if not meant:
                raise
        # Only now is it known at which of its yields a generator is.
        spared = self._spares_bare and not self.factory.is_guarded(self.manager)
        if self._thrown is not None and not spared:
            raise self._thrown

    def _expire(self) -> None:
        if not self._entry.cancel_called:
            self.expired = True
            self._on_expired(self)

    def _judge(self) -> None:
        """Decide what is left to report after the resource has exited."""
        if self.error is not None and self._thrown is not None:
            self.error = without(self.error, self._thrown)
        if self.error is None and self._life.cancelled_caught and self._released.is_set():
            self.error = TeardownTimeout(
                f"{self.factory.name} did not exit in time, which is its share of Timeouts.teardown"
                f"{self._at}"
            )
            # An error that was on its way when the exit hung went down with it.
            self.error.__context__ = self._left_by
        if self.error is None and self.expired:
            self.error = ResourceExpired(
                f"{self.factory.name} ended while it was in use: a cancel scope around its "
                "yield was cancelled, by its deadline or because a task failed"
                f"{self._at}"
            )

    @property
    def released(self) -> bool:
        """Whether it has been told to exit."""
        return self._released.is_set()

    def cancel_entry(self) -> None:
        """Cancel the factory if it is still entering; no effect on one that has entered."""
        if not self.settled.is_set():
            self._entry.cancel()

    def release(self, error: BaseException | None, cancelled: str | None, seconds: float) -> None:
        """
        Let the resource exit within *seconds*.

        At its ``yield`` is raised what the handler raised, or :exc:`~triows.HandlerCancelled`
        with the reason why it was cancelled. That the peer has left or that the handler was
        cancelled is an end like any other to a bare ``yield``, and the lines after it run.
        """
        # One each: a traceback grows on every exception that is raised in several places.
        self._thrown = error if cancelled is None else HandlerCancelled(cancelled)
        self._spares_bare = cancelled is not None or (
            error is not None and consists_of(error, WebSocketDisconnect)
        )
        # Also if it has not entered: it may do so yet, where it shields itself.
        self._life.deadline = trio.current_time() + seconds
        if not self.entered:
            self._entry.cancel()
        self._released.set()


def _manager_of(factory: Factory, arguments: Mapping[str, Any]) -> Any:
    """
    Call a factory, and return its context manager.

    Raises:
        DependencyError: It didn't return what can be entered.
    """
    manager = considerate(factory.open(**arguments))
    if isinstance(manager, AsyncGeneratorManager | GeneratorManager):
        expected = "a generator"
        made: Any = manager.gen
        fits = hasattr(made, "athrow" if isinstance(manager, AsyncGeneratorManager) else "throw")
        remedy = "let its decorators return what the function that they decorate returns"
    else:
        expected, made = "a context manager", manager
        fits = isinstance(
            made, contextlib.AbstractAsyncContextManager | contextlib.AbstractContextManager
        )
        remedy = "return one, or change the annotation of what it returns"
    if fits:
        return manager
    if inspect.iscoroutine(made):
        made.close()  # or Python warns that it was never awaited
    raise DependencyError(
        f"{factory.name} returned {shown(made)}, where {expected} is expected: {remedy}",
        where(factory.call),
    )


class ResourceStack:
    """
    The resources of one connection, or of the application, in the order of entry.

    Args:
        nursery: Where the hosts run. The stack's owner opened it, and calls
            :meth:`aclose` before leaving it, whatever happens.
        on_expired: Called when a resource fails while it is in use.
    """

    def __init__(self, nursery: trio.Nursery, on_expired: Callable[[Host], None]) -> None:
        self.hosts: list[Host] = []
        self._nursery = nursery
        self._on_expired = on_expired

    async def enter(self, factory: Factory, arguments: Mapping[str, Any], patience: float) -> Any:
        """
        Enter a resource and return its value.

        Cancelling this cancels the factory, waits for what cleanup it does then, at most
        *patience* seconds, and leaves the stack in order.

        Raises:
            BaseException: what the factory raised instead of making a value.
        """
        host = Host(factory, arguments, self._on_expired)
        self.hosts.append(host)
        self._nursery.start_soon(
            host.run, trio.lowlevel.current_task().context, name=f"<resource {factory.name}>"
        )
        try:
            await host.settled.wait()
        except trio.Cancelled:
            host.cancel_entry()
            with trio.move_on_after(patience, shield=True):
                await host.settled.wait()
            raise
        if not host.entered:
            self.hosts.remove(host)
            assert host.error is not None
            raise host.error
        return host.value

    async def aclose(
        self, *, seconds: float, error: BaseException | None = None, cancelled: str | None = None
    ) -> list[BaseException]:
        """
        Exit every resource, the last entered first, and return what went wrong.

        The caller shields it; it is bounded by *seconds*. Each resource may take an equal
        share of the time that is left, so one that hangs leaves the others their turn.

        Args:
            seconds: For all of them together.
            error: What the handler raised; it is raised at each ``yield``.
            cancelled: Why the handler was cancelled, if it was; then
                :exc:`~triows.HandlerCancelled` is raised at the guarded ones.
        """
        end = trio.current_time() + seconds
        least = seconds / max(1, len(self.hosts))
        errors: list[BaseException] = []
        while self.hosts:
            host = self.hosts[-1]
            share = (end - trio.current_time()) / len(self.hosts)
            # A resource that shielded itself and overran has spent its own time, not the
            # others': they get what they would have had.
            host.release(error, cancelled, share if share > 0 else least)
            await host.done.wait()  # bounded by its deadline
            self.hosts.pop()
            if host.error is not None:
                errors.append(host.error)
        return errors
