"""
Options and commands of other servers, and what ``triows run`` has for them.

People who come from uvicorn, Hypercorn, gunicorn or Flask write them from habit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["command_meant", "option_meant"]

_COMMANDS = ("run", "routes")


def command_meant(arguments: Sequence[str]) -> str | None:
    """Say what to write for arguments that begin with no command, if that can be told."""
    first, *rest = arguments
    if first in _COMMANDS or first.startswith("-"):
        return None
    if first in ("serve", "start", "dev", "runserver", "server"):
        return " ".join(["triows run", *rest]) if rest else "triows run MODULE:APP"
    if ":" in first or first.endswith(".py"):
        return " ".join(["triows run", *arguments])
    return None


def option_meant(unknown: Sequence[str], arguments: Sequence[str]) -> str | None:
    """
    Say what to write instead of the first argument that isn't known, if that can be told.

    Args:
        unknown: The arguments that aren't known.
        arguments: All of them.
    """
    option, _, _ = unknown[0].partition("=")
    if option.isdecimal():
        return f"write --bind 127.0.0.1:{option}"
    if not option.startswith("--"):
        option = option[:2]  # its value may be written without a space
    if option == "-p" and not (_value_of("-p", arguments) or "").isdecimal():
        return _PROCESS  # a file for the process's number
    if option in ("--host", "--port", "-p"):
        return f"write --bind {_address(arguments)}"
    found = (meant for names, meant in _MEANT.items() if option in names.split())
    by_prefix = (meant for prefix, meant in _PREFIXES.items() if option.startswith(prefix))
    return next(found, None) or next(by_prefix, None)


def _address(arguments: Sequence[str]) -> str:
    host = _value_of("--host", arguments) or "127.0.0.1"
    port = _value_of("--port", arguments) or _value_of("-p", arguments) or ""
    port = port if port.isdecimal() else "8000"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _value_of(option: str, arguments: Sequence[str]) -> str | None:
    following = [*arguments[1:], None]
    for argument, after in zip(arguments, following, strict=True):
        name, equals, value = argument.partition("=")
        if name == option:
            return value if equals else after
        if len(option) == 2 and argument.startswith(option):
            return argument[2:]
    return None


_CONFIG = (
    "for settings of the server, write a Trio program that calls `await triows.serve(app, "
    "config)`, with Hypercorn's Config"
)
_LOGGING = "set up Python's logging in the module of the application; --log-level chooses the level"
_PROCESS = (
    "triows stays in the foreground: leave that to whatever starts it, such as systemd or Docker"
)
_OFF = "leave it out: that is off unless you ask for it"
_ALWAYS_TRIO = "triows always runs on Trio, and serves HTTP/1.1 and WebSockets: leave it out"

#: What to write, by the names of the options. Names that stand together have spaces between them.
_MEANT = {
    "-b": "write --bind",
    "-w": "write --workers",
    "--uds --unix-socket": "write --bind unix:PATH",
    "--fd": "write --bind fd://NUMBER",
    "--insecure-bind --quic-bind": _CONFIG,
    "--ssl-keyfile": "write --keyfile",
    "--ssl-certfile": "write --certfile",
    "--ssl-version --ssl-cert-reqs --ssl-ca-certs --ssl-ciphers "
    "--ca-certs --ciphers --verify-mode": _CONFIG,
    "--keyfile-password --ssl-keyfile-password": (
        "everybody on this machine can read a command line: write the password into a file, and "
        "name that with --keyfile-password-file"
    ),
    "--reload-dir --reload-dirs --reload-include --reload-exclude --reload-delay "
    "--reload-engine": "write --reload, which watches the Python files of the current folder",
    "-k --worker-class --no-ws --loop --http --ws --interface --lifespan": _ALWAYS_TRIO,
    "--factory": "call the function in a module, as in `app = make_app()`, and name that app",
    "--app-dir --chdir --pythonpath --working-dir": "start it in that folder, or set PYTHONPATH",
    "--env-file --env-files --env": (
        "set the variables in the shell, or read the file in the application"
    ),
    "--log-config --log-file --logger-class --access-log --no-access-log --access-logfile "
    "--access-logformat --error-log --error-logfile --use-colors --no-use-colors": _LOGGING,
    "--no-debug --no-proxy-headers --no-factory": _OFF,
    "-D --daemon --daemonize": _PROCESS,
    "-d": f"{_PROCESS}. To debug, write `Triows(debug=True)` in the application",
    "-t --timeout --http-timeout --websocket-timeout --websocket_timeout "
    "--websocket-connect-timeout --websocket_connect_timeout --application-close-timeout": (
        "each thing has a timeout of its own: write `Triows(timeouts=Timeouts(...))` in the "
        "application"
    ),
    "-e --endpoint": "write --bind",
    "-n": _PROCESS,
    "-s --cert-reqs --suppress-ragged-eofs --do-handshake-on-connect": _CONFIG,
    "-A --app": "write the application alone, as in `triows run module:app`",
    "--ssl-certificate": "write --certfile",
    "-v --verbose --verbosity": "write --log-level debug",
    "-q --quiet": "write --log-level warning",
    "--threads --blocking-threads --runtime-threads --with-threads --without-threads "
    "--worker-connections --runtime-mode --task-impl": (
        "each process has one Trio loop, so write --workers for more processes"
    ),
    "--preload --preload-app": "each worker imports the application itself: leave it out",
    "--check-config --print-config": "write `triows routes module:app`, which imports it",
    "--debug": "write `Triows(debug=True)` in the application",
    "--timeout-graceful-shutdown --graceful-timeout": (
        "write `Triows(timeouts=Timeouts(shutdown_grace=SECONDS))` in the application"
    ),
    "--ws-ping-interval --websocket-ping-interval --ping-interval": (
        "write `Triows(timeouts=Timeouts(ping_interval=SECONDS))` in the application"
    ),
    "--ws-ping-timeout --ping-timeout": (
        "write `Triows(timeouts=Timeouts(ping_timeout=SECONDS))` in the application"
    ),
    "--ws-max-size": "write `Triows(limits=Limits(message_size=BYTES))` in the application",
    "--ws-max-queue": "write `Triows(limits=Limits(inbox=MESSAGES))` in the application",
    "--ws-per-message-deflate": "write `Triows(compression=Compression())` in the application",
    "--limit-concurrency": "write `Triows(limits=Limits(connections=N))` in the application",
    "-c --config --root-path --url-path-prefix --backlog --backpressure --reuse-port "
    "--timeout-keep-alive --keep-alive --read-timeout "
    "--limit-max-requests --max-requests --header --proxy-headers --forwarded-allow-ips "
    "--server-header --date-header --h11-max-incomplete-event-size --server-name --statsd-host "
    "--statsd-prefix --pid -u --user -g --group -m --umask": _CONFIG,
}

#: The same for options of which there are many, by their beginnings.
_PREFIXES = {
    "--ssl-": _CONFIG,
    "--reload-": "write --reload, which watches the Python files of the current folder",
    "--log-": _LOGGING,
    "--access-": _LOGGING,
    "--error-": _LOGGING,
    "--static-": "write `app.mount('/static', StaticFiles(directory=...))`, with Starlette's",
    "--workers-": "write --workers N; SIGHUP replaces the workers one by one",
    "--worker-": "write --workers N; SIGHUP replaces the workers one by one",
    "--respawn-": "a worker that ends is always replaced: leave it out",
    "--timeout-": _CONFIG,
    "--pid": _PROCESS,
    "--name": _PROCESS,
    "--process-": _PROCESS,
    "--http": _CONFIG,
    "--h2-": _CONFIG,
    "--proxy-": _CONFIG,
    "--limit-": _CONFIG,
    "--max-": _CONFIG,
    "--no-": _OFF,
}
