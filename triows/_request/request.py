"""The request as a handler may ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request as StarlettesRequest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from triows.types import Scope

    from .body import RequestBody
    from .transport import RequestTransport

__all__ = ["Request"]


class Request(StarlettesRequest):
    """
    The request that a handler serves, as Starlette shows it.

    A handler gets it by a parameter of this type, or of Starlette's. Its body may have
    ``Limits.body`` bytes: more of them raise an error that answers with 413. What a parameter was
    made from can be read here again, but not what was read part by part.
    """

    def __init__(self, scope: Scope, transport: RequestTransport, body: RequestBody) -> None:
        super().__init__(scope, transport.asgi_receive, transport.asgi_send)
        self._transport = transport
        self._parts = body

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """
        Yield the parts of the body as they come, and nothing at the end.

        Raises:
            ClientDisconnect: The client has left before the end of the body.
            HTTPException: The body is larger than ``Limits.body``: 413.
        """
        async for part in self._parts:
            yield part
        yield b""

    async def body(self) -> bytes:
        """
        Wait for the whole body. A further call returns the same bytes.

        Raises:
            ClientDisconnect: The client has left before the end of the body.
            HTTPException: The body is larger than ``Limits.body``: 413.
        """
        return await self._parts.read()

    async def is_disconnected(self) -> bool:
        """Say whether the client is known to have left."""
        return self._transport.left

    async def send_push_promise(self, path: str) -> None:
        """Do nothing: browsers no longer support this."""
