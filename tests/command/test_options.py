"""The table of options. What each option does: tests/test_cli.py."""

from __future__ import annotations

import argparse

import pytest
from hypercorn.config import Config

from triows._command.options import GROUPS, OPTIONS, add_options, chosen, settings_of


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    add_options(parser)
    return chosen(parser.parse_args(arguments))


def test_each_option_and_each_key_is_there_once():
    assert len({option.name for option in OPTIONS}) == len(OPTIONS)
    assert len({option.key for option in OPTIONS}) == len(OPTIONS)


def test_what_sets_a_setting_names_one_of_hypercorn():
    assert [
        one.setting for one in OPTIONS if one.setting and not hasattr(Config, one.setting)
    ] == []


def test_without_arguments_each_option_has_its_default():
    assert parsed() == {option.key: option.default for option in OPTIONS}


def test_the_command_line_takes_precedence_over_the_default():
    assert parsed("--bind", "a:1", "--bind", "b:2")["bind"] == ["a:1", "b:2"]
    assert parsed("--reload")["reload"] is True


def test_sockets_that_a_manager_passes_are_the_default_where_to_listen():
    parser = argparse.ArgumentParser()
    add_options(parser)
    passed = ["fd://3", "fd://4"]
    assert chosen(parser.parse_args([]), passed)["bind"] == passed
    assert chosen(parser.parse_args(["--bind", "a:1"]), passed)["bind"] == ["a:1"]


def test_the_last_word_about_a_flag_counts():
    assert parsed("--reload", "--no-reload")["reload"] is False


def test_only_what_is_a_setting_of_hypercorn_goes_to_it():
    assert settings_of(parsed("--certfile", "a.pem", "--reload")) == {
        "bind": ["127.0.0.1:8000"],
        "certfile": "a.pem",
    }


def test_the_help_has_each_group_and_each_option(capsys):
    with pytest.raises(SystemExit):
        parsed("--help")
    text = capsys.readouterr().out
    assert [title for title in GROUPS if f"\n{title}:\n" not in text] == []
    assert [option.name for option in OPTIONS if option.name not in text] == []
