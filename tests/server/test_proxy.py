"""What is said about the proxies in front of a server."""

from __future__ import annotations

from typing import Any

import pytest
from hypercorn.config import Config

from triows import Proxy
from triows._server.proxy import Trusted, check_listeners, is_introduced


@pytest.mark.parametrize(
    ("entries", "host", "covered"),
    [
        (["127.0.0.1"], "127.0.0.1", True),
        (["127.0.0.1"], "::ffff:127.0.0.1", True),
        (["127.0.0.1"], "127.0.0.2", False),
        (["10.0.0.0/8", "192.168.1.0/24"], "10.200.3.4", True),
        (["10.0.0.0/8"], "11.0.0.1", False),
        (["10.0.0.0/8"], "::1", False),
        (["2001:db8::/32"], "2001:db8:5::1", True),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["0.0.0.0/0"], "1.2.3.4", True),
        (["unix"], "127.0.0.1", False),
        (["*"], "1.2.3.4", True),
        (["*"], "anything", True),
        (["127.0.0.1"], "anything", False),
    ],
)
def test_addresses_are_trusted_if_they_are_listed_or_in_a_network(entries, host, covered):
    assert Trusted.of(entries).covers((host, 1)) is covered


@pytest.mark.parametrize(
    ("entries", "covered"), [(["unix"], True), (["*"], True), (["127.0.0.1", "0.0.0.0/0"], False)]
)
def test_unix_sockets_are_trusted_if_that_is_said(entries, covered):
    assert Trusted.of(entries).covers(None) is covered


@pytest.mark.parametrize(
    ("entry", "remedy"),
    [
        ("localhost", "names aren't looked up, so write '127.0.0.1' and '::1'"),
        ("proxy.example.org", "write an address such as '10.0.0.1'"),
        ("10.0.0.1/8", "for the whole network, write '10.0.0.0/8'"),
        ("10.0.0.0/33", "write an address such as"),
        ("10.0.0.1:8000", "write '10.0.0.1'"),
        ("[::1]:8000", "without brackets and port"),
        ("unix:/run/app.sock", "write 'unix' for all Unix sockets"),
        ("/run/app.sock", "write 'unix' for all Unix sockets"),
        ("10.0.0.*", "write an address such as"),
        ("", "write an address such as"),
    ],
)
def test_what_is_no_address_is_refused_with_what_to_write(entry, remedy):
    with pytest.raises(ValueError, match=r"can.t be trusted|bits of a host") as caught:
        Proxy(trusted=["127.0.0.1", entry], headers="forwarded")
    assert remedy in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "error", "told"),
    [
        ({"trusted": []}, ValueError, "nobody would be believed"),
        ({"trusted": ["*", "10.0.0.1"]}, ValueError, "trusts everybody: leave the other"),
        ({"trusted": "10.0.0.1"}, TypeError, "write trusted=\\['10.0.0.1'\\]"),
        ({"trusted": [1]}, TypeError, "a list of addresses"),
        ({"headers": "x_forwarded"}, ValueError, "'x-forwarded' or 'forwarded'"),
        ({"headers": None}, ValueError, "reads nothing: write headers='x-forwarded'"),
        ({"headers": None, "protocol": []}, ValueError, "reads nothing"),
        ({"protocol": "127.0.0.1:8000"}, TypeError, "write protocol=\\['127.0.0.1:8000'\\]"),
        ({"protocol": 2}, TypeError, "a list of addresses"),
    ],
)
def test_other_mistakes_are_refused_with_what_to_write(settings: Any, error: Any, told: str):
    with pytest.raises(error, match=told):
        Proxy(**{"headers": "x-forwarded", **settings})


def test_only_programs_on_this_machine_are_trusted_by_default():
    assert Proxy(headers="forwarded").trusted == ("127.0.0.1", "::1")


# Listeners


def configured(**settings: Any) -> Config:
    config = Config()
    for name, value in settings.items():
        setattr(config, name, value)
    return config


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        (True, [True, True, True]),
        (["b:1"], [False, True, False]),
        (["c:1", "a:1"], [True, False, False]),
        (False, [False, False, False]),
    ],
)
def test_connections_begin_with_a_header_where_that_is_said(protocol, expected):
    proxy = Proxy(headers="forwarded", protocol=protocol)
    assert [is_introduced(proxy, one) for one in ("a:1", "b:1", None)] == expected


def test_without_proxies_no_connection_does():
    assert not is_introduced(None, "a:1")


def test_an_address_at_which_nobody_listens_is_refused():
    proxy = Proxy(protocol=["localhost:8000"])
    with pytest.raises(ValueError, match=r"'localhost:8000'.* which has '127.0.0.1:8000'"):
        check_listeners(proxy, configured(), None)
    check_listeners(proxy, configured(bind=["localhost:8000"]), None)


def test_sockets_have_no_addresses_to_name():
    with pytest.raises(ValueError, match="write protocol=True"):
        check_listeners(Proxy(protocol=["127.0.0.1:8000"]), configured(), [object()])
    check_listeners(Proxy(protocol=True), configured(), [object()])
