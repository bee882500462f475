"""
The numbers a connection lives by.

Frozen classes, given to :class:`triows.Triows` and, where a route differs, to its
:class:`triows.WebSocketRoute`. A route's object replaces the application's as a
whole; use :func:`attrs.evolve` to change one number of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

if TYPE_CHECKING:
    from attrs import Attribute

__all__ = ["Compression", "Limits", "Settings", "Timeouts"]

MiB = 2**20


def _seconds(default: float, *, zero: bool = False) -> float:
    """A field for a number of seconds, above 0 or, with *zero*, from 0 on."""

    def check(_: Any, attribute: Attribute[float], value: Any) -> None:
        # No bool is meant as a number, and nan is neither above 0 nor 0.
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not (value > 0 or (zero and value == 0)):
            least = "0 or more" if zero else "more than 0"
            raise ValueError(
                f"Timeouts.{attribute.name} is {least} seconds, or math.inf for no limit, "
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
                f"Limits.{attribute.name} is a whole number, 1 or more{unless}, not {value!r}"
            )

    return field(default=default, validator=check)


def _between(default: int, least: int, most: int) -> Any:
    """A field for a whole number within bounds."""

    def check(_: Any, attribute: Attribute[Any], value: Any) -> None:
        number = isinstance(value, int) and not isinstance(value, bool)
        if not number or not least <= value <= most:
            raise ValueError(
                f"Compression.{attribute.name} is a whole number from {least} to {most}, "
                f"not {value!r}"
            )

    return field(default=default, validator=check)


@frozen(kw_only=True)
class Timeouts:
    """
    How long things may take, in seconds. ``math.inf`` switches one off.

    Every number can be changed; each states what it bounds and why it is what it is.

    Raises:
        ValueError: one that is no number, or too small.
    """

    #: For the head of a connection's first request, and as long for TLS before it. (Between
    #: requests Hypercorn's ``keep_alive_timeout`` counts.) A healthy client takes
    #: milliseconds; nginx gives 60, Apache 20.
    handshake: float = _seconds(10)

    #: From the request to ``accept()`` or a refusal, factories included. Peers give up
    #: after about 10 s themselves (websockets' ``open_timeout``, aiohttp's, browsers').
    accept: float = _seconds(10)

    #: Between keepalive pings. 20 s is below the 60 s after which common proxies drop
    #: an idle connection; websockets and uvicorn use 20 too.
    ping_interval: float = _seconds(20)

    #: How long a pong may take, from when the peer has taken what was sent before the ping, or
    #: stopped taking it. As websockets and uvicorn: a healthy peer answers in
    #: milliseconds, a phone that changes networks in a few seconds.
    ping_timeout: float = _seconds(20)

    #: How long a peer may take nothing of what waits for it; then 1008. It measures progress, not
    #: the total: a slow peer that reads steadily gets everything, however long that takes. Progress
    #: is what the peer's system has acknowledged. A peer that takes something, but less than
    #: 240 bytes a second, is closed after 5 seconds of that, as in Kestrel. Responses to plain HTTP
    #: requests are bounded in the same way. Half a minute is longer than a mobile network's usual
    #: hole.
    send: float = _seconds(30)

    #: For the closing handshake (RFC 6455 section 7.1.1 asks a server to close first, and
    #: not to wait for ever). It begins when the peer has got everything, the close frame included;
    #: at a shutdown or a cancellation, when the close frame is handed over: what has not gone out
    #: by then is cut. websockets takes 10; 5 keeps shutdown short.
    close: float = _seconds(5)

    #: What a handler's body gets to finish what it is doing once the peer is gone.
    disconnect_grace: float = _seconds(1, zero=True)

    #: For the exits of all resources of a connection together, or of the application.
    teardown: float = _seconds(5)

    #: What handlers get after the close frame when the server shuts down. Kubernetes
    #: kills after 30 s, Docker after 10; the whole shutdown has to fit.
    shutdown_grace: float = _seconds(10, zero=True)

    #: How long code may block the server's Trio loop before a warning names it, with its route,
    #: its peer and its stack. While the loop is blocked, nobody is served and no timeout ends.
    #: asyncio warns after 0.1 s (``slow_callback_duration``), but only in its debug mode. A
    #: healthy server does not block for a second, even while it collects garbage. There is one
    #: loop, so the application's value counts, and a route's has no effect.
    blocked: float = _seconds(1)


@frozen(kw_only=True)
class Limits:
    """
    How much a peer may make the server hold.

    Raises:
        ValueError: one that is no whole number, or too small.
    """

    #: Bytes in one received message, UTF-8 for text; more is closed with 1009.
    #: 1 MiB as in websockets and aiohttp's default order (4 MiB).
    message_size: int = _count(MiB)

    #: Frames in one received message; more is closed with 1009. Browsers and libraries send
    #: one, or a few of some kilobytes; an empty one costs as much as a full one. As websockets.
    fragments: int = _count(4096)

    #: Received messages that wait for the handler. websockets holds 16. A full inbox
    #: stops the reading, so that TCP pushes back.
    inbox: int = _count(32)

    #: Bytes that wait for the handler. One message is always taken, so this is not below
    #: ``message_size`` in effect.
    inbox_size: int = _count(4 * MiB)

    #: Bytes handed over by ``send`` that the peer has not taken yet.
    #: However small, 4096 frames are the most.
    outbox: int = _count(MiB)

    #: Connections at a time; further ones get 503. ``None``: as many as the system gives.
    connections: int | None = _count(None, none=True)

    #: Query parameters in one request; Django allows 1000, few handlers take ten.
    query_parameters: int = _count(100)


@frozen(kw_only=True)
class Compression:
    """
    Compression of messages, permessage-deflate (:rfc:`7692`), where the client offers it.

    It is off unless an application or a route is given this. It saves a slow link where
    messages are long and alike, and costs time, about 100 us for each kilobyte of JSON, and
    memory for each connection. What a message inflates to is bounded by
    ``Limits.message_size``.

    Raises:
        ValueError: a number out of its range.
    """

    #: The window is 2 to this power bytes, from 9 to 15, for each direction and connection.
    #: 12 as in websockets: 4 KiB, 16 to send with the level of memory below.
    window_bits: int = _between(12, 9, 15)

    #: How much memory compressing takes beside the window, from 1 to 9: 512 bytes times 2 to
    #: this power.
    memory_level: int = _between(5, 1, 9)

    #: How hard to try, from 1 (fast) to 9 (small). Above 6, zlib's default, little is won.
    level: int = _between(6, 1, 9)

    #: Whether a message may refer to those before it. Without, the memory is only held while
    #: a message is compressed, and messages that are alike compress less.
    context_takeover: bool = True


@frozen
class Settings:
    """The numbers that one connection lives by: of its route, or of the application."""

    timeouts: Timeouts
    limits: Limits
    compression: Compression | None = None
