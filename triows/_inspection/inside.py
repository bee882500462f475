"""What an application shows of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from triows._log import peer_of
from triows._printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from triows._exchange.registry import Exchange, Exchanges
    from triows._running import AppResources
    from triows._settings import Timeouts

__all__ = ["Inside", "Inspected", "described", "live", "with_mounted"]


@frozen(eq=False)
class Inside:
    """What an application shows to inspection."""

    running: bool
    exchanges: Exchanges
    resources: AppResources
    #: triows applications that are mounted in it, by their paths.
    mounted: Mapping[str, Inspected]
    #: Yields the timeouts of all its routes, and of applications that are mounted in it.
    timeouts: Callable[[], Iterable[Timeouts]]


class Inspected(Protocol):
    """An application that :func:`tree` can look at: :class:`~triows.Triows`."""

    def _inside(self) -> Inside:
        """Return its exchanges, its resources, and the applications mounted in it."""


def with_mounted(prefix: str, inside: Inside) -> Iterator[tuple[str, Inside]]:
    """Yield an application and all that are mounted in it, each once, with their paths."""
    waiting, seen = [(prefix, inside)], {id(inside.exchanges)}
    while waiting:
        path, one = waiting.pop()
        yield path, one
        for below, app in one.mounted.items():
            mounted = app._inside()
            if id(mounted.exchanges) not in seen:
                seen.add(id(mounted.exchanges))
                waiting.append((path + below.rstrip("/"), mounted))


def live(app: Inspected) -> Iterator[Exchange]:
    """Yield the live exchanges of an application, and of all that are mounted in it."""
    for _, inside in with_mounted("", app._inside()):
        yield from inside.exchanges


def described(prefix: str, exchange: Exchange) -> str:
    """Say which exchange it is, for a message. *prefix* is where its application is mounted."""
    peer = printable(peer_of(exchange.scope))
    if exchange.is_connection:
        return f"the connection to {prefix}{exchange.served.path} from {peer}"
    # A mount's template says little about what was asked for.
    return f"the request for {printable(str(exchange.scope.get('path', '')))} from {peer}"
