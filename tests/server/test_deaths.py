"""
No peer can take the server down, even with inputs that end plain Hypercorn's Trio worker.

If all connections run in one nursery, the first exception that leaves a connection ends the server.
After each test, its fixture checks that nobody was harmed.
"""

from __future__ import annotations

import pytest

from tests.raw import TEXT, close_frame, frame, handshake


@pytest.mark.on_sockets_too("protocol")
@pytest.mark.parametrize(
    "line",
    [
        b"Sec-WebSocket-Protocol: caf\xc3\xa9",
        b"Sec-WebSocket-Protocol: \xff",
        b"Sec-WebSocket-Extensions: caf\xc3\xa9",
        b"Sec-WebSocket-Extensions: permessage-deflate; \xff=1",
        b"Connection: caf\xc3\xa9",
    ],
    ids=["protocol", "protocol-no-utf8", "extension", "extension-parameter", "connection"],
)
def test_a_byte_that_is_no_ascii_in_the_handshake_is_400_or_leads_to_nothing(server, line):
    answer = server.handshake("/chosen", line)
    assert answer.status in {101, 400}
    assert answer.header(b"sec-websocket-protocol") is None
    assert answer.header(b"sec-websocket-extensions") is None


@pytest.mark.parametrize(
    "parameters",
    [
        b"client_max_window_bits=x",
        b"client_max_window_bits=",
        b"client_max_window_bits=7",
        b"client_max_window_bits=16",
        b"server_max_window_bits",
        b"server_max_window_bits=x",
        b"server_max_window_bits=-9",
        b"server_no_context_takeover=1",
        b"client_max_window_bits=10; client_max_window_bits=10",
        b"unknown=1",
        b'client_max_window_bits="',
        b"; ;",
        b"=",
    ],
)
def test_bad_compression_parameters_are_declined_or_400(either_server, parameters):
    offer = b"Sec-WebSocket-Extensions: permessage-deflate; " + parameters
    answer = either_server.handshake("/echo", offer)
    assert answer.status in {101, 400}
    assert answer.header(b"sec-websocket-extensions") is None


def test_a_quoted_compression_parameter_is_as_good_as_any(either_server):
    server = either_server
    offer = b'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits="15"'
    key = server.new_key()
    peer = server.open(f"/collecting?key={key}", offer)
    peer.send(frame(TEXT, b"legal (RFC 6455 section 9.1)") + close_frame())
    assert peer.read_close() == (1000, "")
    assert server.report(key)["messages"] == ["legal (RFC 6455 section 9.1)"]


def test_one_byte_behind_the_handshake_is_part_of_a_frame(server):
    message = frame(TEXT, b"hello")
    peer = server.open("/echo", behind=message[:1])
    peer.send(message[1:])
    assert peer.read_message() == "hello"


def test_a_body_of_the_handshake_is_refused_or_is_no_frame(server):
    answer = server.ask(handshake("/echo", b"Content-Length: 4") + b"body")
    assert answer.status in {101, 400, 413}


@pytest.mark.parametrize("target", ["/refusing/403", "/refusing/401", "/nope"])
@pytest.mark.parametrize("rest", [b"x", b"GET /echo HTTP/1.1\r\n\r\n", frame(TEXT, b"hello")])
def test_bytes_behind_a_refusal_whose_handler_goes_on_are_ignored(server, target, rest):
    peer = server.connect()
    answer = peer.ask(handshake(target))
    assert answer.status in {401, 403, 404}
    peer.send_as_far_as_taken(rest)
    assert peer.read_rest() == b""


@pytest.mark.parametrize("settings", [b"AAMAAABkAAQAoAAAAAIAAAAA", b"x", b"====", b"\xff", b""])
def test_an_upgrade_to_http2_is_not_done(server, settings):
    answer = server.ask(
        b"GET /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: " + settings + b"\r\n\r\n"
    )
    # The upgrade is ignored. A WebSocket route says which upgrade it needs.
    assert answer.status in {400, 426}
    assert answer.head.startswith(b"HTTP/1.1 ")


@pytest.mark.on_sockets_too("\\xff")
@pytest.mark.parametrize("host", [b"\xff", b"caf\xc3\xa9", b"\xc3"])
def test_a_host_that_is_no_ascii_is_refused_where_names_are_checked(named_server, host):
    answer = named_server.handshake("/echo", b"Host: " + host, without=(b"Host",))
    assert answer.status in {400, 404, 421}


@pytest.mark.on_sockets_too("exit")
@pytest.mark.parametrize("how", ["subprotocol", "header", "exit"])
def test_an_applications_mistake_before_accept_is_500(server, how):
    server.may_log_traceback = True
    answer = server.handshake(f"/mistaken/{how}")
    assert answer.status == 500
    assert b"set-cookie" not in answer.head.lower() + answer.body


@pytest.mark.on_sockets_too("exit-later")
@pytest.mark.parametrize("how", ["exit-later", "error-later"])
def test_an_applications_mistake_after_accept_is_1011(server, how):
    server.may_log_traceback = True
    assert server.open(f"/mistaken/{how}").read_close() == (1011, "")


@pytest.mark.on_sockets_too
def test_a_peer_that_resets_at_any_point_leaves_nothing(server):
    whole = handshake("/echo") + frame(TEXT, b"hello" * 100, fin=False) + frame(0, b"more")
    for cut in range(1, len(whole), 7):
        peer = server.connect()
        peer.send(whole[:cut])
        peer.reset()
    server.settle()


@pytest.mark.on_sockets_too
def test_a_peer_that_resets_while_it_is_refused_or_accepted_leaves_nothing(server):
    for target in ["/slow", "/refusing/403", "/mistaken/error", "/nope"] * 5:
        server.may_log_traceback = True  # the application's mistake is logged
        peer = server.connect()
        peer.send(handshake(target))
        peer.reset()
    server.settle()
