"""A route's handler, compiled: from an ASGI connection to its log line."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import trio
from attrs import evolve, field, frozen

from triows._counted import counted
from triows._injection.factories import shown
from triows._injection.params import RequestData, read_params
from triows._injection.plan import Given
from triows._log import logger, peer_of
from triows._printable import printable
from triows._protocol.handshake import origin_allowed
from triows._reply import problem, try_later
from triows._requires import note_checked
from triows._transports.connection import open_transport
from triows._where import name_of, where
from triows.exceptions import NotRunningError
from triows.websocket import WebSocket

from .lifetime import Lifetime
from .refusals import bad_parameters
from .verdict import judge

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from triows._injection.plan import Plan
    from triows._protocol.handshake import Origins
    from triows._reply import Reply
    from triows._requires import Requirement
    from triows._settings import Settings, Timeouts
    from triows._transports.interface import Transport
    from triows.types import Receive, Scope, Send

    from .registry import Connections

__all__ = [
    "APP",
    "NURSERY",
    "WEBSOCKET",
    "Endpoint",
    "PathParams",
    "log_close",
    "log_refusal",
    "refuse",
]

#: Characters of a reason that the log shows: a few lines of a terminal.
_MOST_SHOWN = 300

WEBSOCKET = Given("WebSocket")
NURSERY = Given("nursery")
APP = Given("application")


class PathParams(dict[str, Any]):
    """
    The parameters of a path, for ``scope["path_params"]``, as in Starlette.

    Args:
        params: The values that the template's converters made.
        raw: The texts in the path, decoded. The handler's arguments are made from these.
    """

    def __init__(self, params: Mapping[str, Any], raw: Mapping[str, str]) -> None:
        super().__init__(params)
        self.raw = raw


@frozen(eq=False)
class Endpoint:
    """Serves the connections of one route."""

    path: str
    handler: Callable[..., Awaitable[object]]
    plan: Plan
    settings: Settings
    origins: Origins | None
    connections: Connections
    #: The application, for handlers and factories that ask for it.
    app: Any
    #: The values of factories with ``scope="app"``. Empty until the application has started.
    shared: Mapping[Callable[..., Any], Any]
    #: The scopes that the peer needs.
    requirements: tuple[Requirement, ...]
    _wants_nursery: bool = field(init=False)

    @_wants_nursery.default
    def _(self) -> bool:
        return NURSERY in self.plan.givens

    @property
    def can_accept(self) -> bool:
        """Whether the handler, or a factory, takes the WebSocket."""
        return WEBSOCKET in self.plan.givens

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Serve one connection until its end.

        Raises:
            BaseException: Everything that went wrong, as one exception, when all is closed.
        """
        transport = open_transport(scope, receive, send, self.settings)
        params: list[Any] = []
        error: BaseException | None = None
        try:
            refusal = self._refuse_unread(scope) or self._refuse_peer(scope)
            if refusal is None:
                params, refusal = self._read_params(scope)
        except Exception as exc:  # noqa: BLE001 - raised below
            # A decoder, or the check of a pack: the same as if a factory had raised it.
            verdict = judge(exc, None, accepted=False, own=transport)
            refusal = evolve(verdict.refusal, why=verdict.why or verdict.refusal.why)
            error = verdict.error
        if refusal is None:
            await self._live(scope, transport, params)
            return
        await refuse(transport, refusal, self.settings.timeouts)
        log_refusal(scope, refusal.status, self.path, refusal.why)
        if error is not None:
            raise error

    def _refuse_unread(self, scope: Scope) -> Reply | None:
        """Refuse a connection for a reason that doesn't depend on the parameters."""
        if self.connections.draining:
            return try_later("the server is shutting down")
        if self.connections.full:
            return try_later("the server has as many connections as it may have")
        headers = scope["headers"]
        origin, host = _header(headers, b"origin"), _header(headers, b"host")
        if not origin_allowed(origin, host, self.origins):
            return problem(403, "this origin may not connect")
        return None

    def _refuse_peer(self, scope: Scope) -> Reply | None:
        """
        Refuse a peer that lacks a scope.

        Raises:
            RouteSetupError: Nobody has authenticated it.
        """
        if not self.requirements:
            return None
        missed = next((one for one in self.requirements if not one.is_met(scope)), None)
        note_checked(self.requirements)
        if missed is None:
            return None
        return evolve(problem(missed.status), why="it lacks a scope that @requires asks for")

    def _read_params(self, scope: Scope) -> tuple[list[Any], Reply | None]:
        path_params = scope.get("path_params") or {}
        if isinstance(path_params, PathParams):
            raw = path_params.raw
        else:  # middleware has replaced it
            raw = {name: str(value) for name, value in path_params.items()}
        data = RequestData(
            scope.get("query_string") or b"",
            scope["headers"],
            raw,
            max_query_parameters=self.settings.limits.query_parameters,
        )
        params, errors = read_params(self.plan.params, data)
        return params, bad_parameters(errors) if errors else None

    async def _live(self, scope: Scope, transport: Transport, params: list[Any]) -> None:
        lifetime = Lifetime(transport, self.settings.timeouts, could_accept=self.can_accept)
        ws = WebSocket(
            scope,
            transport,
            on_answer=lifetime.note_answered,
        )
        transport.on_gone = lifetime.note_gone

        def values(nursery: trio.Nursery | None) -> list[Any]:
            own = {WEBSOCKET: ws, NURSERY: nursery, APP: self.app}
            if missing := [factory for factory in self.plan.shared if factory not in self.shared]:
                raise NotRunningError(
                    f"{name_of(missing[0])} lives as long as the application, and the application "
                    "has not been started: serve it by a server that runs its lifespan; in a test, "
                    "use open_app() or `with TestClient(app)`; if it is mounted, put `async with "
                    f"app.running()` into the outer application's lifespan\n  at "
                    f"{where(missing[0])}"
                )
            return [
                *params,
                *(own[given] for given in self.plan.givens),
                *(self.shared[factory] for factory in self.plan.shared),
            ]

        self.connections.add(lifetime, self, scope)
        try:
            await lifetime.run(self.handler, self.plan, values, wants_nursery=self._wants_nursery)
        finally:
            self.connections.discard(lifetime)
            _log_end(self.path, scope, transport, lifetime)
        if lifetime.returned is not None:
            logger.warning(
                "%s returned %s, and nobody gets what a handler returns: send it, for example with "
                "`await ws.send_json(...)`",
                where(self.handler),
                shown(lifetime.returned),
            )


async def refuse(transport: Transport, refusal: Reply, timeouts: Timeouts) -> None:
    """Refuse a handshake. All of this takes ``timeouts.close`` at most."""
    async with trio.open_nursery() as nursery:
        transport.start(nursery)
        until = trio.current_time() + timeouts.close
        try:
            with trio.move_on_at(until):
                await transport.reject(refusal)
                await transport.wait_delivered()
        finally:
            with trio.CancelScope(shield=True):  # *linger* bounds it
                await transport.aclose(linger=max(0.0, until - trio.current_time()))


def _header(headers: Sequence[tuple[bytes, bytes]], wanted: bytes) -> str | None:
    """Return the value of a header, or ``""`` if a header that may come only once came twice."""
    found = [value.decode("latin-1") for name, value in headers if name.lower() == wanted]
    if not found:
        return None
    return found[0] if len(found) == 1 else ""


def log_refusal(scope: Scope, status: int, route: str | None, why: str) -> None:
    """
    Log a refusal, in one line.

    Args:
        scope: The request.
        status: The HTTP status.
        route: The template, or ``None`` if there is no route.
        why: The reason, for whoever reads the log. Browsers don't show why they were refused.
    """
    # The path comes from the peer. repr() keeps it on one line.
    logger.info(
        "%s %s refused %d%s",
        peer_of(scope),
        repr(scope["path"]) if route is None else route,
        status,
        _in_brackets(why),
        extra={"route": route, "peer": peer_of(scope), "status": status},
    )


def log_close(scope: Scope, code: int, why: str) -> None:
    """Log the close of a connection that no route has served, in one line."""
    logger.info(
        "%s %r closed %d%s",
        peer_of(scope),
        scope["path"],
        code,
        _in_brackets(why),
        extra={"route": None, "peer": peer_of(scope), "code": code},
    )


def _in_brackets(why: str) -> str:
    # Parts of it may come from the peer.
    return f" ({printable(why[:_MOST_SHOWN])})" if why else ""


def _log_end(path: str, scope: Scope, transport: Transport, lifetime: Lifetime) -> None:
    """Log the end of a connection, in one line."""
    if not logger.isEnabledFor(logging.INFO):
        return
    traffic = transport.traffic
    ended = transport.ended
    code, reason = (ended.code, ended.reason) if ended else (1006, "")
    if ended is not None and ended.status is not None:
        log_refusal(scope, ended.status, path, ended.why or lifetime.why)
        return
    duration = trio.current_time() - lifetime.started
    # The reason may come from the peer. %r keeps it on one line.
    logger.info(
        "%s %s closed %d %r%s after %.3f s, received %s (%s), sent %d (%s)",
        peer_of(scope),
        path,
        code,
        reason,
        _in_brackets(lifetime.why),
        duration,
        counted(traffic.messages_received, "message"),
        counted(traffic.bytes_received, "byte"),
        traffic.messages_sent,
        counted(traffic.bytes_sent, "byte"),
        extra={
            "route": path,
            "peer": peer_of(scope),
            "code": code,
            "reason": reason,
            "duration": duration,
            "messages_received": traffic.messages_received,
            "bytes_received": traffic.bytes_received,
            "messages_sent": traffic.messages_sent,
            "bytes_sent": traffic.bytes_sent,
        },
    )
