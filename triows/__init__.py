"""Trio-native web framework that puts WebSockets first."""

from __future__ import annotations

# The layout, in the direction in which the data flows:
#
# triows/_protocol/    bytes <-> messages: handshakes and frames, without I/O
# triows/_transports/  messages <-> a peer: our own stream, on sockets or in memory, and ASGI
# triows/_routing/     a path -> a route: templates, the tree, WebSocketRoute
# triows/_injection/   a route and a request -> the handler's arguments: plans, parameters,
#                      resources
# triows/_exchange/    one exchange, whatever its kind: its lifetime, over a line to the peer
# triows/_websocket/   the exchange of a WebSocket: its endpoint, its line, the verdict
# triows/_request/     the exchange of a plain request: its line, mounted applications
# triows/_inspection/  a live application -> a tree for people: what waits, and at which line
# triows/_server/      the server, on Hypercorn; nothing else imports Hypercorn
# triows/inspect.py    the public part of _inspection
# triows/testing/      test clients, which connect to the server itself
#
# triows/websocket.py has what a handler holds. triows/_app.py has the application around
# everything; beside it, _compile.py turns routes into what serves them, _dispatch.py finds what a
# request asks for among the _targets.py, _plugins.py and _asgi.py put around them what users give,
# _running.py has start-up and shutdown, and _watch.py is the place where errors are reported.
# triows/_cli.py is the command line. Everything else uses exceptions, types, and the other modules
# whose names begin with an underscore: _reply.py, _reasons.py, _headers.py, _settings.py and so on.
#
import typing as _typing

# `from x import y as y` tells type checkers that a name is exported.
from . import status as status
from ._app import EndpointInfo as EndpointInfo, Triows as Triows
from ._description import (
    BodyInfo as BodyInfo,
    ErrorInfo as ErrorInfo,
    MountInfo as MountInfo,
    ResourceInfo as ResourceInfo,
    ResultInfo as ResultInfo,
    RouteInfo as RouteInfo,
)
from ._elsewhere import missing_from_module as _missing
from ._injection.parameter import Parameter as Parameter
from ._json_lines import JsonFormatter as JsonFormatter
from ._param_error import ParamError as ParamError
from ._request.events import EventStream as EventStream, ServerSentEvent as ServerSentEvent
from ._request.request import Request as Request
from ._request.response_headers import ResponseHeaders as ResponseHeaders
from ._request.upload import Part as Part, Upload as Upload, UploadFile as UploadFile
from ._request_ids import RequestIds as RequestIds
from ._requires import requires as requires
from ._routing.route import Route as Route
from ._routing.websocket_route import WebSocketRoute as WebSocketRoute
from ._server.drain import Drain as Drain
from ._server.proxy import Proxy as Proxy
from ._server.serve import serve as serve
from ._settings import Compression as Compression, Limits as Limits, Timeouts as Timeouts
from .exceptions import (
    AddressError as AddressError,
    ClientDisconnect as ClientDisconnect,
    DependencyCycleError as DependencyCycleError,
    DependencyError as DependencyError,
    Disconnected as Disconnected,
    HandlerCancelled as HandlerCancelled,
    HandlerSignatureError as HandlerSignatureError,
    HTTPException as HTTPException,
    HTTPProblem as HTTPProblem,
    InvalidMessage as InvalidMessage,
    InvalidRequest as InvalidRequest,
    MissingProviderError as MissingProviderError,
    NotRunningError as NotRunningError,
    ResourceError as ResourceError,
    ResourceExpired as ResourceExpired,
    RouteConflictError as RouteConflictError,
    RouteSetupError as RouteSetupError,
    TeardownTimeout as TeardownTimeout,
    TemplateError as TemplateError,
    TriowsError as TriowsError,
    WebSocketClose as WebSocketClose,
    WebSocketDisconnect as WebSocketDisconnect,
    WebSocketException as WebSocketException,
    WebSocketStateError as WebSocketStateError,
    WrongDataType as WrongDataType,
)
from .types import (
    HTML as HTML,
    JSON as JSON,
    AsyncResource as AsyncResource,
    Ignore as Ignore,
    Media as Media,
    Param as Param,
    use as use,
)
from .websocket import (
    WebSocket as WebSocket,
    WebSocketState as WebSocketState,
    WebSocketStatistics as WebSocketStatistics,
)

__all__ = [
    # The application and its routes
    "Triows",
    "Route",
    "WebSocketRoute",
    "EndpointInfo",
    "requires",
    "serve",
    # Signatures
    "Param",
    "use",
    "Ignore",
    "AsyncResource",
    # Requests and results
    "Request",
    "Upload",
    "Part",
    "UploadFile",
    "ResponseHeaders",
    "HTML",
    "JSON",
    "Media",
    "status",
    "EventStream",
    "ServerSentEvent",
    # Descriptions of an application
    "RouteInfo",
    "MountInfo",
    "Parameter",
    "ResourceInfo",
    "BodyInfo",
    "ResultInfo",
    "ErrorInfo",
    # The connection
    "WebSocket",
    "WebSocketState",
    "WebSocketStatistics",
    # Settings
    "Compression",
    "Drain",
    "Limits",
    "Proxy",
    "Timeouts",
    # The log
    "JsonFormatter",
    "RequestIds",
    # Exceptions
    "TriowsError",
    "RouteSetupError",
    "TemplateError",
    "RouteConflictError",
    "HandlerSignatureError",
    "DependencyError",
    "DependencyCycleError",
    "MissingProviderError",
    "Disconnected",
    "ClientDisconnect",
    "WebSocketDisconnect",
    "WebSocketClose",
    "WebSocketException",
    "WrongDataType",
    "InvalidMessage",
    "WebSocketStateError",
    "HTTPException",
    "HTTPProblem",
    "InvalidRequest",
    "ParamError",
    "HandlerCancelled",
    "ResourceError",
    "ResourceExpired",
    "TeardownTimeout",
    "NotRunningError",
    "AddressError",
]

if not _typing.TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Say what to write instead of a name that another framework has."""
        raise AttributeError(_missing(name), name=name)


# Tracebacks and repr() say triows.WebSocket, which you can look up, and not the module in which a
# class happens to be.
for _name in __all__:
    _value = globals()[_name]
    if getattr(_value, "__module__", "").startswith("triows."):
        _value.__module__ = "triows"
del _name, _value
