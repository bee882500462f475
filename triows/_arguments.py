"""
Says what to write instead of an argument that a function doesn't have.

Python's own TypeError only says that it has no such argument.
"""

from __future__ import annotations

import difflib
import inspect
from functools import wraps
from typing import TYPE_CHECKING, NoReturn, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = [
    "APPLICATION",
    "CONNECTING",
    "HTTP_ROUTE",
    "OPENING",
    "ROUTE",
    "SERVING",
    "SETTINGS",
    "SIGNATURE",
    "STATIC",
    "hinting",
    "refuse_unknown",
]

P = ParamSpec("P")
T = TypeVar("T")

_HEADERS = "write headers={...}, or a list of pairs"
_SIZES = "the application limits it: Triows(limits=Limits(message_size=...))"
_NO_TLS = "a connection in a test has no certificate: leave it out"

#: For calls that connect to a WebSocket, what those who use another client write.
CONNECTING = {
    "cookies cookie": 'write headers={"cookie": "name=value"}',
    "params query": "write it in the URL, as in '/rooms/1?name=ada'",
    "auth": 'write headers={"authorization": "Bearer ..."}',
    "extra_headers additional_headers": _HEADERS,
    "subprotocol protocols protocol": "write subprotocols=[...]",
    "origin": 'write headers={"origin": "https://example.org"}',
    "user_agent user_agent_header": 'write headers={"user-agent": ...}',
    "host": 'write headers={"host": ...}',
    "open_timeout close_timeout connect_timeout disconnect_timeout receive_timeout": (
        "write timeout=..., in seconds, for each receive and send"
    ),
    "ping_interval ping_timeout keepalive_ping_interval_seconds heartbeat autoping": (
        "the server sends pings, as Triows(timeouts=Timeouts(ping_interval=...)) says"
    ),
    "max_size max_msg_size max_message_size max_message_size_bytes": _SIZES,
    "max_queue message_queue_size queue_size": "write inbox=..., the number of unread messages",
    "compress": "write compression=True",
    "ssl ssl_context verify verify_ssl server_hostname": _NO_TLS,
    "follow_redirects allow_redirects": "a WebSocket handshake follows no redirects: leave it out",
}

#: For Triows(...).
APPLICATION = {
    "routes": "write Triows(route, ...), or Triows(*routes) for a list",
    "middleware": "write middlewares=[...]",
    "dependencies plugins": "write deps=[...] with factories, where `-> None` makes a guard",
    "on_startup on_shutdown": (
        "write lifespan=..., `@asynccontextmanager` over `async def lifespan(app): ...; yield; ...`"
    ),
    "exception_handlers": (
        "write `@app.catch(Error)` above a function that takes the exception, and returns an "
        "HTTPException or a Response. For a status such as 404, catch HTTPException"
    ),
    "prefix path root_path": "the path is that of the route: Route(path), WebSocketRoute(path)",
    "cors allow_origins allowed_origins": 'write origins=["https://example.org"]',
    "timeout": "write timeouts=Timeouts(...)",
    "limit max_size max_body_size form_limits": "write limits=Limits(...)",
    "title description version docs_url redoc_url openapi_url openapi_tags openapi_external_docs "
    "summary servers contact license_info terms_of_service responses callbacks webhooks deprecated "
    "include_in_schema generate_unique_id_function separate_input_output_schemas "
    "swagger_ui_oauth2_redirect_url swagger_ui_init_oauth swagger_ui_parameters "
    "root_path_in_servers": "triows makes no schema: leave it out",
    "app_config config_file config": "settings are arguments: timeouts=..., limits=... and so on",
    "default_response_class": "the return annotation of a handler says what is sent: leave it out",
    "redirect_slashes": "a path leads to its route as it is written: leave it out",
    "graph": "write deps=[...] with the factories",
    "max_thread_workers": "Trio limits the number of threads: leave it out",
    "host port bind workers reload log_level": (
        "the address and so on are the server's: `triows run module:app --bind 127.0.0.1:8000`"
    ),
}

#: For WebSocketRoute(...), and for `endpoint`.
ROUTE = {
    "prefix": "the path comes first: WebSocketRoute(path)",
    "middleware": "write middlewares=[...]",
    "dependencies": "write deps=[...]",
    "endpoint handler": "decorate the handler with `@route.endpoint`",
    "name": "write `@route.endpoint(name=...)`",
    "plugins": "write `@route.endpoint(plugins=[...])`",
    "path": "the path is the route's: write `@route.sub(path).endpoint`",
    "timeout": "write timeouts=Timeouts(...), for the route: WebSocketRoute(path, timeouts=...)",
    "subprotocols subprotocol": "write `await ws.accept(subprotocol)` in the handler",
    "tags": "triows makes no schema: leave it out",
}

_RESULT = "the return annotation says what is sent, as in `-> User`"
_NO_SCHEMA = "triows makes no schema: leave it out"

#: For Route(...), and for the decorators of its methods.
HTTP_ROUTE = {
    "prefix": "the path comes first: Route(path)",
    "path rule": "the path is the route's: write `@route.sub(path).get`",
    "methods method": (
        "each method has a decorator, such as `@route.get`. One function for several methods: "
        "`route.add_endpoint('GET', 'POST', func=handler)`"
    ),
    "endpoint handler view_func": "decorate the handler with `@route.get` or another method",
    "func": "decorate the handler with `@route.get` or another method",
    "name": "write `@route.get(name=...)`",
    "plugins": "write `@route.get(plugins=[...])`",
    "status status_code": "write `@route.get(status=...)`",
    "middleware": "write middlewares=[...], for the route: Route(path, middlewares=[...])",
    "middlewares timeouts limits": "write it for the route: Route(path, ...)",
    "dependencies": "write deps=[...]",
    "props": "write them for the route itself: Route(path, deps=[...], problems=[...])",
    "errors responses": "write problems=[...], with the exceptions that the handlers may raise",
    "response_model return_type response_class default_response_class media_type": _RESULT,
    "response_model_include response_model_exclude response_model_by_alias "
    "response_model_exclude_unset response_model_exclude_defaults response_model_exclude_none": (
        "annotate the handler with a type that has the fields to send, as in `-> PublicUser`"
    ),
    "encoder": f"{_RESULT}. Return bytes, or a Response, for another encoding",
    "to_thread sync_to_thread workers": (
        "a `def` runs in a thread, and an `async def` doesn't: leave it out"
    ),
    "scoped": "resources are closed without it: leave it out",
    "graph": "write deps=[...] with the factories",
    "auth_scheme": "write a guard, a factory annotated `-> None`, and give it as deps=[...]",
    "timeout": "write timeouts=Timeouts(...), for the route: Route(path, timeouts=...)",
    "origins": (
        "browsers ask for a page's permission by CORS: write Route(path, "
        "middlewares=[Middleware(CORSMiddleware, allow_origins=[...])])"
    ),
    "compression": "write Route(path, middlewares=[GZipMiddleware]), with Starlette's class",
    "max_body_size form_limits": "write limits=Limits(...), for the route: Route(path, limits=...)",
    "strict_slashes redirect_slashes defaults redirect_to host subdomain": (
        "a path leads to its route as it is written: leave it out"
    ),
    "provide_automatic_options": "OPTIONS is always answered: leave it out",
    "on_startup on_shutdown lifespan": (
        "only applications have a lifespan: write Triows(lifespan=...)"
    ),
    "routes": "write route.merge(other, ...)",
    "default": "a path without a route gets 404: leave it out",
    "dependency_overrides_provider": "write `with app.override(factory, fake):`",
    "tags summary description response_description deprecated operation_id in_schema "
    "include_in_schema callbacks openapi_extra generate_unique_id_function route_class "
    "strict_content_type": _NO_SCHEMA,
}

#: For Param(...) and use(...).
SIGNATURE = {
    "default": "write the default in the signature, as in `limit: Annotated[int, Param()] = 10`",
    "default_factory": "let a factory make it, with use(factory)",
    "name": "write alias=...",
    "regex": "write pattern=...",
    "title description example examples deprecated include_in_schema extra_json_schema "
    "schema_extra extra_meta": "triows makes no schema: leave it out",
    "media_type embed": "one class is the whole body, and its fields are what clients send",
    "max_files max_fields max_part_size": (
        "limits are the route's: Route(path, limits=Limits(body=..., parts=...))"
    ),
    "use_cache cache": "write reuse=True to share one value within the connection",
    "dependency": "the factory comes first: use(factory)",
    "scopes": "write `@requires(...)` below the route's decorator",
}

#: For app.static(...).
STATIC = {
    "file_or_directory folder root static_folder directories": "write directory=...",
    "check_dir": "the folder has to exist: leave it out",
    "fallback": "write html=True, which serves the folder's 404.html",
    "uri prefix url_path static_url_path": "the path comes first: app.static(path, directory=...)",
    "html_mode": "write html=True",
    "follow_symlinks allow_symlink_outside": "write follow_symlink=True",
}

#: For open_app(...), open_server(...) and TestClient(...).
OPENING = {
    "headers cookies auth params": "give it to each request, or to websocket_connect()",
    "client peer": "write it for each connection: websocket_connect(..., client=(host, port))",
    "raise_server_exceptions": "write raise_app_exceptions=...",
    "raise_app_exceptions": "write raise_server_exceptions=...",
    "backend backend_options": "it runs in the loop of the test: leave it out",
    "transport": "give the application itself: it is served without a transport",
    "lifespan": "the start-up and the shutdown always run: leave it out",
    "host port bind": "write base_url=... with open_app, or Hypercorn's Config with open_server",
}

#: For Timeouts(...), Limits(...) and Compression(...).
SETTINGS = {
    "idle keepalive heartbeat": "write ping_interval=... and ping_timeout=...",
    "receive read": "write `with trio.fail_after(seconds):` around `await ws.receive()`",
    "write drain": "write send=...",
    "open connect open_timeout handshake_timeout": "write accept=... or handshake=...",
    "shutdown graceful graceful_timeout": "write shutdown_grace=...",
    "timeout total": "each thing has a timeout of its own, such as accept=... and send=...",
    "size max_size max_message_size message": "write message_size=...",
    "queue max_queue queue_size": "write inbox=..., the number of messages",
    "clients max_clients concurrency": "write connections=...",
    "threshold min_size minimum_size": "all messages are compressed: leave it out",
}

#: For triows.serve(...).
SERVING = {
    "host port bind certfile keyfile ssl_certfile ssl_keyfile workers log_level": (
        "write it in Hypercorn's configuration: `config = Config()`, "
        "`config.bind = ['127.0.0.1:8000']`, `triows.serve(app, config)`"
    ),
    "mode": "leave it out: triows serves applications on Trio",
}

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def hinting(remedies: Mapping[str, str]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """
    Let a function say what to write instead of arguments that it doesn't have. It is a decorator.

    Type checkers and :func:`inspect.signature` see the function as it is.

    Args:
        remedies: What to write, by the name of the argument, for those that other libraries have.
            Several names with one remedy are written with spaces between them. For any other name,
            the message has the nearest names of the function's own arguments.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        parameters = inspect.signature(function).parameters.values()
        named = [one for one in parameters if one.kind in _NAMED and one.name != "self"]
        known = [one.name for one in named]
        by_name = all(one.kind is one.KEYWORD_ONLY for one in parameters if one.name != "self")
        takes_more = any(one.kind is one.VAR_POSITIONAL for one in parameters)
        most = sum(one.kind is not one.KEYWORD_ONLY for one in parameters)
        called = function.__qualname__.removesuffix(".__init__")

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            refuse_unknown(called, kwargs, known, remedies)
            if by_name and len(args) > 1:  # the first one is the object
                raise TypeError(
                    f"{called}() takes its arguments by name, as in {called}({known[0]}=...)"
                )
            if len(args) > most and not takes_more:
                _refuse_position(called, args[most], known, remedies)
            return function(*args, **kwargs)

        return call

    return decorate


def _refuse_position(
    called: str, given: object, known: Sequence[str], remedies: Mapping[str, str]
) -> NoReturn:
    """
    Refuse an argument that can only be given by name, or not at all.

    Elsewhere, a function in that place is the handler of a route.
    """
    remedy = next((one for names, one in remedies.items() if "endpoint" in names.split()), None)
    if remedy is None or not callable(given):
        remedy = f"name it, as one of {', '.join(known)}"
    shown = getattr(given, "__name__", None) or repr(given)
    raise TypeError(f"{called}() doesn't take {shown} in that place: {remedy}")


def refuse_unknown(
    called: str, given: Iterable[str], known: Sequence[str], remedies: Mapping[str, str]
) -> None:
    """
    Refuse arguments that a function doesn't have.

    Args:
        called: What the message calls the function.
        given: The names of the arguments.
        known: Those that it has.
        remedies: As for :func:`hinting`.

    Raises:
        TypeError: There is one. The message says what to write instead.
    """
    for name in given:
        if name not in known:
            found = (remedy for names, remedy in remedies.items() if name in names.split())
            remedy = next(found, None) or _nearest(name, known)
            raise TypeError(f"{called}() has no argument {name!r}: {remedy}")


def _nearest(name: str, known: Sequence[str]) -> str:
    """Say which arguments may be meant, or which there are."""
    near = [one for one in known if name in one or one in name]
    near = near or difflib.get_close_matches(name, known)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"it takes {', '.join(known)}"
