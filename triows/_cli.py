"""The command line: ``triows run`` and ``triows routes``."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import subprocess
import sys
from functools import partial
from importlib.metadata import version
from itertools import zip_longest
from typing import TYPE_CHECKING

from ._annotations import type_name
from ._injection.listing import written
from ._log import logger
from ._printable import printable
from ._server.interrupts import ending_by_signals, ending_whatever_runs
from ._server.lifeline import inherited
from ._server.listening import check_address, configuration
from ._server.loading import ImportFailed, UnusableTarget, load
from ._server.options import command_meant, option_meant
from ._server.proxy import Proxy
from ._server.run import ApplicationError, run
from ._server.tls import CertificateError, tls_context
from ._traceback import summary, users_place, users_traceback
from .exceptions import AddressError, RouteSetupError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import NoReturn

    from ._app import Triows
    from ._description import BodyInfo, MountInfo, ResourceInfo, ResultInfo, RouteInfo
    from ._server.proxy import Family

__all__ = ["main"]

# Exit codes. 1: the application failed while it was started, served or shut down. 2, as in
# argparse: the command can't be carried out. The server has exit codes of its own.
FAILED, UNUSABLE = 1, 2

# Each worker is a process with an interpreter and the application in it, for one core. No machine
# has many more cores than this. A number above it is a typo, and starting all those processes
# would take all memory.
MAX_WORKERS = 1024


class UnusableCommand(Exception):
    """The command can't be carried out. The message is the one line that says why."""


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command line.

    Args:
        argv: The arguments, ``sys.argv``'s by default.

    Returns:
        The exit code.
    """
    arguments = sys.argv[1:] if argv is None else argv
    options = _parsed(arguments)
    options.arguments = arguments
    try:
        with ending_by_signals():
            return _COMMANDS[options.command](options)
    except (UnusableCommand, UnusableTarget) as exc:
        _say(exc)
    except AddressError as exc:
        _say(f"--bind: {exc}")
    except CertificateError as exc:
        _say(f"--{exc.setting}: {exc}")
    except SystemExit as exc:
        _say(_exit_of(options.app, exc))
        raise  # the exit code is the application's
    except ImportFailed as exc:
        _show(exc, exc.error)
    except ApplicationError as exc:
        _show(exc, exc.error)
        return FAILED
    return UNUSABLE


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the arguments. What other servers would understand is told what to write here."""
    parser = _parser()
    if arguments and (meant := command_meant(arguments)) is not None:
        parser.error(f"{arguments[0]!r} isn't a command: write {meant}")
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        parser.prog += f" {options.command}"  # its help lists what there is
        if (meant := option_meant(unknown, arguments)) is not None:
            kind = "an option" if unknown[0].startswith("-") else "an argument"
            parser.error(f"{unknown[0]!r} isn't {kind}: {meant}")
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return options


def _exit_of(app: str, exc: SystemExit) -> str:
    """Say that the application's code has ended this process, for example by ``sys.exit()``."""
    code = "" if exc.code is None else printable(repr(exc.code))
    return (
        f"{app!r}: {users_place(exc) or 'its code'} calls sys.exit({code}), which ends this "
        "command. If it is not meant when the module is imported, put it below "
        '`if __name__ == "__main__":`'
    )


def _say(message: object) -> None:
    print(f"triows: {message}", file=sys.stderr)


def _show(what: Exception, error: BaseException) -> None:
    """Say in one line what failed and why, then show where, in the user's own code."""
    if isinstance(error, RouteSetupError):
        # Its message has the file and line of a function, if there is one. They matter more than
        # where the mistake was noticed, and a traceback would hide them.
        place = None if error.where else users_place(error)
        _say(f"{type(error).__name__}: {error}" + (f"\n  at {place}" if place else ""))
        return
    _say(f"{what}: {summary(error)}")
    sys.stderr.write(users_traceback(error))


def _loaded(target: str) -> Triows:
    with ending_whatever_runs():
        return load(target)


class _Parser(argparse.ArgumentParser):
    """Reports a mistake in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(UNUSABLE, f"triows: {message} (see {self.prog} --help)\n")


def _number_of_workers(text: str) -> int:
    digits = text.lstrip("0") if text.isdecimal() else ""
    if not digits:
        raise argparse.ArgumentTypeError(f"give a whole number, 1 or more, not {text!r}")
    # Python refuses to convert thousands of digits.
    if len(digits) > len(str(MAX_WORKERS)) or int(digits) > MAX_WORKERS:
        raise argparse.ArgumentTypeError(
            f"each worker is a process of its own, and {MAX_WORKERS} is the most: give about as "
            f"many as this machine has cores, which is {os.cpu_count() or 1}"
        )
    return int(digits)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="triows", description="Serve and inspect triows applications.")
    parser.add_argument("--version", action="version", version=f"triows {version('triows')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("run", help="serve an application")
    serve.add_argument(
        "--bind",
        action="append",
        metavar="ADDRESS",
        help="host:port or unix:path; repeatable (default: 127.0.0.1:8000)",
    )
    serve.add_argument("--certfile", metavar="FILE", help="the certificate chain, to serve TLS")
    serve.add_argument("--keyfile", metavar="FILE", help="its private key")
    serve.add_argument(
        "--log-level",
        default="info",
        type=str.lower,
        choices=["debug", "info", "warning", "error", "critical"],
        help="log messages of this level and above (default: info)",
    )
    serve.add_argument(
        "--workers",
        type=_number_of_workers,
        default=1,
        metavar="N",
        help="number of processes that serve (default: 1); SIGHUP replaces them one by one",
    )
    serve.add_argument(
        "--reload",
        action="store_true",
        help="start again when a Python file in this folder changes",
    )
    serve.add_argument(
        "--tree-on-signal",
        action="store_true",
        help="on SIGUSR1, print all connections, resources and tasks to the standard error",
    )
    _add_proxy(serve)
    serve.add_argument("--inherit", help=argparse.SUPPRESS)  # for workers
    routes = commands.add_parser("routes", help="list an application's routes")
    for command in (serve, routes):
        command.add_argument(
            "app", metavar="MODULE:APP", help="the application, for example chat:app"
        )
    return parser


#: Who is trusted if nothing is said.
_LOCAL = "127.0.0.1,::1"


def _add_proxy(serve: argparse.ArgumentParser) -> None:
    """Add the options for what proxies in front of the server say about their clients."""
    serve.add_argument(
        "--proxy-headers",
        action="store_true",
        help="read who the client is from X-Forwarded-For, -Proto, -Host and -Port",
    )
    serve.add_argument(
        "--forwarded-header",
        action="store_true",
        help="read it from Forwarded (RFC 7239) instead",
    )
    serve.add_argument(
        "--proxy-protocol",
        action="append",
        metavar="ADDRESS",
        help="expect the PROXY protocol at this --bind address, or at 'all'; repeatable",
    )
    serve.add_argument(
        "--forwarded-allow-ips",
        metavar="LIST",
        help="the proxies to believe: addresses, networks, 'unix', with commas between them, or "
        f"'*' (default: {_LOCAL})",
    )


def _proxy(options: argparse.Namespace) -> Proxy | None:
    """
    Make what the options say about proxies.

    Raises:
        UnusableCommand: They can't be used.
    """
    if options.proxy_headers and options.forwarded_header:
        raise UnusableCommand(
            "--proxy-headers and --forwarded-header: give the one whose headers the proxy sets"
        )
    protocol = options.proxy_protocol or []
    headers: Family | None = "x-forwarded" if options.proxy_headers else None
    if options.forwarded_header:
        headers = "forwarded"
    if not (headers or protocol):
        if options.forwarded_allow_ips is None:
            return None
        raise UnusableCommand(
            "--forwarded-allow-ips has an effect only with --proxy-headers, --forwarded-header or "
            "--proxy-protocol: add one of them"
        )
    trusted = _LOCAL if options.forwarded_allow_ips is None else options.forwarded_allow_ips
    try:
        proxy = Proxy(
            trusted=[one.strip() for one in trusted.split(",")],
            headers=headers,
            protocol=True if "all" in protocol else protocol,
        )
    except ValueError as exc:
        raise UnusableCommand(f"--forwarded-allow-ips: {exc}") from None
    if (unknown := [one for one in protocol if one not in ("all", *_bind(options))]) != []:
        listed = ", ".join(_bind(options))
        raise UnusableCommand(
            f"--proxy-protocol: {unknown[0]!r} isn't one of the addresses of --bind, which are "
            f"{listed}: write one of them as it is there, or 'all'"
        )
    return proxy


def _bind(options: argparse.Namespace) -> list[str]:
    return options.bind or ["127.0.0.1:8000"]


def _check_certificate(certfile: str | None, keyfile: str | None) -> None:
    """
    Refuse a certificate or a key that can't be used, before the application is imported.

    Raises:
        UnusableCommand: One of the two is missing.
        CertificateError: One of them can't be used.
    """
    if (certfile is None) != (keyfile is None):
        raise UnusableCommand("--certfile and --keyfile go together; one file may be both")
    tls_context(configuration([], certfile, keyfile), asks=False)


def _check_processes(options: argparse.Namespace) -> None:
    """
    Refuse options about processes and signals that can't work.

    Raises:
        UnusableCommand: An option can't work. The message says why.
    """
    if options.workers > 1 and options.reload:
        raise UnusableCommand("--reload serves by one process: leave --workers out")
    if os.name == "nt" and (options.workers > 1 or options.reload):
        raise UnusableCommand("--workers and --reload need a system with Unix's signals")
    if options.tree_on_signal and not hasattr(signal, "SIGUSR1"):
        raise UnusableCommand("--tree-on-signal needs a system with SIGUSR1")


def _worker_command(arguments: Sequence[str], descriptors: str) -> list[str]:
    """Return the command of a worker: the same one, with the same interpreter."""
    # multiprocessing uses this function, too, to get the interpreter's options.
    options: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    command, *rest = arguments
    return [sys.executable, *options, "-m", "triows", command, "--inherit", descriptors, *rest]


def _check_addresses(addresses: Iterable[str]) -> None:
    """
    Refuse what isn't an address.

    Raises:
        UnusableCommand: It isn't one. The message says what to write instead.
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
    proxy = _proxy(options)
    several = options.workers > 1
    process = " [%(process)d]" if several else ""
    logging.basicConfig(
        level=options.log_level.upper(),
        format=f"%(asctime)s{process} %(levelname)s %(name)s: %(message)s",
    )
    if options.inherit is None:
        # Before the application is imported, because that may take long, or hang.
        logger.info("starting %s (process %d)", options.app, os.getpid())
    addresses = {
        "bind": _bind(options),
        "certfile": options.certfile,
        "keyfile": options.keyfile,
    }
    tree_signal = signal.SIGUSR1 if options.tree_on_signal else None
    if tree_signal is not None:
        # The signal must not end the process while nobody listens for it.
        signal.signal(tree_signal, signal.SIG_IGN)
    settings = {**addresses, "tree_signal": tree_signal}
    if options.inherit is not None:
        given = inherited(options.inherit)
        return run(_loaded(options.app), options.app, inherited=given, proxy=proxy, **settings)
    command = partial(_worker_command, options.arguments)
    # Import these two only when they are used, so that others don't pay for them.
    if options.reload:
        from ._server.reload import run_again  # noqa: PLC0415

        return run_again(command, options.app, **settings)
    if several:
        from ._server.workers import supervise  # noqa: PLC0415

        return supervise(command, options.app, workers=options.workers, **settings)
    return run(_loaded(options.app), options.app, proxy=proxy, **settings)


def _routes(options: argparse.Namespace) -> int:
    app = _loaded(options.app)
    print("\n".join(table(app.routes, app.mounts)))
    return 0


HEADINGS = ("METHOD", "PATH", "HANDLER", "PARAMETERS", "RESULTS", "RESOURCES")


def table(routes: Iterable[RouteInfo], mounts: Iterable[MountInfo]) -> Iterator[str]:
    """Lay out routes and mounts in columns, one line for each parameter, result and resource."""
    lines: list[tuple[str, ...]] = [HEADINGS]
    for row in _rows(routes, mounts):
        lines.extend(zip_longest(*row, fillvalue=""))
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    for line in lines:
        yield "  ".join(
            cell.ljust(width) for cell, width in zip(line, widths, strict=True)
        ).rstrip()


def _rows(
    routes: Iterable[RouteInfo], mounts: Iterable[MountInfo]
) -> Iterator[Sequence[Iterable[str]]]:
    """Yield what is in each column, for each route and then each mount."""
    for route in routes:
        yield (
            [route.method or "WEBSOCKET"],
            [route.path],
            [_relative(route.handler)],
            [*(line for one in route.parameters for line in written(one)), *_body(route.body)],
            _results(route.results),
            [_named(resource) for resource in route.resources],
        )
    for mount in mounts:
        yield ["MOUNT"], [mount.path], [_relative(mount.handler)], [], [], []


def _body(body: BodyInfo | None) -> Iterator[str]:
    if body is not None:
        yield f"body: {type_name(body.type)}{'' if body.required else ' (optional)'}"


def _results(results: Iterable[ResultInfo]) -> list[str]:
    """Say what a handler answers. If no annotation says it, that is one line."""
    unknown = [one for one in results if one.type is object]
    return [_result(one) for one in unknown or results]


def _result(result: ResultInfo) -> str:
    """Write ``201 Product``, ``204``, or ``HTMLResponse``, which has a status of its own."""
    shown = "Any" if result.type is object else type_name(result.type)
    parts = (result.status, None if result.type is None else shown)
    return " ".join(str(part) for part in parts if part is not None)


def _named(resource: ResourceInfo) -> str:
    return f"{resource.name} (application)" if resource.scope == "app" else resource.name


def _relative(where: str) -> str:
    return where.removeprefix(os.getcwd() + os.sep)


_COMMANDS = {"run": _run, "routes": _routes}
