"""
The options of ``triows run``, in the groups of its help.

To add an option, add a row to a group. If the option sets one of Hypercorn's settings, that is all.
Otherwise, ``triows._cli`` finds its value by its key in what :func:`.choose` returns. A
configuration file can have it under that key, too.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import frozen

from .kinds import (
    SECONDS,
    AccessFormat,
    Address,
    Choice,
    Flag,
    HeaderName,
    Listening,
    Many,
    Mask,
    Number,
    Output,
    Path,
    RootPath,
    Text,
    Workers,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .kinds import Kind

__all__ = ["APPLICATION", "GROUPS", "OPTIONS", "Option", "add_options"]


_SWITCH = Flag()


@frozen
class Option:
    """An option of ``triows run``."""

    #: Hypercorn's name if Hypercorn has such an option, and otherwise uvicorn's if that has one.
    name: str
    #: What the help says about it.
    help: str
    #: What its value is. For a :class:`.Flag`, there is also ``--no-...``. :class:`.Many` means
    #: that it can be given several times.
    kind: Kind = _SWITCH
    #: What the help calls its value.
    metavar: str | None = None
    #: Its value if nobody gives one.
    default: Any = None
    #: The setting of Hypercorn's that it sets, if there is one.
    setting: str | None = None
    #: Hypercorn's short name, if it has one.
    short: str | None = None
    #: Whether a configuration file can have it.
    is_in_file: bool = True

    @property
    def key(self) -> str:
        """The name of its value, here and in a configuration file."""
        return self.setting or self.name.removeprefix("--").replace("-", "_")


#: What ``triows routes`` has as well.
APPLICATION = {
    "application": (
        Option("--factory", "APP is a function that returns the application", default=False),
        Option(
            "--app-dir",
            "look for the module there first (default: the current folder)",
            Path(),
            "FOLDER",
        ),
        Option(
            "--env-file",
            "set the environment variables in this file, if they aren't set",
            Path(),
            "FILE",
        ),
    )
}

GROUPS: Mapping[str, Sequence[Option]] = {
    **APPLICATION,
    "address": (
        Option(
            "--bind",
            "host:port, unix:path or fd://number; repeatable (default: 127.0.0.1:8000)",
            Many(Address(), or_none=False),
            "ADDRESS",
            default=("127.0.0.1:8000",),
            setting="bind",
            short="-b",
        ),
        Option(
            "--host",
            "in place of --bind (default: 127.0.0.1)",
            Text(),
            is_in_file=False,
        ),
        Option(
            "--port",
            "in place of --bind; 0 means any free one (default: 8000)",
            Number(0, 65535),
            is_in_file=False,
        ),
        Option(
            "--backlog",
            "how many connections may wait to be accepted (default: 100)",
            Number(1, 65535),
            "N",
            setting="backlog",
        ),
        Option(
            "--root-path",
            "where a proxy has put the application, as in /app",
            RootPath(),
            "PATH",
            setting="root_path",
        ),
        Option(
            "--umask",
            "the permissions that the file of a Unix socket does not get, as an octal number "
            "(default: 111, so that everybody may connect who can reach the file)",
            Mask(),
            "MASK",
            setting="umask",
        ),
    ),
    "TLS": (
        Option(
            "--certfile",
            "the certificate chain, to serve TLS",
            Path(),
            "FILE",
            setting="certfile",
        ),
        Option("--keyfile", "its private key", Path(), "FILE", setting="keyfile"),
        Option(
            "--keyfile-password-file",
            "a file with the key's password, if the key is encrypted",
            Path(),
            "FILE",
        ),
    ),
    "requests": (
        Option(
            "--keep-alive",
            "close a connection that has been idle for so long (default: 5)",
            SECONDS,
            "SECONDS",
            setting="keep_alive_timeout",
        ),
        Option(
            "--h11-max-incomplete-size",
            "how long the head of a request may be (default: 16384)",
            Number(1, unit="bytes"),
            "BYTES",
            setting="h11_max_incomplete_size",
        ),
    ),
    "proxies": (
        Option(
            "--proxy-headers",
            "read who the client is from X-Forwarded-For, -Proto, -Host and -Port",
            default=False,
        ),
        Option(
            "--forwarded-header",
            "read who the client is from Forwarded (RFC 7239)",
            default=False,
        ),
        Option(
            "--proxy-protocol",
            "expect the PROXY protocol at this --bind address, or at 'all' of them; repeatable",
            Many(Listening()),
            "ADDRESS",
            default=(),
        ),
        Option(
            "--forwarded-allow-ips",
            "the proxies to believe: addresses, networks and 'unix', with commas between them, or "
            "'*' for everybody (default: 127.0.0.1,::1)",
            Text(),
            "LIST",
        ),
    ),
    "processes": (
        Option(
            "--workers",
            "number of processes that serve (default: 1); SIGHUP replaces them one by one",
            Workers(),
            "N",
            default=1,
            short="-w",
        ),
        Option("--reload", "start again when a Python file in this folder changes", default=False),
    ),
    "shutdown": (
        Option(
            "--drain-delay",
            "after SIGTERM, go on for so long while app.ready is false (default: 0)",
            SECONDS,
            "SECONDS",
            default=0.0,
        ),
        Option(
            "--drain-idle",
            "after SIGTERM, keep idle connections for so long (default: 1)",
            SECONDS,
            "SECONDS",
            default=1.0,
        ),
        Option(
            "--drain-listen",
            "while shutting down, keep listening and answer 503",
            default=False,
        ),
    ),
    "log": (
        Option(
            "--log-level",
            "log messages of this level and above (default: info)",
            Choice(("debug", "info", "warning", "error", "critical")),
            "LEVEL",
            default="info",
            setting="loglevel",
        ),
        Option(
            "--access-log",
            "write a line for each request, to --access-logfile or the standard output",
            is_in_file=False,
        ),
        Option(
            "--access-logfile",
            "write the access log to this file; - means the standard output",
            Output(),
            "FILE",
            setting="accesslog",
        ),
        Option(
            "--access-logformat",
            "a line of the access log, in Hypercorn's format",
            AccessFormat(),
            "FORMAT",
            setting="access_log_format",
        ),
        Option(
            "--log-format",
            "text or json, one object in each line (default: text)",
            Choice(("text", "json")),
            "FORMAT",
            default="text",
        ),
        Option("--request-ids", "give each request an id, in all of its lines", default=False),
        Option(
            "--request-id-header",
            "the same, with the id in this header of a proxy that always sets it",
            HeaderName(),
            "NAME",
        ),
        Option(
            "--tree-on-signal",
            "on SIGUSR1, print all connections, resources and tasks to the standard error",
            default=False,
        ),
    ),
    "configuration": (
        Option(
            "--config",
            "read all of these, and Hypercorn's settings, from this TOML file",
            Path(),
            "FILE",
            short="-c",
            is_in_file=False,
        ),
    ),
}

OPTIONS = tuple(option for group in GROUPS.values() for option in group)


def add_options(
    parser: argparse.ArgumentParser, groups: Mapping[str, Sequence[Option]] = GROUPS
) -> None:
    """Let *parser* take the options, group by group."""
    for title, group in groups.items():
        arguments = parser.add_argument_group(title)
        for option in group:
            _add(arguments.add_argument, option)


def _add(add_argument: Callable[..., object], option: Option) -> None:
    if isinstance(option.kind, Flag):
        switch = partial(add_argument, dest=option.key, action="store_const")
        switch(option.name, const=True, help=option.help)
        switch(f"--no-{option.name.removeprefix('--')}", const=False, help=argparse.SUPPRESS)
        return
    add_argument(
        *(name for name in (option.short, option.name) if name is not None),
        action="append" if isinstance(option.kind, Many) else "store",
        dest=option.key,
        help=option.help,
        metavar=option.metavar or option.name.removeprefix("--").upper(),
        type=_reading(option.kind),
    )


def _reading(kind: Kind) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return kind.from_text(text)
        except ValueError as exc:
            raise argparse.ArgumentTypeError(str(exc)) from None

    return read
