"""
Resources without a task of their own.

A task costs more than all that most resources do. A resource needs one if it holds something at its
``yield`` that belongs to a task: a cancel scope, a nursery, a lock. Otherwise it is entered in the
task of the handler, and exited there behind a shield, when the handler is over.

``factories.Holding`` knows which resources these are. The source of the factory has no ``with``
around a ``yield``, and the factory's first resource, which had a task of its own, was seen to hold
nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from triows._errors import exc_info
from triows._left_open import scopes_of
from triows._managers import AsyncGeneratorManager, GeneratorManager
from triows._where import where
from triows.exceptions import DependencyError

from .factories import FactoryKind
from .resource import Resource

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Guest"]


class Guest(Resource):
    """A resource that lives in the task of what uses it."""

    __slots__ = ("_deadline",)

    async def enter(self, arguments: Mapping[str, Any], guests: list[Any]) -> Any:
        """
        Enter the resource and return its value.

        Args:
            arguments: The factory's arguments.
            guests: It is the last of these while it is entered, and if that works.

        Raises:
            DependencyError: It holds a cancel scope, although the factory's first one didn't. It
                was exited.
            BaseException: The factory raised this instead of making a value.
        """
        task = self.task = trio.lowlevel.current_task()
        scopes = scopes_of(task)
        guests.append(self)
        try:
            generator = self.factory.call(**arguments)
            try:
                if self.factory.kind is FactoryKind.GENERATOR:
                    self.manager = GeneratorManager(generator)
                    self.value = self.manager.__enter__()
                else:
                    self.manager = AsyncGeneratorManager(generator)
                    self.value = await self.manager.__aenter__()
            except BaseException as exc:
                self._note_raised(exc)
                self._left_by = None
                raise
            if scopes_of(task) is not scopes:
                await self._refuse_scope()
            self.entered = True
        finally:
            self.task = None
            if not self.entered:
                guests.remove(self)
        return self.value

    async def _refuse_scope(self) -> None:
        self.factory.holding.note(holds=True)
        self._thrown = DependencyError(
            f"{self.factory.name} holds a cancel scope at its yield, and did not before: put the "
            "scope, or the nursery, into a `with` around the yield",
            where(self.factory.call),
        )
        try:
            await self._exit()
        finally:
            self._thrown = None

    def release(self, deadline: float) -> None:
        """Let the resource exit until *deadline*. See :meth:`.Host.release`."""
        self._deadline = deadline
        self.released = True

    async def wait_done(self) -> None:
        """Exit the resource. A cancellation has no effect on this, and it never raises."""
        is_late = False
        try:
            if self.factory.waits:
                is_late = await self._exit_in_time()
            else:
                await self._exit_noting()
        except BaseException as exc:  # noqa: BLE001 - the stack reports it
            self.error = exc
        self._end(is_late=is_late)

    async def _exit_in_time(self) -> bool:
        """Exit behind a shield, and return whether that took too long."""
        self.task = trio.lowlevel.current_task()
        with trio.CancelScope(deadline=self._deadline, shield=True) as scope:
            await self._exit_noting()
        return scope.cancelled_caught

    async def _exit_noting(self) -> None:
        try:
            await self._exit()
        except BaseException as exc:
            self._note_raised(exc)
            raise

    async def _exit(self) -> None:
        thrown = self._to_raise()
        how = (None, None, None) if thrown is None else exc_info(thrown)
        try:
            if self.factory.kind is FactoryKind.GENERATOR:
                swallowed = self.manager.__exit__(*how)
            else:
                swallowed = await self.manager.__aexit__(*how)
            if thrown is not None and not swallowed:
                raise thrown
        finally:
            del thrown, how  # the traceback refers to this frame
