"""Peers that ask for more than they should get, one connection each."""

from __future__ import annotations

from collections.abc import Callable

from hostile.frames import BINARY, CONTINUATION, RSV1, TEXT, deflated, frame
from hostile.handshakes import DEFLATE
from hostile.peer import Peer
from hostile.server import WatchedServer

__all__ = ["FINE", "KINDS"]

#: The answers that are right: too much, or a bit that was never agreed upon (RFC 7692
#: section 6), in a close frame that has come through; or none that could be read.
FINE = frozenset({"1009", "declined, 1002", "dropped"})

#: Bytes; the application takes 1 MiB.
OVERSIZED = 4 * 2**20

#: What 64 kB inflate to.
BOMB = deflated(bytes(2**26), 9)

#: Where a server that lets fragments come is believed to do so for ever.
FRAGMENTS = 300_000

#: Seconds for an answer.
ANSWER = 10


def declared(server: WatchedServer) -> str:
    """Announce more than there is in the world, and send a little of it."""
    return _sent(server, frame(BINARY, bytes(1000), length=2**62))


def oversized(server: WatchedServer) -> str:
    """Send a message that is too large."""
    return _sent(server, frame(BINARY, bytes(OVERSIZED)))


def split(server: WatchedServer) -> str:
    """Send a message that becomes too large."""
    piece = frame(CONTINUATION, bytes(2**16), fin=False)
    return _sent(server, frame(BINARY, fin=False), *[piece] * (OVERSIZED // 2**16))


def bomb(server: WatchedServer) -> str:
    """Send a little that inflates to much."""
    return _sent(server, frame(TEXT, BOMB, bits=RSV1), compressing=True)


def empty_fragments(server: WatchedServer) -> str:
    """Send nothing, in ever more fragments."""
    some = frame(CONTINUATION, fin=False) * 1000
    return _sent(server, frame(TEXT, fin=False), *[some] * (FRAGMENTS // 1000))


def _sent(server: WatchedServer, *parts: bytes, compressing: bool = False) -> str:
    """Send *parts* until it is refused, and say how it was."""
    with server.connect("/echo", *([DEFLATE] if compressing else []), timeout=ANSWER) as peer:
        if compressing and not peer.is_compressing:
            # Sent all the same: a reserved bit then.
            return "declined, " + _answer(peer, parts)
        return _answer(peer, parts)


def _answer(peer: Peer, parts: tuple[bytes, ...]) -> str:
    try:
        for part in parts:
            peer.socket.sendall(part)
    except TimeoutError:
        return "not taken, not refused"
    except OSError:
        pass  # refused; the close frame may be there all the same
    try:
        code = peer.wait_closed()
    except TimeoutError:
        return "no answer"
    except OSError:
        return "reset"
    return "end without a close frame" if code is None else str(code)


KINDS: tuple[Callable[[WatchedServer], str], ...] = (
    declared,
    oversized,
    split,
    bomb,
    empty_fragments,
)
