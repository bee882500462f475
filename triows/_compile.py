"""
Turns the descriptions of routes into what serves them.

The :class:`Compiler` keeps what belongs to all routes of an application: its own factories and
settings, which factories are overridden, and the plans of the resources that live as long as the
application. Mistakes in routes are reported here.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Never, NoReturn, TypeAlias

import trio
from attrs import define, evolve, field, frozen

from ._injection.kinds import given_for
from ._injection.planner import Planner
from ._injection.providers import check_factory, is_mock, providers
from ._injection.unused import check_all_used
from ._managers import contextmanager
from ._plugins import plugged
from ._protocol.handshake import check_origins
from ._request.endpoint import RequestEndpoint
from ._request.results import plan_result
from ._request.threads import in_thread
from ._requires import requirements_of
from ._routing.handlers import is_async_generator, is_handler
from ._routing.kind import HTTP
from ._targets import Entry
from ._websocket.endpoint import Endpoint
from ._websocket.kind import WEBSOCKET, blind
from ._where import code_for, name_of, where
from .exceptions import (
    DependencyCycleError,
    DependencyError,
    HandlerSignatureError,
    RouteSetupError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ._exchange.catchers import Catchers
    from ._exchange.registry import Exchanges
    from ._injection.factories import Factory
    from ._injection.kinds import Given, RouteKind
    from ._injection.plan import Plan
    from ._protocol.handshake import Origins
    from ._request.results import ResultPlan
    from ._routing.node import RouteDescription
    from ._routing.options import Dependency, DepsList, RouteOptions
    from ._routing.template import Key
    from ._running import AppResources
    from ._settings import Settings

logger = logging.getLogger("triows")

__all__ = ["Compiled", "Compiler", "SharedPlans", "check_origin_setting"]

#: The resources of the application, each after the ones that it needs, with their plans.
SharedPlans: TypeAlias = "dict[Callable[..., Any], tuple[Factory, Plan]]"


@frozen
class Compiled:
    """Routes that were compiled together, and what the application needs with them."""

    entries: Sequence[Entry]
    shared: SharedPlans


@define(eq=False)
class Compiler:
    """Compiles the routes of one application, and compiles them again for overrides."""

    app: Any
    #: What handlers of WebSocket routes may ask for, and the application's resources.
    kind: RouteKind
    #: What handlers of requests may ask for, by method.
    request_kind: Callable[[str], RouteKind]
    #: The application's own factories.
    deps: DepsList
    #: The application's settings, which apply to every route that has none of its own.
    options: RouteOptions
    #: Makes the :class:`.EndpointInfo` that a plugin gets.
    endpoint_info: Callable[..., Any]
    exchanges: Exchanges
    #: The close code if the server shuts down.
    shutdown_code: int
    resources: AppResources
    #: What the application makes of its exceptions.
    catchers: Catchers
    #: The routes, in the order of their registration.
    entries: list[Entry] = field(factory=list, init=False)
    shared: SharedPlans = field(factory=dict, init=False)
    #: Limits the threads in which handlers run that are plain functions.
    limiter: trio.CapacityLimiter = field(init=False)
    _overrides: dict[Callable[..., Any], Callable[..., Any]] = field(factory=dict, init=False)

    @limiter.default
    def _(self) -> trio.CapacityLimiter:
        return trio.CapacityLimiter(self.options.settings.limits.threads)

    def __attrs_post_init__(self) -> None:
        providers(self.deps)  # report a mistake in them here, and not at the first route

    def compile(
        self, descriptions: Iterable[RouteDescription], deps: Iterable[DepsList]
    ) -> Compiled:
        """
        Compile routes. This changes nothing: call :meth:`add` when nothing can fail any more.

        Args:
            descriptions: The routes.
            deps: The lists of factories that were given to them.

        Raises:
            RouteSetupError: There is a mistake. The error may be of a subclass.
        """
        entries = [Entry(one, self._endpoint(one)) for one in descriptions]
        self._check_used(entries, deps)
        return Compiled(entries, self._plan_shared([*self.entries, *entries]))

    def add(self, compiled: Compiled) -> None:
        """Keep routes, and log a warning about each that can only refuse."""
        self.entries.extend(compiled.entries)
        self.shared = compiled.shared
        for entry in compiled.entries:
            self._warn_if_blind(entry)

    def check_all_used(self) -> None:
        """
        Refuse factories that no handler uses, now that all handlers are known.

        This checks the lists of routes again, because their routes may have been included one by
        one.

        Raises:
            DependencyError: A factory would never be called.
        """
        given = (one for entry in self.entries for one in (self.deps, *_deps_of(entry)))
        self._check_used(self.entries, {id(one): one for one in given}.values())

    @contextmanager
    def override(self, factory: Callable[..., Any], fake: Callable[..., Any]) -> Iterator[None]:
        """
        Replace a factory by another one during the block. See :meth:`.Triows.override`.

        Raises:
            DependencyError: There is nothing to override, or it is too late.
            RouteSetupError: *fake* can't be used there. The error may be of a subclass.
        """
        self._check_override(factory, fake)
        replaced = self._overrides.get(factory)
        self._overrides[factory] = fake
        try:
            self._recompile()
            yield
        finally:
            # Undo only this one, because others may have begun or ended meanwhile.
            if replaced is None:
                self._overrides.pop(factory, None)
            else:
                self._overrides[factory] = replaced
            self._recompile()

    def _check_override(self, factory: Callable[..., Any], fake: Callable[..., Any]) -> None:
        if not callable(fake):
            raise DependencyError(
                f"override() takes a factory, not {fake!r}: write override({code_for(factory)}, "
                "lambda: ...)"
            )
        check_factory(factory, f"override({factory!r}, ...)", None)
        if is_mock(fake):
            raise DependencyError(
                f"override() got {fake!r}, and a mock takes any call, so nothing says whether it "
                f"is the factory or its value: write override({code_for(factory)}, lambda: mock) "
                "to hand it over, or lambda: mock() to call it"
            )
        used = {one for entry in self.entries for one in entry.endpoint.plan.factories}
        if factory not in used | self.shared.keys():
            raise DependencyError(
                f"no route uses {name_of(factory)}, so there is nothing to override: give the "
                "factory as it is in use(...) or deps=",
                where(factory),
            )
        if self.resources.planned is not None and factory in self.shared:
            raise DependencyError(
                f"{name_of(factory)} lives as long as the application: override it before the "
                "application starts",
                where(factory),
            )

    def _warn_if_blind(self, entry: Entry) -> None:
        """Log a warning about a handler that can only refuse, unless its annotation says so."""
        # A test's fake may not take what the factory that it replaces takes.
        if self._overrides or entry.description.kind is HTTP or WEBSOCKET in _givens_of(entry):
            return
        handler = entry.description.handler
        if entry.endpoint.plan.signature.return_annotation not in (NoReturn, Never):
            logger.warning("%s: %s", entry.description.template.path, blind(handler))

    def _recompile(self) -> None:
        for entry in self.entries:
            entry.endpoint = evolve(entry.endpoint, plan=self._plan(entry.description))
        self.shared = self._plan_shared(self.entries)

    def _planner(
        self,
        levels: Iterable[Iterable[Dependency]] = (),
        keys: Mapping[str, Key] | None = None,
        at: str | None = None,
        kind: RouteKind | None = None,
    ) -> Planner:
        return Planner(
            kind=kind or self.kind,
            providers=providers(self.deps, *levels, at=at),
            overrides=self._overrides,
            path_keys=keys or {},
        )

    def _plan(self, description: RouteDescription) -> Plan:
        keys, at = description.template.by_name, description.where
        planner = self._planner(description.options.deps, keys, at, self._kind_of(description))
        return planner.plan(description.handler)

    def _kind_of(self, description: RouteDescription) -> RouteKind:
        method = description.method
        return self.kind if method is None else self.request_kind(method)

    def _check_used(self, entries: Iterable[Entry], deps: Iterable[DepsList]) -> None:
        """
        Refuse a factory of *deps* that none of *entries* uses.

        Raises:
            DependencyError: A factory would never be called.
        """
        # A fake may not need what the factory that it replaces needs.
        if self._overrides:
            return
        # The application's resources may also use the application's own factories.
        used: dict[int, set[Any]] = {id(self.deps): set(self.shared)}
        for entry in entries:
            plan = entry.endpoint.plan
            for given in (self.deps, *_deps_of(entry)):
                used.setdefault(id(given), set()).update(plan.factories, plan.head.shared)
        for given in deps:
            check_all_used(
                given, used.get(id(given), ()), of=given.of, users=given.users, at=given.at
            )

    def _endpoint(self, description: RouteDescription) -> Endpoint | RequestEndpoint:
        check_origin_setting(description.options.origins, description.where)
        plan = self._plan(description)
        options = description.options.below(self.options)
        if description.kind is HTTP:
            return self._of_requests(description, plan, options)
        return Endpoint(
            path=description.template.path,
            handler=self._plugged(description.handler, description, plan, options),
            plan=plan,
            settings=options.settings,
            origins=options.origins,
            exchanges=self.exchanges,
            shutdown_code=self.shutdown_code,
            app=self.app,
            shared=self.resources.shared,
            requirements=requirements_of(description.handler),
            catchers=self.catchers,
        )

    def _of_requests(
        self, description: RouteDescription, plan: Plan, options: RouteOptions
    ) -> RequestEndpoint:
        handler, at = description.handler, description.where
        is_streamed = is_async_generator(handler)
        results = plan_result(
            plan.signature.return_annotation,
            status=options.status,
            is_generator=is_streamed,
            where=at,
        )
        is_plain = not (is_streamed or is_handler(handler))
        if is_plain:
            self._check_sync(description, plan)
            handler = in_thread(handler, self.limiter)
        if is_streamed and options.plugins:
            raise RouteSetupError(
                "the handler is a generator, and plugins are for functions that return: take "
                "plugins= out, or return a StreamingResponse",
                at,
            )
        return RequestEndpoint(
            path=description.template.path,
            handler=self._plugged(handler, description, plan, options),
            plan=plan,
            results=results,
            in_thread=is_plain,
            settings=_settings_of(results, options),
            has_etags=bool(options.etag),
            exchanges=self.exchanges,
            app=self.app,
            shared=self.resources.shared,
            requirements=requirements_of(description.handler),
            catchers=self.catchers,
        )

    def _check_sync(self, description: RouteDescription, plan: Plan) -> None:
        """Refuse a ``def`` handler that would have to await what it asks for."""
        givens = self._kind_of(description).givens
        for name, parameter in plan.signature.parameters.items():
            given = given_for(givens, parameter.annotation)
            if given is not None and given.takes_body:
                raise HandlerSignatureError(
                    f"`{name}` reads the body of the request as it comes, by `async for`, which a "
                    "`def` can't do: write `async def`, or take the body whole, as `bytes`",
                    description.where,
                )

    def _plugged(
        self,
        handler: Callable[..., Any],
        description: RouteDescription,
        plan: Plan,
        options: RouteOptions,
    ) -> Callable[..., Any]:
        """Put the plugins around a handler."""
        info = partial(
            self.endpoint_info,
            path=description.template.path,
            signature=plan.signature,
            app=self.app,
        )
        return plugged(handler, options.plugins, info, description.where)

    def _plan_shared(self, entries: Iterable[Entry]) -> SharedPlans:
        """
        Plan the application's resources, each after the ones that it needs.

        Raises:
            DependencyError: A resource is new, and the start-up has already run.
        """
        plans: SharedPlans = {}

        def add(plan: Plan, callers: tuple[Callable[..., Any], ...], kind: RouteKind) -> None:
            for factory in plan.head.shared:
                if factory in plans and factory not in callers:
                    continue
                self._check_shared(factory, callers)
                planner = self._planner(kind=kind)
                planned = planner.plan_shared(factory, plan.expected[factory])
                add(planned[1], (*callers, factory), kind)
                plans[factory] = planned

        for entry in entries:
            handler = entry.description.handler
            add(entry.endpoint.plan, (handler,), self._kind_of(entry.description))
        return plans

    def _check_shared(
        self, factory: Callable[..., Any], callers: tuple[Callable[..., Any], ...]
    ) -> None:
        """Refuse a resource of the application that needs itself, or that comes too late."""
        if factory in callers:
            raise DependencyCycleError(
                f"{name_of(factory)} needs itself: make one of the factories do without the other",
                where(factory),
                [name_of(caller) for caller in (*callers, factory)],
            )
        if self.resources.planned is not None and factory not in self.resources.planned:
            raise DependencyError(
                f"{name_of(factory)} lives as long as the application, which has been started "
                "without it: include its route before that",
                where(factory),
                [name_of(caller) for caller in callers],
            )


def _settings_of(results: ResultPlan, options: RouteOptions) -> Settings:
    """
    Return the settings of a handler of requests.

    A stream of events has no end that its client waits for: the client comes back by itself, to
    another server. So a shutdown gives it as long as if its client had left.
    """
    settings, timeouts = options.settings, options.settings.timeouts
    if results.kind != "events":
        return settings
    grace = min(timeouts.shutdown_grace, timeouts.disconnect_grace)
    return evolve(settings, timeouts=evolve(timeouts, shutdown_grace=grace))


def _givens_of(entry: Entry) -> tuple[Given, ...]:
    return entry.endpoint.plan.head.givens


def _deps_of(entry: Entry) -> tuple[DepsList, ...]:
    return entry.description.options.deps


def check_origin_setting(origins: Origins | None, at: str | None = None) -> None:
    """
    Refuse origins that could never match, or that would match more than was meant.

    Args:
        origins: The setting, or ``None``.
        at: ``file:line (name)`` of the handler, if it is the setting of one.

    Raises:
        RouteSetupError: One of them can't be used.
    """
    try:
        check_origins(origins or ())
    except (TypeError, ValueError) as exc:
        raise RouteSetupError(str(exc), at) from None
