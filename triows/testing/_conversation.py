"""
What every conversation with an application has in a test: timeouts, events and faults.

A conversation is a WebSocket, or a plain HTTP request that is made step by step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import trio

from triows._checkpoints import checkpointed

from ._client_side import ClientSide

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._calls import Call
    from ._stage import Stage

__all__ = ["Conversation", "ReceiveTimeout", "SendTimeout", "missed"]

E = TypeVar("E", bound=AssertionError)
P = TypeVar("P", bound=ClientSide)


class ReceiveTimeout(trio.TooSlowError, AssertionError):
    """The application sent nothing in time. The text has the connection's last events."""


class SendTimeout(trio.TooSlowError, AssertionError):
    """The application did not read in time. The text has the connection's last events."""


def missed(kind: type[E], what: str, peer: ClientSide, call: Call, stage: Stage) -> E:
    """
    Make the error for something that a test expected and that didn't come.

    Args:
        kind: The class of the error.
        what: What didn't come, as a sentence without a full stop.
        peer: The client's side of the connection. The message shows its last events.
        call: The application's side of the same connection.
        stage: The application. A note shows what is alive in it.
    """
    why = stage.alive.why_late(call)
    error = kind(f"{what}{why}; the connection's last events:\n{peer.events}")
    if round_trip := stage.patience.round_trip:
        error.add_note(f"a round trip of the test's network takes up to {round_trip:g} s")
    error.add_note(stage.alive.picture(call))
    return error


class Conversation(Generic[P]):
    """
    One conversation, as a test uses it.

    Args:
        peer: The client's side.
        call: The application's side.
        stage: The application.
        timeout: How many seconds each receive and send waits.
    """

    def __init__(self, peer: P, call: Call, stage: Stage, timeout: float) -> None:
        self._peer = peer
        self._call = call
        self._stage = stage
        self._timeout = timeout
        self._delay = 0.0

    @property
    def events(self) -> str:
        """The connection's last ten events, with seconds, as text."""
        return str(self._peer.events)

    def _missed(self, kind: type[E], what: str) -> E:
        return missed(kind, what, self._peer, self._call, self._stage)

    async def _send(self, send: Callable[..., Awaitable[None]], *args: Any) -> None:
        with trio.move_on_after(self._timeout):
            await send(*args)
            return
        what = f"the application did not read for {self._timeout:g} s"
        raise self._missed(SendTimeout, what)

    @checkpointed
    async def wait_over(self, timeout: float | None = None) -> None:
        """
        Wait until the application's side of the connection is over.

        Args:
            timeout: How many seconds to wait. By default, as many as the settings give the
                connection to end, and to notice that a peer has vanished or does not read.

        Raises:
            ReceiveTimeout: It is not over in time.
        """
        seconds = self._stage.patience.connection if timeout is None else timeout
        if timeout is None and self._peer.is_silent:
            seconds += self._stage.patience.notice
        with trio.move_on_after(seconds):
            await self._call.over.wait()
            return
        what = f"the application has not ended the connection for {seconds:g} s"
        raise self._missed(ReceiveTimeout, what)

    def reset(self) -> None:
        """
        Cut the connection, as a TCP reset does. Both sides see it at once.

        A WebSocket then ends with 1006.
        """
        self._peer.reset()

    def vanish(self) -> None:
        """
        Disappear, as when a cable is pulled: no close frame comes, and no end of the stream.

        From then on, nothing arrives on either side. The application goes on until a send, or on a
        WebSocket a ping, has waited too long.
        """
        self._peer.vanish()

    def stop_reading(self) -> None:
        """
        Stop reading until :meth:`resume_reading`. What the application sends piles up.

        You can still receive what was read before. On a WebSocket, pings are not read either, so
        they are not answered. Nor is the application's close frame, so ``close_code`` stays
        ``None``.
        """
        self._peer.stop_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self._peer.resume_reading()

    def delay(self, seconds: float) -> None:
        """
        From now on, let everything take *seconds* longer, in each direction.

        The order stays the same. Zero switches the delay off. Receives and sends wait that much
        longer before they time out.
        """
        if seconds < 0:
            raise ValueError(f"nothing arrives before it is sent: {seconds} s")
        self._timeout += 2 * (seconds - self._delay)
        self._delay = seconds
        self._peer.delay(seconds)
