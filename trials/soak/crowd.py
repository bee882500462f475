"""Thousands of connections at the same time."""

from __future__ import annotations

import selectors
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import cycle, islice
from typing import Any, Self

from tests.raw import CLOSE, close_frame
from tests.server.harness.peer import Peer
from trials.server import WatchedServer

__all__ = ["Crowd"]

#: How many handshakes run at the same time. The server's queue has room for more.
SIDE_BY_SIDE = 32


class Crowd:
    """
    Many connections that are open at the same time.

    Args:
        server: The server.
        count: How many connections to open.
        paths: The paths to connect to, in turn.
        options: Options of :func:`trials.server.connect`.

    Raises:
        OSError, EOFError, AssertionError: The server doesn't serve one of them.
    """

    def __init__(
        self, server: WatchedServer, count: int, paths: Sequence[str], **options: Any
    ) -> None:
        self._peers: list[Peer] = []

        def open_one(path: str) -> None:
            self._peers.append(server.connect(path, **options))

        try:
            with ThreadPoolExecutor(SIDE_BY_SIDE) as threads:
                list(threads.map(open_one, islice(cycle(paths), count)))
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for peer in self._peers:
            peer.socket.close()

    def read(self, seconds: float) -> Counter[int | None]:
        """
        Read for some time, or until all have ended. Answer close frames.

        Returns:
            How many connections ended with each code, or with ``None`` for no close frame.
            Connections that are still open aren't counted.
        """
        codes: dict[Peer, int] = {}
        ended: Counter[int | None] = Counter()
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            for peer in self._peers:
                peer.socket.settimeout(0)
                selector.register(peer.socket, selectors.EVENT_READ, peer)
            while selector.get_map() and (left := deadline - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    if not _read(key.data, codes):
                        selector.unregister(key.fileobj)
                        ended[codes.get(key.data)] += 1
        return ended


def _read(peer: Peer, codes: dict[Peer, int]) -> bool:
    """Read what has come. Say whether more may come."""
    with suppress(BlockingIOError):
        try:
            while True:
                if (got := peer.read_frame()).opcode == CLOSE:
                    codes[peer] = int.from_bytes(got.payload[:2], "big") if got.payload else 1005
                    peer.socket.send(close_frame(codes[peer]))
        except (ConnectionError, EOFError):
            pass
        return False
    return True
