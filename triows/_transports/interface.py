"""What a :class:`~triows.WebSocket` stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import define, frozen

from triows.exceptions import WebSocketDisconnect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

__all__ = [
    "Ended",
    "Refusal",
    "Starter",
    "Traffic",
    "Transport",
    "disconnect",
    "nobody",
    "undelivered",
]


def nobody() -> None:
    """The ``on_gone`` of a transport until its owner sets one."""


@frozen
class Ended:
    """How a connection ended: the close code and reason that its log line will show."""

    code: int
    reason: str = ""
    #: The HTTP status, if it was refused.
    status: int | None = None
    #: Why it was refused, for the log.
    why: str = ""


@frozen
class Refusal:
    """An HTTP response instead of a WebSocket."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    #: The reason that the log gives. The peer is told only what is in the body.
    why: str = ""


@define
class Traffic:
    """What has passed a transport: whole messages, and bytes of payload."""

    messages_received: int = 0
    bytes_received: int = 0
    messages_sent: int = 0
    bytes_sent: int = 0

    def count_received(self, size: int) -> None:
        self.messages_received += 1
        self.bytes_received += size

    def count_sent(self, size: int) -> None:
        self.messages_sent += 1
        self.bytes_sent += size


def undelivered(ended: Ended) -> Ended:
    """Say how a connection ended whose peer never got our close frame."""
    return Ended(1006, f"undelivered: {ended.code} {ended.reason}".rstrip())


def disconnect(source: object, ended: Ended) -> WebSocketDisconnect:
    """Make the exception for whoever uses a connection that has ended."""
    exc = WebSocketDisconnect(ended.code, ended.reason)
    exc.source = source
    return exc


class Starter(Protocol):
    """The part of a nursery that a transport needs."""

    def start_soon(
        self, function: Callable[..., Awaitable[object]], /, *args: Any, name: object = None
    ) -> None:
        """Start a task; see :meth:`trio.Nursery.start_soon`."""


class Transport(Protocol):
    """
    One connection to one peer, above the frames and below the application.

    A transport ends once: by :meth:`close`, or because the peer is gone or broke a rule.
    In the latter case it calls :attr:`on_gone`, synchronously and once.
    """

    #: Set by the owner before :meth:`start`.
    on_gone: Callable[[], None]
    #: Whether an acceptance has been handed over.
    accepted: bool
    #: How it ended, or ``None`` while it has not.
    ended: Ended | None
    traffic: Traffic
    #: Seconds that the last ping took to be answered, or ``None``.
    latency: float | None
    #: Whether :meth:`ping` works, and peers are kept alive by pings.
    can_ping: bool
    #: Whether the peer is heard, and told, even while the task that serves it is cancelled.
    outlives_cancellation: bool

    @property
    def over(self) -> bool:
        """Whether nothing more will come from the peer: it has sent its close frame, or left."""

    @property
    def answered(self) -> bool:
        """Whether the peer has sent its close frame."""

    def start(self, nursery: Starter) -> None:
        """
        Start reading and writing, in tasks of *nursery*.

        They are shielded: they go on while the owner cleans up, until :meth:`aclose`. Once
        the handshake is accepted, the peer is pinged, and given up if it does not answer.
        """

    async def accept(self, subprotocol: str | None, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """
        Accept the handshake. Cancelled, :attr:`accepted` tells whether it was handed over.

        Raises:
            WebSocketDisconnect: ended before; an end that comes meanwhile is told by the
                next receive or send, so that no message is lost.
        """

    async def reject(self, refusal: Refusal) -> None:
        """Hand over a refusal of the handshake; the transport is then ended with 1006."""

    async def receive(self) -> str | bytes:
        """
        Wait for a message. Cancelling it loses none.

        Raises:
            WebSocketDisconnect: ended, and no message is left.
            trio.BusyResourceError: another task is receiving.
        """

    def receive_nowait(self) -> str | bytes:
        """
        Take a message that is there already.

        Raises:
            trio.WouldBlock: none is there yet.
            WebSocketDisconnect: as :meth:`receive`.
            trio.BusyResourceError: as :meth:`receive`.
        """

    async def send(self, message: str | bytes) -> None:
        """
        Hand over a message, waiting while the peer is slow.

        Cancelled before it is handed over, nothing is sent; after that all of it is.

        Raises:
            WebSocketDisconnect: ended.
        """

    async def ping(self) -> float:
        """
        Send a ping and wait for its pong; the round trip in seconds.

        Raises:
            WebSocketDisconnect: ended, also meanwhile.
        """

    async def close(self, code: int, reason: str) -> None:
        """
        Hand over a close frame, after what was sent before. It has no effect once ended.

        It does not wait for the peer: :meth:`wait_delivered` does.
        """

    async def wait_over(self) -> None:
        """Wait until the peer has sent its close frame, or has left, or :meth:`aclose`."""

    def fail(self, code: int, reason: str) -> None:
        """End the connection because of the peer, with a close frame if possible. Don't wait."""

    async def wait_delivered(self) -> None:
        """
        Wait until the peer has got all that was handed over, the last of it included.

        That is bounded by ``Timeouts.send``, which measures the peer's progress; it also returns
        when the peer is gone, or too slow. Cancelling it changes nothing.
        """

    async def aclose(self, *, linger: float) -> None:
        """
        Finish the closing handshake, for at most *linger* seconds, and stop the tasks.

        What has not gone out by then is dropped, and :attr:`ended` says so. The caller shields
        this. Afterwards nothing of the transport runs.
        """

    def backlog(self) -> tuple[int, int, int]:
        """Count messages and bytes that wait for the handler, and bytes that wait for the peer."""
