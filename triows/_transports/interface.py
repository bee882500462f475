"""The interface below a :class:`~triows.WebSocket`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import define
from msgspec import Struct

from triows.exceptions import WebSocketDisconnect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import trio

    from triows._protocol.frames import Prepared
    from triows._reply import Reply

    from .pinger import Pinger

__all__ = [
    "ACCEPTED_BESIDE",
    "Ended",
    "Starter",
    "Traffic",
    "Transport",
    "disconnect",
    "nobody",
    "undelivered",
]


#: What a handler is told if a middleware was faster. A handshake is never answered twice.
ACCEPTED_BESIDE = (
    "a middleware has sent websocket.accept while the handler was running: leave the acceptance to "
    "the handler"
)


def nobody() -> None:
    """Do nothing. This is the ``on_gone`` of a transport until its owner sets another."""


# A Struct, because making a frozen object of attrs for each connection takes eight times as long.
class Ended(Struct, frozen=True, gc=False):
    """How a connection ended: the close code and reason that its log line will show."""

    code: int
    reason: str = ""
    #: The HTTP status, if it was refused.
    status: int | None = None
    #: Why it was refused, for the log.
    why: str = ""


@define
class Traffic:
    """Counts what a transport has sent and received: whole messages, and bytes of payload."""

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
    """Return how a connection ended if the peer never got our close frame."""
    return Ended(1006, f"undelivered: {ended.code} {ended.reason}".rstrip())


def disconnect(source: object, ended: Ended) -> WebSocketDisconnect:
    """Make the exception for a call on a connection that has ended."""
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

    A transport ends once: by :meth:`close`, or because the peer is gone or broke a rule. If it was
    the peer, the transport calls :attr:`on_gone`, synchronously and once.
    """

    #: Set by the owner before it waits for anything.
    on_gone: Callable[[], None]
    #: Whether an acceptance has been handed over.
    accepted: bool
    #: How it ended, or ``None`` if it hasn't.
    ended: Ended | None
    traffic: Traffic
    #: A scope around the task that serves the connection, if it was lent for that and nothing else
    #: runs in the task. Whoever uses it has no need of a scope of its own.
    around: trio.CancelScope | None
    #: Whether :meth:`ping` works, and the transport sends pings of its own.
    can_ping: bool
    #: Whether the owner opens a nursery for the transport's tasks, and calls :meth:`start`. If not,
    #: whoever made the transport has started it.
    needs_nursery: bool
    #: Whether the transport still reads and writes while the task that serves it is cancelled.
    outlives_cancellation: bool

    @property
    def timer(self) -> Pinger | None:
        """What calls in time whoever uses that scope."""

    @property
    def latency(self) -> float | None:
        """Seconds between the last ping and its pong, or ``None``."""

    @property
    def over(self) -> bool:
        """Whether nothing more will come, because the peer has sent its close frame or left."""

    @property
    def answered(self) -> bool:
        """Whether the peer has sent its close frame."""

    @property
    def delivered(self) -> bool:
        """Whether nothing is left to deliver, or there is nobody to deliver it to."""

    def start(self, nursery: Starter) -> None:
        """
        Start reading and writing, in tasks of *nursery*.

        The tasks are shielded: they go on while the owner cleans up, until :meth:`aclose`. Once
        the handshake is accepted, the transport pings the peer, and closes the connection if the
        peer doesn't answer.
        """

    async def accept(self, subprotocol: str | None, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """
        Accept the handshake.

        If this is cancelled, :attr:`accepted` tells whether the acceptance was handed over.

        Raises:
            WebSocketDisconnect: The connection had ended before. If it ends during this call, the
                next receive or send says so, so that no message is lost.
            WebSocketStateError: Somebody else has accepted it.
        """

    async def reject(self, refusal: Reply) -> None:
        """
        Hand over a refusal of the handshake. This ends the transport with 1006.

        It doesn't wait for the peer, and a cancellation has no effect on it.

        Raises:
            WebSocketStateError: Somebody else has accepted it.
        """

    async def receive(self) -> str | bytes:
        """
        Wait for a message. Cancelling this loses no message.

        Raises:
            WebSocketDisconnect: The connection has ended, and no message is left.
            trio.BusyResourceError: Another task is receiving.
        """

    def receive_nowait(self) -> str | bytes:
        """
        Take a message without waiting.

        Raises:
            trio.WouldBlock: There is no message yet.
            WebSocketDisconnect: As in :meth:`receive`.
            trio.BusyResourceError: As in :meth:`receive`.
        """

    async def send(self, message: str | bytes) -> None:
        """
        Hand over a message, and wait while the peer is slow.

        If this is cancelled before the message is handed over, nothing is sent. After that, the
        whole message is sent.

        Raises:
            WebSocketDisconnect: The connection has ended.
        """

    def post(self, prepared: Prepared) -> bool:
        """
        Hand over a message that goes to other connections, too, without waiting.

        It goes out after all messages that were handed over before, and before those of a later
        :meth:`send`. Call this only in the loop of the server, and after the acceptance.

        Returns:
            ``False`` if there was no room for it, and it was not handed over. A connection that has
            ended has room for everything, and sends nothing.
        """

    async def ping(self) -> float:
        """
        Send a ping and wait for its pong. Return the round trip in seconds.

        Raises:
            WebSocketDisconnect: The connection has ended, or ended during the wait.
        """

    async def close(self, code: int, reason: str) -> None:
        """
        Hand over a close frame. It goes out after what was sent before.

        This has no effect if the connection has ended. It doesn't wait for the peer, as
        :meth:`wait_delivered` does, and a cancellation has no effect on it.
        """

    async def wait_over(self) -> None:
        """Wait until the peer has sent its close frame or left, or :meth:`aclose` has finished."""

    def fail(self, code: int, reason: str) -> None:
        """
        End the connection because of the peer, with a close frame if possible.

        This doesn't wait.
        """

    async def wait_delivered(self) -> None:
        """
        Wait until the peer has got everything that was handed over.

        ``Timeouts.send``, which measures the peer's progress, bounds the wait. This also returns
        when the peer is gone or too slow. Cancelling it changes nothing.
        """

    async def aclose(self, *, linger: float) -> None:
        """
        Finish the closing handshake, for at most *linger* seconds, and stop the tasks.

        What hasn't gone out by then is dropped, and :attr:`ended` says so. A cancellation has no
        effect on this. Afterwards, none of the transport's tasks do anything more.
        """

    @property
    def writer(self) -> trio.lowlevel.Task | None:
        """The task that writes at the moment, if it isn't one of the owner's nursery."""

    def backlog(self) -> tuple[int, int, int]:
        """Count messages and bytes that wait for the handler, and bytes that wait for the peer."""
