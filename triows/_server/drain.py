"""What a server that shuts down does with newcomers and with idle connections."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

if TYPE_CHECKING:
    from attrs import Attribute

__all__ = ["Drain"]


def _seconds(default: float) -> float:
    """A field for a number of seconds, 0 or more."""

    def check(_: Any, attribute: Attribute[float], value: Any) -> None:
        # A bool is not meant as a number, and nan is not less than infinity.
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 <= value < math.inf:
            raise ValueError(
                f"Drain.{attribute.name} must be a number of seconds, 0 or more, not {value!r}"
            )

    number: float = field(default=default, validator=check)
    return number


def _flag(*, default: bool) -> bool:
    """A field that is true or false."""

    def check(_: Any, attribute: Attribute[bool], value: Any) -> None:
        if not isinstance(value, bool):
            raise TypeError(f"Drain.{attribute.name} must be True or False, not {value!r}")

    flag: bool = field(default=default, validator=check)
    return flag


@frozen(kw_only=True)
class Drain:
    """
    What a server that shuts down does with newcomers and with idle connections.

    It is an argument of :func:`triows.serve`. After SIGINT (Ctrl-C), *delay* and *idle* don't
    count, because a person waits.

    Raises:
        ValueError: A number of seconds is negative, or has no limit.
        TypeError: *listen* is something other than true or false.
    """

    #: How many seconds the server goes on as before when a shutdown begins, while
    #: :attr:`Triows.ready` is already false. A balancer that only asks whether a server is ready
    #: needs this to notice: set it to a bit more than the time between two of its questions, times
    #: the number of bad answers that it needs. A balancer that tries the next server if a
    #: connection is refused, as nginx and HAProxy do, needs no delay. The shutdown takes this
    #: much longer.
    delay: float = _seconds(0)

    #: For how many seconds idle connections stay open for another request when the server has
    #: stopped listening. The answer then says ``Connection: close``. If the server closed them at
    #: once, it would often close one on which a request is on its way. A busy client sends another
    #: request within a second. This time is part of the time that connections have anyway.
    idle: float = _seconds(1)

    #: Whether the server keeps listening, to answer newcomers with 503. That is for a server that
    #: is the only one, so that clients know that it will come back. Otherwise it stops listening,
    #: so that a balancer, or the client, tries the next server. It has no effect on sockets of a
    #: supervisor or of other processes.
    listen: bool = _flag(default=False)
