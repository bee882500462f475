"""What a RequestReader reads in a stream, as a list that can be compared."""

from __future__ import annotations

from collections.abc import Iterable

from triows._protocol.http11 import BadRequest, Request, RequestReader

__all__ = ["HEAD_SIZE", "Exchange", "events", "one_by_one"]

HEAD_SIZE = 512

#: A request, its body, and its trailers.
Exchange = tuple[Request, bytes, list[tuple[bytes, bytes]]]


def events(
    packets: Iterable[bytes], *, head_size: int = HEAD_SIZE, at_once: bool = False
) -> list[Exchange | str | int]:
    """
    Read all requests, until one isn't complete or is refused.

    Args:
        packets: The stream.
        head_size: How many bytes a head may have.
        at_once: Whether to take a packet, and ask for a request, in one call.

    Returns:
        The requests. After them come the detail and the status of a refusal, or what is there of
        a request that isn't complete.
    """
    reader = RequestReader(head_size=head_size)
    found: list[Exchange | str | int] = []
    request: Request | None = None
    body = b""
    for packet in packets:
        try:
            if at_once and request is None:
                request = reader.receive_request(packet)
            else:
                reader.receive(packet)
            while True:
                if request is None and (request := reader.next_request()) is None:
                    break
                while part := reader.next_body():
                    body += part
                if not reader.body_ended:
                    break
                found.append((request, body, list(reader.trailers)))
                request, body = None, b""
        except BadRequest as refusal:
            after = [] if request is None else [(request, body, [])]
            return [*found, *after, refusal.detail, refusal.status]
    if request is not None:
        found.append((request, body, []))
        found.append("incomplete")
    return found


def one_by_one(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]
