"""Bodies of requests for tests: parts as a server hands them over."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from triows._request.body import RequestBody

__all__ = ["Parts", "body_of", "cut"]


class Parts:
    """A server's function that returns the parts of a body, and counts its calls."""

    def __init__(self, parts: Sequence[bytes]) -> None:
        self.calls = 0
        self.left = list(parts)
        #: If there is one, each part waits for it.
        self.gate: trio.Event | None = None

    async def receive(self) -> bytes:
        self.calls += 1
        await trio.lowlevel.checkpoint()
        if self.gate is not None:
            await self.gate.wait()
        return self.left.pop(0) if self.left else b""


def body_of(
    *parts: bytes,
    type_: bytes | None = None,
    length: bytes | None = None,
    limit: int = 2**20,
) -> RequestBody:
    """Make the body of a request whose parts are already there."""
    headers = [(b"host", b"x")]
    if type_ is not None:
        headers.append((b"content-type", type_))
    if length is not None:
        headers.append((b"content-length", length))
    return RequestBody(Parts(parts).receive, headers=headers, limit=limit)


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """Cut a body at these places. No part is empty."""
    ends = sorted({place % (len(data) + 1) for place in places} | {len(data)} - {0})
    return [part for a, b in zip([0, *ends], ends, strict=False) if (part := data[a:b])]
