"""
Options and commands of other servers, and what ``triows run`` has for them.

People who come from uvicorn, Hypercorn, gunicorn or Flask write them from habit.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from .options import OPTIONS

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
        return f"write --port {option}"
    if not option.startswith("--"):
        option = option[:2]  # its value may be written without a space
    if option == "-p":
        port = _value_of("-p", arguments) or ""
        return f"write --port {port}" if port.isdecimal() else _PROCESS  # a file for its number
    return _MEANT_BY.get(option) or _meant_by_prefix(option) or _near(option)


def _meant_by_prefix(option: str) -> str | None:
    return next((meant for prefix, meant in _PREFIXES.items() if option.startswith(prefix)), None)


def _near(option: str) -> str | None:
    """Say which of our options is nearly the same."""
    near = difflib.get_close_matches(option, [one.name for one in OPTIONS], 1, 0.8)
    return f"did you mean {near[0]}?" if near else None


def _value_of(option: str, arguments: Sequence[str]) -> str | None:
    following = [*arguments[1:], None]
    for argument, after in zip(arguments, following, strict=True):
        name, equals, value = argument.partition("=")
        if name == option:
            return value if equals else after
        if len(option) == 2 and argument.startswith(option):
            return argument[2:]
    return None


def _in_file(line: str) -> str:
    return f"write `{line}` into a TOML file, and name the file with --config"


_LOGGING = (
    "set up Python's logging in the module of the application, or write `logconfig_dict` into a "
    "TOML file, and name the file with --config; --log-level chooses the level"
)
_PROCESS = (
    "triows stays in the foreground: leave that to whatever starts it, such as systemd or Docker"
)
_OFF = "leave it out: that is off unless you ask for it"
_ALWAYS_TRIO = "triows always runs on Trio, and serves HTTP/1.1 and WebSockets: leave it out"
_PROXIES = (
    "write --proxy-headers, --forwarded-allow-ips or --proxy-protocol, as the documentation of "
    "proxies says"
)
_OTHER_SETTING = (
    "most settings of Hypercorn have the same name in a TOML file, which you name with --config"
)

#: What to write, by the names of the options. Names that stand together have spaces between them.
_MEANT = {
    "--uds --unix-socket": "write --bind unix:PATH",
    "-m": "write --umask",
    "--fd": "write --bind fd://NUMBER",
    "-e --endpoint": "write --bind",
    "--insecure-bind": _in_file("insecure_bind = 'HOST:PORT'"),
    "--quic-bind": _ALWAYS_TRIO,
    "--reuse-port": "write --workers for processes that share an address",
    "--backpressure": "write `Triows(limits=Limits(connections=N))` in the application",
    "--url-path-prefix": "write --root-path",
    "--ssl-keyfile": "write --keyfile",
    "--ssl-certfile --ssl-certificate": "write --certfile",
    "--ssl-keyfile-password --keyfile-password": (
        "everybody on this machine can read a command line: write the password into a file, and "
        "name that with --keyfile-password-file"
    ),
    "--ssl-ca-certs --ssl-ca --ca-certs": _in_file("ca_certs = 'FILE'"),
    "--ssl-cert-reqs --cert-reqs --verify-mode": _in_file("verify_mode = 'CERT_REQUIRED'"),
    "--ssl-ciphers --ciphers": _in_file("ciphers = '...'"),
    "--ssl-version": "triows serves TLS 1.2 and newer: leave it out",
    "-s --suppress-ragged-eofs --do-handshake-on-connect": _ALWAYS_TRIO,
    "--reload-dir --reload-dirs --reload-include --reload-exclude --reload-delay "
    "--reload-engine": "write --reload, which watches the Python files of the current folder",
    "-k --worker-class --no-ws --loop --http --ws --interface --lifespan": _ALWAYS_TRIO,
    "-A --app": "write the application alone, as in `triows run module:app`",
    "--chdir --pythonpath --working-dir": "write --app-dir",
    "--env-files": "write --env-file",
    "--env": "set the variables in the shell, or in a file, and name the file with --env-file",
    "--access-log-fmt": "write --access-logformat",
    "--log-config --log-file --logger-class --error-log --error-logfile --use-colors "
    "--no-use-colors": _LOGGING,
    "--no-debug": _OFF,
    "-D --daemon --daemonize -n --pid": _PROCESS,
    "-d": f"{_PROCESS}. To debug, write `Triows(debug=True)` in the application",
    "-t --timeout --http-timeout --websocket-timeout --websocket_timeout "
    "--websocket-connect-timeout --websocket_connect_timeout --application-close-timeout": (
        "each thing has a timeout of its own: write `Triows(timeouts=Timeouts(...))` in the "
        "application"
    ),
    "-v --verbose --verbosity": "write --log-level debug",
    "-q --quiet": "write --log-level warning",
    "--threads --blocking-threads --runtime-threads --with-threads --without-threads "
    "--worker-connections --runtime-mode --task-impl": (
        "each process has one Trio loop, so write --workers for more processes"
    ),
    "--proxy-allow-from --forwarded-allow-from": "write --forwarded-allow-ips",
    "--preload --preload-app": "each worker imports the application itself: leave it out",
    "--check-config --print-config": "write `triows routes module:app`, which imports it",
    "--debug": "write `Triows(debug=True)` in the application",
    "--timeout-keep-alive --http1-keep-alive": "write --keep-alive",
    "--read-timeout": _in_file("read_timeout = SECONDS"),
    "--h11-max-incomplete-event-size --limit-request-line": "write --h11-max-incomplete-size",
    "--limit-request-fields": "a request has at most 200 headers: leave it out",
    "--limit-max-requests --max-requests": _in_file("max_requests = N"),
    "--server-name": _in_file("server_names = ['HOST']"),
    "--server-header --date-header": "leave it out: that is on unless you switch it off",
    "--no-server-header --no-server-name": _in_file("include_server_header = false"),
    "--no-date-header": _in_file("include_date_header = false"),
    "--header": "let a middleware add the header",
    "-u --user": _in_file("user = NUMBER"),
    "-g --group": _in_file("group = NUMBER"),
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
}

#: The same for options of which there are many, by their beginnings.
_PREFIXES = {
    "--ssl-": _OTHER_SETTING,
    "--reload-": "write --reload, which watches the Python files of the current folder",
    "--log-": _LOGGING,
    "--access-": _LOGGING,
    "--error-": _LOGGING,
    "--statsd-": "triows sends nothing to statsd: leave it out",
    "--static-": "write `app.mount('/static', StaticFiles(directory=...))`, with Starlette's",
    "--workers-": "write --workers N; SIGHUP replaces the workers one by one",
    "--worker-": "write --workers N; SIGHUP replaces the workers one by one",
    "--respawn-": "a worker that ends is always replaced: leave it out",
    "--timeout-": _OTHER_SETTING,
    "--pid": _PROCESS,
    "--name": _PROCESS,
    "--process-": _PROCESS,
    "--http": _ALWAYS_TRIO,
    "--h2-": _ALWAYS_TRIO,
    "--proxy-": _PROXIES,
    "--limit-": _OTHER_SETTING,
    "--max-": _OTHER_SETTING,
    "--no-": _OFF,
}

_MEANT_BY = {name: meant for names, meant in _MEANT.items() for name in names.split()}
