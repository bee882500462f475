"""Plain HTTP requests that are valid at first, and then changed."""

from __future__ import annotations

from random import Random

from .attempt import ENDS, Attempt
from .mutation import NASTY, cut, mutated, rearranged

__all__ = ["make"]

PATHS = (
    "/",
    "/echo",
    "/http/count",
    "/http/count",
    "/http/stream",
    "/http/static/index.html",
    "/http/static/",
    "/http/static/../../pyproject.toml",
    "/http/static/%2e%2e/%2e%2e/pyproject.toml",
    "/http/static/%00",
    "/http/static/" + "a" * 300,
    "/http/static//etc/passwd",
    "/http/%ff%fe",
    "/%0d%0aX-Injected:%201",
    "//",
    "http://127.0.0.1/http/count",
    "*",
    "?",
)

METHODS = (
    *("GET",) * 6,
    *("POST",) * 4,
    *("PUT", "HEAD", "OPTIONS", "DELETE", "TRACE", "CONNECT", "M" * 99),
)

LINES = (
    "Connection: close",
    "Connection: keep-alive, \xff",
    "Expect: 100-continue",
    "Expect: \xff",
    "Range: bytes=0-",
    "Range: bytes=5-1,x,-",
    "Range: bytes=" + ",".join(f"{n}-{n}" for n in range(2000)),
    "If-None-Match: *",
    "If-Modified-Since: yesterday",
    "Accept-Encoding: gzip;q=x",
    "Cookie: a=b; \xe4=; ;;",
    "Content-Type: multipart/form-data; boundary=\xff",
    "Upgrade: h2c",
    "Upgrade: nonsense",
    "X-Folded: a\r\n b",
    "No colon",
    "Host: again",
    ": empty",
    "X: " + "y" * 20_000,
)

CHUNKED = (
    b"5\r\nhello\r\n0\r\n\r\n",
    b"5;x=y\r\nhello\r\n0\r\nTrailer: 1\r\n\r\n",
    b"ffffffffffffffffff\r\n",
    b"-5\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello",
    b"0\r\n" + b"T: 1\r\n" * 1000 + b"\r\n",
    b"1\r\nx\r\n" * 500 + b"0\r\n\r\n",
)


def _request(rng: Random) -> bytes:
    lines, body = ["Host: 127.0.0.1"], b""
    lines += rng.choices(LINES, k=rng.choice((0, 0, 1, 2, 3)))
    how = rng.randrange(6)
    if how == 0:
        lines.append("Transfer-Encoding: chunked")
        body = rng.choice(CHUNKED)
    elif how == 1:
        body = rng.randbytes(rng.choice((0, 1, 100, 10_000)))
        lines.append(f"Content-Length: {len(body)}")
    elif how == 2:
        lines.append("Content-Length: " + rng.choice(("5", "1e3", "9" * 20)))
        body = b"hello, this is more"
    elif how == 3:
        lines += ["Transfer-Encoding: chunked", "Content-Length: 5"]
        body = rng.choice(CHUNKED)
    encoded = [line.encode("latin-1") for line in lines]
    if rng.random() < 0.4:
        encoded = rearranged(rng, encoded)
    version = rng.choice(("HTTP/1.1",) * 6 + ("HTTP/1.0", "HTTP/0.9", "HTTP/3", ""))
    first = f"{rng.choice(METHODS)} {rng.choice(PATHS)} {version}".encode()
    return b"\r\n".join([first, *encoded, b"", b""]) + body


def make(rng: Random, name: str) -> Attempt:
    # Send them without waiting. What follows the first is its body, or a second request.
    data = b"".join(_request(rng) for _ in range(rng.choice((1, 1, 1, 2, 5))))
    if rng.random() < 0.5:
        data = mutated(rng, data, NASTY)
    return Attempt(name, cut(rng, data), rng.choice(ENDS))
