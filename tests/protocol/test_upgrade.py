from __future__ import annotations

import pytest
from websockets.extensions.permessage_deflate import PerMessageDeflate

from triows import Compression
from triows._protocol.upgrade import (
    BadUpgrade,
    Upgrade,
    acceptance,
    asks_for_websocket,
    extension_factories,
    read_upgrade,
)

# The example of RFC 6455 section 1.3.
KEY, ACCEPT = b"dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

VERSION_HEADER = (b"sec-websocket-version", b"13")

HEADERS = {
    b"host": b"a",
    b"connection": b"Upgrade",
    b"upgrade": b"websocket",
    b"sec-websocket-version": b"13",
    b"sec-websocket-key": KEY,
}


def headers(*more: tuple[bytes, bytes], without: bytes = b"") -> list[tuple[bytes, bytes]]:
    """The headers of a valid handshake, without one of them, and with *more*."""
    kept = HEADERS.keys() - {without}
    return [(name, value) for name, value in HEADERS.items() if name in kept] + list(more)


def instead(name: bytes, *values: bytes) -> list[tuple[bytes, bytes]]:
    return headers(*((name, value) for value in values), without=name)


def read(request: list[tuple[bytes, bytes]]) -> Upgrade:
    return read_upgrade(b"GET", b"1.1", request)


def refused(request: list[tuple[bytes, bytes]]) -> BadUpgrade:
    with pytest.raises(BadUpgrade) as caught:
        read(request)
    return caught.value


# Whether it is a handshake


@pytest.mark.parametrize(
    ("connection", "upgrade"),
    [
        ([b"Upgrade"], [b"websocket"]),
        ([b"upgrade"], [b"WebSocket"]),
        ([b"keep-alive, Upgrade"], [b"websocket"]),
        ([b"keep-alive", b"Upgrade"], [b"websocket"]),
        ([b" UPGRADE ,x"], [b"h2c , websocket"]),
    ],
)
def test_a_handshake_is_known_by_its_lists_in_any_case(connection, upgrade):
    request = [(b"connection", value) for value in connection]
    request += [(b"upgrade", value) for value in upgrade]
    assert asks_for_websocket(request)


@pytest.mark.parametrize(
    "request_headers",
    [
        [],
        [(b"upgrade", b"websocket")],
        [(b"connection", b"Upgrade")],
        [(b"connection", b"keep-alive"), (b"upgrade", b"websocket")],
        [(b"connection", b"Upgrade"), (b"upgrade", b"h2c")],
        [(b"connection", b"Upgrades"), (b"upgrade", b"websockets")],
    ],
)
def test_other_requests_are_no_handshakes(request_headers):
    assert not asks_for_websocket(request_headers)


# What it asks for


def test_the_clients_key_is_answered_as_the_rfc_shows():
    assert read(headers()).accept == ACCEPT


def test_blanks_around_a_value_are_not_part_of_it():
    request = instead(b"sec-websocket-key", b"  " + KEY + b"\t")
    assert read(request).accept == ACCEPT


def test_who_offers_no_subprotocol_has_none():
    assert read(headers()).subprotocols == []


def test_subprotocols_keep_their_order_and_case_over_several_headers():
    offers = [(b"sec-websocket-protocol", value) for value in (b"wamp, Chat", b"a.b", b"chat")]
    assert read(headers(*offers)).subprotocols == ["wamp", "Chat", "a.b", "chat"]


def test_connection_may_name_more_over_several_headers():
    assert read(instead(b"connection", b"keep-alive", b"x-y, Upgrade")).accept == ACCEPT


@pytest.mark.parametrize("header", [b"content-length", b"transfer-encoding"])
def test_a_body_is_refused(header):
    refusal = refused(headers((header, b"5" if header == b"content-length" else b"chunked")))
    assert (refusal.status, refusal.detail) == (400, "a WebSocket handshake has no body")


def test_a_body_of_no_bytes_is_none():
    assert read(headers((b"content-length", b" 0 "))).accept == ACCEPT


# What is refused


@pytest.mark.parametrize("method", [b"POST", b"HEAD", b"get", b"OPTIONS"])
def test_only_get_is_a_handshake_and_405_says_so(method):
    with pytest.raises(BadUpgrade) as caught:
        read_upgrade(method, b"1.1", headers())
    assert (caught.value.status, caught.value.headers) == (405, [(b"allow", b"GET")])


@pytest.mark.parametrize("http_version", [b"1.0", b"2", b"0.9"])
def test_other_versions_of_http_are_505(http_version):
    with pytest.raises(BadUpgrade) as caught:
        read_upgrade(b"GET", http_version, headers())
    assert caught.value.status == 505


@pytest.mark.parametrize("version", [b"8", b"12", b"14", b"013", b"13, 8", b"", b"13.0"])
def test_another_version_is_426_with_the_one_that_is_spoken(version):
    refusal = refused(instead(b"sec-websocket-version", version))
    assert (refusal.status, refusal.headers) == (426, [VERSION_HEADER])


def test_no_version_is_400_with_the_one_that_is_spoken():
    refusal = refused(headers(without=b"sec-websocket-version"))
    assert (refusal.status, refusal.headers) == (400, [VERSION_HEADER])
    assert refusal.detail == "no Sec-WebSocket-Version"


def test_the_same_version_twice_is_400():
    refusal = refused(headers(VERSION_HEADER))
    assert (refusal.status, refusal.detail) == (400, "several Sec-WebSocket-Version")


def test_no_key_is_400():
    refusal = refused(headers(without=b"sec-websocket-key"))
    assert (refusal.status, refusal.detail) == (400, "no Sec-WebSocket-Key")


def test_two_keys_are_400():
    refusal = refused(headers((b"sec-websocket-key", KEY)))
    assert (refusal.status, refusal.detail) == (400, "several Sec-WebSocket-Key")


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"AAAA",  # three bytes
        b"AAAAAAAAAAAAAAAAAAAAAAAA",  # eighteen
        b"dGhlIHNhbXBsZSBub25jZQ",  # no padding
        b"dGhlIHNhbXBsZSBub25jZQ==!",
        b"dGhl IHNhbXBsZSBub25jZQ==",
        b"\xe4GhlIHNhbXBsZSBub25jZQ==",
    ],
)
def test_a_key_that_is_not_16_bytes_in_base64_is_400(key):
    refusal = refused(instead(b"sec-websocket-key", key))
    assert (refusal.status, "16 bytes in base64" in refusal.detail) == (400, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"connection", b"Upgrade, @"),
        (b"connection", b'"Upgrade"'),
        (b"upgrade", b"websocket/"),
        (b"upgrade", b"web socket"),
        (b"sec-websocket-protocol", b"a b"),
        (b"sec-websocket-protocol", b"a;b"),
        (b"sec-websocket-protocol", b""),
        (b"sec-websocket-protocol", b"\xff"),
    ],
)
def test_a_malformed_list_is_400_and_named(name, value):
    refusal = refused(headers((name, value)))
    assert refusal.status == 400
    assert refusal.detail.lower() == f"malformed header {name.decode()}"


@pytest.mark.parametrize("values", [(b"websocket, h2c",), (b"websocket", b"websocket")])
def test_more_than_one_protocol_to_upgrade_to_is_400(values):
    refusal = refused(instead(b"upgrade", *values))
    assert (refusal.status, refusal.detail) == (400, "Upgrade asks for more than one protocol")


# Extensions

USUAL = Compression()


def negotiated(
    *offers: bytes, compression: Compression | None = USUAL
) -> tuple[list[PerMessageDeflate], str | None]:
    request = headers(*((b"sec-websocket-extensions", offer) for offer in offers))
    accepted, answer = read(request).negotiate(extension_factories(compression))
    assert all(isinstance(one, PerMessageDeflate) for one in accepted)
    return accepted, answer


def test_nothing_is_negotiated_unless_it_is_set():
    assert extension_factories(None) == []
    assert negotiated(b"permessage-deflate", compression=None) == ([], None)


def test_nothing_is_negotiated_unless_it_is_offered():
    assert negotiated() == ([], None)


def test_an_offer_is_met_with_the_window_of_the_setting():
    (extension,), answer = negotiated(
        b"permessage-deflate; client_max_window_bits", compression=Compression(window_bits=10)
    )
    assert (extension.local_max_window_bits, extension.remote_max_window_bits) == (10, 10)
    assert answer == "permessage-deflate; server_max_window_bits=10; client_max_window_bits=10"


def test_a_client_that_can_not_bound_its_window_gets_none_to_bound():
    (extension,), answer = negotiated(b"permessage-deflate")
    assert (extension.remote_max_window_bits, answer) == (
        15,
        "permessage-deflate; server_max_window_bits=12",
    )


def test_a_quoted_parameter_is_as_good_as_any():
    (extension,), _ = negotiated(b'permessage-deflate; server_max_window_bits="10"')
    assert extension.local_max_window_bits == 10


def test_messages_are_compressed_alone_if_that_is_set():
    (extension,), answer = negotiated(
        b"permessage-deflate", compression=Compression(context_takeover=False)
    )
    assert extension.local_no_context_takeover
    assert extension.remote_no_context_takeover
    assert answer is not None
    assert "server_no_context_takeover; client_no_context_takeover" in answer


def test_level_and_memory_are_those_of_the_setting():
    (factory,) = extension_factories(Compression(level=1, memory_level=9))
    assert factory.compress_settings == {"level": 1, "memLevel": 9}


@pytest.mark.parametrize(
    "offer",
    [
        b"permessage-deflate; server_max_window_bits=7",
        b"permessage-deflate; server_max_window_bits=8",  # zlib can't do this
        b"permessage-deflate; server_max_window_bits=16",
        b"permessage-deflate; server_max_window_bits",
        b"permessage-deflate; client_max_window_bits=a",
        b"permessage-deflate; server_no_context_takeover=1",
        b"permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        b"permessage-deflate; window=1",
        b"x-webkit-deflate-frame",
    ],
)
def test_an_offer_that_can_not_be_met_is_declined(offer):
    assert negotiated(offer) == ([], None)


def test_the_next_offer_is_taken_where_the_first_is_declined():
    extensions, answer = negotiated(
        b"x-other, permessage-deflate; server_max_window_bits=99", b"permessage-deflate"
    )
    assert (len(extensions), answer) == (1, "permessage-deflate; server_max_window_bits=12")


def test_of_several_offers_that_can_be_met_the_first_is_taken():
    extensions, answer = negotiated(
        b"permessage-deflate; server_max_window_bits=9, permessage-deflate"
    )
    assert (len(extensions), answer) == (1, "permessage-deflate; server_max_window_bits=9")


@pytest.mark.parametrize("offer", [b"", b";", b"permessage-deflate;;", b"a=b", b"p; a=\xff"])
def test_an_offer_that_can_not_be_read_is_declined(offer):
    assert negotiated(offer) == ([], None)


def test_one_handshake_negotiates_anew_each_time():
    request = headers((b"sec-websocket-extensions", b"permessage-deflate"))
    upgrade, factories = read(request), extension_factories(Compression())
    (first,), _ = upgrade.negotiate(factories)
    (second,), _ = upgrade.negotiate(factories)
    assert first is not second


# The response


def test_an_acceptance_names_what_was_chosen_and_then_all_other_headers():
    head = acceptance(ACCEPT, "chat", "permessage-deflate", [(b"x-a", b"1")], b"server: s\r\n")
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 101 Switching Protocols",
        b"upgrade: websocket",
        b"connection: Upgrade",
        b"sec-websocket-accept: " + ACCEPT.encode(),
        b"sec-websocket-protocol: chat",
        b"sec-websocket-extensions: permessage-deflate",
        b"x-a: 1",
        b"server: s",
        b"",
        b"",
    ]


def test_an_acceptance_names_nothing_that_was_not_chosen():
    head = acceptance(ACCEPT, None, None, [], b"")
    assert b"sec-websocket-protocol" not in head
    assert b"sec-websocket-extensions" not in head
