"""Mistakes in the arguments of a server, and what to write instead."""

from __future__ import annotations

import inspect
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from hypercorn.config import Config
from hypercorn.logging import Logger

from triows._app import Triows
from triows._loop import note_loop
from triows._request_ids import RequestIds
from triows._routing.websocket_route import WebSocketRoute

from .access import check_format
from .drain import Drain
from .proxy import Proxy, check_listeners

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

__all__ = [
    "app_mistake",
    "check_app",
    "check_config",
    "check_drain",
    "check_proxy",
    "check_request_ids",
    "check_sockets",
    "check_trigger",
    "wait_triggered",
]


def app_mistake(app: object) -> str | None:
    """Say what *app* is if it isn't a :class:`Triows` application, and what to do about it."""
    if isinstance(app, Triows):
        return None
    if isinstance(app, type) and issubclass(app, Triows):
        return f"the class {app.__name__}, not an application: make one with {app.__name__}(route)"
    if isinstance(app, type):
        return f"the class {app.__name__}, not a Triows application"
    if isinstance(app, WebSocketRoute):
        return "a WebSocketRoute, not an application: make one with Triows(route)"
    if isinstance(app, str):
        return "a string, not an application: import the application and give that"
    if app is None:
        return "None, not an application"
    kind = type(app).__name__
    if inspect.isfunction(app) and not _takes_asgi(app):
        return _function_mistake(app)
    if inspect.iscoroutine(app):
        app.close()  # or Python warns that it was never awaited
        return "a coroutine, not an application: await it, and give what it returns"
    if callable(app):
        return (
            f"a {kind}, not a Triows application: to serve another ASGI application, mount it "
            "with Triows().mount('/', app); to add middleware, write Triows(middlewares=[...])"
        )
    return f"an object of type {kind}, not a Triows application"


def _function_mistake(function: Callable[..., object]) -> str:
    name = function.__name__
    if inspect.iscoroutinefunction(function):
        return (
            "an async function, not an application: if it is a handler, put `@route.endpoint` "
            f"above {name}, write `app = Triows(route)`, and give that"
        )
    return (
        f"a function, not an application: call it, as in `app = {name}()`, and give what it "
        "returns. If it makes the application for `triows run`, add --factory"
    )


def _takes_asgi(function: Callable[..., object]) -> bool:
    return list(inspect.signature(function).parameters) == ["scope", "receive", "send"]


def check_app(app: object, what: str) -> None:
    """
    Refuse what isn't a triows application.

    Args:
        app: The argument.
        what: The function that got it.

    Raises:
        TypeError: It isn't an application. The message says what to pass instead.
    """
    if (mistake := app_mistake(app)) is not None:
        raise TypeError(f"{what} takes an application, and got {mistake}")


def check_config(config: object) -> None:
    """
    Refuse what isn't Hypercorn's configuration, or what it would not do as it says.

    Raises:
        TypeError: It isn't a configuration, or its addresses aren't a list of strings. The message
            says what to write instead.
        ValueError: It has settings for TLS, and would serve without TLS, or let in clients without
            a certificate. Or its ``root_path`` or ``access_log_format`` can't be one.
    """
    if not isinstance(config, Config):
        given = "no configuration" if config is None else f"{config!r} as its configuration"
        raise TypeError(
            f"triows.serve got {given}: write `from hypercorn.config import Config`, "
            "`config = Config()`, `config.bind = ['127.0.0.1:8000']`, and give it that config"
        )
    for name in ("bind", "insecure_bind"):
        addresses: Any = getattr(config, name)  # Hypercorn lets it be anything
        if isinstance(addresses, (list, tuple)) and all(isinstance(one, str) for one in addresses):
            continue
        raise TypeError(
            f"config.{name} takes a list of addresses, and got {addresses!r}: write "
            f"config.{name} = ['127.0.0.1:8000']"
        )
    if config.root_path and not config.root_path.startswith("/"):
        raise ValueError(
            f"config.root_path is a path, and {config.root_path!r} doesn't begin with a slash: "
            f"write '/{config.root_path}'"
        )
    if (decoded := unquote(config.root_path)) != config.root_path:
        raise ValueError(
            f"config.root_path is a path without percent-encoding: write {decoded!r} instead of "
            f"{config.root_path!r}"
        )
    _check_access_log_format(config)
    _check_tls(config)


def _check_access_log_format(config: Config) -> None:
    """
    Refuse a format with which Hypercorn's logger could write no line.

    Raises:
        ValueError: The message says what to write instead.
    """
    kind = config.logger_class
    # Another logger may have values of its own, or formats of another kind.
    if kind.access is Logger.access and kind.atoms is Logger.atoms:
        try:
            check_format(config.access_log_format)
        except ValueError as exc:
            raise ValueError(f"config.access_log_format: {exc}") from None


#: Settings that have an effect only with TLS.
_FOR_TLS = (
    "ca_certs", "verify_mode", "verify_flags", "keyfile_password", "ciphers", "insecure_bind"
)  # fmt: skip


def _check_tls(config: Config) -> None:
    """
    Refuse settings for TLS that Hypercorn would ignore, because the user relies on them.

    Raises:
        ValueError: The message says what to write instead.
    """
    if (config.certfile is None) != (config.keyfile is None):
        there, missing = "certfile", "keyfile"
        if config.certfile is None:
            there, missing = missing, there
        raise ValueError(
            f"config.{there} without config.{missing} would serve without TLS: certfile and "
            "keyfile go together; one file may be both"
        )
    if config.ca_certs is not None and config.verify_mode is None:
        raise ValueError(
            "config.ca_certs without config.verify_mode would let in clients without a "
            "certificate: write config.verify_mode = ssl.CERT_REQUIRED, or ssl.CERT_NONE if "
            "clients need none"
        )
    usual = Config()
    for name in _FOR_TLS:
        value = getattr(config, name)
        if value and value != getattr(usual, name) and not config.ssl_enabled:
            raise ValueError(
                f"config.{name} has an effect only with TLS: set config.certfile and "
                f"config.keyfile, or leave {name} out"
            )


def check_trigger(trigger: object) -> None:
    """
    Refuse what can't be called to wait for the end.

    Raises:
        TypeError: It can't be called. The message says what to write instead.
    """
    if trigger is None:
        return
    if callable(trigger):
        _check_waiting(trigger)
        return
    if inspect.iscoroutine(trigger):
        trigger.close()  # or Python warns that it was never awaited
        raise TypeError(
            f"shutdown_trigger got {trigger!r}, which is called already: "
            "leave the parentheses out, as in shutdown_trigger=event.wait"
        )
    waits = inspect.iscoroutinefunction(getattr(trigger, "wait", None))
    hint = "write shutdown_trigger=event.wait" if waits else "give the `wait` of a trio.Event"
    raise TypeError(f"shutdown_trigger takes an async function, not {trigger!r}: {hint}")


#: Modules whose objects wait in a way that blocks the thread.
_BLOCKING = ("_thread", "multiprocessing", "queue", "threading")


def _check_waiting(trigger: object) -> None:
    """
    Refuse the ``wait`` of a thread's event, which would block the loop from the start.

    Raises:
        TypeError: It is such a method. The message says what to write instead.
    """
    owner = type(getattr(trigger, "__self__", None))
    if owner.__module__.partition(".")[0] in _BLOCKING:
        raise TypeError(
            f"shutdown_trigger takes an async function, and the one of {owner.__name__} would "
            "block the loop: give the `wait` of a trio.Event, and let a thread set that with "
            "trio.from_thread.run_sync(event.set)"
        )


async def wait_triggered(trigger: Callable[[], Awaitable[object]]) -> None:
    """
    Wait for the end, as *trigger* decides.

    Raises:
        TypeError: The trigger isn't async.
        BaseException: What the trigger raised. If it needs another event loop, a note says so.
    """
    waiting: Any = trigger()
    if not inspect.isawaitable(waiting):
        raise TypeError(
            f"shutdown_trigger={trigger!r} returned {waiting!r} at once: give an async function, "
            "for example the `wait` of a trio.Event"
        )
    try:
        await waiting
    except Exception as exc:
        note_loop(exc)
        raise


def check_drain(drain: object) -> None:
    """
    Refuse what isn't a :class:`Drain`.

    Raises:
        TypeError: It isn't one. The message says what to write instead.
    """
    if drain is None or isinstance(drain, Drain):
        return
    seconds = isinstance(drain, int | float) and not isinstance(drain, bool)
    instead = f"drain=Drain(delay={drain})" if seconds else "drain=Drain(delay=...)"
    raise TypeError(f"drain takes a triows.Drain, not {drain!r}: write {instead}")


def check_proxy(proxy: object, config: Config, sockets: object) -> None:
    """
    Refuse what isn't a :class:`.Proxy`, or is one for listeners that aren't there.

    Raises:
        TypeError: It isn't one. The message says what to write instead.
        ValueError: It names an address at which the server doesn't listen.
    """
    if isinstance(proxy, Proxy):
        check_listeners(proxy, config, sockets)
    elif proxy is not None:
        raise TypeError(
            f"proxy takes a triows.Proxy, not {proxy!r}: write "
            "proxy=Proxy(trusted=['10.0.0.1'], headers='x-forwarded')"
        )


def check_request_ids(request_ids: object) -> None:
    """
    Refuse what isn't :class:`RequestIds`.

    Raises:
        TypeError: It isn't. The message says what to write instead.
    """
    if request_ids is not None and not isinstance(request_ids, RequestIds):
        raise TypeError(
            f"request_ids takes triows.RequestIds, not {request_ids!r}: write "
            "request_ids=RequestIds()"
        )


def check_sockets(sockets: Sequence[object] | None) -> None:
    """
    Refuse what isn't a list of stream sockets of the standard library.

    Raises:
        TypeError: It isn't such a list. The message says what to pass instead.
    """
    if sockets is None:
        return
    if not isinstance(sockets, list | tuple):
        raise TypeError(f"sockets takes a list of sockets, not {sockets!r}: write sockets=[sock]")
    for sock in sockets:
        if not isinstance(sock, socket.socket):
            raise TypeError(
                f"sockets takes sockets of the standard library, not {sock!r}: "
                "make one with socket.create_server(('127.0.0.1', 8000))"
            )
        if sock.type != socket.SOCK_STREAM:
            raise TypeError(
                f"sockets takes stream sockets, not {sock!r}: make one with type=socket.SOCK_STREAM"
            )
