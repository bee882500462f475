"""Requests that fit typed routes at first, and then have changes in their heads and bodies."""

from __future__ import annotations

from random import Random

from .attempt import ENDS, Attempt
from .mutation import NASTY, cut, mutated, rearranged

__all__ = ["make"]

JSON = ("application/json", "application/problem+json", "application/json; charset=utf-8")
PACK = ("application/msgpack", "application/x-msgpack")
FORM = ("application/x-www-form-urlencoded",)
PARTS = ("multipart/form-data; boundary=b", 'multipart/form-data; boundary="b"')
NONE = (None,)

_PART = (
    b'--b\r\nContent-Disposition: form-data; name="%b"%b\r\n'
    b"Content-Type: text/plain\r\n\r\nhello\r\n"
)
_MULTIPART = (
    _PART % (b"title", b"")
    + _PART % (b"photo", b'; filename="a.png"')
    + _PART % (b"more", b'; filename="b"')
    + b"--b--\r\n"
)

#: The methods and paths of ``typed.py``, the media types of bodies, and a body.
ROUTES = (
    ("GET", "/users/1?q=a&fields=name&fields=mail", NONE, b""),
    ("DELETE", "/users/1?force=true", NONE, b""),
    ("PUT", "/users/3", JSON, b'{"name":"a","count":1,"price":"1.5","parts":[{"name":"b"}]}'),
    ("PUT", "/users/3", PACK, b"\x82\xa4name\xa1a\xa5count\x01"),
    ("PATCH", "/users/1", JSON, b'{"email":"a@b","age":1,"joined":"2020-01-01","limits":{"a":1}}'),
    ("PATCH", "/users/1", PACK, b"\x82\xa5email\xa3a@b\xa3age\x01"),
    ("GET", f"/kinds/red/1/2020-01-01/{'0' * 32}?share=0.1&price=1&wait=PT1S", NONE, b""),
    ("GET", "/files/a/b/%2e%2e/c", NONE, b""),
    ("GET", "/pages?page=2&order=down", NONE, b""),
    ("POST", "/pages?page=2", JSON, b'[{"x":1,"y":2.5},{"x":-1e3,"y":0}]'),
    ("GET", "/heads", NONE, b""),
    ("POST", "/shapes", JSON, b'{"type":"Circle","radius":1.5}'),
    ("POST", "/shapes", PACK, b"\x82\xa4type\xa6Circle\xa6radius\xcb\x7f\xf8\0\0\0\0\0\0"),
    ("PUT", "/points", JSON, b'{"a":{"x":1,"y":2},"b":{"x":1,"y":2}}'),
    ("POST", "/anything", JSON, b'{"a":[1,2.5e3,null,"\\ud83d\\ude00",{"b":[[]]}]}'),
    ("POST", "/anything", PACK, b"\x93\xc0\x81\xa1a\xd6\xff\x00\x00\x00\x01\xc4\x01\x00"),
    ("PUT", "/raw", ("text/plain; charset=utf-16", "text/plain; charset=big5", "a/b"), b"a\xe4\0b"),
    ("POST", "/raw", (*JSON, *FORM, None), b"\0\1\2"),
    ("POST", "/forms", FORM, b"name=a&age=1&tags=a&tags=%e4%bd%a0"),
    ("POST", "/forms", PARTS, _PART % (b"name", b"") + b"--b--"),
    ("POST", "/photos", PARTS, _MULTIPART),
    ("POST", "/uploads", PARTS, _MULTIPART),
    ("PUT", "/parts", NONE, b"hello" * 100),
    ("GET", "/streams/3", NONE, b""),
    ("POST", "/streams/3", JSON, b'{"name":"a"}'),
    ("PUT", "/streams/3", NONE, b""),
    ("GET", "/events?text=a%0d%0aevent:%20b", NONE, b""),
    ("GET", "/resources?number=1", NONE, b""),
    ("POST", "/resources?number=1", JSON, b'{"name":"a"}'),
)

LINES = (
    b"X-Count: 1",
    b"X-Tags: a, b",
    b"Cookie: session=abcd; visits=3",
    b"Accept: application/msgpack",
    b"Accept: text/html;q=0.1, */*;q=0",
    b"Accept: " + b"a/b," * 300,
    b"If-None-Match: *",
    b'If-None-Match: W/"a", "b"',
    b"Last-Event-Id: \xff",
    b"Expect: 100-continue",
    b"Connection: close",
    b"Content-Type: text/plain",
    b"Content-Encoding: gzip",
)


def _chunks(rng: Random, body: bytes) -> bytes:
    pieces = cut(rng, body) if body else []
    return b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in pieces) + b"0\r\n\r\n"


def _request(rng: Random) -> bytes:
    method, target, media, body = rng.choice(ROUTES)
    if rng.random() < 0.1:
        body = rng.choice((b"[", b'{"a":', b"\x91", b"\xdd\xff\xff\xff\xff")) * rng.randrange(5000)
    else:
        body = mutated(rng, body, NASTY)
    if rng.random() < 0.3:
        target = mutated(rng, target.encode(), NASTY).decode("latin-1")
    lines = [b"Host: 127.0.0.1", *rng.choices(LINES, k=rng.choice((0, 0, 1, 3)))]
    chosen = rng.choice(media)
    if chosen is not None:
        lines.append(b"Content-Type: " + mutated(rng, chosen.encode(), NASTY, rng.choice((0, 2))))
    if rng.random() < 0.3:
        lines, body = [*lines, b"Transfer-Encoding: chunked"], _chunks(rng, body)
    elif body or rng.random() < 0.5:
        announced = len(body) if rng.random() < 0.9 else rng.choice((0, 1, len(body) + 9, 2**40))
        lines.append(b"Content-Length: %d" % announced)
    if rng.random() < 0.1:
        lines = rearranged(rng, lines)
    first = f"{method} {target} HTTP/1.1".encode("latin-1")
    return b"\r\n".join([first, *lines, b"", b""]) + body


def make(rng: Random, name: str) -> Attempt:
    data = b"".join(_request(rng) for _ in range(rng.choice((1, 1, 1, 2, 4))))
    if rng.random() < 0.2:
        data = mutated(rng, data, NASTY)
    return Attempt(name, cut(rng, data), rng.choice(ENDS))
