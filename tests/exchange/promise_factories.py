"""The factories of a case, each as a user would write it."""

import math
from collections.abc import Callable
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias

import trio

from tests.exchange.promise_cases import Kind, Resource
from tests.exchange.promise_story import Instance, Story

__all__ = ["WRITERS", "Frame"]


class Frame:
    """A local variable of a generator. It notices when the generator's frame is freed."""

    def __init__(self, one: Instance) -> None:
        self._one = one

    def __del__(self) -> None:
        # If the cleanup raised, the traceback keeps the frame. Nobody looks at that time.
        if not self._one.begun:
            self._one.gone = self._one.story.now()


# The factories, each as a user would write it. `before` is the annotation of their only parameter,
# the resource before this one.

Writer: TypeAlias = Callable[[Resource, Story, Any], Callable[..., Any]]
WRITERS: dict[Kind, Writer] = {}


def _writes(kind: Kind) -> Callable[[Writer], Writer]:
    def register(writer: Writer) -> Writer:
        WRITERS[kind] = writer
        return writer

    return register


@_writes(Kind.BARE)
def _bare(resource, story, before):
    async def bare(before: before):
        one = story.calls(resource)
        await one.entry()
        one.enters()
        frame = Frame(one)  # noqa: F841 - it is its end that counts
        yield one
        one.begins(None)
        await one.clean()

    return bare


@_writes(Kind.GUARDED)
def _guarded(resource, story, before):
    async def guarded(before: before):
        one = story.calls(resource)
        await one.entry()
        try:
            with one.used():
                yield one
        finally:
            await one.clean()

    return guarded


@_writes(Kind.NURSERY)
def _nursery(resource, story, before):
    async def nursery(before: before):
        one = story.calls(resource)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.live)
            await one.entry()
            try:
                with one.used():
                    yield one
            finally:
                await one.clean()
            nursery.cancel_scope.cancel()

    return nursery


@_writes(Kind.SCOPE)
def _scope(resource, story, before):
    async def scope(before: before):
        one = story.calls(resource)
        with trio.move_on_after(math.inf):
            await one.entry()
            try:
                with one.used():
                    yield one
            finally:
                await one.clean()

    return scope


@_writes(Kind.EXPIRING)
def _expiring(resource, story, before):
    async def expiring(before: before):
        one = story.calls(resource)
        await one.entry()
        try:
            with trio.move_on_after(resource.after), one.used():
                yield one
        finally:
            await one.clean()

    return expiring


@_writes(Kind.EXPIRING_WHOLE)
def _expiring_whole(resource, story, before):
    async def expiring_whole(before: before):
        one = story.calls(resource)
        await one.entry()
        with trio.move_on_after(resource.after):
            try:
                with one.used():
                    yield one
            finally:
                await one.clean()

    return expiring_whole


@_writes(Kind.BACKGROUND)
def _background(resource, story, before):
    async def background(before: before):
        one = story.calls(resource)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(one.live_badly)
                await one.entry()
                with one.used():
                    yield one
                nursery.cancel_scope.cancel()
        finally:
            if one.entered:
                await one.clean()

    return background


@_writes(Kind.DECORATED)
def _decorated(resource, story, before):
    return asynccontextmanager(_guarded(resource, story, before))


@_writes(Kind.CLASS)
def _class(resource, story, before):
    class Manager:
        def __init__(self, before: before):
            self.one = story.calls(resource)

        async def __aenter__(self):
            await self.one.entry()
            self.one.enters()
            return self.one

        async def __aexit__(self, *exc_info):
            self.one.begins(exc_info[1])
            await self.one.clean()

    return Manager


@_writes(Kind.SYNC_BARE)
def _sync_bare(resource, story, before):
    def sync_bare(before: before):
        one = story.calls(resource)
        one.entry_now()
        one.enters()
        frame = Frame(one)  # noqa: F841 - it is its end that counts
        yield one
        one.begins(None)
        one.clean_now()

    return sync_bare


@_writes(Kind.SYNC_GUARDED)
def _sync_guarded(resource, story, before):
    def sync_guarded(before: before):
        one = story.calls(resource)
        one.entry_now()
        try:
            with one.used():
                yield one
        finally:
            one.clean_now()

    return sync_guarded


@_writes(Kind.SYNC_SCOPE)
def _sync_scope(resource, story, before):
    def sync_scope(before: before):
        one = story.calls(resource)
        with trio.CancelScope():
            one.entry_now()
            try:
                with one.used():
                    yield one
            finally:
                one.clean_now()

    return sync_scope


@_writes(Kind.SYNC_DECORATED)
def _sync_decorated(resource, story, before):
    return contextmanager(_sync_guarded(resource, story, before))


@_writes(Kind.SYNC_CLASS)
def _sync_class(resource, story, before):
    class SyncManager:
        def __init__(self, before: before):
            self.one = story.calls(resource)

        def __enter__(self):
            self.one.entry_now()
            self.one.enters()
            return self.one

        def __exit__(self, *exc_info):
            self.one.begins(exc_info[1])
            self.one.clean_now()

    return SyncManager


@_writes(Kind.COROUTINE)
def _coroutine(resource, story, before):
    async def coroutine(before: before):
        one = story.calls(resource)
        await one.entry()
        one.enters()
        return one

    return coroutine


@_writes(Kind.FUNCTION)
def _function(resource, story, before):
    def function(before: before):
        one = story.calls(resource)
        one.entry_now()
        one.enters()
        return one

    return function
