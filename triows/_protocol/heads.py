"""
The head of an HTTP/1.1 request: its lines, without the empty line that ends them.

Servers have been attacked through requests that two parsers understood differently: they disagreed
about where the body ends, and so about where the next request begins. So this parser refuses
everything that h11, llhttp or nginx might understand differently, and everything that
:rfc:`9112` tells a server to refuse.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "GREATEST_LENGTH",
    "BadRequest",
    "Request",
    "check_authority",
    "check_characters",
    "read_fields",
    "read_head",
]

Headers = list[tuple[bytes, bytes]]

# The headers, and as in Request: content_length, chunked, keep_alive, expects_continue, upgrade.
_Block = tuple[Headers, int, bool, bool, bool, bool]

#: How many headers a head may have, and how many trailers. Apache, Tomcat and gunicorn allow 100.
#: Proxies add theirs, so this is twice as many.
MOST_HEADERS = 200

#: The greatest length of a body. It has 19 digits, and h11, llhttp and nginx can read it.
GREATEST_LENGTH = 2**63 - 1

#: How many bytes a host and its port may have. A name in DNS has 253 (:rfc:`1035#section-2.3.4`).
LONGEST_AUTHORITY = 253 + len(":65535")

#: Headers of up to this many bytes are remembered, to read them only once, and so many of them.
LONGEST_KNOWN, MOST_KNOWN = 1024, 256

# Headers whose values must not stay in memory.
_SECRETS = frozenset({b"authorization", b"cookie", b"proxy-authorization"})

_STRAY = "the head has a character or a line end that is not allowed"

#: What a line may consist of (RFC 9112 section 2.2, RFC 9110 section 5.5): tabs, visible ASCII,
#: spaces, and the bytes of other encodings, which are allowed in values.
IN_LINES = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])

#: What a header's name and a method may consist of (RFC 9110 section 5.6.2).
IN_TOKENS = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

_TAB, _SLASH = b"\t/"  # looking for an int is faster than looking for bytes

# What a target may consist of: visible ASCII. A fragment, after "#", is never sent (RFC 9112
# section 3.2): nginx would cut it off, and h11 wouldn't.
_IN_TARGETS = bytes([*range(0x21, 0x23), *range(0x24, 0x7F)])

# Names are compared without regard to case. Nearly all come in one of two ways. Others are not
# added here, because a client could add any number of them.
_NAMES = {
    spelled: name.lower()
    for name in (
        b"Accept Accept-Charset Accept-Encoding Accept-Language Access-Control-Request-Headers "
        b"Access-Control-Request-Method Authorization Cache-Control Connection Content-Disposition "
        b"Content-Encoding Content-Language Content-Length Content-Type Cookie Date DNT Expect "
        b"Forwarded From Host If-Match If-Modified-Since If-None-Match If-Range "
        b"If-Unmodified-Since Keep-Alive Last-Event-ID Max-Forwards Origin Pragma Priority "
        b"Proxy-Authorization Range Referer Sec-CH-UA Sec-CH-UA-Mobile Sec-CH-UA-Platform "
        b"Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site Sec-Fetch-Storage-Access Sec-Fetch-User "
        b"Sec-GPC Sec-WebSocket-Extensions Sec-WebSocket-Key Sec-WebSocket-Protocol "
        b"Sec-WebSocket-Version TE Trailer Transfer-Encoding Upgrade Upgrade-Insecure-Requests "
        b"User-Agent Via X-Forwarded-For X-Forwarded-Host X-Forwarded-Port X-Forwarded-Proto "
        b"X-Real-IP X-Request-ID X-Requested-With traceparent tracestate"
    ).split()
    for spelled in (name, name.lower())
}

# These say where the body ends. A head with two of one of them, or with two hosts, means different
# things to different parsers.
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_ONCE = _FRAMING | {b"host"}

_METHODS = {
    name.encode(): name
    for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
}

_VERSIONS = {b"HTTP/1.1": "1.1", b"HTTP/1.0": "1.0"}
_ANY_VERSION = re.compile(rb"HTTP/[0-9](?:\.[0-9])?")

# A host as it is in DNS, an IPv4 address or an IPv6 address, and a port. RFC 3986 section 3.2.2
# allows more, such as "%", "," and "'", which no host has. Underscores aren't in any RFC, but in
# the names of containers. A user, as in "user@host", must not be sent (RFC 9110 section 4.2.4).
_AUTHORITY = re.compile(
    rb"(?:[A-Za-z0-9_~-]+(?:\.[A-Za-z0-9_~-]+)*\.?|\[[0-9A-Fa-f:.]+\])(?::([0-9]{0,5}))?"
)

_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?]*)([^?]*)\??(.*)")

_CODINGS = re.compile(rb"(?i:[!#$%&'*+.^_`|~0-9a-z-]+[ \t]*,[ \t]*)+(?i:chunked)")

# The usual values of Connection, which is a list of options (RFC 9110 section 7.6.1).
_NO_OPTIONS: frozenset[bytes] = frozenset()
_OPTIONS = {
    None: _NO_OPTIONS,
    b"keep-alive": frozenset({b"keep-alive"}),
    b"Keep-Alive": frozenset({b"keep-alive"}),
    b"close": frozenset({b"close"}),
    b"Upgrade": frozenset({b"upgrade"}),
    b"keep-alive, Upgrade": frozenset({b"keep-alive", b"upgrade"}),
}


class BadRequest(Exception):
    """
    A request that is refused. The connection has to be closed after the answer.

    Nobody knows where the next request would begin.

    Args:
        status: The HTTP status of the answer.
        detail: What is wrong, for the peer.
    """

    def __init__(self, status: int, detail: str) -> None:
        self.status = status
        self.detail = detail
        super().__init__(detail)


# A Struct, because it is frozen and yet made five times as fast as a frozen attrs class. It can't
# be in a reference cycle, so the garbage collection may leave it out.
class Request(Struct, frozen=True, gc=False):
    """The head of a request."""

    #: A token, without lower-case letters: ``"GET"``.
    method: str
    #: The target as it was sent: printable ASCII.
    target: bytes
    #: The target's path, as it was sent. It is ``b"*"`` for ``OPTIONS *``. Otherwise it begins
    #: with a slash.
    path: bytes
    #: The target's query, as it was sent, without the question mark.
    query: bytes
    #: ``"1.0"`` or ``"1.1"``.
    http_version: str
    #: The headers in their order, with names in lower case. If the target has a host, it is the
    #: value of ``host`` (:rfc:`9112#section-3.2.2`).
    headers: Headers
    #: How many bytes the body has. It is 0 if there is no body, or if it is chunked.
    content_length: int
    #: Whether the body comes in chunks.
    chunked: bool
    #: Whether another request may follow on the connection (:rfc:`9112#section-9.3`).
    keep_alive: bool
    #: Whether the client waits for ``100 Continue`` before it sends the body
    #: (:rfc:`9110#section-10.1.1`).
    expects_continue: bool
    #: Whether the client asks for another protocol. Whoever doesn't speak it ignores that
    #: (:rfc:`9110#section-7.8`).
    upgrade: bool
    #: The head's lines.
    head: bytes

    def headers_as_sent(self) -> Headers:
        """Return the headers, with their names as they were sent."""
        lines = self.head.split(b"\r\n")[1:]
        names = [line.partition(b":")[0] for line in lines]
        if len(names) < len(self.headers):
            names.insert(0, b"Host")  # the target's host, see _read_other_form()
        return [(name, value) for name, (_, value) in zip(names, self.headers, strict=True)]


def check_characters(lines: bytes) -> None:
    """
    Check that there is nothing but text and CRLF, for the beginning of a head or a whole one.

    Raises:
        BadRequest: There is a control character, or a CR or LF alone.
    """
    if len(lines.translate(None, IN_LINES)) != 2 * lines.count(b"\r\n"):
        raise BadRequest(400, _STRAY)


def read_head(head: bytes, *, is_first: bool = True) -> Request:
    """
    Read the head of a request.

    Args:
        head: Its lines, with CRLF between them, and without the empty line at the end.
        is_first: Whether it is the first one on its connection. If not, how the headers are read
            may be remembered, because they are nearly the same for each request of a client.

    Raises:
        BadRequest: It is refused.
    """
    line, _, block = head.partition(b"\r\n")
    words = line.split(b" ")
    if not (
        len(words) == 3
        and (method := _METHODS.get(words[0]))
        and (version := _VERSIONS.get(words[2]))
        and (target := words[1])
        and not target.translate(None, _IN_TARGETS)
    ):
        method, target, version = _read_other_line(line, head)
    known = _KNOWN[version]
    read = known.get(block)
    if read is None:
        read = _read_block(block, version)
        if not is_first and len(block) <= LONGEST_KNOWN:
            _remember(known, block, read)
    headers, length, is_chunked, keep_alive, expects_continue, upgrade = read
    path, _, query = target.partition(b"?")
    headers = headers.copy()
    if target[0] != _SLASH:
        path, query = _read_other_form(method, target, version, headers)
    return Request(
        method,
        target,
        path,
        query,
        version,
        headers,
        length,
        is_chunked,
        keep_alive,
        expects_continue,
        upgrade,
        head,
    )


def _read_block(block: bytes, version: str) -> _Block:
    """Read the lines of the headers, and what they say about the request."""
    lines = block.split(b"\r\n") if block else []
    if len(block.translate(None, IN_LINES)) != 2 * max(len(lines) - 1, 0):  # as check_characters()
        raise BadRequest(400, _STRAY)
    headers = read_fields(lines)
    fields = dict(headers)
    if len(fields) != len(headers):
        _join_fields(fields, headers)
    if b"host" in fields:
        check_authority(fields[b"host"])
    elif version == "1.1":
        raise BadRequest(400, "no Host")
    length, is_chunked = 0, False
    if b"content-length" in fields or b"transfer-encoding" in fields:
        length, is_chunked = _read_framing(fields, version, block)
    connection = fields.get(b"connection")
    options = _OPTIONS.get(connection)
    if options is None:
        options = _read_options(connection)
    is_current = version == "1.1"
    return (
        headers,
        length,
        is_chunked,
        b"close" not in options and (is_current or b"keep-alive" in options),
        is_current and b"expect" in fields and _expects_continue(fields[b"expect"]),
        is_current and b"upgrade" in options and b"upgrade" in fields,
    )


# How blocks were read, by the version of HTTP.
_KNOWN: dict[str, dict[bytes, _Block]] = {version: {} for version in _VERSIONS.values()}


def _remember(known: dict[bytes, _Block], block: bytes, read: _Block) -> None:
    """Remember how a block was read, unless it has a secret of the client's."""
    if _SECRETS.isdisjoint(dict(read[0])):
        if len(known) >= MOST_KNOWN:
            known.clear()
        known[block] = read


def _read_other_line(line: bytes, head: bytes) -> tuple[str, bytes, str]:
    """
    Read the method, the target and the version (:rfc:`9112#section-3`) of any head.

    Raises:
        BadRequest: It is refused, with what is wrong.
    """
    if line.translate(None, IN_LINES):
        raise BadRequest(400, _STRAY)
    try:
        return _read_request_line(line)
    except BadRequest:
        check_characters(head)  # that comes first, because a part of a head may have shown it
        raise


def _read_request_line(line: bytes) -> tuple[str, bytes, str]:
    """Read the method, the target and the version (:rfc:`9112#section-3`)."""
    try:
        raw_method, target, raw_version = line.split(b" ")
    except ValueError:
        # HTTP/0.9 has no version, too.
        raise BadRequest(400, "the request line isn't a method, a target and a version") from None
    version = _VERSIONS.get(raw_version)
    if version is None:
        if _ANY_VERSION.fullmatch(raw_version):
            raise BadRequest(505, "this server speaks HTTP/1.1 here")
        raise BadRequest(400, "the request line doesn't end with a version of HTTP")
    if not target or target.translate(None, _IN_TARGETS):
        raise BadRequest(400, "the target is empty or has a character that is not allowed")
    # After the others, because what isn't HTTP at all has no method that is missing here.
    method = _METHODS.get(raw_method) or _read_method(raw_method)
    return method, target, version


def _read_method(method: bytes) -> str:
    if not method or method.translate(None, IN_TOKENS):
        raise BadRequest(400, "the method isn't a token")
    if method != method.upper():
        # Methods are case-sensitive (RFC 9110 section 9.1). An application that takes "head" for
        # HEAD would send no body, but the client would wait for one.
        raise BadRequest(501, "the names of methods have no lower-case letters here")
    if method == b"CONNECT":
        raise BadRequest(501, "this server isn't a proxy")
    return method.decode()


def read_fields(lines: Sequence[bytes]) -> Headers:
    """
    Read the lines of headers or trailers (:rfc:`9112#section-5`).

    Args:
        lines: The lines, whose characters were checked.

    Raises:
        BadRequest: There are too many, or one isn't a token, a colon, and a value.
    """
    if len(lines) > MOST_HEADERS:
        raise BadRequest(431, f"there are more than {MOST_HEADERS} headers")
    headers = []
    known = _NAMES
    for line in lines:
        name, colon, value = line.partition(b":")
        lowered = known.get(name)
        if lowered is None or not colon:
            lowered = _read_name(name, colon)
        # Only spaces and tabs are left that strip() might strip.
        headers.append((lowered, value.strip()))
    return headers


def _read_name(name: bytes, colon: bytes) -> bytes:
    # This refuses a line that continues the line before it, and a space before the colon.
    if not colon or not name or name.translate(None, IN_TOKENS):
        raise BadRequest(400, "a header isn't a name, a colon and a value")
    return name.lower()


def _read_other_form(
    method: str, target: bytes, version: str, headers: Headers
) -> tuple[bytes, bytes]:
    """Read a target that isn't a path (:rfc:`9112#section-3.2`). Return its path and query."""
    if target == b"*":
        if method != "OPTIONS":
            raise BadRequest(400, "the target * is for OPTIONS only")
        return target, b""
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise BadRequest(400, "the target is neither a path nor an http URL")
    authority, path, query = match.groups()
    check_authority(authority)
    # The client's Host is ignored (section 3.2.2). But it has to be valid, and in 1.1 be there.
    hosts = [number for number, (name, _) in enumerate(headers) if name == b"host"]
    for number in hosts:
        check_authority(headers[number][1])
        headers[number] = (b"host", authority)
    if not hosts and version == "1.0":
        headers.insert(0, (b"host", authority))
    return path or b"/", query


# A server has few names, so the last ones are remembered. Those that are refused are not.
@lru_cache(maxsize=64)
def check_authority(authority: bytes) -> None:
    """
    Check a host, with or without a port.

    Raises:
        BadRequest: It isn't one.
    """
    match = _AUTHORITY.fullmatch(authority)
    if match is None or len(authority) > LONGEST_AUTHORITY or int(match[1] or 0) >= 2**16:
        raise BadRequest(400, "the host isn't a name or an address, with or without a port")


def _join_fields(fields: dict[bytes, bytes], headers: Headers) -> None:
    """Refuse headers that must not be repeated, and join the others as lists."""
    joined: dict[bytes, bytes] = {}
    for name, value in headers:
        if name not in joined:
            joined[name] = value
        elif name in _ONCE:
            raise BadRequest(400, f"more than one {name.decode()}")
        else:
            joined[name] += b", " + value
    fields.update(joined)


def _read_framing(fields: dict[bytes, bytes], version: str, head: bytes) -> tuple[int, bool]:
    """Read how the body ends (:rfc:`9112#section-6`): its length, and whether it is chunked."""
    coding = fields.get(b"transfer-encoding")
    length = fields.get(b"content-length")
    if _TAB in head:
        _refuse_tabs(head)
    if coding is None:
        return _read_length(length or b""), False
    if length is not None:
        raise BadRequest(400, "both Content-Length and Transfer-Encoding")
    if version != "1.1":
        raise BadRequest(400, "Transfer-Encoding in a version of HTTP that doesn't have it")
    if coding.lower() != b"chunked":
        status = 501 if _CODINGS.fullmatch(coding) else 400
        raise BadRequest(status, "the Transfer-Encoding isn't chunked alone")
    return 0, True


def _refuse_tabs(head: bytes) -> None:
    """
    Refuse tabs around the values that frame the body.

    They are allowed (:rfc:`9110#section-5.5`), but versions of nginx take them for a part of the
    value.
    """
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if _TAB in value and name.lower() in _FRAMING:
            raise BadRequest(400, f"a tab in {name.lower().decode()}")


def _read_length(length: bytes) -> int:
    # isdigit() takes ASCII only, and int() would take signs and underscores. Without a limit to
    # the digits, int() would raise a ValueError.
    if not length.isdigit() or len(length) > 19 or int(length) > GREATEST_LENGTH:
        raise BadRequest(400, "Content-Length isn't a number of bytes")
    return int(length)


def _read_options(connection: bytes | None) -> frozenset[bytes]:
    """Read a value of Connection. A list may have empty elements (:rfc:`9110#section-5.6.1.2`)."""
    options = [option.strip() for option in (connection or b"").lower().split(b",")]
    if any(option.translate(None, IN_TOKENS) for option in options):
        raise BadRequest(400, "Connection isn't a list of tokens")
    return frozenset(options)


def _expects_continue(value: bytes) -> bool:
    return any(part.strip() == b"100-continue" for part in value.lower().split(b","))
