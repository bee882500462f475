"""
Hypercorn's settings in a configuration file.

Those that have an option are in ``options.py``.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from attrs import frozen

from .kinds import SECONDS, Address, Flag, Many, Number, Path, Table, Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .kinds import Kind

__all__ = ["INEFFECTIVE", "SETTINGS"]


@frozen
class _Flags:
    """Members of one of ssl's enumerations: a name, a number, or a list of them."""

    enumeration: Any

    def from_text(self, text: str) -> Any:
        """Find the member of that name."""
        try:
            return self.enumeration[text.removeprefix("ssl.").upper()]
        except KeyError:
            names = ", ".join(self.enumeration.__members__)
            raise ValueError(f"give one of {names}, not {text!r}") from None

    def from_toml(self, value: object, folder: str) -> Any:
        """Put the members together."""
        if isinstance(value, list) and value:
            first, *rest = (self.from_toml(one, folder) for one in value)
            for one in rest:
                first |= one
            return first
        if isinstance(value, str):
            return self.from_text(value)
        try:
            return self.enumeration(Number().from_toml(value, folder))
        except ValueError:
            names = ", ".join(self.enumeration.__members__)
            raise ValueError(f"give one of {names}") from None


@frozen
class _LogConfig:
    """A file for the standard library's logging. What is before it says its format."""

    def from_text(self, text: str) -> str:
        """Take it as it is."""
        return Path().from_text(text)

    def from_toml(self, value: object, folder: str) -> str:
        """Make the path relative to the configuration file's folder."""
        text = Text().from_toml(value, folder)
        for kind in ("json:", "toml:"):
            if text.startswith(kind):
                return kind + Path().from_toml(text.removeprefix(kind), folder)
        return Path().from_toml(text, folder)


_COUNT = Number(1)
_ID = Number()

#: Those that a file can have, and no option sets.
SETTINGS: Mapping[str, Kind] = {
    "alt_svc_headers": Many(Text()),
    "ca_certs": Path(),
    "ciphers": Text(),
    "graceful_timeout": SECONDS,
    "group": _ID,
    "h11_pass_raw_headers": Flag(),
    "include_date_header": Flag(),
    "include_server_header": Flag(),
    "insecure_bind": Many(Address()),
    "keep_alive_max_requests": _COUNT,
    "keyfile_password": Text(),
    "logconfig": _LogConfig(),
    "logconfig_dict": Table(),
    "max_requests": _COUNT,
    "read_timeout": SECONDS,
    "server_names": Many(Text()),
    "ssl_handshake_timeout": SECONDS,
    "user": _ID,
    "verify_flags": _Flags(ssl.VerifyFlags),
    "verify_mode": _Flags(ssl.VerifyMode),
}

_HTTP_1 = "triows serves HTTP/1.1 and WebSockets only"
_PROGRAM = "it needs a program: write one that calls triows.serve with Hypercorn's Config"
_APPLICATION = "write `Triows({})` in the application"

#: Those that have no effect here, and why, or what to write instead.
INEFFECTIVE: Mapping[str, str] = {
    "alpn_protocols": _HTTP_1,
    "application_path": "name the application on the command line",
    "cert_reqs": "write verify_mode",
    "daemon": "triows always stays in the foreground",
    "debug": _APPLICATION.format("debug=True"),
    "dogstatsd_tags": "triows sends nothing to statsd",
    "errorlog": "triows logs to the standard error; logconfig can change that",
    "h2_max_concurrent_streams": _HTTP_1,
    "h2_max_header_list_size": _HTTP_1,
    "h2_max_inbound_frame_size": _HTTP_1,
    "logger_class": _PROGRAM,
    "max_app_queue_size": "a request's body waits in the server, up to 256 KiB",
    "max_requests_jitter": "each process ends after exactly max_requests",
    "pid_path": "triows writes no such file: leave that to whatever starts it",
    "quic_bind": _HTTP_1,
    "shutdown_timeout": _APPLICATION.format("timeouts=Timeouts(teardown=SECONDS)"),
    "startup_timeout": "a start-up has no time limit",
    "statsd_host": "triows sends nothing to statsd",
    "statsd_prefix": "triows sends nothing to statsd",
    "use_reloader": "write reload",
    "websocket_max_message_size": _APPLICATION.format("limits=Limits(message_size=BYTES)"),
    "websocket_ping_interval": _APPLICATION.format("timeouts=Timeouts(ping_interval=SECONDS)"),
    "worker_class": "triows always runs on Trio",
    "wsgi_max_body_size": "triows serves no WSGI applications",
}
