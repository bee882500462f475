"""Serves plain requests, each in an exchange of its own, until its log line."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import trio
from attrs import frozen

from triows._log import logger
from triows._reply import try_later
from triows.exceptions import ClientDisconnect

from .exchange import RequestExchange
from .guard import CUT, cut_response, note_line, open_request
from .log_lines import answer, log_end

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from triows._exchange.registry import Exchanges
    from triows._settings import Settings
    from triows.types import Receive, Scope, Send

    from .line import RequestLine
    from .transport import RequestTransport

__all__ = ["ServedRequests"]


@frozen(eq=False)
class ServedRequests(ABC):
    """Serves the requests to one endpoint, or to one mounted application."""

    #: The template of its path.
    path: str
    #: The user's function, or the mounted application.
    handler: Callable[..., Any]
    settings: Settings
    exchanges: Exchanges

    #: Whether each of its requests has a lifetime from the beginning.
    needs_lifetime = False
    #: Whether :attr:`needs_scope` can be true.
    may_need_scope = False

    @property
    def needs_scope(self) -> bool:
        """
        Whether a request needs a scope of its own, in place of the one around the whole task.

        If a resource or a task fails, the handler is cancelled, and its response may go on.
        """
        return False

    @abstractmethod
    def line_of(self, transport: RequestTransport, scope: Scope) -> RequestLine:
        """Make the line of a request."""

    @abstractmethod
    def answer(self, exchange: RequestExchange) -> Awaitable[None]:
        """
        Answer a request in the calling task, if it needs no lifetime.

        What it raises is told to the client.
        """

    @abstractmethod
    def live(self, exchange: RequestExchange) -> Awaitable[None]:
        """
        Answer a request in its lifetime.

        Raises:
            BaseException: What went wrong, as one exception, when all is closed.
        """

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Serve one request until its end.

        Raises:
            BaseException: What went wrong, as one exception, when all is closed.
        """
        exchanges = self.exchanges
        if exchanges.draining and exchanges.grace_left(self.settings.timeouts) <= 0:
            with trio.move_on_after(self.settings.timeouts.close, shield=True):
                await answer(scope, send, try_later("the server is shutting down"), self.path)
            return
        transport, is_within = open_request(scope, receive, send)
        if is_within:
            note_line()  # a middleware may have answered long before this is over
        # What is around the application would be cancelled as well, so there must be nothing.
        is_alone = not (is_within or (self.may_need_scope and self.needs_scope))
        around = transport.lend_scope() if is_alone else None
        exchange = RequestExchange(self, transport, scope, around)
        exchanges.add(exchange)
        error: BaseException | None = None
        is_cut = False
        try:
            if around is None or self.needs_lifetime:
                await self.live(exchange)
            else:
                try:
                    await self.answer(exchange)
                except BaseException as exc:  # noqa: BLE001 - raised when all is closed
                    error = exc
                    await exchange.close_left_open()
                if error is not None or not exchange.is_over:
                    await exchange.end(error)
            if not transport.complete and exchange.is_cut_off(within=is_within):
                is_cut = True
                cut_response(receive, send)
        except BaseException as exc:
            if is_within and exchange.is_incomplete:
                cut_response(receive, send, exc)
            raise
        finally:
            error = None  # its traceback refers to this frame
            exchange.note_over()
            exchanges.discard(exchange)
            if logger.isEnabledFor(logging.INFO):
                log_end(exchange)
        # Otherwise a middleware would take the response for complete, and end it properly, or would
        # miss one.
        if is_cut or (is_within and transport.left and not transport.begun):
            raise ClientDisconnect(CUT if is_cut else transport.why_left)
