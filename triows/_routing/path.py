"""What a request asks for: its method, and its path as decoded segments, from an ASGI scope."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote_to_bytes

from .leaf import HANDSHAKE

if TYPE_CHECKING:
    from triows.types import Scope

    from .leaf import Method

__all__ = ["BadPath", "join_segments", "request_method", "request_segments", "restore_root"]

# Looking for an int is several times as fast as looking for bytes of length one.
_PERCENT = ord("%")

_MALFORMED = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_SURROGATE = re.compile("[\ud800-\udfff]")

# What may be in a path as it is (RFC 3986 section 3.3), besides letters, digits and "-._~".
_UNQUOTED = "/!$&'()*+,;=:@"

_NO_UTF_8 = "the path isn't percent-encoded UTF-8"


class BadPath(ValueError):
    """
    The path of a request isn't valid. The request has to be answered with 400.

    Args:
        detail: What is wrong, in a sentence that quotes nothing of the request and is safe to show
            to the peer.
    """

    def __init__(self, detail: str) -> None:
        self.detail = detail
        super().__init__(detail)


def request_method(scope: Scope) -> Method:
    """
    Return what a request asks its path for.

    Args:
        scope: An ASGI scope of type ``http`` or ``websocket``.
    """
    return scope["method"] if scope["type"] == "http" else HANDSHAKE


def request_segments(scope: Scope) -> tuple[str, ...]:
    """
    Split the path of a request into its decoded segments.

    ``/`` has no segments. ``/a/`` has two, and the second one is empty. A segment is data: it may
    have any character, including a slash (``%2F``) and control characters. Nothing is resolved,
    so ``..`` is a segment like others.

    The segments are read from ``raw_path``, in which an encoded slash can still be recognised. A
    server may leave it out, and a middleware that rewrites ``path`` keeps the old one in the scope.
    Then ``path`` counts, and bytes that the server could not decode stay U+FFFD.

    ``root_path``, where the application is mounted, is removed from the beginning if it is there
    (some servers leave it out of ``path``). The mount point itself, with or without its last slash,
    becomes ``/``.

    Args:
        scope: An ASGI scope of type ``http`` or ``websocket``.

    Raises:
        BadPath: The percent-encoding is malformed (:rfc:`3986#section-2.1`), it encodes
            something other than UTF-8, or the path does not begin with a slash (the
            asterisk-form and absolute-form of :rfc:`9112#section-3.2`).
    """
    path: str = scope["path"]
    root = scope.get("root_path", "")
    raw = scope.get("raw_path")
    if type(raw) is bytes and not root and _PERCENT not in raw and path.isascii():
        first, *rest = path.split("/")
        if rest and not first:  # nearly all paths
            return tuple(rest) if path != "/" else ()
    if root:
        root = root.rstrip("/")
    segments = _raw_segments(raw, path)
    if segments is not None:
        below = _below_root(segments, root, path)
        if below is not None:
            return below
    return _split(_strip_root(path, root))


def restore_root(scope: Scope) -> None:
    """
    Put ``root_path`` back at the beginning of the path, if a proxy has removed it.

    ASGI wants ``path`` to begin with ``root_path``, and mounted applications rely on it. Nobody can
    tell for sure whether a proxy removes it, so a path that begins with it is left as it is. The
    last slash of ``root_path`` is removed. ``raw_path`` is changed in the same way as ``path``, as
    uvicorn does it: otherwise nobody could recognise an encoded slash any more.

    Args:
        scope: An ASGI scope of type ``http`` or ``websocket``, whose ``root_path`` isn't empty.
    """
    path: str = scope["path"]
    scope["root_path"] = root = scope["root_path"].rstrip("/")
    # "*" asks the server, and what else has no slash is refused later.
    if path[:1] not in ("", "/") or root[:1] != "/" or _strip_root(path, root) != path:
        return
    scope["path"] = root + path
    if isinstance(raw := scope.get("raw_path"), bytes):
        scope["raw_path"] = quote(root, _UNQUOTED, errors="replace").encode() + raw


def join_segments(segments: tuple[str, ...]) -> str:
    """Join segments to a decoded path. An encoded slash becomes a plain one."""
    return "/" + "/".join(segments)


def _raw_segments(raw: Any, path: str) -> tuple[str, ...] | None:
    """Read the path as it was sent. ``None`` if it says no more than ``path`` does."""
    if not isinstance(raw, bytes) or (_PERCENT not in raw and raw.isascii()):
        return None
    # Servers decode it like this, with replacement. The strict check comes later: what a middleware
    # has replaced doesn't matter any more, however malformed it was.
    if unquote_to_bytes(raw).decode("utf-8", "replace") != path:
        return None
    if _MALFORMED.search(raw):
        raise BadPath("the path has a '%' that no two hexadecimal digits follow")
    try:
        return tuple(unquote_to_bytes(part).decode() for part in _split_raw(raw))
    except UnicodeDecodeError:
        raise BadPath(_NO_UTF_8) from None


def _split_raw(raw: bytes) -> list[bytes]:
    _check_form(raw[:1].decode("latin-1"))
    return raw[1:].split(b"/") if len(raw) > 1 else []


def _split(path: str) -> tuple[str, ...]:
    _check_form(path[:1])
    if not path.isascii() and _SURROGATE.search(path):
        # How a server that decodes with "surrogateescape" passes on bytes that aren't valid UTF-8.
        raise BadPath(_NO_UTF_8)
    return tuple(path[1:].split("/")) if len(path) > 1 else ()


def _check_form(first: str) -> None:
    # An empty path is the same as "/" (RFC 3986 section 6.2.3).
    if first not in ("", "/"):
        raise BadPath("the path does not begin with a slash")


def _strip_root(path: str, root: str) -> str:
    if not root:
        return path
    below = path.removeprefix(root)
    return below if below[:1] in ("", "/") else path


def _below_root(segments: tuple[str, ...], root: str, path: str) -> tuple[str, ...] | None:
    """
    Remove the segments that make up the root.

    Returns:
        ``None`` if the root ends inside a segment: whoever mounted the application saw a slash
        where the raw path has ``%2F``.
    """
    if not root or _strip_root(path, root) == path:
        return segments
    length = 0
    for index, segment in enumerate(segments):
        length += 1 + len(segment)
        if length == len(root):
            below = segments[index + 1 :]
            return () if below == ("",) else below
    return None
