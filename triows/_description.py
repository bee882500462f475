"""What is known of an application's routes and mounts, as data that anybody may read."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from ._request.endpoint import RequestEndpoint
from ._request.kind import PARTS, UPLOAD
from ._request.multipart import FORM_DATA
from ._request.upload import Upload
from ._routing.names import UnknownRoute
from ._where import name_of, where
from .status import number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.datastructures import URLPath

    from ._injection.parameter import Parameter
    from ._injection.plan import Plan
    from ._targets import Entry
    from ._websocket.endpoint import Endpoint
    from .exceptions import HTTPException
    from .types import ASGIApp, UseScope

__all__ = [
    "BodyInfo",
    "ErrorInfo",
    "MountInfo",
    "ResourceInfo",
    "ResultInfo",
    "RouteInfo",
    "route_info",
]


# The media types of a body that is taken as it is.
_ANY = ("*/*",)


@frozen
class ResourceInfo:
    """A factory that a handler needs, itself or for another factory."""

    #: The factory's name.
    name: str
    #: ``"connection"``, or ``"app"`` if there is one for the whole application.
    scope: UseScope
    #: ``file:line (name)`` of the factory.
    where: str


@frozen
class BodyInfo:
    """The body of a request, unless it is a form whose fields are parameters."""

    #: The parameter's annotation.
    type: Any
    #: The content types that are read.
    media_types: tuple[str, ...]
    #: Whether a request without a body is refused.
    required: bool = True


@frozen
class ResultInfo:
    """What a handler may answer."""

    #: The status of the response. ``None`` if only the response says it, as Starlette's may.
    status: int | None
    #: The type of what is sent. ``None`` for no body.
    type: Any = None
    #: The content types that a client can choose from.
    media_types: tuple[str, ...] = ()


@frozen
class ErrorInfo:
    """An answer that isn't the handler's result."""

    #: The status of the response. ``None`` if each occurrence may have another one.
    status: int | None
    #: The exception that is raised for it. ``None`` if triows answers by itself.
    problem: type[HTTPException] | None = None
    #: What it means, for people.
    description: str = ""


@frozen
class RouteInfo:
    """A handler of an application, with everything that is known about it."""

    path: str
    #: The method that a request needs. ``None`` for a WebSocket.
    method: str | None
    #: The name by which :meth:`Triows.url_path_for` finds the route.
    name: str
    #: ``file:line (name)`` of the handler.
    handler: str
    #: The handler's docstring, without its indentation.
    doc: str
    #: What is read from the request for the handler and its factories.
    parameters: tuple[Parameter, ...]
    #: The factories, in the order in which they are called. Those of the application come last.
    resources: tuple[ResourceInfo, ...]
    _url_path_for: Callable[..., URLPath] = field(repr=False, eq=False)
    #: The body that is read. ``None`` if there is none.
    body: BodyInfo | None = None
    #: The results that the handler may have. Empty for a WebSocket.
    results: tuple[ResultInfo, ...] = ()
    #: The other answers that are known.
    errors: tuple[ErrorInfo, ...] = ()

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Make a path as the application does. Starlette calls this on each mounted route."""
        if name != self.name:
            raise UnknownRoute(f"this route is called {self.name!r}, not {name!r}")
        return self._url_path_for(name, **path_params)


@frozen
class MountInfo:
    """Another application that is mounted in one."""

    path: str
    #: The name that was given to :meth:`Triows.mount`, if one was.
    name: str | None
    #: The application. If it is a :class:`Triows`, it has ``routes`` and ``mounts`` of its own.
    app: ASGIApp = field(repr=False)

    @property
    def handler(self) -> str:
        """``file:line (name)`` of a function, or the class of an object."""
        if inspect.isroutine(self.app):
            return where(self.app)
        cls = type(self.app)
        return f"{cls.__module__}.{cls.__qualname__}"


def route_info(entry: Entry, url_path_for: Callable[..., URLPath]) -> RouteInfo:
    """
    Describe a handler.

    Args:
        entry: The handler, as it was compiled.
        url_path_for: The application's.
    """
    description, plan = entry.description, entry.endpoint.plan
    return RouteInfo(
        path=description.template.path,
        method=description.method,
        name=description.name,
        handler=description.where,
        doc=_doc_of(description.handler),
        parameters=tuple(_parameters(plan)),
        resources=tuple(_resources(plan)),
        url_path_for=url_path_for,
        body=_body(plan),
        results=tuple(_results(entry.endpoint)),
        errors=tuple(map(_error, _problems(entry))),
    )


def _parameters(plan: Plan) -> Iterator[Parameter]:
    """Yield what is read by name: from the head of the request, and from a form."""
    for spec in plan.head.params:
        yield spec.known
    if plan.body.intake is not None:
        for spec in plan.body.intake.form:
            yield spec.known


# Bodies that the handler reads as they come.
_AS_THEY_COME = {
    UPLOAD: BodyInfo(Upload, (FORM_DATA,)),
    PARTS: BodyInfo(AsyncIterator[bytes], _ANY, required=False),
}


def _body(plan: Plan) -> BodyInfo | None:
    intake = plan.body.intake
    if intake is None or not intake.bodies:
        return next((_AS_THEY_COME[one] for one in plan.head.givens if one in _AS_THEY_COME), None)
    # The handler's comes last. A guard may want the same body as it was sent.
    spec = intake.bodies[-1]
    media_types = spec.decoder.media_types
    # Text and bytes may be empty.
    required = spec.known.required and media_types != _ANY
    return BodyInfo(spec.known.type, media_types, required)


def _results(endpoint: Endpoint | RequestEndpoint) -> Iterator[ResultInfo]:
    if isinstance(endpoint, RequestEndpoint):
        for one in endpoint.results.alternatives:
            yield ResultInfo(one.status, one.type, tuple(one.media_types))


def _problems(entry: Entry) -> list[type[HTTPException]]:
    """Return the exceptions that the route and the annotation declare, each once."""
    declared = list(entry.description.options.problems)
    if isinstance(entry.endpoint, RequestEndpoint):
        declared += entry.endpoint.results.problems
    return list(dict.fromkeys(declared))


def _error(problem: type[HTTPException]) -> ErrorInfo:
    status = number(getattr(problem, "__status__", None))
    return ErrorInfo(status, problem, inspect.cleandoc(problem.__doc__ or ""))


def _doc_of(handler: Any) -> str:
    while isinstance(handler, partial):
        handler = handler.func
    doc = handler.__doc__
    if not inspect.isroutine(handler):
        # The docstring of its class says what the object is, and not always what a call does.
        doc = type(handler).__call__.__doc__ or doc
    return inspect.cleandoc(doc or "")


def _resources(plan: Plan) -> Iterator[ResourceInfo]:
    for step in plan.body.steps:
        yield ResourceInfo(step.factory.name, "connection", where(step.factory.call))
    for factory in plan.head.shared:
        yield ResourceInfo(name_of(factory), "app", where(factory))
