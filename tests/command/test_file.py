from __future__ import annotations

import pytest

from triows._command.file import KEYS, UnusableFile, read_file
from triows._command.options import OPTIONS
from triows._command.settings import INEFFECTIVE, SETTINGS


@pytest.fixture
def written(tmp_path):
    """Write a configuration, and return its path."""

    def write(text, name="triows.toml"):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


def told(file):
    with pytest.raises(UnusableFile) as caught:
        read_file(file)
    (line,) = str(caught.value).splitlines()
    return line


def test_values_are_read_by_their_keys_with_paths_from_the_folder(written, tmp_path):
    text = """
        bind = ["localhost:80", "unix:app.sock"]
        keep_alive_timeout = 7
        server_names = "example.org"
        certfile = "cert.pem"
        workers = 2
        reload = false
        [logconfig_dict]
        version = 1
    """
    assert read_file(written(text)) == {
        "bind": ["localhost:80", f"unix:{tmp_path}/app.sock"],
        "keep_alive_timeout": 7,
        "server_names": ["example.org"],
        "certfile": f"{tmp_path}/cert.pem",
        "workers": 2,
        "reload": False,
        "logconfig_dict": {"version": 1},
    }


def test_an_empty_file_has_no_value(written):
    assert read_file(written("# nothing\n")) == {}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("bnid = 'localhost:80'", "there is no 'bnid': did you mean bind?"),
        (
            "Keep-Alive-Timeout = 1",
            "there is no 'Keep-Alive-Timeout': did you mean keep_alive_timeout?",
        ),
        ("log_levl = 'info'", "there is no 'log_levl': did you mean loglevel?"),
        ("keep_alive = 1", "there is no 'keep_alive': write keep_alive_timeout"),
        ("port = 80", "there is no 'port': write bind, as in `bind = \"127.0.0.1:8000\"`"),
        ("speed = 9", "there is no 'speed'"),
        ("[tool.hypercorn]", "there is no 'tool'"),
        ("config = 'a.toml'", "there is no 'config'"),
        ("worker_class = 'trio'", "worker_class has no effect: triows always runs on Trio"),
        ("backlog = '1'", "backlog: give a whole number, 1 to 65535, not text"),
        ("bind = 8000", "bind: give text in quotes, not a number"),
        ("bind = '8000'", "bind: '8000' isn't an address: write the host, too"),
    ],
)
def test_what_no_key_takes_is_told_with_what_to_write(written, text, line):
    file = written(text)
    assert told(file).startswith(f"{file}: {line}")


@pytest.mark.parametrize("key", INEFFECTIVE)
def test_what_has_no_effect_is_told_why(written, key):
    assert f"{key} has no effect: {INEFFECTIVE[key]}" in told(written(f"{key} = 1"))


def test_a_key_to_write_instead_is_one():
    written = {line.removeprefix("write ") for line in INEFFECTIVE.values() if "`" not in line}
    assert {"reload", "verify_mode"} == {one for one in written if " " not in one}
    assert {"reload", "verify_mode"} <= KEYS.keys()


def test_each_option_but_those_of_the_command_line_alone_has_a_key():
    in_file = {option.key for option in OPTIONS if option.is_in_file}
    assert set(KEYS) == in_file | set(SETTINGS)
    assert {option.name for option in OPTIONS if not option.is_in_file} == {
        *("--host", "--port", "--access-log", "--config")
    }


def test_a_file_that_can_not_be_read_is_told_why(written, tmp_path):
    assert told("nowhere.toml") == "'nowhere.toml' can't be read: there is no such file"
    assert told(str(tmp_path)).endswith("can't be read: it is a folder")
    (tmp_path / "latin.toml").write_bytes(b"a = '\xe9'")
    assert told(str(tmp_path / "latin.toml")).endswith("isn't text in UTF-8")


def test_an_empty_list_of_addresses_is_refused(written):
    assert told(written("bind = []")).endswith("bind: give one or several, and not an empty list")


def test_a_file_that_is_no_toml_names_the_place(written):
    assert "isn't TOML: Invalid value (at line 1, column 8)" in told(written("bind = localhost"))
    assert "A configuration is a TOML file here" in told(written("import os", "conf.py"))
