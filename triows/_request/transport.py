"""What a plain request needs of the server, whoever that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from starlette.requests import ClientDisconnect as StarlettesDisconnect

from triows.exceptions import ClientDisconnect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    import trio

    from triows._exchange.line import Timer
    from triows._headers import SteadyHeaders
    from triows._reply import Reply
    from triows.types import Message

__all__ = [
    "CLIENT_LEFT",
    "DISCONNECTS",
    "INCOMPLETE",
    "EngineRequest",
    "RequestTransport",
    "nobody",
]

#: What an application raises that notices that its client has left. Starlette's responses and
#: requests raise their own error in place of what the server has told them.
DISCONNECTS: tuple[type[Exception], ...] = (ClientDisconnect, StarlettesDisconnect)


#: The usual :attr:`.RequestTransport.why_left`.
CLIENT_LEFT = "the client has left"

#: What the log says if a response has begun, and nobody can complete it.
INCOMPLETE = "the response is incomplete"


def nobody() -> None:
    """Do nothing. This is the ``on_left`` of a request until its owner sets another."""


class RequestTransport(Protocol):
    """
    One request and its response.

    Only one task may receive at a time. Concurrent sends are made one after the other.
    """

    #: Called once, when the client is found to have left before it had the whole response.
    on_left: Callable[[], None]
    #: The status of the response, once the application has begun one.
    status: int | None
    #: Whether the whole response was handed over.
    complete: bool
    #: Whether the client is known to have left before it had the whole response. It may only have
    #: closed its side (:rfc:`9112#section-9.6`), and still read a response.
    left: bool
    #: What the log says if :attr:`left` is true. The server may have ended the request itself.
    why_left: str
    #: How many bytes of the request's body were handed over.
    received: int
    #: Whether more of the request's body will come, as far as that is known.
    has_more: bool
    #: How many seconds the client may send nothing of its body while somebody waits for it, in
    #: place of the application's ``Timeouts.receive``. Set it before the first :meth:`receive`.
    #: Another server has a limit of its own, or none.
    receive_timeout: float | None
    #: Returns Trio's time. Our server asks the clock, which is faster than
    #: :func:`trio.current_time`.
    now: Callable[[], float]

    @property
    def refused_with(self) -> int | None:
        """The status with which our server has answered in place of the application."""

    @property
    def timer(self) -> Timer | None:
        """What calls in time whoever was lent the scope. ``None`` if it is never lent."""

    @property
    def sent(self) -> int:
        """How many bytes of the response's body were handed over. There are none for ``HEAD``."""

    @property
    def begun(self) -> bool:
        """Whether something of the response was handed over, so that there can't be another one."""

    @property
    def needs_watch(self) -> bool:
        """Whether only :meth:`watch` notices that the client leaves while nobody receives."""

    def watch(self) -> Awaitable[None]:
        """
        Return what is to be run in a task, to notice that the client leaves.

        It can be noticed when all but the next part of the body was received.
        """

    def lend_scope(self) -> trio.CancelScope | None:
        """
        Return the scope around the task that serves only this request, but only once.

        Returns:
            The scope, or ``None`` if another server runs the task, or the scope was lent.
        """

    async def respond(self, reply: Reply) -> None:
        """
        Answer, if the response hasn't :attr:`begun`.

        Raises:
            ClientDisconnect: The client has gone.
        """

    async def receive(self) -> bytes:
        """
        Wait for a part of the request's body. It is empty only if there is no more.

        A part that is there is returned even if the caller is cancelled. A client that is too slow
        for :attr:`receive_timeout` is answered with 408, if the response hasn't begun.

        Raises:
            ClientDisconnect: The client has gone, or has broken a rule. The rest won't come.
        """

    def hold_end(self) -> None:
        """
        Keep the client from taking the response for complete before it is ended.

        A client that was told a ``content-length`` has the whole response with its last byte, even
        if the application has more to do. So the part that would reach the announced length is
        kept, or the last 64 KiB of a file, and the head if there is no body. They are sent together
        with the end. If the response is cut before that, the client sees that it is incomplete.

        Call it before anything is sent.
        """

    def start(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], *, trailers: bool = False
    ) -> None:
        """
        Begin the response. It is sent together with the first part of its body.

        Raises:
            ValueError: It has begun, or can't be sent.
            TypeError: A header isn't a pair of bytes.
            ClientDisconnect: The client has gone.
        """

    async def send(self, body: bytes, *, more: bool) -> None:
        """
        Send a part of the response's body, and wait while the client is slow.

        If this is cancelled before a byte is handed over, nothing is sent. After that, the
        connection is cut, so that the client sees that something is missing.

        Raises:
            ClientDisconnect: The client has gone.
            ValueError: It hasn't begun, or is over, or this is more or less than was announced.
        """

    def send_nowait(self, body: bytes, *, more: bool) -> Awaitable[None] | None:
        """
        Send a part of the response's body, as far as the system takes it at once.

        Before it, call :func:`trio.lowlevel.checkpoint_if_cancelled`. See :meth:`send`.

        Returns:
            What is to be awaited, at once, if there is something to wait for.
        """

    def answer_nowait(
        self, status: int, headers: SteadyHeaders, body: bytes
    ) -> Awaitable[None] | None:
        """
        Send a whole response: :meth:`start`, and then :meth:`send_nowait`.

        Most responses of handlers are sent by this, so our own server does it in one step.
        """

    async def asgi_receive(self) -> Message:
        """Wait for the next event of the request, for an ASGI application."""

    async def asgi_send(self, event: Message) -> None:
        """Send an event of the response, for an ASGI application."""


class EngineRequest(RequestTransport, Protocol):
    """A request to our own server: what the engine takes and gives besides."""

    #: Called when the whole response was handed over, if somebody wants to know.
    on_complete: Callable[[], None] | None

    async def wait_over(self) -> None:
        """Wait until the client has left, or the whole response was handed over."""

    async def send_file(self, path: str, *, more: bool = False) -> None:
        """
        Send a file as a part of the response's body, or as all of it. See :meth:`send`.

        Raises:
            OSError: The file can't be read.
        """

    async def send_trailers(self, headers: Iterable[tuple[bytes, bytes]], *, more: bool) -> None:
        """Send trailers, if the client wants them. See :meth:`send`."""

    def cut(self) -> None:
        """Let nothing more be sent. The client sees that the response is incomplete."""
