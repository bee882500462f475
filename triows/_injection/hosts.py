"""
Resources that always exit, however the connection ends.

Three obvious designs don't work. ``tests/injection/test_traps.py`` has a test for each of them.

1. An :class:`contextlib.AsyncExitStack` in the handler's task. Once the handler is cancelled, every
   ``await`` in a ``finally`` is cancelled again.
2. The same, with a shield around the exits. If a factory has a nursery or a cancel scope around its
   ``yield``, that was entered outside the shield and is exited inside it. Trio says that the
   cancel scope stack is corrupted, and it is right.
3. A shield around the factories that is switched on only at the end. By then, the cancellation has
   reached the factories' own nurseries, and everything inside those stays cancelled.

What works is what pytest-trio does for fixtures: **each resource lives in a task of its own**, its
:class:`Host`. The host enters the resource, waits while the handler uses it, and exits it. All of
this happens in one task, so scopes and nurseries around a ``yield`` are nested as they are written.
Hosts are shielded, so a cancellation from outside reaches the handler first. The hosts go on until
they are released, one by one, the last entered first, each with a deadline. A host never raises
into the nursery that it shares with other hosts. It keeps its error, so that the others still exit
in order.

A resource that holds nothing at its ``yield`` that belongs to a task needs none: see ``guests.py``.
"""

from __future__ import annotations

import contextlib
import inspect
from typing import TYPE_CHECKING, Any

import trio

from triows._errors import without_stray
from triows._left_open import scopes_of
from triows._managers import AsyncGeneratorManager, GeneratorManager, considerate
from triows._stacks import describe
from triows._where import where
from triows.exceptions import DependencyError

from .factories import shown
from .guests import Guest
from .resource import Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from triows._stacks import Frame

    from .factories import Factory

__all__ = ["Host", "ResourceStack"]


class Host(Resource):
    """
    The task that one resource lives in.

    Args:
        factory: The factory that makes the resource.
        arguments: The factory's arguments.
        on_expired: Called once, in the host's task, if the resource fails while it is in use: one
            of its background tasks failed, or a deadline around its ``yield`` passed. It should
            cancel whatever uses the resource. It isn't called if somebody calls ``cancel()`` on a
            scope or nursery around the ``yield``. Then the resource stays until it is its turn to
            exit, and exits as usual. A resource that wants to end its connection can raise an
            error in a background task.
        user: What uses the resource, for a message.
    """

    def __init__(
        self,
        factory: Factory,
        arguments: Mapping[str, Any],
        on_expired: Callable[[Host], None],
        user: str = "the handler",
    ) -> None:
        super().__init__(factory, user)
        #: Whether the resource is entered, or entering it has failed.
        self.settled = False
        # Set when this changes, or the resource is over. Whoever waits for that makes it.
        self._changed: trio.Event | None = None
        self._arguments = arguments
        self._on_expired = on_expired
        # Set when it is released.
        self._may_exit = trio.Event()
        # Shielded from the start, so that only cancel_entry() can cancel the factory.
        self._entry = trio.CancelScope(shield=True)
        # Becomes a shield against _entry at the moment when the resource is entered. If
        # cancel_entry() comes in the same tick, it must not cancel the exit. This isn't the third
        # design above: the shield is switched on while nothing inside is cancelled yet.
        self._life = trio.CancelScope()

    def start(self, nursery: trio.Nursery) -> None:
        """Enter the resource in a task of *nursery*."""
        others = nursery.child_tasks
        nursery.start_soon(self._run, name=f"<resource {self.factory.name}>")
        (self.task,) = nursery.child_tasks - others
        # A factory and its handler see each other's context variables, as if they were one task.
        # Trio has no public argument for this. pytest-trio does the same.
        self.task.context = trio.lowlevel.current_task().context

    async def _run(self) -> None:
        """Enter the resource, hold it until it is released, and exit it. This never raises."""
        try:
            with self._entry, self._life:
                self._scopes = scopes_of(trio.lowlevel.current_task())
                await self._live()
        except BaseException as exc:  # noqa: BLE001 - the stack reports it
            self.error = exc
        self._end(is_late=self._life.cancelled_caught and self.released)
        self._settle()

    async def _live(self) -> None:
        try:
            manager = self.manager = _manager_of(self.factory, self._arguments)
            self._arguments = {}  # the resource has them
            if isinstance(manager, contextlib.AbstractAsyncContextManager):
                async with manager as value:
                    await self._hold(value)
            else:
                with manager as value:
                    await self._hold(value)
        except BaseException as exc:
            self._note_raised(exc)
            raise

    async def _hold(self, value: Any) -> None:
        """Wait at the resource's ``yield``, and raise there what :meth:`release` was given."""
        task = trio.lowlevel.current_task()
        self.factory.holding.note(holds=scopes_of(task) is not self._scopes)
        self._life.shield = True
        self.value = value
        self.entered = True
        self._settle()
        try:
            await self._may_exit.wait()
        except trio.Cancelled as exc:
            # Only a scope of the resource itself can be cancelled here. If nobody called cancel(),
            # the resource has failed. Then whatever uses it has to end first, and after that
            # Cancelled is raised in the resource. If somebody called cancel(), they meant it, and
            # the resource just waits for its turn to exit.
            meant = exc.source == "explicit"
            if not meant:
                self._expire()
            # This always ends, because the stack's owner releases every host on every path.
            with trio.CancelScope(shield=True):
                await self._may_exit.wait()
            if not meant:
                raise
        thrown = self._to_raise()
        if thrown is not None:
            try:
                raise thrown
            finally:
                del thrown  # its traceback refers to this frame

    def _settle(self) -> None:
        self.settled = True
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    async def wait_settled(self) -> None:
        """Wait until the resource is entered, or entering it has failed."""
        while not self.settled:
            await self._wait_change()

    async def wait_done(self) -> None:
        """Wait until the resource has exited. A cancellation has no effect on this."""
        with trio.CancelScope(shield=True):  # the exit has a deadline
            while not self.done:
                await self._wait_change()

    async def _wait_change(self) -> None:
        if self._changed is None:
            self._changed = trio.Event()
        await self._changed.wait()

    def _expire(self) -> None:
        if not self._entry.cancel_called:
            self.expired = True
            self._on_expired(self)

    def frames(self) -> tuple[Frame, ...]:
        """Describe where it waits. Don't call this in its own task."""
        return () if self.task is None else describe(self.task.iter_await_frames())

    def cancel_entry(self) -> None:
        """Cancel the factory if the resource isn't entered yet. Otherwise this has no effect."""
        if not self.settled:
            self._entry.cancel()

    def release(self, deadline: float) -> None:
        """Let the resource exit until *deadline*, on Trio's clock."""
        # Set this even if it isn't entered yet. A factory that shields itself may still enter.
        self._life.deadline = deadline
        if not self.entered:
            self._entry.cancel()
        self.released = True
        self._may_exit.set()


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
        nursery: The nursery in which the hosts run. The stack's owner opened it, and always calls
            :meth:`aclose` before leaving it. ``None`` if no hosts are needed.
        on_expired: Called when a resource fails while it is in use.
        user: What uses the resources, for messages.
        takes_guests: Whether :meth:`aclose` is called in the task that enters the resources, so
            that those that hold nothing may live there.
    """

    __slots__ = (
        "_nursery",
        "_on_expired",
        "_takes_guests",
        "_user",
        "hosts",
        "interrupted",
        "making",
    )

    def __init__(
        self,
        nursery: trio.Nursery | None,
        on_expired: Callable[[Host], None],
        user: str = "the handler",
        *,
        takes_guests: bool = False,
    ) -> None:
        self.hosts: list[Host | Guest] = []
        #: The factory that is being called at the moment, of whatever kind. If it fails or is
        #: cancelled, it is the last one.
        self.making: Factory | None = None
        #: Where a resource was when its entry was cancelled.
        self.interrupted: tuple[Frame, ...] = ()
        self._nursery = nursery
        self._on_expired = on_expired
        self._user = user
        self._takes_guests = takes_guests

    # A plain function, because each coroutine around others takes time.
    def enter(
        self, factory: Factory, arguments: Mapping[str, Any], patience: float
    ) -> Coroutine[Any, Any, Any]:
        """
        Enter a resource and return its value.

        Cancelling this cancels the factory, and waits for its cleanup for at most *patience*
        seconds. The stack stays usable.

        Raises:
            BaseException: The factory raised this instead of making a value.
        """
        if self._takes_guests and not (factory.holding.is_possible and self._nursery is not None):
            return Guest(factory, self._user).enter(arguments, self.hosts)
        return self._enter_host(factory, arguments, patience)

    async def _enter_host(
        self, factory: Factory, arguments: Mapping[str, Any], patience: float
    ) -> Any:
        assert self._nursery is not None
        host = Host(factory, arguments, self._on_expired, self._user)
        self.hosts.append(host)
        host.start(self._nursery)
        try:
            await host.wait_settled()
        except trio.Cancelled:
            self.interrupted = host.frames()
            host.cancel_entry()
            with trio.move_on_after(patience, shield=True):
                await host.wait_settled()
            raise
        if not host.entered:
            self.hosts.remove(host)
            assert host.error is not None
            raise host.error
        return host.value

    async def aclose(
        self,
        *,
        seconds: float,
        error: BaseException | None = None,
        cancelled: str | None = None,
        own: object = None,
        is_end: bool = False,
        spares_outlasting: bool = False,
    ) -> list[BaseException]:
        """
        Exit every resource, the last entered first, and return what went wrong.

        A cancellation has no effect on this. It takes *seconds* at most. Each resource may take an
        equal share of the time that is left, so the others get their turn even if one never ends.

        Args:
            seconds: How long all exits together may take.
            error: What the handler raised. It is raised at each ``yield``.
            cancelled: Why the handler was cancelled, if it was. In that case
                :exc:`~triows.HandlerCancelled` is raised at each guarded ``yield``.
            own: The source of that.
            is_end: Whether the error only means that the peer has left. Then nothing is raised at a
                bare ``yield``.
            spares_outlasting: Whether those with ``until="sent"`` stay, for another call.
        """
        hosts, errors = self.hosts, []
        if spares_outlasting:
            hosts = [host for host in hosts if not host.factory.outlasts]
        now = trio.current_time()
        end, least = now + seconds, seconds / max(1, len(hosts))
        while hosts:
            host = hosts[-1]
            share = (end - now) / len(hosts)
            # If a resource shielded itself and took all the time, the others still get the share
            # that they had at the beginning.
            if error is not None or cancelled is not None:
                host.let_raise(error, cancelled, own, is_end=is_end)
            host.release(now + (share if share > 0 else least))
            await host.wait_done()  # bounded by its deadline
            hosts.pop()
            if spares_outlasting:
                self.hosts.remove(host)
            if host.error is not None:
                errors.append(without_stray(host.error))
            now = trio.current_time() if hosts else now
        return errors
