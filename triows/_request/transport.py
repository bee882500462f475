"""What a plain request needs of the server, whoever that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from triows._reply import Reply

__all__ = ["RequestTransport", "nobody"]


def nobody() -> None:
    """Do nothing. This is the ``on_left`` of a request until its owner sets another."""


class RequestTransport(Protocol):
    """One request and its response, below the application."""

    #: Called once, when the client is found to have left before it had the whole response.
    on_left: Callable[[], None]

    @property
    def status(self) -> int | None:
        """The status of the response, once it has begun."""

    @property
    def complete(self) -> bool:
        """Whether the whole response was handed over."""

    @property
    def left(self) -> bool:
        """
        Whether the client is known to have left before it had the whole response.

        It may only have closed its side (:rfc:`9112#section-9.6`), and still read a response.
        """

    @property
    def received(self) -> int:
        """How many bytes of the request's body the application has got."""

    @property
    def sent(self) -> int:
        """How many bytes of the response's body the application has sent."""

    async def respond(self, reply: Reply) -> None:
        """
        Answer.

        Raises:
            ClientDisconnect: The client has gone.
            RuntimeError: The response has begun.
        """
