"""
What is said about the options and commands of other servers.

How the command line says it, and that none of those options is missing: tests/test_cli.py.
"""

from __future__ import annotations

import re

import pytest

from triows._cli import main
from triows._command.others import _MEANT, _PREFIXES, command_meant, option_meant

NAMES = [name for names in _MEANT for name in names.split()]
REMEDIES = [*_MEANT.values(), *_PREFIXES.values()]


@pytest.fixture
def ours(capsys):
    """The options of `triows run`, from its help."""
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    return set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", capsys.readouterr().out))


def meant(*arguments):
    """Say what is meant by arguments of which none is known."""
    return option_meant(arguments, arguments)


# Commands


@pytest.mark.parametrize("arguments", [["run", "a:b"], ["--version"], ["--bind=[::1]:80", "run"]])
def test_what_is_a_command_or_an_option_is_left_alone(arguments):
    assert command_meant(arguments) is None


def test_a_word_that_no_server_knows_is_left_to_the_parser():
    assert command_meant(["fly", "a:b"]) is None


@pytest.mark.parametrize("command", ["serve", "start", "dev", "runserver", "server"])
def test_the_command_of_another_server_is_run_with_the_same_arguments(command):
    assert command_meant([command, "a:b", "--reload"]) == "triows run a:b --reload"
    assert command_meant([command]) == "triows run MODULE:APP"


@pytest.mark.parametrize("target", ["chat:app", "chat.py"])
def test_an_application_in_the_place_of_a_command_is_run(target):
    assert command_meant([target, "--reload"]) == f"triows run {target} --reload"


# Addresses


def test_a_port_alone_is_an_option():
    assert meant("9000") == "write --port 9000"


@pytest.mark.parametrize("arguments", [["-p", "9000"], ["-p9000"], ["-p=9000"]])
def test_a_port_has_no_short_option(arguments):
    assert meant(*arguments) == "write --port 9000"


@pytest.mark.parametrize("arguments", [["-p", "triows.pid"], ["-p"]])
def test_a_file_is_no_port(arguments):
    assert meant(*arguments) == meant("--daemon")


# Other options


def test_only_the_first_argument_that_is_not_known_is_told():
    assert meant("-e", "-v") == "write --bind"
    assert meant("-v", "-e") == "write --log-level debug"


def test_the_value_belongs_to_the_option_with_or_without_a_space():
    assert meant("-e2") == meant("-e", "2") == "write --bind"
    assert meant("--uds=a.sock") == meant("--uds", "a.sock") == "write --bind unix:PATH"


def test_an_option_of_its_own_takes_precedence_over_its_beginning():
    assert meant("--ssl-keyfile") == "write --keyfile"
    assert "settings of Hypercorn" in meant("--ssl-whatever")


def test_an_option_that_is_misspelt_is_told_the_nearest():
    assert meant("--worker") == "did you mean --workers?"
    assert meant("--bnid=localhost:80") == "did you mean --bind?"


@pytest.mark.parametrize("option", ["--speed", "--ssl", "-x", "--", "-"])
def test_what_no_server_knows_is_told_nothing(option):
    assert meant(option) is None


# The tables


def test_each_option_is_in_the_table_once():
    assert len(NAMES) == len(set(NAMES))


def test_no_option_of_ours_is_in_the_table(ours):
    assert "--bind" in ours
    assert ours.isdisjoint(NAMES)


def test_each_option_is_found_by_its_name():
    assert [name for name in NAMES if meant(name) is None] == []


def test_an_option_to_write_instead_is_ours(ours):
    told = {option for remedy in REMEDIES for option in re.findall(r"--[\w-]+", remedy)}
    assert {"--bind", "--workers"} <= told <= ours
