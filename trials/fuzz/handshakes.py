"""Opening handshakes that are valid at first, and then changed."""

from __future__ import annotations

from random import Random

from tests.raw import PING, TEXT, frame, header_lines

from .attempt import ENDS, HEAD, Attempt
from .mutation import NASTY, cut, mutated, rearranged

__all__ = ["PATHS", "make"]

PATHS = (
    "/echo",
    "/slow",
    "/brief",
    "/deaf",
    "/refused",
    "/rooms/7?times=3&tags=a&tags=b",
    "/rooms/x?times=y",
    "/nowhere",
    "/http/count",
    "/echo?" + "a=1&" * 200,
    "/%00/%0d%0a",
    "/../../etc/passwd",
    "*",
    "http://127.0.0.1/echo",
    "",
)

LINES = (
    ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits=x"),
    ("Sec-WebSocket-Extensions", 'permessage-deflate; client_max_window_bits="15"'),
    ("Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=99, x; y=z"),
    ("Sec-WebSocket-Extensions", ";;,,=\xff"),
    ("Sec-WebSocket-Protocol", "chat, superchat"),
    ("Sec-WebSocket-Protocol", "ch\xe4t"),
    ("Sec-WebSocket-Protocol", ",,;"),
    ("Sec-WebSocket-Version", "8"),
    ("Sec-WebSocket-Version", "13, 8"),
    ("Sec-WebSocket-Key", "abc"),
    ("Sec-WebSocket-Key", ""),
    ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ("Connection", "keep-alive"),
    ("Connection", "keep-alive, UpGrade\xff"),
    ("Connection", "close"),
    ("Upgrade", "h2c"),
    ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAA"),
    ("HTTP2-Settings", "x"),
    ("Host", ""),
    ("Host", "\xff\xfe"),
    ("Host", "a@b:99999999"),
    ("Origin", "null"),
    ("Origin", "http://[::1"),
    ("X-Token", "\xe4"),
    ("Cookie", 'a="\xff; b; =c; ' + "d" * 3000),
    ("Content-Length", "5"),
    ("Content-Length", "99999999999999999999"),
    ("Content-Length", "-1"),
    ("Transfer-Encoding", "chunked"),
    ("Transfer-Encoding", "gzip, chunked"),
    ("Expect", "100-continue"),
    ("", ""),
    ("A b", "c"),
    ("X-Long", "y" * 70_000),
)

#: What may follow the head, in the same packet or the next.
REST = (
    *(b"", b"", b""),
    b"x",
    b"5\r\nhello\r\n0\r\n\r\n",
    frame(TEXT, b"early"),
    frame(PING),
    b"\xff" * 99,
)


def make(rng: Random, name: str) -> Attempt:
    lines = [
        f"{key}: {value}".encode("latin-1")
        for key, value in header_lines(extra=rng.choices(LINES, k=rng.choice((0, 0, 1, 1, 2, 4))))
    ]
    if rng.random() < 0.5:
        lines = rearranged(rng, lines)
    method = rng.choice(("GET",) * 8 + ("POST", "HEAD", "get", "PRI", "CONNECT", "OPTIONS"))
    version = rng.choice(("HTTP/1.1",) * 8 + ("HTTP/1.0", "HTTP/2.0", "HTTP/9.9", "http/1.1", ""))
    path = rng.choice(PATHS if rng.random() < 0.5 else PATHS[:6])
    head = b"\r\n".join([f"{method} {path} {version}".encode(), *lines, b"", b""])
    if rng.random() < 0.6:
        head = mutated(rng, head, NASTY)
    rest = rng.choice(REST)
    if rng.random() < 0.3:
        # By then, the server may have closed, or may be waiting for the rest.
        parts = [*cut(rng, head), HEAD, rest] if b"\r\n\r\n" in head else cut(rng, head)
    else:
        parts = cut(rng, head + rest)
    return Attempt(name, parts, rng.choice(ENDS))
