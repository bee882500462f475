"""Listening sockets with a path: who may connect, and whose file it is."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import stat
import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
from hypercorn.config import Config

import triows
from tests.server.harness.process import PATIENCE, TRIOWS, ServerProcess
from triows import Route, Triows
from triows._server.listening import listening
from triows._server.newcomers import turn_away
from triows._server.unix import named, path_of
from triows.exceptions import AddressError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.real_socket


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "app.sock")


def configured(path: str, **settings: object) -> Config:
    config = Config()
    config.bind = [f"unix:{path}"]
    for name, value in settings.items():
        setattr(config, name, value)
    return config


def mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


# Who may connect


def test_everybody_may_connect_whatever_the_umask_of_the_process_is(path):
    before = os.umask(0o077)
    try:
        with listening(configured(path)):
            assert mode(path) == 0o666
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)


@pytest.mark.parametrize("umask", [0o000, 0o117, 0o177])
def test_a_umask_says_who_may_not(path, umask):
    with listening(configured(path, umask=umask)):
        assert mode(path) == 0o777 & ~umask


def test_nobody_can_connect_before_the_mode_is_set(path, monkeypatch):
    tried = []

    def chmod(at: str, mode: int) -> None:
        with socket.socket(socket.AF_UNIX) as early:
            tried.append(early.connect_ex(at))
        os_chmod(at, mode)

    os_chmod = os.chmod
    monkeypatch.setattr(os, "chmod", chmod)
    with listening(configured(path)):
        assert tried == [errno.ECONNREFUSED]


def test_a_user_and_a_group_own_the_file(path, monkeypatch):
    owners = []
    monkeypatch.setattr(os, "chown", lambda *owner: owners.append(owner))
    with listening(configured(path, user=33, group=44)):
        assert owners == [(path, 33, 44)]


def test_a_file_whose_mode_can_not_be_set_does_not_stay(path, monkeypatch):
    def chmod(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "chmod", chmod)
    with (
        pytest.raises(AddressError, match=f"permission denied to create {path!r}"),
        listening(configured(path)),
    ):
        pass
    assert not os.path.exists(path)


# Whose file it is


def test_the_file_goes_with_the_server(path):
    with listening(configured(path)) as (one,):
        assert os.path.exists(path)
        one.close()
        assert not os.path.exists(path)
        one.close()
    with listening(configured(path)):
        pass
    assert not os.path.exists(path)


def test_the_next_server_can_bind_the_path_while_the_last_one_still_accepts(path):
    with listening(configured(path)) as (old,), socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        turn_away(old.socket, old.file)
        assert not os.path.exists(path)
        with listening(configured(path)) as (new,):
            old.socket.settimeout(5)
            old.socket.accept()[0].close()
            old.close()
            with socket.socket(socket.AF_UNIX) as other:
                other.connect(path)
                new.socket.settimeout(5)
                new.socket.accept()[0].close()


def test_a_file_that_somebody_else_has_put_there_stays(path):
    with listening(configured(path)):
        os.unlink(path)
        with open(path, "w") as other:
            other.write("something else")
    assert os.path.exists(path)


def test_a_file_that_is_gone_is_nothing_to_complain_about(path):
    with listening(configured(path)):
        os.unlink(path)


def test_a_change_of_the_folder_does_not_hide_the_file(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with listening(configured("app.sock")):
        monkeypatch.chdir("/")
    assert not os.path.exists(path)


def test_a_socket_that_was_given_keeps_its_file(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    with listening(Config(), [sock]):
        pass
    assert os.path.exists(path)


def test_a_descriptor_keeps_its_file(path):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        config = Config()
        config.bind = [f"fd://{os.dup(sock.fileno())}"]
        with listening(config) as (one,):
            assert one.url == f"http://unix:{path}"
    assert os.path.exists(path)


@pytest.mark.parametrize("make", [os.mkdir, lambda path: open(path, "w").close()])
def test_what_is_not_a_socket_is_never_removed(path, make):
    make(path)
    with pytest.raises(AddressError, match="of that name"), listening(configured(path)):
        pass
    assert os.path.exists(path)


def test_a_path_that_is_too_long_says_how_long_it_may_be(tmp_path):
    fits = str(tmp_path) + "/" + "x" * (107 - len(str(tmp_path)) - 1)
    with listening(configured(fits)):
        pass
    with (
        pytest.raises(AddressError, match=r"it has 108 bytes, of at most 107"),
        listening(configured(fits + "x")),
    ):
        pass


# Names without a file

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has abstract names")


@linux
def test_an_abstract_name_has_no_file():
    name = f"@triows-{os.getpid()}"
    with listening(configured(name)) as (one,), socket.socket(socket.AF_UNIX) as client:
        assert (one.file, one.url) == (None, f"http://unix:{name}")
        client.connect("\0" + name[1:])
        with pytest.raises(AddressError, match="in use"), listening(configured(name)):
            pass
    with listening(configured(name)):
        pass


@pytest.mark.parametrize(
    ("told", "written"), [("/run/a.sock", "/run/a.sock"), (b"\0name", "@name"), ("", "")]
)
def test_a_name_is_written_as_in_an_address(told, written):
    assert named(told) == written


def test_only_some_addresses_have_a_path():
    assert path_of("unix:/run/a.sock") == "/run/a.sock"
    assert path_of("localhost:80") is None


# What applications and logs see


async def test_the_scope_has_the_path_and_the_log_says_unix(path, caplog):
    caplog.set_level(logging.INFO)
    seen = []
    route = Route("scope")

    @route.get
    async def tell(request: triows.Request) -> str:
        seen.append((request.scope["client"], request.scope["server"]))
        return "seen"

    async with trio.open_nursery() as nursery:
        config = configured(path, accesslog=logging.getLogger("access"))
        config.access_log_format = '%(h)s "%(R)s" %(s)s'
        await nursery.start(partial(triows.serve, Triows(route), config))
        with trio.fail_after(PATIENCE):
            async with await trio.open_unix_socket(path) as client:
                await client.send_all(b"GET /scope HTTP/1.1\r\nHost: a\r\n\r\nBAD\r\n\r\n")
                while await client.receive_some():
                    pass
        nursery.cancel_scope.cancel()
    assert seen == [(None, (path, None))]
    assert any(line.startswith("unix GET '/scope' answered 200") for line in caplog.messages)
    assert any(line.startswith("unix refused 400") for line in caplog.messages)
    assert 'unix "GET /scope 1.1" 200' in caplog.messages


# The command


@pytest.mark.parametrize("options", [(), ("--workers", "2")])
def test_the_command_makes_the_file_and_removes_it_when_all_is_over(path, options):
    bind = ("--bind", f"unix:{path}", "--umask", "117")
    with ServerProcess(TRIOWS, "ordinary:app", *bind, *options) as process:
        assert mode(path) == 0o660
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert not os.path.exists(path)
