"""What the options say about proxies. How mistakes are said: tests/test_cli.py."""

from __future__ import annotations

import argparse

import pytest

from triows import Proxy
from triows._command.choosing import UnusableCommand, choose
from triows._command.options import add_options
from triows._command.proxies import proxy_of


def meant(*options: str, is_worker: bool = False) -> Proxy | None:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return proxy_of(choose(parser.parse_args(options)), is_worker=is_worker)


@pytest.mark.parametrize(
    ("options", "proxy"),
    [
        ([], None),
        (["--proxy-headers"], Proxy(headers="x-forwarded")),
        (["--forwarded-header"], Proxy(headers="forwarded")),
        (
            ["--proxy-headers", "--forwarded-allow-ips", "10.0.0.1, 10.1.0.0/16,unix"],
            Proxy(headers="x-forwarded", trusted=["10.0.0.1", "10.1.0.0/16", "unix"]),
        ),
        (
            ["--proxy-headers", "--forwarded-allow-ips=*"],
            Proxy(headers="x-forwarded", trusted=["*"]),
        ),
        (["--proxy-protocol", "all"], Proxy(protocol=True)),
        (
            ["--bind", "a:1", "--bind", "b:2", "--proxy-protocol", "b:2", "--forwarded-header"],
            Proxy(protocol=["b:2"], headers="forwarded"),
        ),
    ],
)
def test_options_say_who_the_proxies_are(options, proxy):
    assert meant(*options) == proxy


def test_a_mistake_is_an_error_with_what_to_write():
    with pytest.raises(UnusableCommand, match="add one of them"):
        meant("--forwarded-allow-ips", "10.0.0.1")


@pytest.mark.parametrize(
    ("text", "options", "address"),
    [
        ("bind = 'unix:x.sock'\nproxy_protocol = 'unix:x.sock'", [], "unix:{}/x.sock"),
        ("bind = 'unix:x.sock'", ["--proxy-protocol", "unix:./x.sock"], "unix:{}/x.sock"),
        ("proxy_protocol = 'unix:x.sock'", ["--bind", "unix:x.sock"], "unix:x.sock"),
        ("bind = 'unix:@x'\nproxy_protocol = 'unix:@x'", [], "unix:@x"),
    ],
)
def test_a_file_has_the_path_of_a_socket_relative_to_its_folder(
    tmp_path, monkeypatch, text, options, address
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.toml").write_text(text)
    proxy = meant("--config", str(tmp_path / "a.toml"), *options)
    assert proxy == Proxy(protocol=[address.format(tmp_path)])


def test_only_who_chooses_where_to_listen_knows_the_addresses():
    with pytest.raises(UnusableCommand, match="isn't one of the addresses of --bind"):
        meant("--proxy-protocol", "fd://3")
    assert meant("--proxy-protocol", "fd://3", is_worker=True) == Proxy(protocol=["fd://3"])


@pytest.mark.parametrize("name", ["proxy-headers", "forwarded-header"])
def test_headers_of_a_file_can_be_switched_off(tmp_path, name):
    file = tmp_path / "a.toml"
    file.write_text(f"{name.replace('-', '_')} = true\nforwarded_allow_ips = '10.0.0.1'\n")
    assert meant("--config", str(file)) is not None
    assert meant("--config", str(file), f"--no-{name}") is None


def test_a_file_may_say_it_and_is_named_in_a_message(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text("proxy_headers = true\nforwarded_allow_ips = '10.0.0.1'\n")
    assert meant("--config", str(file)) == Proxy(headers="x-forwarded", trusted=["10.0.0.1"])
    file.write_text("proxy_protocol = 'all'\nforwarded_allow_ips = 'localhost'\n")
    with pytest.raises(UnusableCommand, match=r"a\.toml: forwarded_allow_ips: 'localhost' can't"):
        meant("--config", str(file))
