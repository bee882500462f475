"""
The tree on a page, for people who develop an application.

The page shows paths, source lines and file names, so only the machine that runs the server may
see it. It isn't enough that a request comes from that machine: a foreign page in a browser there
may have sent it. Such a page could read the answer in two cases. Its own name may resolve to this
machine (DNS rebinding); then the request's ``Host`` is that name, and we refuse it. Or a header of
the answer may allow it; we add no such header, and we refuse a request if the browser says that a
foreign page has sent it. A proxy on this machine sends requests for others, so we also refuse a
request if we can see that it came through a proxy.
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

    from .inside import Inspected
    from .text import Line
    from .tree import Tree

__all__ = ["PATH", "asks_for_page", "serve_page"]

#: The path of the page. It begins with an underscore, so that no application uses it.
PATH = "/_triows/tree"
_SEGMENTS = tuple(PATH.strip("/").split("/"))

# The seconds after which the page reloads. It is often enough to watch, and slow enough to click.
_REFRESH = 2

# How many connections the page shows. Neither a browser nor a person copes with ten thousand.
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

# Headers that a proxy adds to a request. "Upgrade" is one of them: a browser that asks for a page
# wants no other protocol, but a proxy may add this header to every request.
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

# The values of the header "Connection" that a browser or curl sends. By default, nginx sends
# "close", or "upgrade".
_CONNECTION = {b"", b"keep-alive"}

# The values of "Sec-Fetch-Site" for a request that the user, or the page itself, has made.
_FETCH_SITES = {b"none", b"same-origin"}


def asks_for_page(scope: Scope) -> bool:
    """
    Say whether this is a request for the page, from somebody at this machine.

    Args:
        scope: The request's scope, as the server made it.
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
    client: Sequence[Any] = scope.get("client") or ("",)  # there is none on a Unix socket
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
        # By default, nginx doesn't tell that it is a proxy, but it uses this version of HTTP.
        and scope.get("http_version") != "1.0"
    )


def _is_of_proxy(name: bytes) -> bool:
    return name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)


def _is_loopback(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)  # an IPv4 client on a socket for both versions
    return (mapped or ip).is_loopback


def _names_loopback(host: str) -> bool:
    """Say whether a ``Host`` header always means this machine (:rfc:`6761#section-6.3`)."""
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
    Answer a request for the page. :func:`asks_for_page` must have allowed it.

    GET returns HTML. It returns JSON for ``?format=json`` and for clients that accept JSON, and
    text for ``?format=text``. HEAD returns the same headers without a body. Any other format is
    answered with 400.

    Args:
        app: The application.
        scope: The request's scope.
        send: The server's function.
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
    """Make the page of a tree. If the tree is large, it shows only the oldest connections."""
    outline = seen.outline()
    resources = len(outline.children) - len(seen.connections) - len(seen.requests)
    left_out = max(0, len(seen.connections) + len(seen.requests) - _MOST)
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
