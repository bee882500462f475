"""What makes a handshake valid (RFC 6455 section 4.2.1, RFC 9112), and answers to other ones."""

from __future__ import annotations

import re

import pytest

from tests.raw import KEY, TEXT, close_frame, frame, handshake

VERSION = b"Sec-WebSocket-Version"


# Valid ones


@pytest.mark.parametrize(
    "lines",
    [
        [b"connection: keep-alive, Upgrade", b"UPGRADE: WebSocket"],
        [b"Connection: upgrade,", b"Upgrade: websocket"],
        [b"Connection: Upgrade", b"Connection: keep-alive", b"Upgrade: websocket"],
        [b"Connection: keep-alive", b"Connection: Upgrade", b"Upgrade: websocket"],
    ],
    ids=["case", "comma", "two-lines", "two-lines-last"],
)
def test_connection_and_upgrade_are_lists_of_any_case(server, lines):
    answer = server.handshake("/echo", *lines, without=(b"Connection", b"Upgrade"))
    assert answer.status == 101


@pytest.mark.on_sockets_too
def test_the_answer_is_what_the_standard_says(server):
    answer = server.handshake("/echo")
    assert answer.status == 101
    # The key of RFC 6455 section 1.3, and its answer there.
    assert answer.header(b"sec-websocket-accept") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert (answer.header(b"upgrade") or b"").lower() == b"websocket"
    assert (answer.header(b"connection") or b"").lower() == b"upgrade"


@pytest.mark.parametrize(
    ("lines", "offered"),
    [
        ([b"Sec-WebSocket-Protocol: a, b"], ["a", "b"]),
        ([b"Sec-WebSocket-Protocol: a", b"Sec-WebSocket-Protocol: b"], ["a", "b"]),
        ([b"Sec-WebSocket-Protocol: a,b , c", b"sec-websocket-protocol: d"], ["a", "b", "c", "d"]),
        ([], []),
    ],
)
def test_subprotocols_of_several_lines_are_one_list(server, lines, offered):
    peer = server.connect()
    answer = peer.open("/chosen", *lines)
    assert peer.read_message() == str(offered).replace("'", '"').replace(" ", "")
    chosen = answer.header(b"sec-websocket-protocol")
    assert chosen == (offered[-1].encode() if offered else None)


def test_extensions_of_several_lines_are_one_list(compressing_server):
    answer = compressing_server.handshake(
        "/echo",
        b"Sec-WebSocket-Extensions: permessage-deflate",
        b"Sec-WebSocket-Extensions: x-unknown",
    )
    assert answer.status == 101
    extensions = answer.header(b"sec-websocket-extensions") or b""
    assert extensions.startswith(b"permessage-deflate")


# Invalid ones


def test_a_handshake_without_a_version_is_400(server):
    assert server.handshake("/echo", without=(VERSION,)).status == 400


@pytest.mark.parametrize("version", [b"8", b"0", b"14"])
def test_another_version_is_426_and_told_which_one_is_spoken(server, version):
    answer = server.handshake("/echo", VERSION + b": " + version, without=(VERSION,))
    assert answer.status == 426
    assert answer.header(VERSION) == b"13"


@pytest.mark.parametrize("version", [b"x", b"", b"-13", b"13.0", b"13, 8", b"\xff"])
def test_a_version_that_is_none_is_refused(server, version):
    answer = server.handshake("/echo", VERSION + b": " + version, without=(VERSION,))
    assert answer.status in {400, 426}


def test_two_versions_are_refused(server):
    assert server.handshake("/echo", VERSION + b": 8").status in {400, 426}


@pytest.mark.on_sockets_too("short")
@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b""],
        [b"abc"],
        [KEY[:-4]],
        [KEY + b"AAAA"],
        [b"!" * 24],
        [b"\xff" * 24],
        [KEY, KEY],
        [KEY, b"AQIDBAUGBwgJCgsMDQ4PEA=="],
    ],
    ids=["none", "empty", "abc", "short", "long", "no-base64", "no-ascii", "same-twice", "two"],
)
def test_a_bad_key_is_400(server, lines):
    keys = [b"Sec-WebSocket-Key: " + key for key in lines]
    answer = server.handshake("/echo", *keys, without=(b"Sec-WebSocket-Key",))
    assert answer.status == 400


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"HEAD", b"CONNECT", b"WEBSOCKET"])
def test_only_get_opens_a_websocket(server, method):
    peer = server.connect()
    peer.send(handshake("/echo", method=method))
    status_line = peer.read_rest().partition(b"\r\n")[0]
    assert re.match(rb"HTTP/1.1 (405|400|426|501) ", status_line), status_line
    if method == b"POST":
        assert b" 405 " in status_line


def test_http_1_0_opens_no_websocket(server):
    status = server.handshake("/echo", version=b"HTTP/1.0").status
    assert 400 <= status < 500 or status == 505


@pytest.mark.parametrize("version", [b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.11", b"http/1.1", b"x"])
def test_another_version_of_http_is_refused(server, version):
    assert server.handshake("/echo", version=version).status in {400, 505}


@pytest.mark.parametrize(
    "lines",
    [[], [b"Host: a", b"Host: b"], [b"Host: a", b"Host: a"]],
    ids=["missing", "two", "same-twice"],
)
def test_a_host_that_is_missing_or_doubled_is_400(server, lines):
    assert server.handshake("/echo", *lines, without=(b"Host",)).status == 400


@pytest.mark.parametrize(
    "line",
    [b"X-A: a\x00b", b"X-A: a\rb", b"X-A : a", b"X A: a", b": a", b"X-A", b" X-A: a", b"X-\xff: a"],
    ids=["nul", "cr", "space-colon", "space", "no-name", "no-colon", "folded", "no-ascii"],
)
def test_a_malformed_header_is_400(server, line):
    answer = server.handshake("/echo", line)
    assert answer.status == 400


def test_a_content_length_with_a_transfer_encoding_is_400(server):
    answer = server.handshake("/echo", b"Content-Length: 3", b"Transfer-Encoding: chunked")
    assert answer.status == 400


@pytest.mark.parametrize(
    "value",
    [b"a b", b"a, b c", b"a;b", b"(a)", b'"a"', b"a/b", b"a, a", b",", b"\x7f"],
)
def test_a_malformed_subprotocol_list_is_400_or_leads_to_nothing(server, value):
    answer = server.handshake("/chosen", b"Sec-WebSocket-Protocol: " + value)
    if answer.status != 400:
        assert answer.status == 101
        # The chosen one has to be valid. Each of these lists has one valid entry at most.
        assert answer.header(b"sec-websocket-protocol") in {None, b"a"}


@pytest.mark.parametrize("origin", [b"https://evil.example", b"null"])
def test_a_foreign_origin_is_403(server, origin):
    assert server.handshake("/echo", b"Origin: " + origin).status == 403


@pytest.mark.parametrize(
    "target",
    ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/echo%00", "/%0d%0aX-A:%20b", "//echo"],
)
def test_a_target_that_leads_nowhere_is_4xx_and_adds_no_header(server, target):
    answer = server.handshake(target)
    assert 400 <= answer.status < 500
    assert answer.header(b"x-a") is None


@pytest.mark.on_sockets_too("tls", "lines")
@pytest.mark.parametrize(
    "garbage",
    [
        bytes.fromhex("16030100050100000100"),  # the beginning of TLS
        b"\x00" * 100,
        b"\xff" * 1000,
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /echo\r\n\r\n",
        b"\r\n" * 50_000,
        frame(TEXT, b"hello"),
    ],
    ids=["tls", "nuls", "ones", "empty", "get", "http-0.9", "lines", "frame"],
)
def test_garbage_is_400_or_ended(server, garbage):
    peer = server.connect()
    peer.send_as_far_as_taken(garbage)
    answer = peer.read_rest()
    assert answer == b"" or re.match(rb"HTTP/1.1 4\d\d ", answer)


# Big and slow ones


@pytest.mark.on_sockets_too("header")
@pytest.mark.parametrize(
    "head",
    [
        handshake("/" + "x" * 100_000),
        handshake("/echo", b"X-A: " + b"x" * 2**20),
        handshake("/echo", *[b"X-A: b"] * 10_000),
    ],
    ids=["target", "header", "headers"],
)
def test_a_head_that_is_too_big_is_4xx_at_once(server, head):
    started = server.now()
    answer = server.ask(head)
    assert answer.status in {400, 413, 414, 431}
    assert server.now() - started < server.at_most(1)  # the time for a request's head


def test_a_head_without_end_is_4xx_at_once(process_server):
    memory = process_server.bystander.ask_for("memory")
    peer = process_server.connect()
    peer.send(b"GET /echo HTTP/1.1\r\nX-A: ")
    for _ in range(100):
        peer.send_as_far_as_taken(b"x" * 2**16)
    assert peer.read_answer().status in {400, 431}
    assert process_server.bystander.ask_for("peak") - memory < 10 * 2**20


def test_a_body_of_10_gb_is_refused_before_it_comes(process_server):
    memory = process_server.bystander.ask_for("memory")
    peer = process_server.connect()
    peer.send(
        b"POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n"
        b"Content-Length: 10737418240\r\n\r\n"
    )
    answer = peer.read_answer()
    assert 400 <= answer.status < 500
    for _ in range(500):
        peer.send_as_far_as_taken(b"x" * 2**16)
    assert process_server.bystander.ask_for("peak") - memory < 10 * 2**20


@pytest.mark.parametrize("what", ["chunks", "trailers", "extension"])
def test_a_chunked_body_without_end_is_answered_and_ended(process_server, what):
    memory = process_server.bystander.ask_for("memory")
    peer = process_server.connect()
    peer.send(b"POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    start, more = {
        "chunks": (b"", b"1000\r\n" + b"x" * 4096 + b"\r\n"),
        "trailers": (b"0\r\n", b"X-A: b\r\n" * 500),
        "extension": (b"1;", b"x" * 4096),
    }[what]
    peer.send_as_far_as_taken(start)
    for _ in range(1000):
        peer.send_as_far_as_taken(more)
    assert 400 <= peer.read_answer().status < 500
    peer.read_rest()
    assert process_server.bystander.ask_for("peak") - memory < 10 * 2**20


@pytest.mark.on_sockets_too("one")
@pytest.mark.parametrize("start", [b"", b"G", handshake("/echo")[:-2]], ids=["none", "one", "all"])
def test_a_silent_peer_is_ended(server, start):
    peer = server.connect()
    peer.send(start)
    started = server.now()
    peer.read_rest()
    assert 0.5 < server.now() - started < server.at_most(5)  # Timeouts.handshake is 1


def test_a_head_that_comes_byte_by_byte_is_ended(server):
    peer = server.connect()
    peer.socket.settimeout(0.1)
    started = server.now()
    ended = False
    # There isn't enough time for all of these bytes, and no byte starts the time again.
    for byte in handshake("/echo", b"X-A: " + b"x" * 200):
        peer.send_as_far_as_taken(bytes([byte]))
        try:
            ended = peer.socket.recv(2**16) == b"" or ended
        except TimeoutError:
            continue
        except ConnectionError:
            ended = True
        if ended:
            break
    assert ended
    assert server.now() - started < server.at_most(5)


# Refusals


@pytest.mark.on_sockets_too("401")
@pytest.mark.parametrize(
    ("target", "lines", "without"),
    [
        ("/echo", [], (VERSION,)),
        ("/echo", [VERSION + b": 8"], (VERSION,)),
        ("/echo", [], (b"Sec-WebSocket-Key",)),
        ("/echo", [b"Origin: null"], ()),
        ("/nope", [], ()),
        ("/refusing/401", [], ()),
        ("/raising/418", [], ()),
        ("/impatient", [], ()),
    ],
    ids=["version", "old", "key", "origin", "404", "401", "418", "422"],
)
def test_a_refusal_arrives_whole_and_ends_the_connection(server, target, lines, without):
    peer = server.connect()
    answer = peer.ask(handshake(target, *lines, without=without))
    assert 400 <= answer.status < 500
    assert answer.header(b"connection") == b"close"
    assert answer.body
    started = server.now()
    assert peer.read_rest() == b""
    assert server.now() - started < server.at_most(1)


def test_a_refusals_body_arrives_though_the_peer_has_sent_more(process_server):
    for _ in range(100):
        peer = process_server.connect()
        peer.send_as_far_as_taken(handshake("/nope") + b"x" * 200_000)
        answer = peer.read_answer()
        assert (answer.status, answer.problem["status"]) == (404, 404)
        peer.socket.close()


def test_a_hundred_refused_peers_hold_no_descriptors_of_the_server(process_server):
    refused = [process_server.connect() for _ in range(100)]
    for peer in refused:
        assert peer.ask(handshake("/echo", without=(VERSION,))).status == 400
    process_server.settle()


@pytest.mark.on_sockets_too
def test_connections_over_the_limit_are_503_until_there_is_room(crowded_server):
    first = crowded_server.open("/echo")
    one_more = crowded_server.bystander.ask_for("census")
    second = crowded_server.open("/echo")
    answer = crowded_server.handshake("/echo")
    assert answer.status == 503
    assert int(answer.header(b"retry-after") or b"") > 0
    for peer in (first, second):
        peer.echo("still there")
    first.reset()
    crowded_server.bystander.settle(one_more)
    crowded_server.open("/echo").echo("after all")


# Bytes right after the handshake


@pytest.mark.on_sockets_too("/slow")
@pytest.mark.parametrize("target", ["/echo", "/slow"])
def test_messages_in_the_handshakes_packet_are_delivered(server, target):
    peer = server.open(target, behind=frame(TEXT, b"one") + frame(TEXT, b"two"))
    assert [peer.read_message(), peer.read_message()] == ["one", "two"]


def test_a_message_before_a_slow_accept_is_delivered(server):
    peer = server.connect()
    peer.send(handshake("/slow"))
    peer.send(frame(TEXT, b"one"))
    assert peer.read_answer().status == 101
    assert peer.read_message() == "one"


def test_much_before_a_slow_accept_is_delivered(server):
    peer = server.connect()
    messages = [f"{number:06}" * 1000 for number in range(20)]
    peer.send(handshake("/slow") + b"".join(frame(TEXT, one.encode()) for one in messages))
    assert peer.read_answer().status == 101
    assert [peer.read_message() for _ in messages] == messages


def test_a_flood_before_a_slow_accept_is_held_back(process_server):
    flood = handshake("/slow") + frame(TEXT, bytes(2**16)) * 1000
    memory = process_server.bystander.ask_for("memory")
    peer = process_server.connect()
    peer.socket.settimeout(0.5)
    # By then it is echoed, and nobody reads. On a busy machine, the server has given up by then.
    with pytest.raises((TimeoutError, ConnectionError)):
        peer.send(flood)
    used = process_server.bystander.ask_for("peak") - memory
    assert used < 10 * 2**20  # Limits.inbox_size is 4 MiB
    peer.reset()


@pytest.mark.on_sockets_too
@pytest.mark.parametrize("end", ["finish", "reset"])
def test_a_peer_that_vanishes_before_a_slow_accept_leaves_nothing(server, end):
    peer = server.connect()
    peer.send(handshake("/slow"))
    getattr(peer, end)()
    server.settle()


def test_a_close_before_a_slow_accept_is_answered(server):
    peer = server.open("/slow", behind=close_frame(1000))
    assert peer.read_close() == (1000, "")


def test_a_handshake_that_comes_byte_by_byte_is_answered(server):
    peer = server.connect()
    for byte in handshake("/echo"):
        peer.send(bytes([byte]))
    assert peer.read_answer().status == 101
    peer.echo("in time")
