"""What tests ask of a client for plain HTTP, and what they learn."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Protocol

from attrs import frozen

__all__ = ["Answer", "HTTPClient", "Step", "body"]


@frozen
class Step:
    """
    A request.

    Args:
        target: The path and query.
        method: The method.
        size: How many bytes the body has. 0 means that there is none.
        chunked: Whether the client sends the body without saying its length first.
        expects: Whether the client waits for ``100 Continue`` before it sends the body.
        leave: After how many bytes of the answer the client leaves. 0 means that it doesn't.
    """

    target: str
    method: str = "GET"
    size: int = 0
    chunked: bool = False
    expects: bool = False
    leave: int = 0


@frozen
class Answer:
    """
    What the client makes of an answer.

    Args:
        status: The status.
        headers: The headers, with names in lower case.
        size: How many bytes the body has.
        hash: SHA-256 of the body, in hex.
        text: The body, if it is short.
    """

    status: int
    headers: Mapping[str, str]
    size: int
    hash: str
    text: str = ""

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], data: bytes) -> Answer:
        names = {name.lower(): value for name, value in headers.items()}
        text = data.decode() if len(data) <= 1000 else ""
        return cls(status, names, len(data), sha256(data).hexdigest(), text)


class HTTPClient(Protocol):
    """A client."""

    #: What it can't do, and why: names of fields of :class:`Step`, or ``be refused``: take another
    #: answer than 100 Continue if it expects that.
    cannot: Mapping[str, str]

    def missing(self) -> str | None:
        """Return why it can't be used here, or ``None``."""

    async def ask(self, url: str, steps: list[Step]) -> list[Answer]:
        """Make these requests, one after another, on the connections that the client keeps."""


def body(size: int) -> bytes:
    """The body of a request."""
    return (bytes(range(256)) * (size // 256 + 1))[:size]
