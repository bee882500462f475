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
from typing import TYPE_CHECKING

from ._command.choosing import Chosen, UnusableCommand, choose
from ._command.environment import read_environment, set_missing
from ._command.file import UnusableFile
from ._command.listing import table
from ._command.options import APPLICATION, add_options
from ._command.others import command_meant, option_meant
from ._command.proxies import proxy_of
from ._json_lines import JsonFormatter
from ._log import enable, logger
from ._managers import contextmanager
from ._printable import printable
from ._request_ids import RequestIds
from ._server.descriptors import open_missing_streams, passed_addresses
from ._server.drain import Drain
from ._server.interrupts import ending_by_signals, ending_whatever_runs
from ._server.lifeline import inherited
from ._server.listening import configuration
from ._server.loading import ImportFailed, UnusableTarget, load, look_in
from ._server.mistakes import check_config
from ._server.notify import Manager
from ._server.run import ApplicationError, run
from ._server.tls import CertificateError, credentials
from ._traceback import summary, users_place, users_traceback
from .exceptions import AddressError, RouteSetupError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any, NoReturn

    from ._app import Triows
    from ._server.config import Config
    from ._server.proxy import Proxy
    from ._server.tls import Credentials

__all__ = ["main"]

# Exit codes. 1: the application failed while it was started, served or shut down. 2, as in
# argparse: the command can't be carried out. The server has exit codes of its own.
FAILED, UNUSABLE = 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command line.

    Args:
        argv: The arguments, ``sys.argv``'s by default.

    Returns:
        The exit code.
    """
    open_missing_streams()
    arguments = sys.argv[1:] if argv is None else argv
    options = _parsed(arguments)
    options.arguments = arguments
    try:
        with ending_by_signals():
            return _COMMANDS[options.command](options)
    except (UnusableCommand, UnusableTarget) as exc:
        _say(exc)
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


def _loaded(target: str, values: Chosen | Mapping[str, Any]) -> Triows:
    """
    Import the application, after its environment is set.

    Raises:
        UnusableCommand: The file with the environment can't be used.
    """
    if values["env_file"] is not None:
        with _naming("--env-file", UnusableFile):
            set_missing(values["env_file"])
    with ending_whatever_runs():
        return load(target, folder=values["app_dir"], factory=bool(values["factory"]))


class _Parser(argparse.ArgumentParser):
    """Reports a mistake in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(UNUSABLE, f"triows: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="triows", description="Serve and inspect triows applications.")
    parser.add_argument("--version", action="version", version=f"triows {version('triows')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "run",
        help="serve an application",
        usage="triows run [OPTIONS] MODULE:APP",
        allow_abbrev=False,  # or a new option would change what an abbreviation means
    )
    add_options(serve)
    serve.add_argument("--inherit", help=argparse.SUPPRESS)  # for workers
    routes = commands.add_parser(
        "routes",
        help="list an application's routes",
        usage="triows routes [OPTIONS] MODULE:APP",
        allow_abbrev=False,
    )
    add_options(routes, APPLICATION)
    for command in (serve, routes):
        command.add_argument(
            "app", metavar="MODULE:APP", help="the application, for example chat:app"
        )
    return parser


def _check(values: Chosen, config: Config) -> None:
    """
    Refuse what can't work, before the application is imported.

    Raises:
        UnusableCommand: A value can't work. The message says why.
        CertificateError: A certificate or a key can't be used.
    """
    _check_processes(values)
    if (config.certfile is None) != (config.keyfile is None):
        there, missing = ("certfile", "keyfile")[:: -1 if config.certfile is None else 1]
        names = f"{values.name_of(there)} and {values.name_of(missing)}"
        raise UnusableCommand(f"{names} go together; one file may be both")
    if values["keyfile_password_file"] is not None and not config.ssl_enabled:
        name = values.name_of("keyfile_password_file")
        raise UnusableCommand(f"{name} has an effect only with a certificate and a key")
    _read_password(values, config)
    try:
        check_config(config)
    except ValueError as exc:
        # Options alone can't lead to this.
        raise UnusableCommand(f"{values.file}: {str(exc).replace('config.', '')}") from None
    credentials(config)
    if values["accesslog"] not in (None, "-"):
        _check_writable(values.name_of("accesslog"), values["accesslog"])
    if values["env_file"] is not None:
        with _naming(values.name_of("env_file"), UnusableFile):
            read_environment(values["env_file"])


def _read_password(values: Chosen, config: Config) -> None:
    """
    Read the password of the key, if it is in a file.

    Raises:
        UnusableCommand: The file can't be used.
    """
    if (file := values["keyfile_password_file"]) is not None:
        config.keyfile_password = _first_line(values.name_of("keyfile_password_file"), file)


def _renewed(values: Chosen, config: Config) -> Credentials | None:
    """
    Read the certificate and the password of its key again.

    Raises:
        CertificateError: They can't be used.
    """
    try:
        _read_password(values, config)
    except UnusableCommand as exc:
        raise CertificateError("keyfile", str(exc)) from None
    return credentials(config)


def _check_again(options: argparse.Namespace) -> str | None:
    """Read the files that a new worker reads at its start. Say why it could not start, if so."""
    try:
        values = choose(options)
        _check(values, configuration(**values.settings))
    except (UnusableCommand, CertificateError) as exc:
        return str(exc)
    return None


def _first_line(name: str, file: str) -> str:
    """
    Read the password of a key.

    Raises:
        UnusableCommand: The file can't be read, or its first line is empty.
    """
    try:
        with open(file, encoding="utf-8") as lines:
            password = lines.readline().rstrip("\r\n")
    except (OSError, UnicodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it isn't text"
        raise UnusableCommand(f"{name}: {file!r} can't be read: {reason}") from None
    if not password:
        raise UnusableCommand(f"{name}: the first line of {file!r} is empty")
    return password


def _check_processes(values: Chosen) -> None:
    several, reload = values["workers"] > 1, values["reload"]
    if several and reload:
        raise UnusableCommand(
            f"{values.name_of('reload')} serves by one process: leave {values.name_of('workers')} "
            "out"
        )
    if os.name == "nt" and (several or reload):
        raise UnusableCommand("--workers and --reload need a system with Unix's signals")
    if values["tree_on_signal"] and not hasattr(signal, "SIGUSR1"):
        raise UnusableCommand("--tree-on-signal needs a system with SIGUSR1")


def _check_writable(name: str, file: str) -> None:
    try:
        with open(file, "a"):
            pass
    except OSError as exc:
        raise UnusableCommand(f"{name}: {file!r} can't be written: {exc.strerror}") from None


@contextmanager
def _naming(name: str, error: type[Exception]) -> Iterator[None]:
    """Let an error name the option or the key that has to change."""
    try:
        yield
    except error as exc:
        raise UnusableCommand(f"{name}: {exc}") from None


def _worker_command(arguments: Sequence[str], descriptors: str) -> list[str]:
    """Return the command of a worker: the same one, with the same interpreter."""
    # multiprocessing uses this function, too, to get the interpreter's options.
    options: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    command, *rest = arguments
    return [sys.executable, *options, "-m", "triows", command, "--inherit", descriptors, *rest]


def _run(options: argparse.Namespace) -> int:
    # Before anything else is started, which would take them for its own.
    manager, passed = Manager.taken_from(os.environ), passed_addresses(os.environ)
    values = choose(options, passed)
    config = configuration(**values.settings)
    try:
        _check(values, config)
        proxy = proxy_of(values, is_worker=options.inherit is not None)
        _set_up_log(values)
        with _naming(values.name_of("bind"), AddressError):
            return _serve(values, config, proxy, options, manager)
    except CertificateError as exc:
        raise UnusableCommand(f"{values.name_of(exc.setting)}: {exc}") from None


def _serve(
    values: Chosen,
    config: Config,
    proxy: Proxy | None,
    options: argparse.Namespace,
    manager: Manager,
) -> int:
    if options.inherit is None:
        # Before the application is imported, because that may take long, or hang.
        logger.info("starting %s (process %d)", options.app, os.getpid())
    tree_signal = signal.SIGUSR1 if values["tree_on_signal"] else None
    if tree_signal is not None:
        # The signal must not end the process while nobody listens for it.
        signal.signal(tree_signal, signal.SIG_IGN)
    serve = partial(
        run,
        name=options.app,
        config=config,
        drain=Drain(
            delay=values["drain_delay"], idle=values["drain_idle"], listen=values["drain_listen"]
        ),
        request_ids=_request_ids(values),
        proxy=proxy,
        tree_signal=tree_signal,
    )
    if options.inherit is not None:
        given = inherited(options.inherit)
        app = _loaded(options.app, values)
        _configure_log(values, config)
        return serve(app, inherited=given)
    settings: Any = {"manager": manager, "proxy": proxy, "tree_signal": tree_signal}
    command = partial(_worker_command, options.arguments)
    if values["reload"] or values["workers"] > 1:
        with _findable(values):
            _configure_log(values, config)
    # Import these two only when they are used, so that others don't pay for them.
    if values["reload"]:
        from ._server.reload import run_again  # noqa: PLC0415

        return run_again(command, options.app, config, folder=values["app_dir"], **settings)
    if values["workers"] > 1:
        from ._server.workers import supervise  # noqa: PLC0415

        settings |= {"workers": values["workers"], "check": partial(_check_again, options)}
        return supervise(command, options.app, config, **settings)
    renew = partial(_renewed, values, config)
    app = _loaded(options.app, values)
    _configure_log(values, config)
    return serve(app, manager=manager, renew=renew)


def _request_ids(values: Chosen) -> RequestIds | None:
    """Make what gives ids to exchanges, if an option asks for it."""
    header = values["request_id_header"]
    return RequestIds(header) if header is not None or values["request_ids"] else None


def _set_up_log(values: Chosen) -> None:
    handler = logging.StreamHandler()
    if values["log_format"] == "json":
        handler.setFormatter(JsonFormatter())
    else:
        process = " [%(process)d]" if values["workers"] > 1 else ""
        text = f"%(asctime)s{process} %(levelname)s %(name)s: %(message)s"
        handler.setFormatter(logging.Formatter(text))
    logging.basicConfig(level=values["loglevel"].upper(), handlers=[handler])


def _configure_log(values: Chosen, config: Config) -> None:
    """
    Set up logging as the configuration file says, if it does.

    Raises:
        UnusableCommand: What it says can't be carried out.
    """
    for key in ("logconfig", "logconfig_dict"):
        if values[key] is not None:
            try:
                _ = config.log  # Hypercorn carries it out when it makes its logger
            except Exception as exc:  # noqa: BLE001 - handlers and formatters may raise anything
                cause = "" if exc.__cause__ is None else f": {summary(exc.__cause__)}"
                raise UnusableCommand(f"{values.name_of(key)}: {summary(exc)}{cause}") from None
            enable()
            return


@contextmanager
def _findable(values: Chosen) -> Iterator[None]:
    """
    Let a process that doesn't import the application find what a configuration of logging names.

    Raises:
        UnusableCommand: The file with the environment can't be used.
    """
    look_in(values["app_dir"])
    before = dict(os.environ)
    if values["env_file"] is not None:
        with _naming("--env-file", UnusableFile):
            set_missing(values["env_file"])
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]  # or new workers could not read other values


def _routes(options: argparse.Namespace) -> int:
    app = _loaded(options.app, vars(options))
    print("\n".join(table(app.routes, app.mounts)))
    return 0


_COMMANDS = {"run": _run, "routes": _routes}
