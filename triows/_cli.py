"""The command line: ``triows run`` and ``triows routes``."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
import traceback
from importlib.metadata import version
from itertools import zip_longest
from typing import TYPE_CHECKING

from ._app import RouteInfo, Triows
from ._server.run import run
from .exceptions import RouteSetupError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["main"]

# Exit codes: 1 for an application that failed, 2 (argparse's) for a command that can't be
# carried out. The server has its own.
FAILED, UNUSABLE = 1, 2


class UnusableCommand(Exception):
    """What was typed can't be carried out."""


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command line.

    Args:
        argv: The arguments, ``sys.argv``'s by default.

    Returns:
        The exit code.
    """
    options = _parser().parse_args(argv)
    try:
        app = load(options.app)
        return _COMMANDS[options.command](app, options)
    except UnusableCommand as exc:
        print(f"triows: {exc}", file=sys.stderr)
        return UNUSABLE
    except RouteSetupError as exc:
        # The message has the file and line that matter; a traceback would hide them.
        print(f"triows: {type(exc).__name__}: {exc}", file=sys.stderr)
        return FAILED
    except Exception:  # noqa: BLE001 - whatever the application raised, on its way to the user
        traceback.print_exc()
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="triows", description="Serve and inspect triows applications."
    )
    parser.add_argument("--version", action="version", version=f"triows {version('triows')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("run", help="serve an application")
    serve.add_argument(
        "--bind", action="append", metavar="ADDRESS", help="host:port or unix:path (127.0.0.1:8000)"
    )
    serve.add_argument("--certfile", metavar="FILE", help="the certificate chain, to serve TLS")
    serve.add_argument("--keyfile", metavar="FILE", help="its private key")
    serve.add_argument(
        "--log-level",
        default="info",
        choices=["debug", "info", "warning", "error", "critical"],
        help="the least level that is logged (info)",
    )
    routes = commands.add_parser("routes", help="list an application's routes")
    for command in (serve, routes):
        command.add_argument("app", metavar="MODULE:APP", help="where the application is")
    return parser


def load(target: str) -> Triows:
    """
    Import the application that ``module:app`` names; ``app`` may have dots.

    Raises:
        UnusableCommand: there is no such module or name, or it is something else.
        Exception: what importing the module raised.
    """
    module_name, _, path = target.partition(":")
    if not module_name or not path or module_name.startswith("."):
        raise UnusableCommand(
            f"{target!r}: write module:app, as in 'chat:app' or 'examples.chat:app'"
        )
    # A console script does not have the current folder on its path, unlike python -m.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: object = importlib.import_module(module_name)
    except ModuleNotFoundError as exc:
        if exc.name is None or not f"{module_name}.".startswith(f"{exc.name}."):
            raise  # a module that the application imports
        is_file = module_name.endswith(".py") or "/" in module_name
        hint = " (a module is written with dots and without .py)" if is_file else ""
        raise UnusableCommand(f"there is no module {exc.name!r} here or installed{hint}") from None
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise UnusableCommand(f"{module_name!r} has no {path!r}") from None
    if not isinstance(found, Triows):
        raise UnusableCommand(f"{target!r} is a {type(found).__name__}, not a Triows application")
    return found


def _check_certificate(certfile: str | None, keyfile: str | None) -> None:
    """
    Refuse a half of what TLS needs: serving without it would be the wrong answer.

    Raises:
        UnusableCommand: one is missing, or can't be read.
    """
    if (certfile is None) != (keyfile is None):
        raise UnusableCommand("--certfile and --keyfile go together; one file may be both")
    for file in (certfile, keyfile):
        if file is not None and not os.access(file, os.R_OK):
            raise UnusableCommand(f"{file!r} can't be read")


def _run(app: Triows, options: argparse.Namespace) -> int:
    _check_certificate(options.certfile, options.keyfile)
    logging.basicConfig(
        level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    return run(
        app,
        options.app,
        bind=options.bind or ["127.0.0.1:8000"],
        certfile=options.certfile,
        keyfile=options.keyfile,
    )


def _routes(app: Triows, options: argparse.Namespace) -> int:
    print("\n".join(table(app.routes)))
    return 0


HEADINGS = ("PATH", "HANDLER", "PARAMETERS", "RESOURCES")


def table(routes: Iterable[RouteInfo]) -> Iterator[str]:
    """Lay out routes in columns, one line for each parameter and resource."""
    rows = [
        ([route.path], [_relative(route.handler)], list(route.parameters), list(route.resources))
        for route in routes
    ]
    lines = [HEADINGS]
    for row in rows:
        lines.extend(zip_longest(*row, fillvalue=""))
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    for line in lines:
        yield "  ".join(
            cell.ljust(width) for cell, width in zip(line, widths, strict=True)
        ).rstrip()


def _relative(where: str) -> str:
    return where.removeprefix(os.getcwd() + os.sep)


_COMMANDS = {"run": _run, "routes": _routes}
