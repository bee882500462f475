"""nginx and HAProxy, which pass on to a server what they get."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from attrs import frozen

from tests.server.harness.process import Output

__all__ = [
    "FORWARDING",
    "HAPROXY_OPTIONS",
    "INTRODUCING",
    "NGINX_OPTIONS",
    "PROXIES",
    "Proxy",
    "ProxyProcess",
]

# They tell which requests they understood, and how each ended: the answer of the server, or "-".

# It passes on all that it may: invalid headers, several slashes, and bodies as they come.
NGINX = """
daemon off;
user root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 256; }}
http {{
    log_format meant escape=none "meant: $request_method $request_uri $upstream_status";
    access_log /dev/stdout meant;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    client_max_body_size 0;
    ignore_invalid_headers off;
    underscores_in_headers on;
    merge_slashes off;
    map $http_upgrade $upgrading {{ default upgrade; "" ""; }}
    upstream app {{ server {server}; keepalive 4; }}
    server {{
        listen {address};
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $upgrading;
        {headers}
        proxy_request_buffering {buffering};
        # Tests say at once that they send nothing more.
        proxy_ignore_client_abort on;
        location / {{ proxy_pass http://app; }}
    }}
}}
"""

HAPROXY = """
global
    maxconn 256
    nbthread 1
    log stdout format raw local0
defaults
    mode http
    timeout connect 60s
    timeout client 60s
    timeout server 60s
    option http-keep-alive
    http-reuse always
    log global
    log-format "meant: %HM %HU %ST"
frontend in
    bind fd@{descriptor}
    {accepting}
    default_backend app
backend app
    server app {server}
"""

# These read no HTTP. They tell the server who the client is, by the PROXY protocol.

NGINX_TCP = """
load_module {modules}/ngx_stream_module.so;
daemon off;
user root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 256; }}
stream {{
    server {{
        listen {address};
        proxy_pass {server};
        proxy_protocol on;
    }}
}}
"""

HAPROXY_TCP = """
global
    maxconn 256
    nbthread 1
defaults
    mode tcp
    timeout connect 60s
    timeout client 60s
    timeout server 60s
frontend in
    bind fd@{descriptor}
    default_backend app
backend app
    server app {server} {sending}
"""

#: Where Debian has the parts of nginx that it doesn't always load.
MODULES = Path("/usr/lib/nginx/modules")


@frozen
class Proxy:
    """
    A proxy with a configuration.

    Args:
        program: The program.
        options: Its options, in which ``{file}`` and ``{folder}`` are replaced.
        configuration: Its configuration, in which settings are replaced.
        settings: What is different in this configuration.
        says: What it prints when it serves, if it can't get a socket that listens already.
    """

    program: str
    options: tuple[str, ...]
    configuration: str
    settings: Mapping[str, str]
    says: str | None = None

    def missing(self) -> str | None:
        """Return why it can't be used here, or ``None``."""
        if shutil.which(self.program) is None:
            return f"no {self.program} here: apt-get install {self.program}"
        if "{modules}" in self.configuration and not (MODULES / "ngx_stream_module.so").exists():
            return "nginx has no stream module here: apt-get install libnginx-mod-stream"
        return None


#: How a test starts them in the foreground.
NGINX_OPTIONS = ("-c", "{file}", "-p", "{folder}")
HAPROXY_OPTIONS = ("-db", "-f", "{file}")


def _nginx(*, configuration: str = NGINX, buffering: str = "on", headers: str = "") -> Proxy:
    settings = {"buffering": buffering, "headers": headers, "modules": str(MODULES)}
    return Proxy("nginx", NGINX_OPTIONS, configuration, settings)


def _haproxy(*, configuration: str = HAPROXY, accepting: str = "", sending: str = "") -> Proxy:
    settings = {"accepting": accepting, "sending": sending}
    return Proxy("haproxy", HAPROXY_OPTIONS, configuration, settings)


PROXIES = {
    "nginx": _nginx(),
    "nginx, unbuffered": _nginx(buffering="off"),
    "haproxy": _haproxy(),
    "haproxy, lenient": _haproxy(accepting="option accept-invalid-http-request"),
}


#: Those that tell by headers who the client is, as the documentation shows it, with the option of
#: the server that reads them. They say that the client uses TLS, and a host of its own.
FORWARDING = {
    "nginx": (
        "--proxy-headers",
        _nginx(
            headers="proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; "
            "proxy_set_header X-Forwarded-Proto https; "
            "proxy_set_header X-Forwarded-Host a.example; "
            'proxy_set_header X-Forwarded-Port "8443";'
        ),
    ),
    "nginx, RFC 7239": (
        "--forwarded-header",
        _nginx(
            headers="proxy_set_header Forwarded "
            '"$http_forwarded, for=$remote_addr;proto=https;host=\\"a.example:8443\\"";'
        ),
    ),
    "haproxy": (
        "--proxy-headers",
        _haproxy(
            accepting="option forwardfor\n"
            "    http-request set-header X-Forwarded-Proto https\n"
            "    http-request set-header X-Forwarded-Host a.example:8443\n"
            "    http-request del-header X-Forwarded-Port"
        ),
    ),
}

INTRODUCING = {
    "nginx": _nginx(configuration=NGINX_TCP),
    "haproxy, version 1": _haproxy(configuration=HAPROXY_TCP, sending="send-proxy"),
    "haproxy, version 2": _haproxy(configuration=HAPROXY_TCP, sending="send-proxy-v2"),
    "haproxy, with more": _haproxy(
        configuration=HAPROXY_TCP,
        sending="send-proxy-v2 proxy-v2-options ssl,unique-id,crc32c,authority",
    ),
}


class ProxyProcess:
    """
    A running proxy. If it can, it gets a socket that listens already, so nobody has to wait.

    Args:
        proxy: Which one it is.
        server: The host and port of the server behind it.
        folder: The folder for its files.
    """

    def __init__(self, proxy: Proxy, server: str, folder: Path) -> None:
        # No connection begins at the second address, so no other program takes a port there.
        host = "127.0.0.1" if proxy.says is None else "127.0.0.4"
        with socket.create_server((host, 0)) as listener:
            self.address: tuple[str, int] = listener.getsockname()
            descriptor = listener.fileno()
            file = folder / "configuration"
            file.write_text(
                proxy.configuration.format(
                    folder=folder,
                    server=server,
                    address="{}:{}".format(*self.address),
                    host=self.address[0],
                    port=self.address[1],
                    descriptor=descriptor,
                    **proxy.settings,
                )
            )
            if proxy.says is not None:
                listener.close()
            options = [option.format(file=file, folder=folder) for option in proxy.options]
            self._process = subprocess.Popen(
                [proxy.program, *options],
                # This is how nginx gets sockets from the nginx that it replaces. Caddy keeps its
                # last configuration in the other folder.
                env={**os.environ, "NGINX": f"{descriptor};", "XDG_CONFIG_HOME": str(folder)},
                pass_fds=[descriptor] if proxy.says is None else [],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="latin-1",
                start_new_session=True,
            )
        assert self._process.stdout is not None
        self.output = Output(self._process.stdout)
        self._says = proxy.says

    def __enter__(self) -> Self:
        if self._says is not None:
            try:
                self.output.wait_for(self._says)
            except BaseException:
                self.__exit__()
                raise
        return self

    def __exit__(self, *exc_info: Any) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # nginx has a child
        self._process.wait()
        self.output.close()
