"""
The tree on a page, for who develops an application.

It shows paths, source lines and file names, so it is for the machine that the server runs on and
nobody else. That a request comes from there is not enough: a page of somebody else's, open in a
browser there, may send it. It can read the answer only if its own name resolves to this machine
(DNS rebinding), and then the request's ``Host`` is that name; or if a header of the answer allows
it to, so none is added to those here, and the browser's word for who asks is taken. A proxy on the
machine makes requests for others; one that can be told is refused as well.
"""

from __future__ import annotations

import base64
import hashlib
import html
import ipaddress
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import msgspec

from triows._routing.path import BadPath, request_segments

from .tree import tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from triows.types import Scope, Send

    from .text import Line
    from .tree import Inspected, Tree

__all__ = ["PATH", "asks_for_page", "serve_page"]

#: Where the page is. An underscore, so that it is nobody's resource.
PATH = "/_triows/tree"
_SEGMENTS = tuple(PATH.strip("/").split("/"))

# Seconds between two looks: often enough to watch, and a click hits what it was aimed at.
_REFRESH = 2

# Connections on one page. A browser shows ten thousand of them as badly as a person reads them.
_MOST = 500

_STYLE = """
:root { color-scheme: light dark; }
body { font: 14px/1.5 ui-monospace, monospace; margin: 1.5em; }
ul { list-style: none; margin: 0; padding-left: 1.5em; border-left: 1px solid #8884; }
body > ul { border: none; padding: 0; }
li { white-space: pre-wrap; overflow-wrap: anywhere; }
span + span { margin-left: 1ch; }
.title { font-weight: bold; }
.name { font-weight: bold; color: light-dark(#06636f, #6fd3e0); }
.place { color: light-dark(#7a2a86, #d79be0); }
.source { font-style: italic; }
.aside { color: light-dark(#666, #999); }
.good { color: light-dark(#15691f, #7fd68a); }
.busy { color: light-dark(#8a5300, #f0b860); }
.bad { font-weight: bold; color: light-dark(#b00020, #ff8a8a); }
"""

_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

# What a proxy adds to a request that it passes on. "Upgrade" is of the kind: nobody who asks for a
# page wants another protocol, and a proxy may say so of every request.
_PASSED_ON = {
    b"forwarded",
    b"via",
    b"x-real-ip",
    b"x-client-ip",
    b"cf-connecting-ip",
    b"true-client-ip",
    b"upgrade",
}
_PASSED_ON_PREFIXES = (b"x-forwarded-", b"x-original-", b"x-envoy-")

# All that a browser, or curl, says of its connection. nginx closes it behind each request, or asks
# to upgrade it, unless it is told otherwise.
_CONNECTION = {b"", b"keep-alive"}

# What a browser says of a request that is its user's, or the page's own.
_FETCH_SITES = {b"none", b"same-origin"}


def asks_for_page(scope: Scope) -> bool:
    """
    Whether it is a request for the page, made by who sits at this machine.

    Args:
        scope: Of a request, as the server made it.
    """
    try:
        return (
            scope["type"] == "http"
            and request_segments(scope) == _SEGMENTS
            and _is_from_here(scope)
        )
    except BadPath:
        return False


def _is_from_here(scope: Scope) -> bool:
    client: Sequence[Any] = scope.get("client") or ("",)  # a Unix socket's has none
    headers = [(name.lower(), value.strip()) for name, value in scope["headers"]]

    def values(name: bytes) -> list[bytes]:
        return [value.lower() for other, value in headers if other == name]

    hosts = values(b"host")
    return (
        _is_loopback(client[0])
        and len(hosts) == 1
        and _names_loopback(hosts[0].decode("latin-1"))
        and {*values(b"origin")} <= {scope.get("scheme", "http").encode() + b"://" + hosts[0]}
        and {*values(b"sec-fetch-site")} <= _FETCH_SITES
        and {*values(b"connection")} <= _CONNECTION
        and not any(_is_of_proxy(name) for name, _ in headers)
        # A proxy as nginx is by default says nothing of its client, but speaks this version.
        and scope.get("http_version") != "1.0"
    )


def _is_of_proxy(name: bytes) -> bool:
    return name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)


def _is_loopback(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)  # an IPv4 client of a socket for both
    return (mapped or ip).is_loopback


def _names_loopback(host: str) -> bool:
    """Whether a ``Host`` header means this machine, whoever says it (:rfc:`6761#section-6.3`)."""
    if host.startswith("["):
        name, bracket, port = host[1:].partition("]")
        port = port.removeprefix(":") if bracket else "?"
    else:
        name, _, port = host.partition(":")
    if port and not (port.isascii() and port.isdigit()):
        return False
    return name.lower() == "localhost" or _is_loopback(name)


async def serve_page(app: Inspected, scope: Scope, send: Send) -> None:
    """
    Answer a request for the page, which :func:`asks_for_page` has let in.

    GET gives HTML, or JSON for ``?format=json`` and who accepts that, or ``?format=text``; HEAD
    the same without it. Another format is a mistake in the request.

    Args:
        app: The application.
        scope: Of the request.
        send: The server's.
    """
    method = scope["method"]
    if method not in ("GET", "HEAD"):
        await _respond(send, 405, "text/plain", b"", {"allow": "GET, HEAD"})
        return
    wanted = _format_of(scope)
    status = 200 if wanted in _FORMATS else 400
    kind, body = _FORMATS.get(wanted, _which)(tree(app))
    await _respond(send, status, kind, body, with_body=method == "GET")


def _format_of(scope: Scope) -> str:
    query = parse_qs((scope.get("query_string") or b"").decode("latin-1"))
    if "format" in query:
        return str(query["format"][-1])
    accept = b",".join(value for name, value in scope["headers"] if name.lower() == b"accept")
    return "json" if b"application/json" in accept.lower() else "html"


def _html(seen: Tree) -> tuple[str, bytes]:
    return "text/html; charset=utf-8", page(seen).encode()


def _json(seen: Tree) -> tuple[str, bytes]:
    return "application/json", msgspec.json.encode(seen)


def _text(seen: Tree) -> tuple[str, bytes]:
    return "text/plain; charset=utf-8", f"{seen}\n".encode()


_FORMATS = {"html": _html, "json": _json, "text": _text}


def _which(_: Tree) -> tuple[str, bytes]:
    return "text/plain", f"format is one of: {', '.join(_FORMATS)}\n".encode()


async def _respond(
    send: Send,
    status: int,
    kind: str,
    body: bytes,
    more: Mapping[str, str] = {},
    *,
    with_body: bool = True,
) -> None:
    headers = {"content-type": kind, "content-length": str(len(body)), **_HEADERS, **more}
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body if with_body else b""})


def page(seen: Tree) -> str:
    """Make the page of a tree, or of the oldest connections of a large one."""
    outline = seen.outline()
    resources = len(outline.children) - len(seen.connections)
    left_out = max(0, len(seen.connections) - _MOST)
    lines = outline.children[: resources + _MOST]
    more = f"<p>and {left_out} more, which ?format=json has as well</p>" if left_out else ""
    return "".join(
        (
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="refresh" content="{_REFRESH}">',
            '<meta name="viewport" content="width=device-width"><title>triows</title>',
            f"<style>{_STYLE}</style></head><body><p>",
            *_spans(outline),
            "</p>",
            *_list(lines),
            more,
            "</body></html>\n",
        )
    )


def _list(lines: tuple[Line, ...]) -> Iterator[str]:
    if lines:
        yield "<ul>"
        for line in lines:
            yield "<li>"
            yield from _spans(line)
            yield from _list(line.children)
            yield "</li>"
        yield "</ul>"


def _spans(line: Line) -> Iterator[str]:
    for part, style in line.parts:
        yield f'<span class="{style}">{html.escape(part)}</span>'
