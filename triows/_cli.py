"""The command line: ``triows run`` and ``triows routes``."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import signal
import subprocess
import sys
import traceback
from functools import partial
from importlib.metadata import version
from itertools import zip_longest
from typing import TYPE_CHECKING

from ._app import RouteInfo, Triows
from ._server.lifeline import inherited
from ._server.listening import check_address
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
    arguments = sys.argv[1:] if argv is None else argv
    options = _parser().parse_args(arguments)
    options.arguments = arguments
    try:
        return _COMMANDS[options.command](options)
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
    serve.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="how many processes serve; SIGHUP replaces them one by one (1)",
    )
    serve.add_argument(
        "--reload",
        action="store_true",
        help="start again when a Python file here changes",
    )
    serve.add_argument(
        "--tree-on-signal",
        action="store_true",
        help="print all connections, resources and tasks on SIGUSR1, to the standard error",
    )
    serve.add_argument("--inherit", help=argparse.SUPPRESS)  # for workers
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


def _check_processes(options: argparse.Namespace) -> None:
    """
    Refuse what can't be done about processes and their signals.

    Raises:
        UnusableCommand: with the reason.
    """
    if options.workers < 1:
        raise UnusableCommand("--workers takes a number from 1 on")
    if options.workers > 1 and options.reload:
        raise UnusableCommand("--reload serves by one process: leave --workers out")
    if os.name == "nt" and (options.workers > 1 or options.reload):
        raise UnusableCommand("--workers and --reload need a system with Unix's signals")
    if options.tree_on_signal and not hasattr(signal, "SIGUSR1"):
        raise UnusableCommand("--tree-on-signal needs a system with SIGUSR1")


def _worker_command(arguments: Sequence[str], descriptors: str) -> list[str]:
    """Give the same command once more, by the same interpreter, for a worker."""
    # The interpreter's options by the function that multiprocessing takes them from.
    options: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    command, *rest = arguments
    return [sys.executable, *options, "-m", "triows", command, "--inherit", descriptors, *rest]


def _check_addresses(addresses: Iterable[str]) -> None:
    """
    Refuse what is no address.

    Raises:
        UnusableCommand: with what to write instead.
    """
    for address in addresses:
        try:
            check_address(address)
        except ValueError as exc:
            raise UnusableCommand(f"--bind: {exc}") from None


def _run(options: argparse.Namespace) -> int:
    _check_addresses(options.bind or ())
    _check_certificate(options.certfile, options.keyfile)
    _check_processes(options)
    several = options.workers > 1
    process = " [%(process)d]" if several else ""
    logging.basicConfig(
        level=options.log_level.upper(),
        format=f"%(asctime)s{process} %(levelname)s %(name)s: %(message)s",
    )
    addresses = {
        "bind": options.bind or ["127.0.0.1:8000"],
        "certfile": options.certfile,
        "keyfile": options.keyfile,
    }
    tree_signal = signal.SIGUSR1 if options.tree_on_signal else None
    if tree_signal is not None:
        # Before it is listened to, and after, it must not end the process.
        signal.signal(tree_signal, signal.SIG_IGN)
    settings = {**addresses, "tree_signal": tree_signal}
    if options.inherit is not None:
        given = inherited(options.inherit)
        return run(load(options.app), options.app, inherited=given, **settings)
    command = partial(_worker_command, options.arguments)
    # Imported when they are used: they cost others nothing.
    if options.reload:
        from ._server.reload import run_again  # noqa: PLC0415

        return run_again(command, options.app, **settings)
    if several:
        from ._server.workers import supervise  # noqa: PLC0415

        return supervise(command, options.app, workers=options.workers, **settings)
    return run(load(options.app), options.app, **settings)


def _routes(options: argparse.Namespace) -> int:
    print("\n".join(table(load(options.app).routes)))
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
