"""Requests one after another. Most of them are valid except in one place, where parsers differ."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from attrs import frozen

from .attempt import ENDS, Attempt
from .mutation import NASTY, cut, mutated, rearranged

__all__ = ["make", "stream"]


@frozen
class Choice:
    """What is usual at a place, and what is odd."""

    usual: Sequence[str]
    odd: Sequence[str]


METHOD = Choice(("GET", "POST", "POST", "PUT"), ("HEAD", "OPTIONS", "get", "CONNECT", "M", "PRI"))

TARGET = Choice(
    ("/", "/a?b"),
    (
        "*",
        "http://b/c?d",
        "HTTP://b",
        "//",
        "/#a",
        "/\xe4",
        "a",
        "a:80",
        "http://u@b/",
        "",
        "/a b",
        "?",
    ),
)

VERSION = Choice(
    ("HTTP/1.1",), ("HTTP/1.0", "HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.10", "")
)

#: Blanks, and what somebody might take for one.
BLANK = Choice(
    (" ",), ("", "\t", "  ", "\v", "\f", "\0", "\xa0", "\x85", "\r", "\n", "\r\n ", "\r\n\t")
)
NO_BLANK = Choice(("",), (" ", *BLANK.odd[1:]))

END = Choice(("\r\n",), ("\n", "\r", "\r\r\n", "\n\r", "\r\n\r\n", "\r\n\n", "\0\r\n", ""))

LENGTH = Choice(
    ("3",),
    (
        *("0", "5", "03", "+3", "-3", "3,3", "3, 3", "3, 5", "3 3", "3;", "0x3", "3_0", "3.0", ""),
        *("18446744073709551619", "4294967299", "9" * 30, "\xb3", "3\0", "three"),
    ),
)

CODING = Choice(
    ("chunked",),
    (
        *("Chunked", "CHUNKED", "xchunked", "chunkedx", "chunked, chunked", "gzip, chunked"),
        *("chunked, gzip", "identity", "identity, chunked", "chunked;a=b", '"chunked"', ""),
        *("'chunked'", "chunked,", ",chunked", "\vchunked", "chunked\v", "chun ked", "chunke"),
    ),
)

#: How a header's name may be disguised.
NAME = Choice(
    ("{}",),
    (
        *(
            "{} ",
            " {}",
            "{}\t",
            "\t{}",
            "{}\0",
            "\0{}",
            "{}\v",
            "{}\r\n ",
            "{}\xa0",
            "\xff{}",
            '"{}"',
        ),
        *("X\r\n{}", "X: y\n{}", "X: y\r{}", "X: y\r\r\n{}", "X: y\r\n {}", "X: y\0{}", "X:{}"),
    ),
)

OTHER = Choice(
    ("Accept: */*", "Cookie: a=b; c=d", "X: y", "X:", "TE: trailers", "Expect: 100-continue"),
    (
        *("Connection: close", "Connection: close, x", "Connection: content-length", "Expect: x"),
        *("Connection: transfer-encoding", "Connection: Upgrade\r\nUpgrade: h2c", "Trailer: X"),
        *("Host: b", "Host: a", ": y", "X", "X : y", "\xe4: y", "X: \xe4", "X: y\r\n z", "X: \x7f"),
        *(
            "Content-Length: 3",
            "Content-Length: 5",
            "Transfer-Encoding: chunked",
            "Content_Length: 5",
        ),
    ),
)

#: The size of a chunk of three bytes.
SIZE = Choice(
    ("3",),
    (
        *("03", "0003", "3 ", " 3", "3\t", "+3", "-3", "0x3", "3_", "3;a", "3;a=b", '3;a="b"'),
        *('3;a="b\r"', '3;a="\\""', '3;a="\r\n"', "3; a", "3 ;a", "3;a =b", "3;", "3;a=", "3;\n"),
        *("3;a\nb", "3;a\rb", "3,a", "3\0", "3\xa0", "3h", "g", "", "0000000000000003", "4", "2"),
        *("10000000000000003", "fffffffffffffffd", "00000000000000000003", "100000003", "3\r"),
    ),
)

LAST = Choice(("0",), ("00", "000", "0;a", "0 ", "-0", "+0", "0x0", "", "0" * 30))

TRAILERS = Choice(
    ("",),
    ("X: y\r\n", "Content-Length: 5\r\n", "X : y\r\n", " X: y\r\n", "X: y\n", "X\r\n", "X: \0\r\n"),
)


@frozen
class Maker:
    """
    Makes requests.

    Args:
        rng: The random generator.
        oddness: How probable something odd is at each place.
    """

    rng: Random
    oddness: float

    def pick(self, choice: Choice) -> str:
        is_odd = self.rng.random() < self.oddness
        return self.rng.choice(choice.odd if is_odd else choice.usual)

    def line(self, name: str, value: str) -> str:
        named = self.pick(NAME).format(name)
        return f"{named}:{self.pick(BLANK)}{value}{self.pick(NO_BLANK)}{self.pick(END)}"

    def chunks(self) -> str:
        chunks = [
            f"{self.pick(SIZE)}{self.pick(END)}abc{self.pick(END)}"
            for _ in range(self.rng.choice((0, 1, 1, 2, 3)))
        ]
        last = self.pick(LAST) + self.pick(END) + self.pick(TRAILERS) + self.pick(END)
        return "".join([*chunks, last])

    def request(self) -> bytes:
        first = " ".join([self.pick(METHOD), self.pick(TARGET), self.pick(VERSION)])
        lines, body = [self.line("Host", "a")], ""
        how = self.rng.choice(("none", "length", "chunks"))
        if how == "length" or self.rng.random() < self.oddness:
            lines.append(self.line("Content-Length", self.pick(LENGTH)))
            body = "abc"
        if how == "chunks" or self.rng.random() < self.oddness:
            lines.append(self.line("Transfer-Encoding", self.pick(CODING)))
            body = self.chunks()
        count = self.rng.choice((0, 0, 1, 2))
        lines += [self.pick(OTHER) + self.pick(END) for _ in range(count)]
        encoded = [line.encode("latin-1") for line in lines]
        if self.rng.random() < self.oddness:
            encoded = rearranged(self.rng, encoded)
        head = b"".join([first.encode("latin-1"), self.pick(END).encode(), *encoded])
        return head + self.pick(END).encode() + body.encode("latin-1")


def stream(rng: Random) -> bytes:
    """Make a stream of a few requests."""
    maker = Maker(rng, rng.choice((0.0, 0.02, 0.05, 0.1)))
    data = b"".join(maker.request() for _ in range(rng.choice((1, 1, 2, 3))))
    return mutated(rng, data, NASTY) if rng.random() < 0.3 else data


def make(rng: Random, name: str) -> Attempt:
    return Attempt(name, cut(rng, stream(rng)), rng.choice(ENDS))
