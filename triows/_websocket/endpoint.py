"""Serves the connections of one route, from the ASGI scope to the log line."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import define, evolve, field, frozen

from triows._exchange.asked import read_head
from triows._exchange.lifetime import Lifetime, Opening
from triows._exchange.log_lines import log_refusal
from triows._injection.call import make_arguments
from triows._injection.factories import shown
from triows._injection.kinds import APP, NURSERY
from triows._log import logger
from triows._protocol.handshake import origin_allowed, why_not_allowed
from triows._reply import Refused, problem, try_later
from triows._requires import note_checked
from triows._transports.connection import open_transport
from triows._where import where
from triows.exceptions import InvalidRequest
from triows.websocket import WebSocket

from .kind import WEBSOCKET
from .line import WebSocketLine
from .log_lines import log_end
from .refusing import judged, refuse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    import trio

    from triows._exchange.catchers import Catchers
    from triows._exchange.registry import Exchanges
    from triows._injection.hosts import ResourceStack
    from triows._injection.plan import Plan
    from triows._protocol.handshake import Origins
    from triows._reply import Reply
    from triows._requires import Requirement
    from triows._settings import Settings
    from triows._transports.interface import Transport
    from triows.types import Receive, Scope, Send


__all__ = ["Endpoint"]


@define(eq=False)
class ConnectionExchange:
    """
    A live connection. It is an :class:`~triows._exchange.registry.Exchange`.

    Nobody changes it.
    """

    is_connection: ClassVar = True

    lifetime: Lifetime
    served: Endpoint
    scope: Scope


@frozen(eq=False)
class Endpoint:
    """Serves the connections of one route."""

    path: str
    handler: Callable[..., Awaitable[object]]
    plan: Plan
    settings: Settings
    origins: Origins | None
    exchanges: Exchanges
    #: The close code if the server shuts down.
    shutdown_code: int
    #: The application, for handlers and factories that ask for it.
    app: Any
    #: The values of factories with ``scope="app"``. Empty until the application has started.
    shared: Mapping[Callable[..., Any], Any]
    #: The scopes that the peer needs.
    requirements: tuple[Requirement, ...]
    catchers: Catchers
    #: Whether the handler, or a factory, takes the connection's nursery.
    _wants_nursery: bool = field(init=False)

    @_wants_nursery.default
    def _(self) -> bool:
        return NURSERY in self.plan.head.givens

    @property
    def can_accept(self) -> bool:
        """Whether the handler, or a factory, takes the WebSocket."""
        return WEBSOCKET in self.plan.head.givens

    def serve(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """
        Decide whether to serve one connection, and return what serves it until its end.

        Awaiting that raises everything that went wrong, as one exception, when all is closed.

        Raises:
            WebSocketStateError: A middleware has already answered.
        """
        transport = open_transport(scope, receive, send, self.settings)
        params: Sequence[Any] = ()
        error: BaseException | None = None
        try:
            refusal = self._refuse_unread(scope)
            if refusal is None:
                self._check_peer(scope)
                params = self._read_params(scope)
        except Exception as exc:  # noqa: BLE001 - raised below
            # Also what a decoder, or the check of a pack, has raised.
            refusal, error = judged(exc, scope, self.catchers, transport)
        if refusal is None:
            return self._live(scope, transport, params)
        return self._refuse(scope, transport, refusal, error)

    async def _refuse(
        self, scope: Scope, transport: Transport, refusal: Reply, error: BaseException | None
    ) -> None:
        """Refuse a connection, and raise the error because of which it is refused, if any."""
        await refuse(transport, refusal, self.settings.timeouts)
        log_refusal(scope, refusal.status, self.path, refusal.why)
        try:
            if error is not None:
                raise error
        finally:
            del error  # its traceback refers to this frame

    def _refuse_unread(self, scope: Scope) -> Reply | None:
        """Refuse a connection for a reason that doesn't depend on the parameters."""
        if self.exchanges.draining:
            return try_later("the server is shutting down")
        if self.exchanges.full:
            return try_later("the server has as many connections as it may have")
        headers = scope["headers"]
        origin = _header(headers, b"origin")
        if origin is not None:
            host = _header(headers, b"host")
            if not origin_allowed(origin, host, self.origins):
                # The peer isn't told: what it sent may be somebody else's.
                why = why_not_allowed(origin, host, self.origins)
                return evolve(_OTHER_ORIGIN, why=f"{_OTHER_ORIGIN.detail}: {why}")
        return None

    def _check_peer(self, scope: Scope) -> None:
        """
        Refuse a peer that lacks a scope.

        Raises:
            Refused: It lacks one.
            RouteSetupError: Nobody has authenticated it.
        """
        if not self.requirements:
            return
        missed = next((one for one in self.requirements if not one.is_met(scope)), None)
        note_checked(self.requirements)
        if missed is not None:
            why = "it lacks a scope that @requires asks for"
            raise Refused(evolve(problem(missed.status), why=why))

    def _read_params(self, scope: Scope) -> Sequence[Any]:
        """
        Read the parameters.

        Raises:
            InvalidRequest: Something is wrong with them.
        """
        if not self.plan.head.params:
            return ()
        params, errors = read_head(self.plan.head, scope, self.settings.limits)
        if errors:
            raise InvalidRequest(errors)
        return params

    async def _live(self, scope: Scope, transport: Transport, params: Sequence[Any]) -> None:
        timeouts = self.settings.timeouts
        line = WebSocketLine(
            transport,
            timeouts,
            handler=self.handler,
            could_accept=self.can_accept,
            shutdown_code=self.shutdown_code,
            replaced=partial(self.catchers.replaced, scope) if self.catchers else None,
        )
        needs_hosts = self.plan.body.needs_hosts
        lifetime = Lifetime(
            line,
            timeouts,
            Opening(timeouts.accept, line.too_slow),
            # If a resource or a task fails, the handler is cancelled, and what it has sent is still
            # delivered. The scope around the whole task would cancel that, too.
            around=None if needs_hosts or self._wants_nursery else transport.around,
            timer=transport.timer,
        )
        transport.on_gone = lifetime.note_gone

        def note_answered() -> None:
            lifetime.note_opened()
            line.note_answered()

        ws = WebSocket(scope, transport, on_answer=note_answered)

        def body(stack: ResourceStack, nursery: trio.Nursery | None) -> Awaitable[object]:
            own = {WEBSOCKET: ws, NURSERY: nursery, APP: self.app}
            values = self.plan.head.values(params, own, self.shared)
            if self.plan.body.steps:
                return self._call_factories(values, stack, line)
            return self.handler(**self.plan.body.arguments_in(values))

        exchange = ConnectionExchange(lifetime, self, scope)
        self.exchanges.add(exchange)
        try:
            await lifetime.run(
                body,
                wants_nursery=self._wants_nursery,
                enters_resources=needs_hosts,
            )
        finally:
            self.exchanges.discard(exchange)
            log_end(self.path, scope, transport, lifetime)
        if lifetime.returned is not None:
            logger.warning(
                "%s returned %s, and nobody gets what a handler returns: send it, for example with "
                "`await ws.send_json(...)`",
                where(self.handler),
                shown(lifetime.returned),
            )

    async def _call_factories(
        self, values: list[Any], stack: ResourceStack, line: WebSocketLine
    ) -> object:
        """Call the factories, and then the handler, unless a factory has refused."""
        arguments = await make_arguments(
            self.plan.body,
            values,
            stack,
            patience=self.settings.timeouts.teardown,
            is_over=lambda: line.is_refused,
        )
        return None if arguments is None else await self.handler(**arguments)


_OTHER_ORIGIN = problem(403, "this origin may not connect")


def _header(headers: Sequence[tuple[bytes, bytes]], wanted: bytes) -> str | None:
    """Return the value of a header, or ``""`` if a header that may come only once came twice."""
    found = None
    for name, value in headers:
        if name.lower() == wanted:
            if found is not None:
                return ""
            found = value
    return None if found is None else found.decode("latin-1")
