from __future__ import annotations

import argparse

import pytest

from triows._command.choosing import UnusableCommand, choose
from triows._command.options import OPTIONS, add_options


@pytest.fixture
def chosen(tmp_path, monkeypatch):
    """Choose by arguments, and by the text of a file if there is one."""
    monkeypatch.chdir(tmp_path)

    def choose_by(*arguments, file=None, passed=()):
        parser = argparse.ArgumentParser()
        add_options(parser)
        if file is not None:
            (tmp_path / "a.toml").write_text(file)
            arguments = ("--config", "a.toml", *arguments)
        return choose(parser.parse_args(arguments), passed)

    return choose_by


def test_without_arguments_each_option_has_its_default(chosen):
    values = chosen()
    assert {option.key: values[option.key] for option in OPTIONS} == {
        option.key: option.default for option in OPTIONS
    }
    assert values.settings == {"bind": ("127.0.0.1:8000",)}


def test_the_file_takes_precedence_over_the_default_and_the_command_line_over_the_file(chosen):
    file = "workers = 2\nreload = true\nbind = ['a:1', 'b:2']\nbacklog = 7"
    assert chosen(file=file)["workers"] == 2
    values = chosen("--workers", "3", "--no-reload", "--bind", "c:3", file=file)
    assert (values["workers"], values["reload"], values["bind"]) == (3, False, ["c:3"])
    assert values.settings == {"bind": ["c:3"], "backlog": 7}


def test_sockets_that_a_manager_passes_are_the_default_where_to_listen(chosen):
    passed = ["fd://3", "fd://4"]
    assert chosen(passed=passed)["bind"] == ("fd://3", "fd://4")
    assert chosen("--bind", "a:1", passed=passed)["bind"] == ["a:1"]
    assert chosen(file="bind = ['a:1']", passed=passed)["bind"] == ["a:1"]


def test_the_environment_has_no_say(chosen, monkeypatch):
    for name in ("PORT", "WEB_CONCURRENCY", "UVICORN_PORT", "TRIOWS_PORT"):
        monkeypatch.setenv(name, "7")
    assert chosen().settings == chosen().settings == {"bind": ("127.0.0.1:8000",)}
    assert chosen()["workers"] == 1


def test_a_message_names_the_option_or_the_file_and_its_key(chosen):
    values = chosen("--certfile", "c.pem", file="certfile = 'b.pem'\nkeyfile = 'k.pem'")
    assert values.name_of("certfile") == "--certfile"
    assert values.name_of("keyfile") == "a.toml: keyfile"
    assert values.name_of("keep_alive_timeout") == "--keep-alive"


# Host and port


@pytest.mark.parametrize(
    ("arguments", "address"),
    [
        (["--host", "0.0.0.0", "--port", "80"], "0.0.0.0:80"),
        (["--port=80"], "127.0.0.1:80"),
        (["--host", "::1"], "[::1]:8000"),
        (["--host", "[::1]"], "[::1]:8000"),
        (["--host", "localhost", "--port", "0"], "localhost:0"),
    ],
)
def test_host_and_port_are_an_address(chosen, arguments, address):
    assert chosen(*arguments)["bind"] == [address]
    assert chosen(*arguments, file="bind = 'a:1'")["bind"] == [address]


@pytest.mark.parametrize("host", ["", "*", "localhost:80", "http://localhost", "unix", "a b"])
def test_what_is_no_host_is_told(chosen, host):
    with pytest.raises(UnusableCommand, match=r"--host: .* isn't a host: write a name or an addr"):
        chosen("--host", host)


@pytest.mark.parametrize(("option", "value"), [("--host", "::1"), ("--port", "80")])
def test_a_part_of_an_address_contradicts_a_whole_one(chosen, option, value):
    with pytest.raises(UnusableCommand, match=f"--bind has both host and port: leave {option} out"):
        chosen("--bind", "localhost:80", option, value)


# The access log


@pytest.mark.parametrize(
    ("arguments", "file", "target"),
    [
        ([], "", None),
        (["--access-log"], "", "-"),
        (["--access-logfile", "-"], "", "-"),
        (["--access-logfile", "a.log"], "accesslog = '-'", "a.log"),
        (["--access-log", "--access-logfile", "a.log"], "", "a.log"),
        ([], "accesslog = '/b.log'", "/b.log"),
        (["--access-log"], "accesslog = '/b.log'", "/b.log"),
        (["--no-access-log"], "accesslog = '/b.log'", None),
        (["--no-access-log"], "", None),
    ],
)
def test_the_access_log_goes_where_it_is_asked_for(chosen, arguments, file, target):
    values = chosen(*arguments, file=file)
    assert values["accesslog"] == target
    assert values.settings.get("accesslog") == target


def test_an_access_log_that_is_switched_off_needs_no_file(chosen):
    with pytest.raises(UnusableCommand, match="--no-access-log and --access-logfile contradict"):
        chosen("--no-access-log", "--access-logfile", "a.log")


# What can't be used


def test_a_file_that_can_not_be_used_is_told(chosen):
    with pytest.raises(UnusableCommand, match=r"^--config: a.toml: there is no 'bnid'"):
        chosen(file="bnid = 1")
    with pytest.raises(UnusableCommand, match=r"^--config: 'nowhere' can't be read"):
        chosen("--config", "nowhere")


def test_the_level_of_the_log_does_not_silence_the_access_log(chosen):
    assert "loglevel" not in chosen("--log-level", "error", "--access-log").settings


def test_a_value_is_said_on_the_command_line_or_in_the_file(chosen):
    values = chosen("--no-reload", file="workers = 1")
    said = [name for name in ("reload", "workers", "bind") if values.is_said(name)]
    assert said == ["reload", "workers"]
