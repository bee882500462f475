"""The ASGI scopes of requests."""

from __future__ import annotations

from triows._protocol.heads import read_head
from triows._server.arrival import Addresses
from triows._server.scopes import ScopeSettings, http_scope, websocket_scope

HEAD = read_head(b"GET /a%2Fb/%C3%A9?q=1%202 HTTP/1.1\r\nHost: a\r\nX-Name: Value")
PLAIN = Addresses(("peer", 50_000), ("a", 80), secure=False)
SECURE = Addresses(("peer", 50_000), ("a", 443), secure=True)


def test_the_two_kinds_differ_only_in_what_asgi_says() -> None:
    settings = ScopeSettings("/root", has_raw_headers=False)
    plain, websocket = (make(HEAD, PLAIN, settings) for make in (http_scope, websocket_scope))
    differing = {key for key in plain | websocket if plain.get(key) != websocket.get(key)}
    assert differing == {"type", "asgi", "method", "scheme", "subprotocols", "extensions"}


def test_the_path_is_decoded_and_the_query_is_not() -> None:
    scope = http_scope(HEAD, PLAIN, ScopeSettings("", has_raw_headers=False))
    assert scope["path"] == "/a/b/\u00e9"
    assert scope["raw_path"] == b"/a%2Fb/%C3%A9"
    assert scope["query_string"] == b"q=1%202"


def test_under_tls_the_scheme_says_so() -> None:
    settings = ScopeSettings("", has_raw_headers=False)
    assert http_scope(HEAD, SECURE, settings)["scheme"] == "https"
    assert websocket_scope(HEAD, SECURE, settings)["scheme"] == "wss"


def test_names_of_headers_are_passed_on_as_they_were_sent_if_that_is_wanted() -> None:
    scope = http_scope(HEAD, PLAIN, ScopeSettings("", has_raw_headers=True))
    assert scope["headers"] == [(b"Host", b"a"), (b"X-Name", b"Value")]
