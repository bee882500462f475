"""
The options of ``triows run``, in the groups of its help.

To add an option, add a row to a group. If the option sets one of Hypercorn's settings, that is all.
Otherwise, ``triows._cli`` finds its value in what :func:`chosen` returns.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import frozen

from .kinds import Choice, Seconds, Text, Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .kinds import Kind

__all__ = ["GROUPS", "OPTIONS", "Option", "add_options", "chosen", "settings_of"]


@frozen
class Option:
    """An option of ``triows run``."""

    #: Hypercorn's name if Hypercorn has such an option, and otherwise uvicorn's if that has one.
    name: str
    #: What the help says about it.
    help: str
    #: What its value is. An option without a kind is on or off, and ``--no-...`` switches it off.
    kind: Kind | None = None
    #: What the help calls its value.
    metavar: str | None = None
    #: Its value if nobody gives one.
    default: Any = None
    #: Whether it can be given several times. Its value is a list then.
    repeatable: bool = False
    #: The setting of Hypercorn's that it sets, if there is one.
    setting: str | None = None

    @property
    def key(self) -> str:
        """The name of its value."""
        return self.setting or self.name.removeprefix("--").replace("-", "_")


GROUPS = {
    "address": (
        Option(
            "--bind",
            "host:port or unix:path; repeatable (default: 127.0.0.1:8000)",
            Text(),
            "ADDRESS",
            default=["127.0.0.1:8000"],
            repeatable=True,
            setting="bind",
        ),
    ),
    "TLS": (
        Option(
            "--certfile",
            "the certificate chain, to serve TLS",
            Text(),
            "FILE",
            setting="certfile",
        ),
        Option("--keyfile", "its private key", Text(), "FILE", setting="keyfile"),
        Option(
            "--keyfile-password-file",
            "a file with the key's password, if the key is encrypted",
            Text(),
            "FILE",
        ),
    ),
    "processes": (
        Option(
            "--workers",
            "number of processes that serve (default: 1); SIGHUP replaces them one by one",
            Workers(),
            "N",
            default=1,
        ),
        Option("--reload", "start again when a Python file in this folder changes", default=False),
    ),
    "shutdown": (
        Option(
            "--drain-delay",
            "after SIGTERM, go on for so long while app.ready is false (default: 0)",
            Seconds(),
            "SECONDS",
            default=0.0,
        ),
        Option(
            "--drain-idle",
            "after SIGTERM, keep idle connections for so long (default: 1)",
            Seconds(),
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
        ),
        Option(
            "--tree-on-signal",
            "on SIGUSR1, print all connections, resources and tasks to the standard error",
            default=False,
        ),
    ),
}

OPTIONS = tuple(option for group in GROUPS.values() for option in group)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Let *parser* take the options, group by group."""
    for title, group in GROUPS.items():
        arguments = parser.add_argument_group(title)
        for option in group:
            _add(arguments, option)


def _add(arguments: argparse._ArgumentGroup, option: Option) -> None:
    if option.kind is None:
        switch = partial(arguments.add_argument, dest=option.key, action="store_const")
        switch(option.name, const=True, help=option.help)
        switch(f"--no-{option.name.removeprefix('--')}", const=False, help=argparse.SUPPRESS)
    else:
        arguments.add_argument(
            option.name,
            action="append" if option.repeatable else "store",
            dest=option.key,
            help=option.help,
            metavar=option.metavar,
            type=_reading(option.kind),
        )


def _reading(kind: Kind) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return kind.from_text(text)
        except ValueError as exc:
            raise argparse.ArgumentTypeError(str(exc)) from None

    return read


def chosen(given: argparse.Namespace, passed_addresses: Sequence[str] = ()) -> dict[str, Any]:
    """
    Return the value of each option by its key: what the command line says, or the default.

    Args:
        given: The command line.
        passed_addresses: Where to listen by default, if a service manager has passed sockets.
    """
    defaults = {option.key: option.default for option in OPTIONS}
    if passed_addresses:
        defaults["bind"] = list(passed_addresses)
    values = vars(given)
    return {
        key: default if values[key] is None else values[key] for key, default in defaults.items()
    }


def settings_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of *values* that are settings of Hypercorn's and aren't its defaults."""
    return {
        option.setting: values[option.key]
        for option in OPTIONS
        if option.setting is not None and values[option.key] is not None
    }
