"""
How far a connection has come, on our side and on the peer's.

The peer may leave while the handler still reads what it has sent, and the handler may close while
the peer still sends. So each side has a state of its own, as in h11. A table says what changes it.
Nothing here reads, writes or waits.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, TypeVar

__all__ = ["Happening", "Ours", "Theirs", "after"]


class _State(Enum):
    # A member is equal to itself only. Enum's own hash is written in Python, and is slower.
    __hash__ = object.__hash__


class Ours(_State):
    """What the application can still do."""

    #: Nobody has ended the connection. It may still be in its handshake.
    OPEN = auto()
    #: The peer has hung up. Nothing can be sent, but messages may still come, and after them a
    #: close frame that says why it left.
    LEFT = auto()
    #: How the connection ended is known. Messages that wait can be received, and all others are
    #: dropped (RFC 6455 section 5.5.1).
    ENDED = auto()


class Theirs(_State):
    """What the peer may still send."""

    #: Anything.
    OPEN = auto()
    #: The peer has closed its side of TCP, or the connection broke. What it sent before hasn't
    #: been read.
    HUNG_UP = auto()
    #: Nothing: its close frame was read.
    CLOSED = auto()
    #: Nothing, and there was no close frame.
    GONE = auto()


class Happening(_State):
    """What changes the states."""

    #: The peer closed its side of TCP, or the connection broke, while reading was paused.
    HANG_UP = auto()
    #: The peer's close frame was read.
    CLOSE_FRAME = auto()
    #: There is nothing more to read: all was read, or the connection is broken or closed here.
    EOF = auto()
    #: One side has ended the connection, and we know how.
    END = auto()


#: What each state turns into. What is not listed has no effect on it.
_NEXT: Final[dict[Ours | Theirs, dict[Happening, Ours | Theirs]]] = {
    Ours.OPEN: {Happening.HANG_UP: Ours.LEFT, Happening.END: Ours.ENDED},
    Ours.LEFT: {Happening.END: Ours.ENDED},
    Ours.ENDED: {},
    Theirs.OPEN: {
        Happening.HANG_UP: Theirs.HUNG_UP,
        Happening.CLOSE_FRAME: Theirs.CLOSED,
        Happening.EOF: Theirs.GONE,
    },
    Theirs.HUNG_UP: {Happening.CLOSE_FRAME: Theirs.CLOSED, Happening.EOF: Theirs.GONE},
    Theirs.CLOSED: {},
    # Bytes that came before the acceptance are taken after it, and may have a close frame.
    Theirs.GONE: {Happening.CLOSE_FRAME: Theirs.CLOSED},
}

S = TypeVar("S", Ours, Theirs)


def after(state: S, what: Happening) -> S:
    """Return the state that follows when something happens."""
    return _NEXT[state].get(what, state)  # type: ignore[return-value]  # each side has its rows
