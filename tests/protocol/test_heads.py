from __future__ import annotations

import pytest

from triows._protocol.heads import (
    _KNOWN,
    MOST_HEADERS,
    MOST_KNOWN,
    BadRequest,
    Request,
    read_head,
)


def head(*lines: bytes, first: bytes = b"GET / HTTP/1.1", host: bytes | None = b"Host: a") -> bytes:
    return b"\r\n".join([first, *([] if host is None else [host]), *lines])


def read(*lines: bytes, **options: bytes | None) -> Request:
    return read_head(head(*lines, **options))


def refusal(data: bytes) -> tuple[int, str]:
    with pytest.raises(BadRequest) as caught:
        read_head(data)
    return caught.value.status, caught.value.detail


# The request line


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "POST", "DELETE", "M-SEARCH", "PROPFIND", "A1", "!"]
)
def test_a_method_is_any_token_in_upper_case(method):
    assert read(first=f"{method} / HTTP/1.1".encode()).method == method


@pytest.mark.parametrize(
    ("method", "status"),
    [
        (b"get", 501),
        (b"Get", 501),
        (b"CONNECT", 501),
        (b"G(T", 400),
        (b"GET\t", 400),
        (b"G\xcaT", 400),
        (b"", 400),
        (b'"GET"', 400),
        (b"GET:", 400),
    ],
)
def test_other_methods_are_refused(method, status):
    assert refusal(head(first=method + b" / HTTP/1.1"))[0] == status


@pytest.mark.parametrize(
    ("version", "status"),
    [
        (b"HTTP/2", 505),
        (b"HTTP/2.0", 505),
        (b"HTTP/0.9", 505),
        (b"HTTP/1.2", 505),
        (b"HTTP/1", 505),
        (b"http/1.1", 400),
        (b"HTTP/1.10", 400),
        (b"HTTP/01.1", 400),
        (b"HTTP/1,1", 400),
        (b"HTTP /1.1", 400),
        (b"HTTP/1.1 ", 400),
        (b"HTTP/1.1\t", 400),
        (b"HTTPS/1.1", 400),
        (b"ICE/1.0", 400),
        (b"", 400),
    ],
)
def test_other_versions_are_refused(version, status):
    assert refusal(head(first=b"GET / " + version))[0] == status


@pytest.mark.parametrize(
    "line",
    [
        b"GET /",
        b"GET  / HTTP/1.1",
        b"GET /  HTTP/1.1",
        b" GET / HTTP/1.1",
        b"GET\t/\tHTTP/1.1",
        b"GET /a b HTTP/1.1",
        b"GET",
        b"GET / HTTP/1.1 HTTP/1.1",
        b"GET  HTTP/1.1",
    ],
)
def test_a_request_line_has_exactly_two_spaces(line):
    assert refusal(head(first=line))[0] == 400


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/", b"/", b""),
        (b"/a/b?c=d", b"/a/b", b"c=d"),
        (b"/a?b?c", b"/a", b"b?c"),
        (b"/?", b"/", b""),
        (b"//a/../b", b"//a/../b", b""),
        (b"/%00%ff%2F", b"/%00%ff%2F", b""),
        (b'/{a}|\\^`"<>', b'/{a}|\\^`"<>', b""),
        (b"http://a", b"/", b""),
        (b"http://a/", b"/", b""),
        (b"HTTPS://a/b?c", b"/b", b"c"),
        (b"http://a?b/c?d", b"/", b"b/c?d"),
        (b"http://a/b?", b"/b", b""),
    ],
)
def test_a_target_has_a_path_and_a_query(target, path, query):
    request = read(first=b"GET " + target + b" HTTP/1.1")
    assert (request.target, request.path, request.query) == (target, path, query)


@pytest.mark.parametrize(
    "target",
    [
        b"a",
        b"?a",
        b"*",
        b"*/",
        b"a:80",
        b"/#a",
        b"/a\xe4",
        b"/\t",
        b"http://",
        b"http:///a",
        b"http:/a",
        b"http://a#b",
        b"ftp://a/",
        b"ws://a/",
        b"http://user@a/",
        b"http://user:pass@a/",
        b"http://a:b/",
        b"http://a:99999/",
        b"http://a,b/",
        b"http://a\\b/",
        b"http://%61/",
    ],
)
def test_other_targets_are_refused(target):
    assert refusal(head(first=b"GET " + target + b" HTTP/1.1"))[0] == 400


def test_the_whole_server_is_a_target_for_options():
    request = read(first=b"OPTIONS * HTTP/1.1")
    assert (request.path, request.query) == (b"*", b"")


# Hosts


@pytest.mark.parametrize(
    "host",
    [
        b"a",
        b"Example.org",
        b"example.org.",
        b"a-b_c.d",
        b"127.0.0.1:8000",
        b"[::1]",
        b"[::ffff:1.2.3.4]:65535",
        b"a:",
        b"xn--bcher-kva.example:443",
    ],
)
def test_a_host_is_a_name_or_an_address(host):
    assert read(host=b"Host: " + host).headers == [(b"host", host)]
    request = read(first=b"GET http://" + host + b" HTTP/1.1")
    assert request.headers == [(b"host", host)]


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b":80",
        b"a b",
        b"a, b",
        b"a,b",
        b"a/",
        b"a?",
        b"http://a",
        b"user@a",
        b"a:b",
        b"a:-1",
        b"a:65536",
        b"a:080000",
        b"a:80:80",
        b"a:8 0",
        b"::1",
        b"[::1",
        b"::1]",
        b"[]",
        b"[fe80::1%eth0]",
        b"[a.example]",
        b"a..b",
        b".a",
        b"..",
        b"a%00",
        b"b\xfccher.example",
        b"a'b",
    ],
)
@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
def test_other_hosts_are_refused(host, version):
    assert refusal(head(host=b"Host: " + host, first=b"GET / " + version))[0] == 400
    absolute = b"GET http://a/ " + version
    assert refusal(head(host=b"Host: " + host, first=absolute))[0] == 400


def test_a_host_is_needed_except_in_1_0():
    assert refusal(head(host=None)) == (400, "no Host")
    assert refusal(head(host=None, first=b"GET http://a/ HTTP/1.1")) == (400, "no Host")
    assert read(host=None, first=b"GET / HTTP/1.0").headers == []


@pytest.mark.parametrize("second", [b"Host: a", b"host: b", b"HOST:a"])
@pytest.mark.parametrize("first", [b"GET / HTTP/1.1", b"GET / HTTP/1.0", b"GET http://a HTTP/1.1"])
def test_two_hosts_are_refused(first, second):
    assert refusal(head(second, first=first)) == (400, "more than one host")


def test_a_host_may_be_as_long_as_in_dns():
    longest = b".".join([b"a" * 63] * 4)[:-2]
    assert read(host=b"Host: " + longest + b":65535").headers
    assert refusal(head(host=b"Host: b" + longest + b":65535"))[0] == 400


def test_the_host_of_the_target_is_the_one_that_counts():
    request = read(b"X: y", first=b"GET http://b:1/ HTTP/1.1")
    assert request.headers == [(b"host", b"b:1"), (b"x", b"y")]
    assert request.headers_as_sent() == [(b"Host", b"b:1"), (b"X", b"y")]


def test_the_host_of_the_target_is_added_in_1_0():
    request = read(b"X: y", first=b"GET http://b HTTP/1.0", host=None)
    assert request.headers == [(b"host", b"b"), (b"x", b"y")]
    assert request.headers_as_sent() == [(b"Host", b"b"), (b"X", b"y")]


# Headers


def test_headers_are_in_order_with_names_in_lower_case():
    request = read(b"ACCEPT: a", b"x-B:c", b"accept:\t d \t", b"E:", b"F: :", b"g: h:i")
    expected = [b"accept=a", b"x-b=c", b"accept=d", b"e=", b"f=:", b"g=h:i"]
    assert [b"=".join(pair) for pair in request.headers[1:]] == expected
    names = [name for name, _ in request.headers_as_sent()]
    assert names == [b"Host", b"ACCEPT", b"x-B", b"accept", b"E", b"F", b"g"]


def test_a_value_may_have_any_bytes_but_controls():
    value = bytes([*range(0x21, 0x7F), 0x20, 0x09, *range(0x80, 0x100)])
    assert read(b"X: " + value).headers[1] == (b"x", value)


@pytest.mark.parametrize("control", [*range(9), *range(10, 32), 127])
@pytest.mark.parametrize("line", [b"X: a%cb", b"X%c: a", b"X:%ca", b"X: a%c", b"%cX: a"])
def test_control_characters_are_refused(line, control):
    assert refusal(head(line % control))[0] == 400
    assert refusal(head(line % control, b"Y: z"))[0] == 400


@pytest.mark.parametrize(
    "line",
    [
        b"Host",
        b"Accept",
        b"content-length",
        b"X",
        b": a",
        b"X : a",
        b"X\t: a",
        b" X: a",
        b"\tX: a",
        b" folded",
        b"(X): a",
        b"X Y: a",
        b"X\xe4: a",
        b'"X": a',
        b"X\xa0: a",
        b"",
        b"X: a\n",
        b"\rX: a",
    ],
)
def test_a_line_that_is_no_header_is_refused(line):
    assert refusal(head(line))[0] == 400
    assert refusal(head(line, b"Y: z"))[0] == 400
    assert refusal(head(b"Y: z", line, host=None, first=b"GET / HTTP/1.0"))[0] == 400


def test_headers_may_be_many_but_not_more():
    assert len(read(*[b"a: b"] * (MOST_HEADERS - 1)).headers) == MOST_HEADERS
    assert refusal(head(*[b"a: b"] * MOST_HEADERS))[0] == 431


# The body's end


@pytest.mark.parametrize(
    ("value", "length"),
    [(b"0", 0), (b"5", 5), (b"00005", 5), (b"9223372036854775807", 2**63 - 1)],
)
@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
def test_a_length_is_a_number_of_bytes(value, length, version):
    request = read(b"Content-Length: " + value, first=b"POST / " + version)
    assert (request.content_length, request.chunked) == (length, False)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"+5",
        b"-5",
        b"5, 5",
        b"5,5",
        b"5 5",
        b"5;",
        b"0x5",
        b"5_0",
        b"5.0",
        b"1e3",
        b"\xb2",
        b"'5'",
        b"9223372036854775808",
        b"18446744073709551621",
        b"00000000000000000005",
        b"9" * 400,
        b"\t5",
        b"5\t",
    ],
)
def test_other_lengths_are_refused(value):
    assert refusal(head(b"Content-Length: " + value))[0] == 400


@pytest.mark.parametrize("second", [b"content-length: 5", b"Content-Length: 6", b"CONTENT-LENGTH:"])
def test_two_lengths_are_refused_even_if_they_agree(second):
    assert refusal(head(b"Content-Length: 5", second))[0] == 400


@pytest.mark.parametrize("value", [b"chunked", b"Chunked", b"CHUNKED", b"  chunked "])
def test_a_body_may_be_chunked(value):
    request = read(b"transfer-encoding:" + value, first=b"POST / HTTP/1.1")
    assert (request.content_length, request.chunked) == (0, True)


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (b"gzip, chunked", 501),
        (b"gzip , deflate,chunked", 501),
        (b"chunked, chunked", 501),
        (b"chunked, gzip", 400),
        (b"gzip", 400),
        (b"identity", 400),
        (b"", 400),
        (b"xchunked", 400),
        (b"chunkedx", 400),
        (b"chunke", 400),
        (b"chunked,", 400),
        (b",chunked", 400),
        (b"chunked;q=1", 400),
        (b"'chunked'", 400),
        (b'"chunked"', 400),
        (b"\tchunked", 400),
        (b"chunked\t", 400),
        (b"chunked \t ", 400),
        (b"\x0bchunked", 400),
        (b"chunked\x0c", 400),
        (b"chun\xe9ked", 400),
        (b"\xa0chunked", 400),
        (b"identity chunked", 400),
        (b"gzip, chunked;a", 400),
    ],
)
def test_other_codings_are_refused(value, status):
    assert refusal(head(b"Transfer-Encoding: " + value))[0] == status


@pytest.mark.parametrize("value", [b"chunked", b"identity", b"gzip"])
def test_two_codings_are_refused(value):
    lines = [b"Transfer-Encoding: chunked", b"Transfer-encoding: " + value]
    assert refusal(head(*lines))[0] == 400
    assert refusal(head(*reversed(lines)))[0] == 400


@pytest.mark.parametrize("length", [b"0", b"5", b"x"])
def test_a_length_and_a_coding_are_refused(length):
    lines = [b"Transfer-Encoding: chunked", b"Content-Length: " + length]
    assert refusal(head(*lines))[0] == 400
    assert refusal(head(*reversed(lines)))[0] == 400


def test_1_0_has_no_coding():
    assert refusal(head(b"Transfer-Encoding: chunked", first=b"POST / HTTP/1.0"))[0] == 400


def test_a_tab_in_another_header_does_no_harm():
    assert read(b"Content-Length: 5", b"X:\ty").content_length == 5


# The connection


@pytest.mark.parametrize(
    ("version", "lines", "expected"),
    [
        (b"HTTP/1.1", [], True),
        (b"HTTP/1.1", [b"Connection: close"], False),
        (b"HTTP/1.1", [b"Connection: Keep-Alive, , CLOSE"], False),
        (b"HTTP/1.1", [b"Connection: keep-alive", b"connection: close"], False),
        (b"HTTP/1.1", [b"Connection: closed"], True),
        (b"HTTP/1.1", [b"Connection:"], True),
        (b"HTTP/1.0", [], False),
        (b"HTTP/1.0", [b"Connection: Keep-Alive"], True),
        (b"HTTP/1.0", [b"Connection: keep-alive, close"], False),
    ],
)
def test_the_version_and_connection_say_whether_another_request_may_follow(
    version, lines, expected
):
    assert read(*lines, first=b"GET / " + version).keep_alive is expected


@pytest.mark.parametrize("value", [b"close;", b"keep alive", b"clo\xffse", b'"close"', b"close\tx"])
def test_connection_has_to_be_a_list_of_tokens(value):
    assert refusal(head(b"Connection: " + value))[0] == 400


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([b"Connection: Upgrade", b"Upgrade: websocket"], True),
        ([b"Connection: keep-alive, Upgrade", b"Upgrade: h2c"], True),
        ([b"Connection: x", b"Connection: upgrade", b"Upgrade:"], True),
        ([b"Connection: Upgrade"], False),
        ([b"Upgrade: websocket"], False),
        ([b"Connection: keep-alive", b"Upgrade: websocket"], False),
    ],
)
def test_an_upgrade_needs_two_headers(lines, expected):
    assert read(*lines).upgrade is expected


def test_1_0_has_no_upgrade():
    lines = [b"Connection: Upgrade", b"Upgrade: websocket"]
    assert not read(*lines, first=b"GET / HTTP/1.0").upgrade


@pytest.mark.parametrize(
    ("version", "value", "expected"),
    [
        (b"HTTP/1.1", b"100-continue", True),
        (b"HTTP/1.1", b"100-Continue", True),
        (b"HTTP/1.1", b"x, 100-continue", True),
        (b"HTTP/1.1", b"100", False),
        (b"HTTP/1.1", b"", False),
        (b"HTTP/1.0", b"100-continue", False),
    ],
)
def test_a_client_may_wait_before_the_body(version, value, expected):
    request = read(b"Expect: " + value, b"Content-Length: 5", first=b"POST / " + version)
    assert request.expects_continue is expected


def test_headers_that_came_before_are_read_in_the_same_way():
    heads = [
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close",
        b"POST /b?c HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\nConnection: close",
        b"GET http://b/c HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close",
    ]
    for _ in range(3):
        for head in heads:
            assert read_head(head, is_first=False) == read_head(head)


def test_what_an_application_does_to_its_headers_does_not_reach_the_next_request():
    head = b"GET / HTTP/1.1\r\nHost: a"
    read_head(head, is_first=False).headers.append((b"added", b""))
    assert read_head(head, is_first=False).headers == [(b"host", b"a")]


def test_headers_that_were_refused_are_refused_again():
    for _ in range(3):
        with pytest.raises(BadRequest):
            read_head(b"GET / HTTP/1.1\r\nHost: a\r\nHost: a", is_first=False)


def test_only_so_many_headers_are_remembered_and_no_secrets():
    for number in range(2 * MOST_KNOWN):
        read_head(b"GET / HTTP/1.1\r\nHost: a\r\nX-Number: %d" % number, is_first=False)
        read_head(b"GET / HTTP/1.1\r\nHost: a\r\nCookie: %d" % number, is_first=False)
        read_head(b"GET / HTTP/1.1\r\nHost: a\r\nX-First: %d" % number)
    assert 0 < len(_KNOWN["1.1"]) <= MOST_KNOWN
    assert not [block for block in _KNOWN["1.1"] if b"Cookie" in block or b"X-First" in block]
