"""The answers of triows to plain HTTP requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._checkpoints import checkpointed

if TYPE_CHECKING:
    from ._transports.interface import Refusal
    from .types import Message, Send

__all__ = ["ClientGone", "ResponseWatch", "respond"]


class ClientGone(OSError):
    """
    Raised from an application's ``send`` when nobody receives the response any more.

    ASGI requires an error here, and it has to be an OSError:
    https://asgi.readthedocs.io/en/latest/specs/www.html#disconnected-client-send-exception
    An application may let it escape. That isn't reported as an error.
    """


class ResponseWatch:
    """
    Wraps a server's ``send``, and remembers whether a response has begun.

    Args:
        send: The server's function.
    """

    def __init__(self, send: Send) -> None:
        self.started = False
        self._send = send

    @checkpointed
    async def send(self, message: Message) -> None:
        """Pass a message on."""
        self.started |= message["type"] == "http.response.start"
        await self._send(message)


async def respond(send: Send, refusal: Refusal) -> None:
    """Send a refusal as an HTTP response."""
    await send(
        {
            "type": "http.response.start",
            "status": refusal.status,
            "headers": list(refusal.headers),
        }
    )
    await send({"type": "http.response.body", "body": refusal.body})
