from __future__ import annotations

import pytest

from triows._protocol.handshake import (
    check_origins,
    check_subprotocol,
    origin_allowed,
)

# Subprotocols


def test_a_subprotocol_that_was_offered_may_be_chosen():
    check_subprotocol("b", ["a", "b"])


@pytest.mark.parametrize(
    ("offered", "told"), [([], "none"), (["a"], "'a'"), (["a", "B"], "'a', 'B'")]
)
def test_a_subprotocol_that_was_not_offered_is_refused(offered, told):
    with pytest.raises(ValueError, match=rf"'b' was not offered.*\(it offered: {told}\)"):
        check_subprotocol("b", offered)


# Origins


@pytest.mark.parametrize(
    "origins",
    [
        [],
        ["*"],
        ["https://example.org"],
        ["http://localhost:3000", "https://example.org"],
        ["http://[::1]:8000"],
        ["app://local"],
    ],
)
def test_origins_are_scheme_and_host_or_any(origins):
    check_origins(origins)


@pytest.mark.parametrize("origins", ["*", "https://example.org", ""])
def test_a_str_is_no_list_of_origins(origins):
    with pytest.raises(TypeError, match="takes a list"):
        check_origins(origins)


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "example.org",
        "example.org:80",
        "https://",
        "https://example.org/",
        "https://example.org/path",
        "https://example.org?a",
        "https://example.org#a",
        "//example.org",
        "null",
        "https://user@example.org",
    ],
)
def test_an_origin_that_could_never_match_is_refused(origin):
    with pytest.raises(ValueError, match="isn't an origin"):
        check_origins(["https://fine.example", origin])


@pytest.mark.parametrize(
    ("origin", "remedy"),
    [
        ("example.org", "as in 'https://example.org'"),
        ("//example.org", "as in 'https://example.org'"),
        ("*.example.org", "as in 'https://*.example.org'"),
        ("https://example.org/", "no path, so write 'https://example.org'"),
        ("https://*.example.org/chat", "no path, so write 'https://*.example.org'"),
        ("https://example.org?x", "no path, so write 'https://example.org'"),
        ("wss://example.org", "so write 'https://example.org'"),
        ("ws://localhost:8000", "so write 'http://localhost:8000'"),
        ("https://bücher.example", "so write 'https://xn--bcher-kva.example'"),
        ("https://*.bücher.example", "so write 'https://*.xn--bcher-kva.example'"),
        ("https://ada@example.org", "no user, so write 'https://example.org'"),
        ("https://*", "at the beginning: 'https://*.example.org'"),
        ("https://*example.org", "at the beginning: 'https://*.example.org'"),
        ("https://example.*", "at the beginning"),
        ("https://a.*.example.org", "at the beginning"),
        ("https://*.*.example.org", "at the beginning"),
        ("https://example.org:*", "at the beginning"),
        ("*://example.org", "write scheme and host"),
        ("https://*.com", "every domain in 'com', so write at least '*.example.com'"),
        ("https://*.com.", "every domain in 'com'"),
        ("https://*.127.0.0.1", "an address has no subdomains"),
        ("https://*.[::1]", "an address has no subdomains"),
        ("https://example.org:0", "a port is from 1 to 65535"),
        ("https://example.org:65536", "a port is from 1 to 65535"),
        ("https://example.org:", "write scheme and host"),
        ("https://example.org:http", "write scheme and host"),
        ("https://.example.org", "write scheme and host"),
        ("https://*..example.org", "write scheme and host"),
        ("https://exa\nmple.org", "write scheme and host"),
        ("https://example.org\n", "write scheme and host"),
        ("https://exa mple.org", "write scheme and host"),
        ("https://[::1", "write scheme and host"),
        ("null", "write scheme and host"),
        ("", "as in 'https://example.org'"),
    ],
)
def test_an_entry_that_is_no_origin_is_told_what_to_write(origin, remedy):
    with pytest.raises(ValueError, match="isn't an origin") as caught:
        check_origins([origin])
    assert remedy in str(caught.value)


@pytest.mark.parametrize("origin", [None, b"https://example.org", 5])
def test_an_origin_is_a_str(origin):
    with pytest.raises(TypeError, match="an origin is a str"):
        check_origins([origin])


WILD = ["https://*.example.org", "http://*.LOCALHOST:8000", "https://*.xn--bcher-kva.example"]


@pytest.mark.parametrize(
    "origin",
    [
        "https://a.example.org",
        "https://a.b.c.example.org",
        "HTTPS://A.Example.ORG",
        "https://a.example.org:443",
        "https://a_b.example.org",
        "https://xn--bcher-kva.example.org",
        "http://tenant.localhost:8000",
        "https://shop.xn--bcher-kva.example",
    ],
)
def test_a_wildcard_lets_subdomains_of_any_depth_connect(origin):
    check_origins(WILD)
    assert origin_allowed(origin, "api.example.org", WILD)


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.org",
        "https://.example.org",
        "https://*.example.org",
        "https://evilexample.org",
        "https://a.example.org.evil.example",
        "https://a.example.org:8443",
        "https://a.example.org:80",
        "http://a.example.org",
        "http://a.example.org:443",
        "wss://a.example.org",
        "https://evil.example/.example.org",
        "https://evil.example#.example.org",
        "https://evil.example?.example.org",
        "https://evil.example\\.example.org",
        "https://evil.example%2f.example.org",
        "https://evil.example:443.example.org",
        "https://evil@a.example.org",
        "https://a..example.org",
        "https://a.example.org.",
        "https://a.example.org\0",
        "https://a\n.example.org",
        "https://a b.example.org",
        "https://bücher.example.org",
        "https://[::1].example.org",
        "https:///a.example.org",
        "https:a.example.org",
        "http://tenant.localhost",
        "http://localhost:8000",
        "null",
        "",
        ".example.org",
        "https://",
    ],
)
def test_a_wildcard_lets_nothing_else_connect(origin):
    assert not origin_allowed(origin, "api.example.org", WILD)


@pytest.mark.parametrize("allowed", [None, [], ["https://example.org"], ["*"]])
def test_what_is_no_browser_sends_no_origin_and_may_connect(allowed):
    assert origin_allowed(None, "example.org", allowed)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://example.org", "example.org"),
        ("https://example.org", "example.org"),  # behind a proxy that ends TLS
        ("http://example.org:80", "example.org"),
        ("http://example.org", "example.org:80"),
        ("https://example.org", "example.org:443"),
        ("http://example.org:8000", "example.org:8000"),
        ("HTTP://Example.ORG", "example.org"),
        ("http://example.org", "EXAMPLE.org"),
        ("http://[::1]:8000", "[::1]:8000"),
    ],
)
def test_a_page_of_the_same_host_may_connect(origin, host):
    assert origin_allowed(origin, host, None)


@pytest.mark.parametrize(
    "scheme", ["ftp", "file", "ws", "wss", "chrome-extension", "moz-extension", "null", "httpx", ""]
)
def test_an_origin_of_another_scheme_is_not_a_page_of_the_host(scheme):
    assert not origin_allowed(f"{scheme}://example.org", "example.org", None)
    assert origin_allowed(f"{scheme}://example.org", "example.org", ["*"])


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.example", "example.org"),
        ("http://example.org:8000", "example.org"),
        ("http://example.org", "example.org:8000"),
        ("http://example.org:8001", "example.org:8000"),
        ("https://example.org", "example.org:80"),
        ("http://example.org.evil.example", "example.org"),
        ("http://evil.example/example.org", "example.org"),
        ("http://sub.example.org", "example.org"),
        ("http://example.org@evil.example", "example.org"),
        ("null", "example.org"),
        ("null", "null"),
        ("", "example.org"),
        ("", ""),
        ("http://", ""),
        ("example.org", "example.org"),
        ("http://example.org", None),
    ],
)
def test_a_page_of_another_host_may_not(origin, host):
    assert not origin_allowed(origin, host, None)


@pytest.mark.parametrize(
    "origin", ["https://example.org", "https://example.org:443", "HTTPS://EXAMPLE.ORG"]
)
def test_an_origin_that_is_listed_may_connect(origin):
    assert origin_allowed(origin, "api.example.org", ["https://example.org"])
    assert origin_allowed(origin, None, ["http://a.example", "https://example.org:443"])


@pytest.mark.parametrize(
    "origin",
    [
        "http://example.org",
        "https://example.org:80",
        "https://example.org:8443",
        "https://example.org.evil.example",
        "https://sub.example.org",
        "https://api.example.org",
        "null",
        "",
    ],
)
def test_with_a_list_only_what_is_listed_may_connect(origin):
    assert not origin_allowed(origin, "api.example.org", ["https://example.org"])


@pytest.mark.parametrize("origin", ["https://evil.example", "null", ""])
def test_a_star_lets_every_origin_connect(origin):
    assert origin_allowed(origin, "example.org", ["*"])


def test_an_empty_list_lets_no_page_connect():
    assert not origin_allowed("http://example.org", "example.org", [])
