from __future__ import annotations

import errno
import logging
import os
import socket
import sys
from typing import TYPE_CHECKING

import pytest
import trustme
from hypercorn.config import Config

from triows import Proxy
from triows._server.lifeline import LAST, Inherited, InheritedSocket, Lifeline
from triows._server.listening import Heir, configuration, listening, listening_by
from triows.exceptions import AddressError

if TYPE_CHECKING:
    from pathlib import Path

real_socket = pytest.mark.real_socket


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> tuple[str, str]:
    """Files with a certificate and its key."""
    folder: Path = tmp_path_factory.mktemp("tls")
    made = trustme.CA().issue_cert("127.0.0.1")
    made.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    made.private_key_pem.write_to_path(folder / "key.pem")
    return str(folder / "cert.pem"), str(folder / "key.pem")


def configured(*bind: str, **settings: object) -> Config:
    config = Config()
    config.bind = list(bind)
    for name, value in settings.items():
        setattr(config, name, value)
    return config


def is_closed(sock: socket.socket) -> bool:
    return sock.fileno() < 0


# The configuration


def test_the_configuration_of_the_command_line_has_what_was_asked_for():
    config = configuration(bind=["127.0.0.1:1", "[::1]:2"], certfile="cert.pem", keyfile="key.pem")
    assert config.bind == ["127.0.0.1:1", "[::1]:2"]
    assert (config.certfile, config.keyfile, config.ssl_enabled) == ("cert.pem", "key.pem", True)


def test_without_a_certificate_there_is_no_tls():
    assert not configuration(bind=["127.0.0.1:1"]).ssl_enabled


def test_what_hypercorn_logs_goes_where_everything_goes_but_its_greeting():
    errorlog = configuration(bind=["127.0.0.1:1"]).errorlog
    assert errorlog is logging.getLogger("hypercorn")
    assert not errorlog.isEnabledFor(logging.INFO)
    assert errorlog.isEnabledFor(logging.WARNING)


# The sockets


@real_socket
def test_it_listens_at_each_address_and_says_where():
    with listening(configured("127.0.0.1:0", "127.0.0.1:0")) as listeners:
        ports = [one.socket.getsockname()[1] for one in listeners]
        assert len(set(ports)) == 2
        assert [one.url for one in listeners] == [f"http://127.0.0.1:{port}" for port in ports]
        assert not any(one.secure for one in listeners)


@real_socket
def test_an_address_of_ip_version_6_is_written_in_brackets():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with listening(configured("[::1]:0")) as (one,):
        assert one.url == f"http://[::1]:{one.socket.getsockname()[1]}"


@real_socket
def test_who_connects_before_anybody_accepts_waits_and_is_not_refused():
    with (
        listening(configured("127.0.0.1:0")) as (one,),
        socket.create_connection(one.socket.getsockname(), timeout=5) as client,
    ):
        one.socket.setblocking(True)
        accepted, address = one.socket.accept()
        assert address == client.getsockname()
        accepted.close()


@real_socket
def test_accepting_does_not_block():
    with listening(configured("127.0.0.1:0")) as (one,), pytest.raises(BlockingIOError):
        one.socket.accept()


@real_socket
def test_a_path_at_which_somebody_listens_is_in_use(tmp_path):
    address = f"unix:{tmp_path / 'app.sock'}"
    with listening(configured(address)) as (first,):
        refused = f"can't listen at {address}: the address is in use by another process"
        for addresses in [(address,), (address, "127.0.0.1:0")]:
            with (
                pytest.raises(AddressError, match=refused) as caught,
                listening(configured(*addresses)),
            ):
                pass
            assert caught.value.errno == errno.EADDRINUSE
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "app.sock"))
            first.socket.settimeout(5)
            for _ in range(3):  # two probes, and the client
                first.socket.accept()[0].close()
            assert client.recv(1) == b""  # the first listener has it


@real_socket
def test_a_path_whose_listener_is_too_busy_to_accept_is_in_use(tmp_path):
    path = str(tmp_path / "app.sock")
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(path)
        busy.listen(0)
        waiting.connect(path)
        with pytest.raises(AddressError, match="in use"), listening(configured(f"unix:{path}")):
            pass


@real_socket
def test_the_file_that_a_server_left_behind_is_replaced(tmp_path):
    path = str(tmp_path / "app.sock")
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(path)
    with listening(configured(f"unix:{path}")), socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


@real_socket
def test_an_address_that_is_given_twice_is_in_use(tmp_path):
    address = f"unix:{tmp_path / 'app.sock'}"
    with pytest.raises(AddressError, match="in use"), listening(configured(address, address)):
        pass


@real_socket
def test_the_sockets_are_closed_at_the_end_also_after_an_error():
    with listening(configured("127.0.0.1:0", "127.0.0.1:0")) as listeners:
        pass
    assert all(is_closed(one.socket) for one in listeners)
    with pytest.raises(ZeroDivisionError), listening(configured("127.0.0.1:0")) as (one,):
        raise ZeroDivisionError
    assert is_closed(one.socket)


@real_socket
@pytest.mark.skipif(sys.platform != "linux", reason="other systems can't end the listening")
def test_a_listener_that_ends_refuses_clients_although_another_process_has_the_socket():
    with listening(configured("127.0.0.1:0")) as (one,), one.socket.dup():
        address = one.socket.getsockname()
        one.end()
        one.end()  # nobody minds a second time
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=5)
    assert is_closed(one.socket)


@real_socket
def test_the_listener_of_somebody_else_goes_on_at_its_end():
    with socket.create_server(("127.0.0.1", 0)) as owned:
        with listening(configured(), [owned.dup()]) as (one,):
            one.end()
        assert is_closed(one.socket)
        socket.create_connection(owned.getsockname(), timeout=5).close()


@real_socket
def test_with_a_certificate_the_addresses_are_secure_but_those_that_shall_not_be(certificate):
    certfile, keyfile = certificate
    config = configured(
        "127.0.0.1:0", certfile=certfile, keyfile=keyfile, insecure_bind=["127.0.0.1:0"]
    )
    with listening(config) as (secure, insecure):
        assert (secure.secure, insecure.secure) == (True, False)
        assert secure.url.startswith("https://127.0.0.1:")
        assert insecure.url.startswith("http://127.0.0.1:")


# Sockets that are given


@real_socket
def test_sockets_that_are_given_take_the_place_of_the_addresses():
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    with listening(configured("192.0.2.1:1"), [sock]) as (one,):  # no machine has that address
        assert (one.socket, one.secure) == (sock, False)
        socket.create_connection(sock.getsockname(), timeout=5).close()
    assert is_closed(sock)


@real_socket
def test_listeners_expect_introductions_where_that_is_said(tmp_path):
    path = f"unix:{tmp_path / 'app.sock'}"
    config = configured("127.0.0.1:0", path)
    with listening(config, proxy=Proxy(protocol=[path], trusted=["unix"])) as listeners:
        assert [one.introduced for one in listeners] == [False, True]
    with listening(config, proxy=Proxy(headers="forwarded")) as listeners:
        assert [one.introduced for one in listeners] == [False, False]
    with listening(config, [socket.create_server(("127.0.0.1", 0))]) as (one,):
        assert not one.introduced
    given = [socket.create_server(("127.0.0.1", 0))]
    with listening(config, given, proxy=Proxy(protocol=True)) as (one,):
        assert one.introduced


@real_socket
@pytest.mark.parametrize(
    ("settings", "hinted"),
    [
        ({"headers": "x-forwarded"}, ["headers", "sockets"]),
        ({"protocol": True}, ["headers", "sockets"]),
        ({"protocol": ["127.0.0.1:0"]}, []),
        ({"headers": "forwarded", "trusted": ["10.0.0.1", "unix"]}, []),
        ({"headers": "forwarded", "trusted": ["*"]}, []),
        (None, []),
    ],
)
def test_who_does_not_trust_unix_sockets_is_told_once_for_each(tmp_path, caplog, settings, hinted):
    proxy = None if settings is None else Proxy(**settings)
    caplog.set_level(logging.INFO)
    path = tmp_path / "headers"
    with listening(configured("127.0.0.1:0", f"unix:{path}"), proxy=proxy):
        pass
    given = socket.socket(socket.AF_UNIX)
    given.bind(str(tmp_path / "sockets"))
    with listening(configured(), [given], proxy=proxy):
        pass
    assert caplog.messages == [
        f"no proxy that connects to http://unix:{tmp_path}/{name} is believed: if there is one, "
        "add 'unix' to those that you trust"
        for name in hinted
    ]


@real_socket
def test_a_socket_that_listens_already_goes_on():
    sock = socket.create_server(("127.0.0.1", 0))
    with (
        socket.create_connection(sock.getsockname(), timeout=5) as client,
        listening(configured(), [sock]) as (one,),
    ):
        accepted, address = one.socket.accept()
        assert address == client.getsockname()
        accepted.close()


@real_socket
def test_with_a_certificate_sockets_that_are_given_are_secure(certificate):
    certfile, keyfile = certificate
    sock = socket.create_server(("127.0.0.1", 0))
    config = configured(certfile=certfile, keyfile=keyfile)
    with listening(config, [sock]) as (one,):
        assert (one.secure, one.url) == (True, f"https://127.0.0.1:{sock.getsockname()[1]}")


@real_socket
def test_who_gets_the_newcomers_depends_on_whose_the_socket_is():
    with socket.create_server(("127.0.0.1", 0)) as supervisors:
        number = os.dup(supervisors.fileno())
        with listening(configured("127.0.0.1:0", f"fd://{number}")) as listeners:
            assert [one.heir() for one in listeners] == [Heir.NOBODY, Heir.NEXT]
        with listening(configured(), [supervisors]) as (given,):
            assert given.heir() is Heir.NEXT


@real_socket
def test_all_that_are_given_are_closed_if_one_of_them_can_not_listen():
    good, bad = socket.create_server(("127.0.0.1", 0)), socket.socket(type=socket.SOCK_DGRAM)
    bad.bind(("127.0.0.1", 0))
    with pytest.raises(OSError), listening(configured(), [good, bad]):  # noqa: PT011 - any
        pass
    assert is_closed(good)
    assert is_closed(bad)


# What goes wrong


def test_an_address_for_quic_is_refused():
    with (
        pytest.raises(ValueError, match=r"HTTP/1\.1 only: leave quic_bind out"),
        listening(configured("127.0.0.1:0", quic_bind=["127.0.0.1:0"])),
    ):
        pass


def test_an_address_that_needs_more_rights_says_so(monkeypatch):
    address = "127.0.0.1:80"
    told = "permission denied; ports below 1024 usually need a privileged user"

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Config, "_create_sockets", refuse)
    with (
        pytest.raises(OSError, match=f"can't listen at {address}: {told}") as caught,
        listening(configured(address)),
    ):
        pass
    assert caught.value.errno == 13


# Of a worker


@real_socket
def test_a_worker_listens_where_its_parent_does_whatever_its_own_configuration_says(certificate):
    certfile, keyfile = certificate
    config = configured("192.0.2.1:1", certfile=certfile, keyfile=keyfile)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
        given = [
            InheritedSocket(sockets[0], is_plain=False, is_borrowed=False, is_introduced=True),
            InheritedSocket(sockets[1], is_plain=True, is_borrowed=False, is_introduced=False),
            InheritedSocket(sockets[2], is_plain=False, is_borrowed=True, is_introduced=False),
        ]
        with listening_by(config, Inherited(Lifeline(theirs), given)) as listeners:
            assert [one.secure for one in listeners] == [True, False, True]
            assert [one.introduced for one in listeners] == [True, False, False]
            assert [one.heir() for one in listeners] == [Heir.OTHERS] * 3
            ours.send(bytes([LAST]))
            assert [one.heir() for one in listeners] == [Heir.NOBODY, Heir.NOBODY, Heir.NEXT]
        assert all(map(is_closed, sockets))
