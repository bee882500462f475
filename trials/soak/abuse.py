"""Peers that try to use too much. Each makes one connection."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from tests.raw import BINARY, CONTINUATION, DEFLATE, RSV1, TEXT, deflated, frame
from tests.server.harness.peer import Peer, Reset
from trials.server import WatchedServer

__all__ = ["FINE", "KINDS"]

#: The correct answers: a close frame that says "too much", or that a bit was not negotiated (RFC
#: 7692 section 6). It is also fine if no answer could be read.
FINE = frozenset({"1009", "declined, 1002", "dropped"})

#: How many bytes an oversized message has. The application takes 1 MiB.
OVERSIZED = 4 * 2**20

#: After this many fragments, we assume that the server has no limit.
FRAGMENTS = 300_000

#: How many seconds an answer may take.
ANSWER = 10


@cache
def bomb_data() -> bytes:
    """Make 64 kB that inflate to 64 MiB."""
    return deflated(bytes(2**26), level=9)


def declared(server: WatchedServer) -> str:
    """Announce a huge message, and send a little of it."""
    return _sent(server, frame(BINARY, bytes(1000), length=2**62))


def oversized(server: WatchedServer) -> str:
    """Send a message that is too large."""
    return _sent(server, frame(BINARY, bytes(OVERSIZED)))


def split(server: WatchedServer) -> str:
    """Send a message that becomes too large with its last fragment."""
    piece = frame(CONTINUATION, bytes(2**16), fin=False)
    return _sent(server, frame(BINARY, fin=False), *[piece] * (OVERSIZED // 2**16))


def bomb(server: WatchedServer) -> str:
    """Send a little data that inflates to a lot."""
    return _sent(server, frame(TEXT, bomb_data(), reserved=RSV1), compressing=True)


def empty_fragments(server: WatchedServer) -> str:
    """Send more and more empty fragments."""
    some = frame(CONTINUATION, fin=False) * 1000
    return _sent(server, frame(TEXT, fin=False), *[some] * (FRAGMENTS // 1000))


def _sent(server: WatchedServer, *parts: bytes, compressing: bool = False) -> str:
    """Send *parts* until the server refuses, and say how it did."""
    with server.connect("/echo", *([DEFLATE] if compressing else []), timeout=ANSWER) as peer:
        assert peer.answer is not None
        if compressing and peer.answer.header(b"sec-websocket-extensions") is None:
            # Send it anyway. The bit is then a reserved one.
            return "declined, " + _answer(peer, parts)
        return _answer(peer, parts)


def _answer(peer: Peer, parts: tuple[bytes, ...]) -> str:
    try:
        for part in parts:
            peer.send(part)
    except TimeoutError:
        return "not taken, not refused"
    except OSError:
        pass  # the server refused, and the close frame may be there anyway
    try:
        code = peer.wait_closed()
    except TimeoutError:
        return "no answer"
    except Reset:
        return "reset"
    return "end without a close frame" if code is None else str(code)


KINDS: tuple[Callable[[WatchedServer], str], ...] = (
    declared,
    oversized,
    split,
    bomb,
    empty_fragments,
)
