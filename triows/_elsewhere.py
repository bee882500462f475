"""
Names that other frameworks, servers and libraries have, and what to write here instead.

People who come from there write them from habit. The bare AttributeError would say nothing, so
:func:`pointing` lets it say what triows has for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "APPLICATION",
    "HTTP_ROUTE",
    "MODULE",
    "ROUTE",
    "WEBSOCKET",
    "missing_from_module",
    "pointing",
]

T = TypeVar("T")


def pointing(names: Mapping[str, str]) -> Callable[[type[T]], type[T]]:
    """
    Let the objects of a class say what to write instead of some names. It is a decorator.

    The names don't exist: not for ``hasattr()`` and ``dir()``, and not for mocks, protocols and
    type checkers either. Subclasses, and their other bases, may have them.

    Args:
        names: What to write, by the name. Names that stand together have spaces between them.
    """
    remedies = {name: remedy for together, remedy in names.items() for name in together.split()}

    def add(cls: type[T]) -> type[T]:
        # Python calls this only for names that it hasn't found.
        def missing(self: object, name: str) -> object:
            if name not in remedies:
                return object.__getattribute__(self, name)  # raises Python's own error again
            message = f"{type(self).__name__} has no {name!r}: {remedies[name]}"
            raise AttributeError(message, name=name, obj=self)

        cls.__getattr__ = missing  # type: ignore[attr-defined]
        return cls

    return add


_ROUTE = (
    "write `route = WebSocketRoute(path)`, decorate the handler with `@route.endpoint`, and give "
    "the route to the application: `Triows(route)` or `app.include_routes(route)`"
)
_ENDPOINT = (
    "decorate the handler with `@route.endpoint`. The path is that of the route, and "
    "`route.sub(path)` is the route below it"
)
_HTTP = (
    "write `route = Route(path)`, decorate the handler with `@route.get` or another method, and "
    "give the route to the application: `Triows(route)` or `app.include_routes(route)`"
)
_HTTP_ROUTE = (
    "this route is for WebSockets. Write `route = Route(path)`, which may have the same path, and "
    "decorate the handler with `@route.get` or another method"
)
_METHOD = (
    "decorate the handler with `@route.get` or another method. The path is that of the route, and "
    "`route.sub(path)` is the route below it"
)
_SEVERAL = (
    "write `@route.get`, or `route.add_endpoint('GET', 'POST', func=handler)` for several methods"
)
_OTHER_KIND = (
    "this route is for plain requests. Write `route = WebSocketRoute(path)`, which may have the "
    "same path, and decorate the handler with `@route.endpoint`"
)
_LIFESPAN = (
    "write `Triows(lifespan=lifespan)`, with `@asynccontextmanager` over `async def lifespan(app): "
    "...; yield; ...`"
)
_GUARD = "write a factory that is annotated `-> None`, and give it as `deps=[...]`: it is a guard"
_ERRORS = (
    "write `@app.catch(Error)`, with the application, above a function that takes the exception "
    "and returns an HTTPException, a Response or a WebSocketClose"
)

#: For :class:`~triows.Triows`.
APPLICATION = {
    "websocket websocket_route add_websocket_route add_api_websocket_route add_websocket "
    "endpoint ws_handler ws": _ROUTE,
    "route add_route add_url_rule": _HTTP,
    "get post put patch delete head options trace connect api_route add_api_route add_endpoint "
    "sub root get_route": _HTTP,
    "include_router register_blueprint merge": "write `app.include_routes(route, ...)`",
    "router": "the application itself has `include_routes`, `routes` and `url_path_for`",
    "on_event add_event_handler on_startup on_shutdown before_serving after_serving "
    "while_serving lifespan": _LIFESPAN,
    "middleware add_middleware build_middleware_stack user_middleware": (
        "write `Triows(middlewares=[...])`, or `route.add_middleware(...)` for the routes below one"
    ),
    "before_request after_request before_websocket after_websocket": _GUARD,
    "exception_handler add_exception_handler errorhandler exception_handlers": _ERRORS,
    "dependency_overrides": "write `with app.override(factory, fake):`",
    "url_for": "write `app.url_path_for(name, ...)`, or `ws.url_for(name, ...)` in a handler",
    "run listen serve": (
        "write `triows run module:app` in a terminal, or `await triows.serve(app, config)` in a "
        "Trio program"
    ),
    "frontend add_static static_folder": "write `app.static(path, directory=...)`",
    "test_client": "write `async with triows.testing.open_app(app) as client:`",
    "host": "mount an application at a path: `app.mount(path, other)`",
    "config": "settings are given as `Triows(timeouts=..., limits=..., ...)`",
    "graph factory add_nodes": "write `Triows(deps=[...])` with the factories",
}

#: For :class:`~triows.WebSocketRoute`.
ROUTE = {
    "websocket websocket_route add_websocket_route add_api_websocket_route add_websocket "
    "handler ws route add_route": _ENDPOINT,
    "get post put patch delete head options trace api_route add_api_route add_endpoint": (
        _HTTP_ROUTE
    ),
    "include_router include include_routes register_blueprint add_subroute": (
        "write `route.merge(other)`, or `route.sub(path)` for a new route below this one"
    ),
    "mount": "only applications have mounts: write `app.mount(path, other)`",
    "on_event add_event_handler lifespan": f"only applications have a lifespan: {_LIFESPAN}",
    "middleware": "write `WebSocketRoute(path, middlewares=[...])` or `route.add_middleware(...)`",
    "before_request before_websocket": _GUARD,
    "exception_handler add_exception_handler errorhandler": _ERRORS,
    "override dependency_overrides": "write `with app.override(factory, fake):`",
    "matches handle url_path_for": "an application serves routes: write `Triows(route)`",
    "routes": "write `route.subroutes`, or `app.routes` for all that have a handler",
    "endpoint_name name": "write `@route.endpoint(name=...)`, and read it from `app.routes`",
}

#: For :class:`~triows.Route`.
HTTP_ROUTE = {
    "route add_route add_url_rule handler": _METHOD,
    "api_route add_api_route": _SEVERAL,
    "websocket websocket_route add_websocket_route add_api_websocket_route add_websocket "
    "endpoint ws_handler ws": _OTHER_KIND,
    "connect": (
        "CONNECT asks a proxy for a host and has no path, so no route can answer it: leave "
        "`@route.connect` out"
    ),
    "include_router include include_routes include_subroutes register_blueprint add_subroute": (
        "write `route.merge(other)`, or `route.sub(path)` for a new route below this one"
    ),
    **{
        names: ROUTE[names]
        for names in (
            "mount",
            "on_event add_event_handler lifespan",
            "override dependency_overrides",
            "matches handle url_path_for",
            "routes",
        )
    },
    "host": "mount an application at a path: `app.mount(path, other)`",
    "static frontend": "only applications have files: write `app.static(path, directory=...)`",
    "factory add_nodes": "write `Route(path, deps=[...])` with the factories",
    "middleware": "write `Route(path, middlewares=[...])` or `route.add_middleware(...)`",
    "before_request after_request": _GUARD,
    "exception_handler add_exception_handler errorhandler": _ERRORS,
    "endpoint_name name methods": "write `@route.get(name=...)`, and read it from `app.routes`",
    "endpoints get_endpoint": "read `app.routes`, which has all handlers of an application",
    "include_in_schema response_class": "the annotation says what is sent, as in `-> User`",
}

_CLOSED = "look whether `ws.close_code` is None, or at `ws.client_state`"
_MANY = (
    "keep the WebSockets of your application in a set, and call `await ws.send(...)` for each of "
    "them in a task of its own"
)

#: For :class:`~triows.WebSocket`.
WEBSOCKET = {
    "recv receive_message get_message read_message read": "write `await ws.receive()`",
    "receive_str": "write `await ws.receive_text()`",
    "receive_data": "write `await ws.receive_bytes()`",
    "recv_streaming": "messages come whole: write `await ws.receive()`",
    "send_str": "write `await ws.send_text(text)`",
    "send_message write write_message send_frame": "write `await ws.send(message)`",
    "send_dict emit": "write `await ws.send_json(data)`",
    "prepare": "write `await ws.accept()`",
    "send_denial_response deny": "write `await ws.reject(status, detail)`",
    "disconnect aclose": "write `await ws.close(code, reason)`",
    "pong": "pings are answered by themselves; `await ws.ping()` sends one and waits for its pong",
    "closed is_closed open is_open connected is_connected ready_state": _CLOSED,
    "wait_closed": "`await ws.receive()` raises WebSocketDisconnect when the connection is over",
    "exception close_exc": (
        "when the connection is over, `receive` and `send` raise WebSocketDisconnect, with code "
        "and reason"
    ),
    "remote_address remote remote_addr": "write `ws.client`, which has `host` and `port`",
    "local_address local": 'write `ws.scope["server"]`',
    "request": "`ws` itself has what a request has: `ws.url`, `ws.headers`, `ws.cookies` and so on",
    "request_headers handshake_headers": "write `ws.headers`",
    "path": "write `ws.url.path`",
    "query query_string args params": (
        "ask for it by a parameter of the handler, or write `ws.query_params`"
    ),
    "path_args match_info": "ask for it by a parameter of the handler, or write `ws.path_params`",
    "ws_protocol accepted_subprotocol": "write `ws.subprotocol`",
    "requested_subprotocols": 'write `ws.scope["subprotocols"]`',
    "json": "write `await ws.receive_json()`",
    "body form": "a WebSocket handshake has no body: receive messages with `await ws.receive()`",
    "broadcast send_all join leave": _MANY,
    "set_cookie": 'write `await ws.accept(headers={"set-cookie": ...})`',
}

_RUN = (
    "write `triows run module:app` in a terminal, or `await triows.serve(app, config)` in a Trio "
    "program, which `trio.run` starts"
)
_FACTORY = "write `Annotated[TYPE, use(factory)]`"
_MIDDLEWARE = "write `from starlette.middleware.{module} import {name}`, and `middlewares=[...]`"
_SETTINGS = "settings are given as `Triows(timeouts=..., limits=..., ...)`"
_GRAPH = (
    "give the factories to a route or the application as `deps=[factory]`, or write "
    "`Annotated[TYPE, use(factory)]`"
)

#: For the package itself.
MODULE = {
    "run serve_app main asgi": _RUN,
    "App Application FastAPI Starlette Lihil Quart QuartTrio Litestar Flask": "write `Triows`",
    "Router APIRouter Blueprint APIRoute HTTPRoute": (
        "write `Route(path)`, or `WebSocketRoute(path)` for WebSockets"
    ),
    "Controller HTTPEndpoint WebSocketEndpoint WebSocketListener MethodView View": (
        "write a function for each method, with `@route.get` and so on, or with `@route.endpoint` "
        "in a `WebSocketRoute`"
    ),
    "Mount": "write `app.mount(path, other)`",
    "StaticFiles": "write `app.static(path, directory=...)`",
    "Websocket WebSocketConnection ServerConnection": "write `WebSocket`",
    "HTTPConnection request IRequest": (
        "annotate the parameter `request: Request`, or `ws: WebSocket` in a route for WebSockets"
    ),
    "Response JSONResponse HTMLResponse PlainTextResponse RedirectResponse StreamingResponse "
    "FileResponse": (
        "write `from starlette.responses import {name}`. Most handlers need none: what they return "
        "is sent, as the annotation says, for example `-> User`, and a parameter `headers: "
        "ResponseHeaders` sets headers and cookies"
    ),
    "ORJSONResponse UJSONResponse jsonable_encoder jsonify make_response": (
        "return the value itself. The annotation says what is sent, as in `-> User`"
    ),
    "Jinja2Templates": "write `from starlette.templating import Jinja2Templates`",
    "Depends Security Provide use_dependency": _FACTORY,
    "Header": 'write `Annotated[str, Param("header")]`',
    "Cookie": 'write `Annotated[str, Param("cookie")]`',
    "Query": 'write `Annotated[str, Param("query")]`',
    "Path": 'write `Annotated[str, Param("path")]`',
    "Body": (
        'write `Annotated[TYPE, Param("body")]`. A class with fields comes from the body without '
        "a mark"
    ),
    "Form": 'write `Annotated[TYPE, Param("form")]`',
    "File": "annotate the parameter `file: UploadFile`",
    "FormData": 'write `Annotated[TYPE, Param("form")]`, or `await request.form()`',
    "Text PlainText": "annotate the handler `-> str`: it is sent as text",
    "Json": "write `JSON[TYPE]`. All but text and bytes are sent as JSON without it",
    "Empty": "annotate the handler `-> None`: the response is a 204 without a body",
    "Stream": (
        "annotate the handler `-> AsyncIterator[TYPE]`, or `-> EventStream` for server-sent events"
    ),
    "SSE EventSourceResponse": (
        "yield `ServerSentEvent(data, event=...)` from a handler that is annotated `-> EventStream`"
    ),
    "Payload Struct": "derive from `msgspec.Struct`, or write a dataclass",
    "field Meta": "write `from msgspec import {name}`",
    "Annotated": "write `from typing import Annotated`",
    "problem_solver exception_handler": (
        "write `@app.catch(Error)` above a function that takes the exception, and returns an "
        "HTTPException or a Response"
    ),
    "ProblemDetail DetailBase": (
        "derive from `HTTPProblem`. `raise Problem(detail, members={{...}})` says what is sent"
    ),
    "RequestValidationError InvalidRequestErrors": "write `InvalidRequest`",
    "BackgroundTasks BackgroundTask": (
        "ask for a `nursery: trio.Nursery`, whose tasks end with the request or connection. Start "
        'work that has to outlive it in a nursery that a factory with scope="app" makes'
    ),
    "run_in_threadpool": (
        "write `def` instead of `async def`, or `await trio.to_thread.run_sync(function)`"
    ),
    "OAuth2PasswordBearer OAuth2PasswordFlow HTTPBearer HTTPBasic APIKeyHeader JWTAuthParam": (
        'read `Annotated[str, Param("header", alias="authorization")]` in a guard, a factory that '
        "is annotated `-> None`"
    ),
    "SocketHub ChannelBase Topic": f"write a `WebSocketRoute`: {_MANY}",
    "ISocket": "write `WebSocket`",
    "Graph Resolver DependentNode AsyncScope": _GRAPH,
    "AppConfig lhl_get_config lhl_set_config lhl_read_config": _SETTINGS,
    "TestClient open_app open_server": "write `from triows.testing import {name}`",
    "LocalClient": (
        "write `with TestClient(Triows(route)) as client:`, with "
        "`from triows.testing import TestClient`, and `client.get(path)`. It needs no socket"
    ),
    "ConnectionClosed ConnectionClosedOK ConnectionClosedError": "write `WebSocketDisconnect`",
    "Config": "write `from hypercorn.config import Config`",
    "Middleware": "write `from starlette.middleware import Middleware`",
    "BaseHTTPMiddleware": _MIDDLEWARE.replace("{module}", "base"),
    "CORSMiddleware": _MIDDLEWARE.replace("{module}", "cors"),
    "GZipMiddleware": _MIDDLEWARE.replace("{module}", "gzip"),
    "SessionMiddleware": _MIDDLEWARE.replace("{module}", "sessions"),
    "TrustedHostMiddleware": _MIDDLEWARE.replace("{module}", "trustedhost"),
    "HTTPSRedirectMiddleware": _MIDDLEWARE.replace("{module}", "httpsredirect"),
}


def missing_from_module(name: str) -> str:
    """Say that the package has no such name, and what to write if another library has it."""
    message = f"module 'triows' has no attribute {name!r}"
    found = (remedy for names, remedy in MODULE.items() if name in names.split())
    remedy = next(found, None)
    return message if remedy is None else f"{message}: {remedy.format(name=name)}"
