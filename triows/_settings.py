"""
The timeouts and limits of a connection.

Give these frozen classes to :class:`triows.Triows`, and to a :class:`triows.WebSocketRoute`
that needs other numbers. A route's object replaces the application's as a whole. To change one
number, use :func:`attrs.evolve`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from attrs import field, frozen

from ._arguments import SETTINGS, hinting

if TYPE_CHECKING:
    from attrs import Attribute

__all__ = ["Compression", "Limits", "Settings", "Timeouts"]

T = TypeVar("T")

MiB = 2**20


def _seconds(default: float, *, zero: bool = False) -> float:
    """A field for a number of seconds, above 0 or, with *zero*, from 0 on."""

    def check(_: Any, attribute: Attribute[float], value: Any) -> None:
        # A bool is not meant as a number, and nan is neither above 0 nor 0.
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not (value > 0 or (zero and value == 0)):
            least = "0 or more" if zero else "more than 0"
            raise ValueError(
                f"Timeouts.{attribute.name} must be {least} seconds, or math.inf for no limit, "
                f"not {value!r}"
            )

    number: float = field(default=default, validator=check)
    return number


def _count(default: Any, *, none: bool = False) -> Any:
    """A field for a whole number above 0 or, with *none*, ``None``."""

    def check(_: Any, attribute: Attribute[Any], value: Any) -> None:
        if none and value is None:
            return
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            unless = ", or None for no limit" if none else ""
            raise ValueError(
                f"Limits.{attribute.name} must be a whole number, 1 or more{unless}, not {value!r}"
            )

    return field(default=default, validator=check)


def _between(default: int, least: int, most: int) -> Any:
    """A field for a whole number within bounds."""

    def check(_: Any, attribute: Attribute[Any], value: Any) -> None:
        number = isinstance(value, int) and not isinstance(value, bool)
        if not number or not least <= value <= most:
            raise ValueError(
                f"Compression.{attribute.name} must be a whole number from {least} to {most}, "
                f"not {value!r}"
            )

    return field(default=default, validator=check)


def _hinting(cls: type[T]) -> type[T]:
    """Let a class say what to write instead of settings that it doesn't have."""
    cls.__init__ = hinting(SETTINGS)(cls.__init__)  # type: ignore[method-assign]
    return cls


@_hinting
@frozen(kw_only=True)
class Timeouts:
    """
    How long things may take, in seconds. ``math.inf`` switches a timeout off.

    You can change every number. Each says what it limits, and why it has this default.

    Raises:
        ValueError: A timeout is not a number, or too small.
    """

    #: Limits the head of a connection's first request, together with TLS's handshake before it. The
    #: head of a later request has the same time from its first byte on. (Until that byte comes,
    #: Hypercorn's ``keep_alive_timeout`` applies.) A healthy client takes milliseconds. nginx gives
    #: 60 s, Apache 20 s.
    handshake: float = _seconds(10)

    #: Limits the time from the request to ``accept()`` or a refusal, including the factories.
    #: Clients give up after about 10 s themselves (websockets' ``open_timeout``, aiohttp,
    #: browsers).
    accept: float = _seconds(10)

    #: The time between keepalive pings. Common proxies drop an idle connection after 60 s, so
    #: the interval has to be shorter. websockets and uvicorn use 20 s, too.
    ping_interval: float = _seconds(20)

    #: How long a pong may take. The time begins when the peer has taken everything that was sent
    #: before the ping, or has stopped taking it. A healthy peer answers in milliseconds, and a
    #: phone that changes networks in a few seconds. websockets and uvicorn use 20 s, too.
    ping_timeout: float = _seconds(20)

    #: How long a peer may take nothing of what waits for it. Then the connection closes with 1008.
    #: This measures progress and not the total: a peer that takes at least 240 bytes a second gets
    #: everything, however long that takes. One that takes less than that for 5 seconds is closed
    #: with 1008, too, if it also takes less on average. The average begins when something has to
    #: wait for the peer. So a peer that was faster before may be slower for a while, but for this
    #: many seconds at most. What the peer's system has acknowledged counts as taken. Kestrel has
    #: the same numbers. Mobile networks usually recover in less than half a minute. Responses to
    #: plain requests are limited in the same way: a client that is too slow is cut off.
    send: float = _seconds(30)

    #: How long the client of a plain HTTP request may send nothing of its body while the
    #: application waits for it. Then it gets 408. This measures progress by the rule of ``send``: a
    #: client that sends at least 240 bytes a second may take as long as it likes. The time in which
    #: the application doesn't wait doesn't count. nginx gives 60 s between two parts of a body,
    #: Apache 20 s, and Kestrel has the same numbers as here.
    receive: float = _seconds(30)

    #: Limits the closing handshake. RFC 6455, section 7.1.1, asks a server to close first, and
    #: not to wait forever. The time begins when the peer has got everything, including the close
    #: frame. At a shutdown or a cancellation it begins when the close frame is handed over; what
    #: has not gone out by then is dropped. websockets takes 10 s. With 5 s, a shutdown stays
    #: short.
    close: float = _seconds(5)

    #: How long a handler may go on with what it is doing when the peer is gone.
    disconnect_grace: float = _seconds(1, zero=True)

    #: Limits the exits of all resources of a connection together, and those of the application. The
    #: tasks in a connection's nursery, and the thread of a ``def`` handler that was cancelled, have
    #: half of it to end before the exits begin. A warning names a handler that still runs this long
    #: after it was cancelled, and a resource that has not exited after twice this time.
    teardown: float = _seconds(5)

    #: How long handlers may go on when the server shuts down: after the close frame, or with a
    #: plain request. Mounted applications have the same time. A stream of events has only
    #: ``disconnect_grace``, because its client connects again. Kubernetes kills a process after
    #: 30 s, Docker after 10 s. The whole shutdown has to fit.
    shutdown_grace: float = _seconds(10, zero=True)

    #: How long code may block the server's Trio loop before a warning names it, with its route,
    #: its peer and its stack. While the loop is blocked, nobody is served and no timeout ends.
    #: asyncio warns after 0.1 s (``slow_callback_duration``), but only in its debug mode. A
    #: healthy server does not block for a second, even while it collects garbage. There is one
    #: loop, so only the application's value counts. A route's has no effect.
    blocked: float = _seconds(1)


@_hinting
@frozen(kw_only=True)
class Limits:
    """
    How much a peer may make the server hold.

    Raises:
        ValueError: A limit is not a whole number, or too small.
    """

    #: How many bytes a received message may have (for text, as UTF-8). A longer one closes the
    #: connection with 1009. websockets has 1 MiB as well, and aiohttp 4 MiB.
    message_size: int = _count(MiB)

    #: How many frames a received message may have. One with more closes the connection with 1009.
    #: Browsers and libraries send one frame, or a few of several kilobytes. An empty frame costs as
    #: much as a full one. websockets has the same limit.
    fragments: int = _count(4096)

    #: How many received messages may wait for the handler. When the inbox is full, the server
    #: stops reading, so TCP holds the peer back. websockets holds 16.
    inbox: int = _count(32)

    #: How many bytes may wait for the handler. One message is always taken, so the effective
    #: limit is never below ``message_size``.
    inbox_size: int = _count(4 * MiB)

    #: How many bytes that were given to ``send`` may wait for the peer, in at most 4096 frames.
    outbox: int = _count(MiB)

    #: How many connections there may be at a time. Further ones get 503. With ``None``, as many
    #: as the system allows.
    connections: int | None = _count(None, none=True)

    #: How many handlers that are plain functions may run at a time, each in a thread. Further ones
    #: wait. Starlette and Trio have the same limit. Only the application's value counts.
    threads: int = _count(40)

    #: How many query parameters a request may have. Django allows 1000, but few handlers take ten.
    query_parameters: int = _count(100)

    #: How many bytes the body of a plain request may have, also if the handler reads it part by
    #: part. A larger one is answered with 413. Most handlers need the whole body in memory, and few
    #: take more than a few kilobytes of JSON. nginx has 1 MiB as well, Django 2.5 MiB and Kestrel
    #: 30 MB. A route that takes files sets more. Mounted applications limit bodies themselves.
    body: int = _count(MiB)

    #: How many fields and files a form may have, together. A form with more is answered with 413.
    #: Each costs a few hundred bytes of memory and a few microseconds, even if it is empty.
    #: Starlette and Django allow 1000 fields, and Starlette 1000 files as well.
    parts: int = _count(1000)


@_hinting
@frozen(kw_only=True)
class Compression:
    """
    Compression of messages, permessage-deflate (:rfc:`7692`), where the client offers it.

    Messages are not compressed unless you give this to an application or a route. It helps if
    the network is slow, and messages are long and similar to each other. It costs time, about
    100 µs for each kilobyte of JSON, and memory for each connection. ``Limits.message_size``
    limits what a message may inflate to.

    Raises:
        ValueError: A number is out of its range.
    """

    #: How far back a message may refer: 2 to the power of this many bytes, from 9 to 15, for each
    #: direction of a connection. 12 means 4 KiB, and 16 KiB for sending with the memory level
    #: below. websockets uses 12, too.
    window_bits: int = _between(12, 9, 15)

    #: How much memory compressing takes in addition to the window, from 1 to 9: 512 bytes times
    #: 2 to this power.
    memory_level: int = _between(5, 1, 9)

    #: How hard to try, from 1 (fast) to 9 (small). Above 6, zlib's default, little is gained.
    level: int = _between(6, 1, 9)

    #: Whether a message may refer to earlier ones. If not, memory is held only while a message
    #: is compressed, and messages that are similar to each other compress less.
    context_takeover: bool = True


@frozen
class Settings:
    """The settings of one connection: its route's, or else the application's."""

    timeouts: Timeouts
    limits: Limits
    compression: Compression | None = None
