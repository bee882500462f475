"""
Attacks on pairs of servers that understand a request differently.

They were published since 2005: by Linhart, Klein, Heled and Orrin ("HTTP request smuggling"), by
Grenfeldt, Olofsson, Engström and Lagerström ("Attacking websites using HTTP request smuggling"), by
Kettle ("HTTP desync attacks", "Browser-powered desync attacks", "HTTP/1.1 must die"), and those in
the lines of chunks by Weikop ("Funky chunks"). The bytes are written here.
"""

from __future__ import annotations

__all__ = ["SMUGGLED"]

#: What must never be read as a request.
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"

_START = b"POST / HTTP/1.1\r\nHost: a\r\n"
_CODING = b"Transfer-Encoding: chunked\r\n"
_LENGTH = b"Content-Length: %d\r\n"


def _with(*lines: bytes, body: bytes = b"") -> bytes:
    return _START + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def _framed(*lines: bytes) -> bytes:
    """One server sees an empty chunked body here, and another one a body of the hidden request."""
    return _with(*lines, body=b"0\r\n\r\n" + HIDDEN)


def _chunked(chunks: bytes) -> bytes:
    return _START + _CODING + b"\r\n" + chunks


_BOTH = _LENGTH.rstrip() % (len(HIDDEN) + 5)

# Ways to write the coding so that only some servers see it. Kettle's list, and what others added.
_CODINGS = {
    "space before the colon": b"Transfer-Encoding : chunked",
    "tab before the colon": b"Transfer-Encoding\t: chunked",
    "vertical tab before the colon": b"Transfer-Encoding\x0b: chunked",
    "NUL before the colon": b"Transfer-Encoding\0: chunked",
    "no-break space before the colon": b"Transfer-Encoding\xa0: chunked",
    "space before the name": b" Transfer-Encoding: chunked",
    "tab before the name": b"\tTransfer-Encoding: chunked",
    "continued name": b"Transfer-Encoding\r\n : chunked",
    "continued value": b"Transfer-Encoding:\r\n chunked",
    "continued value after a tab": b"Transfer-Encoding: \r\n\tchunked",
    "continuation of another header": b"X: y\r\n Transfer-Encoding: chunked",
    "behind a bare LF": b"X: y\nTransfer-Encoding: chunked",
    "behind a bare CR": b"X: y\rTransfer-Encoding: chunked",
    "behind CR CR LF": b"X: y\r\r\nTransfer-Encoding: chunked",
    "behind NUL": b"X: y\0Transfer-Encoding: chunked",
    "before a bare LF": b"Transfer-Encoding: chunked\nX: y",
    "before a bare CR": b"Transfer-Encoding: chunked\rX: y",
    "vertical tab": b"Transfer-Encoding: \x0bchunked",
    "form feed": b"Transfer-Encoding:\x0cchunked",
    "tab": b"Transfer-Encoding:\tchunked",
    "tab at the end": b"Transfer-Encoding: chunked\t",
    "NUL at the end": b"Transfer-Encoding: chunked\0",
    "file separator": b"Transfer-Encoding: \x1cchunked",
    "delete": b"Transfer-Encoding: \x7fchunked",
    "no-break space": b"Transfer-Encoding: \xa0chunked",
    "byte order mark": b"Transfer-Encoding: \xef\xbb\xbfchunked",
    "prefix": b"Transfer-Encoding: xchunked",
    "suffix": b"Transfer-Encoding: chunkedx",
    "half": b"Transfer-Encoding: chunk",
    "double quotes": b'Transfer-Encoding: "chunked"',
    "single quotes": b"Transfer-Encoding: 'chunked'",
    "parameter": b"Transfer-Encoding: chunked;a=b",
    "weight": b"Transfer-Encoding: chunked;q=0.5",
    "colon": b"Transfer-Encoding:: chunked",
    "comma": b"Transfer-Encoding: ,chunked",
    "comma at the end": b"Transfer-Encoding: chunked,",
    "unknown one after it": b"Transfer-Encoding: chunked, cow",
    "identity after it": b"Transfer-Encoding: chunked, identity",
    "only identity": b"Transfer-Encoding: identity",
    "only gzip": b"Transfer-Encoding: gzip",
    "nothing": b"Transfer-Encoding:",
    "space within": b"Transfer-Encoding: chun ked",
    "space in the name": b"Transfer Encoding: chunked",
    "name within another": b"X: X\r\nTransfer-Encoding: x\r\n chunked",
    "long s, as in Unicode": "Tran\u017ffer-Encoding: chunked".encode(),
    "percent-encoded": b"Transfer-Encoding: %63hunked",
    "encoded word": b"Transfer-Encoding: =?iso-8859-1?B?Y2h1bmtlZA==?=",
    "no colon": b"Transfer-Encoding chunked",
    "no name": b": chunked\r\nTransfer-Encoding: identity",
    "twice, then unknown": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow",
    "twice, unknown first": b"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked",
    "twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "twice in other letters": b"Transfer-Encoding: chunked\r\ntransfer-encoding: identity",
}

# Those of these that are a valid list that ends in chunked are not implemented.
_LISTS = {
    "identity before it": b"Transfer-Encoding: identity, chunked",
    "unknown one before it": b"Transfer-Encoding: cow, chunked",
    "repeated": b"Transfer-Encoding: chunked, chunked",
}

# Ways to write a length so that servers see others, or none.
_LENGTHS = {
    "plus": b"Content-Length: +%d",
    "minus": b"Content-Length: -%d",
    "minus zero": b"Content-Length: -0%d",
    "list": b"Content-Length: 0, %d",
    "list of equals": b"Content-Length: %d, %d",
    "list without blanks": b"Content-Length: 5,%d",
    "list after zero": b"Content-Length: %d, 0",
    "two numbers": b"Content-Length: 0 %d",
    "empty": b"Content-Length:",
    "comma": b"Content-Length: %d,",
    "hexadecimal": b"Content-Length: 0x%d",
    "underscore": b"Content-Length: 0_%d",
    "fraction": b"Content-Length: %d.0",
    "exponent": b"Content-Length: %de0",
    "letter at the end": b"Content-Length: %dx",
    "letter first": b"Content-Length: x%d",
    "quotes": b'Content-Length: "%d"',
    "semicolon": b"Content-Length: %d;a=b",
    "parenthesis": b"Content-Length: %d (comment)",
    "superscript": b"Content-Length: \xb2%d",
    "other digits": "Content-Length: \u0665%d".encode(),
    "vertical tab": b"Content-Length: \x0b%d",
    "form feed at the end": b"Content-Length: %d\x0c",
    "NUL at the end": b"Content-Length: %d\0",
    "tab": b"Content-Length:\t%d",
    "tab at the end": b"Content-Length: %d\t",
    "space before the colon": b"Content-Length : %d",
    "tab before the colon": b"Content-Length\t: %d",
    "space before the name": b" Content-Length: %d",
    "continued": b"Content-Length:\r\n %d",
    "continued number": b"Content-Length: 0\r\n %d",
    "bare LF": b"X: y\nContent-Length: %d",
    "bare CR": b"X: y\rContent-Length: %d",
    "no colon": b"Content-Length %d",
    "overflow of 32 bits and more": b"Content-Length: 1844674407370955162%d",
    "overflow of 64 bits": b"Content-Length: 184467440737095516%d",
    "thousand digits": b"Content-Length: " + b"0" * 100 + b"%d",
    "twice": b"Content-Length: 0\r\nContent-Length: %d",
    "twice, other order": b"Content-Length: %d\r\nContent-Length: 0",
    "twice the same": b"Content-Length: %d\r\nContent-Length: %d",
    "twice in other letters": b"Content-Length: 0\r\ncontent-length: %d",
}

_CHUNKS = {
    "size with plus": b"+0\r\n\r\n",
    "size with minus": b"-0\r\n\r\n",
    "negative size": b"-1\r\nx\r\n0\r\n\r\n",
    "size in hexadecimal": b"0x0\r\n\r\n",
    "size with an underscore": b"0_0\r\n\r\n",
    "empty size": b"\r\n\r\n",
    "space before the size": b" 0\r\n\r\n",
    "space after the size": b"0 \r\n\r\n",
    "tab after the size": b"0\t\r\n\r\n",
    "letter after the size": b"0g\r\n\r\n",
    "NUL after the size": b"0\0\r\n\r\n",
    "overflow of 64 bits": b"10000000000000000\r\n\r\n",
    "overflow to 5": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "negative in 64 bits": b"ffffffffffffffff\r\nx\r\n0\r\n\r\n",
    "negative in 63 bits": b"8000000000000001\r\nx\r\n0\r\n\r\n",
    "thousand digits": b"0" * 1000 + b"\r\n\r\n",
    "size before a bare LF": b"0\n\r\n",
    "size before a bare CR": b"0\r\r\n",
    "size before LF, and then CR": b"0\n\r\r\n",
    "data before a bare LF": b"1\r\nx\n0\r\n\r\n",
    "data before a bare CR": b"1\r\nx\r0\r\n\r\n",
    "data without an end": b"1\r\nx0\r\n\r\n",
    "data before something else": b"1\r\nxXX0\r\n\r\n",
    "data before two line ends": b"1\r\nx\r\n\r\n0\r\n\r\n",
    "more data than its size": b"1\r\nxx\r\n0\r\n\r\n",
    # Funky chunks: servers end an extension, or the data, at different characters.
    "TERM.EXT: LF in an extension": b"2;\nxx\r\n10\r\n\r\n0\r\n\r\n",
    "TERM.EXT: LF in the value of an extension": b"2;a=b\nxx\r\n0\r\n\r\n",
    "EXT.TERM: CR in an extension": b"2;a\rxx\r\n0\r\n\r\n",
    "EXT.TERM: CR and a letter": b"2;\rX\r\nxx\r\n0\r\n\r\n",
    "TERM.SPILL: data before LF": b"5\r\nAAAAA\n2\r\n\r\n0\r\n\r\n",
    "SPILL.TERM: data before other two bytes": b"5\r\nAAAAAXX2\r\n45\r\n0\r\n\r\n",
    "ONE.TWO: data before one byte": b"5\r\nAAAAAX2\r\n45\r\n0\r\n\r\n",
    "ZERO.TWO: data before none": b"5\r\nAAAAA2\r\n45\r\n0\r\n\r\n",
    "CR in quotes": b'2;a="\r"\r\nxx\r\n0\r\n\r\n',
    "line end in quotes": b'2;a="\r\n"\r\nxx\r\n0\r\n\r\n',
    "escaped line end in quotes": b'2;a="\\\r\n"\r\nxx\r\n0\r\n\r\n',
    "quotes that don't end": b'2;a="b\r\nxx\r\n0\r\n\r\n',
    "extension without a name": b"2;\r\nxx\r\n0\r\n\r\n",
    "extension without a semicolon": b"2 a=b\r\nxx\r\n0\r\n\r\n",
    "extension with spaces": b"2 ; a = b\r\nxx\r\n0\r\n\r\n",
    "extension with NUL": b"2;a\0\r\nxx\r\n0\r\n\r\n",
    "long extension": b"2;" + b"a" * 5000 + b"\r\nxx\r\n0\r\n\r\n",
    "trailer before a bare LF": b"0\r\nX: y\n\r\n",
    "trailer before a bare CR": b"0\r\nX: y\r\r\n",
    "LF alone as the end": b"0\r\n\n",
    "CR alone as the end": b"0\r\n\r\r",
    "trailer with a length": b"0\r\nContent-Length: 34\r\n\r\n",
    "trailer with a coding": b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "trailer with a host": b"0\r\nHost: b\r\n\r\n",
    "trailer that is none": b"0\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n",
    "continued trailer": b"0\r\nX: y\r\n z\r\n\r\n",
    "trailer with a space before the colon": b"0\r\nX : y\r\n\r\n",
}

_HEADS = {
    "CL.TE": (_framed(_BOTH, _CODING.rstrip()), 400),
    "TE.CL": (_framed(_CODING.rstrip(), _BOTH), 400),
    "TE.0: a coding in 1.0": (_framed(_CODING.rstrip()).replace(b"/1.1", b"/1.0", 1), 400),
    "0.CL: a length on a line of its own": (_with(b"Content-Length:\r\n 34", body=HIDDEN), 400),
    "0.9": (b"GET /\r\n" + HIDDEN, 400),
    "0.9 with a version": (_START.replace(b"1.1", b"0.9") + b"\r\n" + HIDDEN, 505),
    "2.0": (_START.replace(b"1.1", b"2.0") + b"\r\n" + HIDDEN, 505),
    "1.1 with a letter": (_START.replace(b"1.1", b"1.1x") + b"\r\n" + HIDDEN, 400),
    "space after the version": (_START.replace(b"1.1", b"1.1 ") + b"\r\n" + HIDDEN, 400),
    "request in a target": (b"GET / HTTP/1.1\r\r\n" + HIDDEN, 400),
    "two spaces": (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n" + HIDDEN, 400),
    "tab for a space": (b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n" + HIDDEN, 400),
    "space in the target": (b"GET /a HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n" + HIDDEN, 400),
    "LF in the target": (b"GET /a\nX HTTP/1.1\r\nHost: a\r\n\r\n" + HIDDEN, 400),
    "fragment": (b"GET /#/hidden HTTP/1.1\r\nHost: a\r\n\r\n" + HIDDEN, 400),
    "CONNECT with a body": (
        b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n" + _BOTH + b"\r\n\r\n" + HIDDEN,
        501,
    ),
    "method in lower case": (b"get / HTTP/1.1\r\nHost: a\r\n\r\n" + HIDDEN, 501),
    "space before the first header": (
        b"GET / HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n" + HIDDEN,
        400,
    ),
    "line without a colon": (b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n" + HIDDEN, 400),
    "LF LF as the end": (b"POST / HTTP/1.1\r\nHost: a\r\n" + _CODING + b"\n" + HIDDEN, 400),
    "CR CR LF as the end": (b"POST / HTTP/1.1\r\nHost: a\r\r\n\r\n" + HIDDEN, 400),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + HIDDEN, 400),
    "two hosts in one": (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n" + HIDDEN, 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n" + HIDDEN, 400),
    "continued host": (b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n" + HIDDEN, 400),
    "host with a user": (b"GET / HTTP/1.1\r\nHost: b@a\r\n\r\n" + HIDDEN, 400),
    "target with a user": (b"GET http://a@b/ HTTP/1.1\r\nHost: a\r\n\r\n" + HIDDEN, 400),
    "target of another scheme": (b"GET gopher://a/ HTTP/1.1\r\nHost: a\r\n\r\n" + HIDDEN, 400),
}

#: By name, the bytes and the status of the answer.
SMUGGLED: dict[str, tuple[bytes, int]] = {
    **{f"head, {name}": case for name, case in _HEADS.items()},
    **{
        f"coding, {name}{' and a length' if with_length else ''}": (
            _framed(line, *([_BOTH] if with_length else [])),
            400,
        )
        for name, line in _CODINGS.items()
        for with_length in (False, True)
    },
    **{f"coding, {name}": (_framed(line), 501) for name, line in _LISTS.items()},
    **{
        f"coding, {name}, and a length": (_framed(line, _BOTH), 400)
        for name, line in _LISTS.items()
    },
    **{
        f"length, {name}": (
            _with(line.replace(b"%d", b"%d" % len(HIDDEN)), body=HIDDEN),
            400,
        )
        for name, line in _LENGTHS.items()
    },
    **{f"chunk, {name}": (_chunked(chunks) + HIDDEN, 400) for name, chunks in _CHUNKS.items()},
}
