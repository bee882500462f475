"""The configurations of ``docs/deployment.md``, with the addresses and files of a test."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tests.server.harness.proxies import HAPROXY_OPTIONS, NGINX_OPTIONS, Proxy

__all__ = ["PAGE", "application", "caddy", "edited", "haproxy", "nginx", "shown"]

PAGE = Path(__file__).parents[3] / "docs/deployment.md"

NGINX, HAPROXY = "/etc/nginx/conf.d/hello.conf", "/etc/haproxy/haproxy.cfg"
CADDY = "/etc/caddy/Caddyfile"

#: The name of nginx' configuration that keeps connections to the servers.
KEPT = f"{NGINX}, with kept connections"

#: The name of nginx' configuration that removes the beginning of paths.
UNDER_A_PATH = f"a location in {NGINX}"

#: The servers that all configurations name.
SERVERS = ("127.0.0.1:8001", "127.0.0.1:8002")

#: What Debian's ``/etc/nginx/nginx.conf`` has around the file, for a process of a test.
AROUND = """\
daemon off;
user root;
pid {folder}/nginx.pid;
error_log stderr;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
"""


def shown(name: str) -> str:
    """Return the block of the page that begins with a comment that has this name."""
    text = PAGE.read_text("utf-8")
    (block,) = re.findall(
        rf"^ *```\w+\n( *# {re.escape(name)}\n.*?)^ *```$", text, re.DOTALL | re.MULTILINE
    )
    return str(block)


def application() -> str:
    """Return the program that the page deploys."""
    (program,) = re.findall(
        r"Save this as `hello.py`:\n\n```python\n(.*?)^```$",
        PAGE.read_text("utf-8"),
        re.DOTALL | re.MULTILINE,
    )
    return str(program)


def edited(text: str, changes: Mapping[str, str]) -> str:
    """
    Replace each key by its value.

    Raises:
        AssertionError: The text doesn't have a key, so the page has changed.
    """
    for old, new in changes.items():
        assert old in text, f"{old!r} is not in\n{text}"
        text = text.replace(old, new)
    return text


def with_blocks_of(text: str, other: str) -> str:
    """Replace each block of nginx' configuration of which *other* has one with the same head."""
    for head, block in re.findall(
        r"(^[^\s#}][^{\n]*)(\{\n.*?^\}$)", other, re.DOTALL | re.MULTILINE
    ):
        pattern = re.compile(rf"^{re.escape(head)}\{{\n.*?^\}}$", re.DOTALL | re.MULTILINE)
        assert pattern.search(text), f"no {head!r} in\n{text}"
        text = pattern.sub(lambda _, whole=head + block: whole, text)
    return text


def nginx(
    servers: tuple[str, ...],
    *,
    kept: bool = False,
    under_a_path: bool = False,
    certificate: Path | None = None,
) -> Proxy:
    """
    Return nginx as the page configures it.

    Args:
        servers: The addresses of one server, or of two.
        kept: Whether it keeps connections to them.
        under_a_path: Whether it also has a location from which it removes the beginning of paths.
        certificate: ``fullchain.pem`` and ``privkey.pem`` are in this folder. Without it, nginx
            serves no TLS.
    """
    text = shown(NGINX)
    if kept:
        text = with_blocks_of(text, shown(KEPT))
    changes = {"listen 80;": "listen unix:{folder}/redirect;"}
    if under_a_path:
        changes["    location / {"] = shown(UNDER_A_PATH) + "    location / {"
    if certificate is None:
        text = re.sub(r"^ *ssl_certificate.*\n", "", text, flags=re.MULTILINE)
        changes["listen 443 ssl;"] = "listen {address};"
    else:
        changes["listen 443 ssl;"] = "listen {address} ssl;"
        changes["/etc/letsencrypt/live/hello.example/"] = f"{certificate}/"
    text = edited(_with_servers(text, servers), changes)
    return Proxy("nginx", NGINX_OPTIONS, _template(f"{AROUND}{text}}}\n"), {})


def haproxy(
    servers: tuple[str, ...], *, kept: bool = True, certificate: Path | None = None
) -> Proxy:
    """
    Return HAProxy as the page configures it.

    Args:
        servers: The addresses of one server, or of two.
        kept: Whether it keeps connections to them.
        certificate: The certificates and the key. Without them, HAProxy serves no TLS.
    """
    text = shown(HAPROXY)
    changes = {
        "log /dev/log local0": "log stdout format raw local0",
        "    user haproxy\n    group haproxy\n": "",
        "bind :80\n": "bind unix@{folder}/redirect\n",
    }
    if certificate is None:
        text = re.sub("bind :443.*", "bind fd@{descriptor}", text)
        changes["http-request redirect scheme https unless { ssl_fc }\n"] = ""
    else:
        changes["bind :443"] = "bind fd@{descriptor}"
        changes["/etc/haproxy/hello.pem"] = str(certificate)
    if not kept:
        changes["option httpchk\n"] = "option httpchk\n    option http-server-close\n"
    text = edited(_with_servers(text, servers), changes)
    return Proxy("haproxy", HAPROXY_OPTIONS, _template(text), {})


def caddy(servers: tuple[str, ...]) -> Proxy:
    """Return Caddy as the page configures it, without TLS, for which it would ask an authority."""
    changes = {"hello.example {": "http://:{port} {\n    bind {host}"}
    text = edited(_with_servers(shown(CADDY), servers), changes)
    around = "{\n    admin off\n    storage file_system {folder}\n}\n"
    options = ("run", "--adapter", "caddyfile", "--config", "{file}")
    return Proxy("caddy", options, _template(around + text), {}, "serving initial configuration")


def _with_servers(text: str, servers: tuple[str, ...]) -> str:
    """Let a configuration pass requests on to these servers instead of those on the page."""
    for left_out in SERVERS[len(servers) :]:
        text = re.sub(rf"^ *server .*{re.escape(left_out)}.*\n", "", text, flags=re.MULTILINE)
    return edited(text, dict(zip(SERVERS, servers, strict=False)))


def _template(text: str) -> str:
    """Escape the braces, apart from those of the names that :class:`ProxyProcess` replaces."""
    escaped = text.replace("{", "{{").replace("}", "}}")
    return re.sub(r"\{\{(folder|address|host|port|descriptor)\}\}", r"{\1}", escaped)
