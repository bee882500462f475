"""Choosing the value of each option: the command line's, the file's, or the default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from triows._server.addresses import address_of

from .file import UnusableFile, read_file
from .options import OPTIONS
from .settings import SETTINGS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

__all__ = ["Chosen", "UnusableCommand", "choose"]


class UnusableCommand(Exception):
    """The command can't be carried out. The message is the one line that says why."""


_DEFAULTS = {option.key: option.default for option in OPTIONS}


@frozen
class Chosen:
    """
    The values of all options, by their keys.

    The environment has no say. What a process does is written on its command line and in the file
    that it names. A shell and systemd put variables there if somebody wants them. Only sockets that
    a service manager passes are a default.
    """

    _given: Mapping[str, Any]
    _in_file: Mapping[str, Any]
    #: The configuration file, if there is one.
    file: str | None
    #: The values of options that nobody has given.
    _defaults: Mapping[str, Any] = _DEFAULTS

    def __getitem__(self, key: str) -> Any:
        if key in self._given:
            return self._given[key]
        return self._in_file.get(key, self._defaults.get(key))

    def is_said(self, key: str) -> bool:
        """Say whether somebody has chosen a value, so that it isn't the default."""
        return key in self._given or key in self._in_file

    def name_of(self, key: str) -> str:
        """Say where a value is written, for a message about it: ``--bind``, or a file and a key."""
        if key in self._in_file and key not in self._given:
            return f"{self.file}: {key}"
        return _NAMES.get(key, key)

    @property
    def settings(self) -> dict[str, Any]:
        """Hypercorn's settings that aren't left to Hypercorn's defaults."""
        chosen = {key: self[key] for key in _SETTINGS}
        return {key: value for key, value in chosen.items() if value is not None}


_NAMES = {option.key: option.name for option in OPTIONS}
# Hypercorn would apply the level to its access log, and leave all of it out.
_SETTINGS = {*SETTINGS, *(one.setting for one in OPTIONS if one.setting is not None)} - {"loglevel"}


def choose(given: argparse.Namespace, passed_addresses: Sequence[str] = ()) -> Chosen:
    """
    Choose the value of each option.

    Args:
        given: The command line.
        passed_addresses: Where to listen by default, if a service manager has passed sockets.

    Raises:
        UnusableCommand: The configuration file can't be used, or options contradict one another.
    """
    values = {
        option.key: value for option in OPTIONS if (value := getattr(given, option.key)) is not None
    }
    try:
        in_file = {} if given.config is None else read_file(given.config)
    except UnusableFile as exc:
        raise UnusableCommand(f"--config: {exc}") from None
    _put_together(values)
    if values.get("access_log") is False:
        values["accesslog"] = None
    elif values.get("access_log") and "accesslog" not in values and "accesslog" not in in_file:
        values["accesslog"] = "-"
    passed = {"bind": tuple(passed_addresses)} if passed_addresses else {}
    return Chosen(values, in_file, given.config, {**_DEFAULTS, **passed})


def _put_together(values: dict[str, Any]) -> None:
    """
    Make an address of ``--host`` and ``--port``.

    Raises:
        UnusableCommand: They contradict other options.
    """
    if values.get("access_log") is False and "accesslog" in values:
        raise UnusableCommand("--no-access-log and --access-logfile contradict one another")
    if "host" not in values and "port" not in values:
        return
    if "bind" in values:
        name = "--host" if "host" in values else "--port"
        raise UnusableCommand(f"--bind has both host and port: leave {name} out")
    try:
        values["bind"] = [address_of(values.get("host", "127.0.0.1"), values.get("port", 8000))]
    except ValueError as exc:
        raise UnusableCommand(f"--host: {exc}") from None
