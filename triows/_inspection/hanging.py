"""
Says what goes on although it should be over: a handler, a resource, a task, a start-up.

Trio can cancel a task, but it can't end one that shields itself, or that catches the cancellation
and goes on. Then everything that waits for that task waits, too: the resources of its connection,
and the shutdown. So a warning says which code it is. A start-up may take as long as it likes, but
a warning says what it waits for if that takes long.

One task of the application looks at all exchanges every few seconds. That costs them
nothing, and no warning is late: what is told to end after one look is not due before the next.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

import trio
from attrs import frozen

from triows._exchange.lifetime import Lifetime
from triows._injection.call import make_value
from triows._injection.guests import Guest
from triows._running import STARTING
from triows._stacks import describe, lines, relative, shown

from .inside import described, with_mounted
from .own import inner_nurseries, own_frames
from .places import place_of
from .resources import frames_of, nurseries_of
from .tasks import frames_in, look_at_nurseries, outline_of_nurseries
from .text import bounded, indented

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from triows._exchange.registry import Exchange
    from triows._injection.resource import Resource
    from triows._running import AppResources
    from triows._stacks import RawFrame

    from .inside import Inspected

__all__ = ["Hanging", "Overseer", "starting"]

logger = logging.getLogger("triows")

#: Seconds between two looks, at least. If ``Timeouts.teardown`` is shorter, a warning may be late.
_LEAST = 0.5

#: Exchanges to look at before other tasks get a turn.
_AT_ONCE = 500

#: The same for those that are late, which takes longer.
_FEW = 20

#: Lines that a warning has for the tasks below the one that hangs.
_TASKS = 20

_REMEDY = (
    "until it ends, a shutdown has to wait: let trio.Cancelled pass, and give each shield a "
    "short deadline"
)


@frozen
class Hanging:
    """Some code that goes on, and where it waits."""

    #: A sentence up to its last word, "at".
    what: str
    #: Lines, the outermost function first.
    stack: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([self.what, *self.stack])


class Overseer:
    """
    Warns of what goes on, once for each exchange, or for each part of the start-up.

    Args:
        app: The application.
        teardown: The shortest ``Timeouts.teardown`` in it.
    """

    def __init__(self, app: Inspected, teardown: float) -> None:
        self._app = app
        self._pause = min(max(teardown, _LEAST), STARTING)

    async def run(self) -> None:
        """Look until cancelled. This raises nothing else."""
        try:
            while True:
                now = trio.current_time()
                await trio.sleep_until(min(now + self._pause, await self._look(now)))
        except Exception:
            logger.exception("looking for code that hangs has failed, and ends here")

    async def _look(self, now: float) -> float:
        """Warn of what is late by now. Return when the next will be late."""
        following = math.inf
        late: set[Lifetime] = set()
        for number, one in enumerate(self._all(), 1):
            due = one.due(now)
            if due > now:
                following = min(following, due)
            elif one.told != due:
                # It is noted there, because a mounted application may have an overseer, too.
                one.told = due
                if isinstance(one, Lifetime):
                    late.add(one)
                else:
                    _warn_of_application(one)
            if number % _AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
        if late:
            await self._warn_of(late)
        return following

    def _all(self) -> Iterator[AppResources | Lifetime]:
        for _, inside in with_mounted("", self._app._inside()):
            yield inside.resources
            yield from (exchange.lifetime for exchange in inside.exchanges)

    async def _warn_of(self, late: set[Lifetime]) -> None:
        """Write one warning for all exchanges in which the same code hangs."""
        alike: dict[tuple[Hanging, str], list[str]] = {}
        for number, (prefix, exchange) in enumerate(self._found(late), 1):
            kind = (_hanging(exchange), exchange.lifetime.line.noun)
            alike.setdefault(kind, []).append(described(prefix, exchange))
            if number % _FEW == 0:
                await trio.lowlevel.checkpoint()
        for (found, noun), (first, *others) in alike.items():
            more = f"\n  ({_others(len(others), noun)} like this)" if others else ""
            logger.warning("%s has not ended: %s%s\n  (%s)", first, found, more, _REMEDY)

    def _found(self, late: set[Lifetime]) -> Iterator[tuple[str, Exchange]]:
        for prefix, inside in with_mounted("", self._app._inside()):
            for exchange in inside.exchanges:
                if exchange.lifetime in late:
                    yield prefix, exchange


def starting(app: Inspected) -> Hanging | None:
    """Say what the start-up of an application waits for, if it has begun and is not over."""
    found = None
    for _, inside in with_mounted("", app._inside()):
        # The start-up of one in which another is mounted may run that of the other.
        found = _starting(inside.resources) or found
    return found


def _warn_of_application(resources: AppResources) -> None:
    if (start := _starting(resources)) is not None:
        logger.warning("the start-up takes more than %g s: %s", STARTING, start)
    elif (exit_ := _exiting(resources)) is not None:
        logger.warning("the application has not ended: %s", exit_)


def _starting(resources: AppResources) -> Hanging | None:
    if resources.task is None or resources.stack is None or resources.stack.making is None:
        return None
    factory, host = resources.stack.making, _entering(resources.stack.hosts)
    return Hanging(
        f"{_place(factory.call)} has not started, and waits at",
        _stack(frames_of(host), nurseries_of(host))
        if host
        else _stack(frames_in(resources.task, make_value)),
    )


def _exiting(resources: AppResources) -> Hanging | None:
    host = None if resources.stack is None else _released(resources.stack.hosts)
    return None if host is None else _hanging_resource(host, 2 * resources.teardown)


def _hanging(exchange: Exchange) -> Hanging:
    """Say what an exchange waits for that is late."""
    lifetime, served = exchange.lifetime, exchange.served
    patience, handler = served.settings.timeouts.teardown, _place(served.handler)
    if lifetime.is_ending and (host := _released(lifetime.hosts)) is not None:
        return _hanging_resource(host, 2 * patience, inner_nurseries(lifetime))
    if lifetime.is_ending:
        hosts = {host.task for host in lifetime.hosts}
        return Hanging(
            f"tasks in the nursery of {handler} go on {patience:g} s after they were cancelled, "
            "and wait at",
            _stack((), [] if lifetime.tasks is None else [lifetime.tasks], but=hosts),
        )
    why = "" if lifetime.cancelled == "cancelled" else f" ({lifetime.cancelled})"
    goes_on = f"goes on {patience:g} s after it was cancelled{why}, and waits at"
    making = lifetime.making
    who = (
        f"{lifetime.line.who} {handler}" if making is None else f"the factory {_place(making.call)}"
    )
    return Hanging(f"{who} {goes_on}", _stack(own_frames(lifetime), inner_nurseries(lifetime)))


def _hanging_resource(
    host: Resource, seconds: float, around: Sequence[trio.Nursery] = ()
) -> Hanging:
    does = "has not exited" if host.entered else "still starts"
    return Hanging(
        f"the resource {_place(host.factory.call)} {does} {seconds:g} s after it had to end, "
        "and waits at",
        _stack(frames_of(host), around if isinstance(host, Guest) else nurseries_of(host)),
    )


def _place(call: Callable[..., Any]) -> str:
    return relative(place_of(call))


def _entering(hosts: Sequence[Resource]) -> Resource | None:
    """The resource that is being entered."""
    return hosts[-1] if hosts and not hosts[-1].entered else None


def _released(hosts: Sequence[Resource]) -> Resource | None:
    """The resource that is being exited."""
    return hosts[-1] if hosts and hosts[-1].released else None


def _stack(
    frames: Iterable[RawFrame],
    nurseries: Iterable[trio.Nursery] = (),
    but: Collection[trio.lowlevel.Task | None] = (),
) -> tuple[str, ...]:
    """Write down where a task waits, and the tasks in its nurseries."""
    tasks = outline_of_nurseries(look_at_nurseries(nurseries, but=but))
    below = [text for task in tasks for text in indented(task, 2)]
    return (*lines(shown(describe(frames))), *bounded(below, _TASKS))


def _others(number: int, noun: str) -> str:
    return f"1 more {noun} hangs" if number == 1 else f"{number} more {noun}s hang"
