"""How addresses are read. That they are listened at: tests/server/test_listening.py."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from triows._server.addresses import check_address


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1:0",
            "0.0.0.0:80",
            "localhost:8000",
            "localhost",
            "127.0.0.1",
            "a-b_c.example:1",
        ),
        *("[::1]:8000", "[::]:80", "[fe80::1%eth0]:8000"),
        *("unix:/run/a.sock", "unix:a.sock", "unix:///run/a b.sock", "fd://3"),
    ],
)
def test_an_address_that_can_be_read_is_taken(address):
    check_address(address)


PORT = "'127.0.0.1:{0}' for this machine alone, or '0.0.0.0:{0}' for all that can reach it"


@pytest.mark.parametrize(
    ("address", "told"),
    [
        # a port
        ("8000", f"write the host, too: {PORT.format(8000)}"),
        (":8000", f"write the host, too: {PORT.format(8000)}"),
        (" 8000", f"write the host, too: {PORT.format(8000)}"),
        # a host
        ("*:80", "write '0.0.0.0:80'"),
        ("*", "write '0.0.0.0'"),
        ("localhost:", "write 'localhost:8000'"),
        (" localhost:80", "write 'localhost:80'"),
        ("localhost 80", "write 'localhost:80'"),
        ("localhost:80/", "write 'localhost:80'"),
        ("localhost:80/chat", "write 'localhost:80'"),
        # IPv6
        ("::1", "write '[::1]:8000'"),
        ("::", "write '[::]:8000'"),
        ("fe80::1", "write '[fe80::1]:8000'"),
        ("::1:80", "write '[::1]:80'"),
        ("fe80::1:8000", "write '[fe80::1]:8000'"),
        ("fe80::1:80", "write '[fe80::1:80]:8000'"),
        (":::80", "write '[::]:80'"),
        ("[::1]", "write '[::1]:8000'"),
        ("[::1]:", "write '[::1]:8000'"),
        ("[::1]80", "write '[::1]:80'"),
        # a URL
        ("http://localhost:80", "write it without 'http://', as in 'localhost:80'"),
        ("https://localhost:80/chat", "write it without 'https://', as in 'localhost:80'"),
        ("http://localhost", "write it without 'http://', as in 'localhost'"),
        ("http://::1", "write it without 'http://', as in '[::1]:8000'"),
        ("http://[::1]/", "write it without 'http://', as in '[::1]:8000'"),
        ("tcp://0.0.0.0:80", "write it without 'tcp://', as in '0.0.0.0:80'"),
        # a path
        ("/run/app.sock", "write 'unix:/run/app.sock'"),
        ("./app.sock", "write 'unix:./app.sock'"),
        ("app.sock", "write 'unix:app.sock'"),
        ("UNIX:/run/app.sock", "write 'unix:/run/app.sock'"),
        ("unix /run/app.sock", "write 'unix:/run/app.sock'"),
        ("unix:", "write 'host:port'"),
        # a descriptor
        ("fd:3", "write 'fd://3'"),
        ("fd:///3", "write 'fd://3'"),
        ("FD://3", "write 'fd://3'"),
        ("fd://", "write 'host:port'"),
        # several
        ("localhost:80,localhost:81", "give each address by itself"),
        # neither
        ("", "write 'host:port'"),
        (":", "write 'host:port'"),
        ("localhost:99999", "with a port up to 65535"),
        ("99999", "with a port up to 65535"),
        ("localhost:-1", "write 'host:port'"),
        ("localhost:http", "write 'host:port'"),
        ("localhost:80:81", "write 'host:port'"),
        ("::1]:80", "write 'host:port'"),
        ("[::1:80", "write 'host:port'"),
        ("ada@localhost:80", "write 'host:port'"),
        ("unix:/run/\0app.sock", "write 'host:port'"),
        ("localhost:\u0661", "write 'host:port'"),  # a digit, but not one of ASCII
    ],
)
def test_another_spelling_is_told_the_address_that_was_meant(address, told):
    with pytest.raises(ValueError, match=f"{re.escape(told)}.*$") as caught:
        check_address(address)
    assert str(caught.value).startswith(f"{address!r} isn't an address: ")


PARTS = st.sampled_from(
    ["unix", "fd", "http", ":", "/", "[", "]", "::1", "::", "*", "80", "99999", "a", ".", " ", "%"]
)


@given(st.one_of(st.lists(PARTS, max_size=8).map("".join), st.text(max_size=20)))
def test_what_is_told_can_be_read(address):
    try:
        check_address(address)
    except ValueError as exc:
        remedy = str(exc).removeprefix(f"{address!r} isn't an address: ")
        for told in re.findall(r"'([^']+)'", remedy):
            if told != "host:port" and not told.endswith("://"):
                check_address(told)
