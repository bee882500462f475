"""The table of options. What each option does: tests/test_cli.py."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest
from hypercorn.config import Config

from triows._command.options import APPLICATION, GROUPS, OPTIONS, add_options

ROOT = Path(__file__).parents[2]


def parsed(*arguments):
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_options(parser)
    return parser.parse_args(arguments)


def test_each_option_and_each_key_is_there_once():
    names = [name for option in OPTIONS for name in (option.name, option.short) if name]
    assert len(set(names)) == len(names)
    assert len({option.key for option in OPTIONS}) == len(OPTIONS)


def test_what_sets_a_setting_names_one_of_hypercorn():
    settings = [option.setting for option in OPTIONS if option.setting is not None]
    assert "bind" in settings
    assert [setting for setting in settings if not hasattr(Config, setting)] == []


def test_without_arguments_no_option_has_a_value():
    assert set(vars(parsed()).values()) == {None}


def test_each_option_has_its_value_under_its_key():
    given = parsed("-b", "a:1", "--bind", "b:2", "--keep-alive", "2.5", "--reload")
    assert given.bind == ["a:1", "b:2"]
    assert given.keep_alive_timeout == 2.5
    assert given.reload is True


def test_the_last_word_about_a_switch_counts():
    assert parsed("--reload", "--no-reload").reload is False


def test_a_value_of_another_kind_names_the_option():
    with pytest.raises(argparse.ArgumentError, match="--port: give a whole number, 0 to 65535"):
        parsed("--port", "http")


@pytest.mark.parametrize("groups", [GROUPS, APPLICATION])
def test_the_help_has_each_group_and_each_option(groups, capsys):
    parser = argparse.ArgumentParser()
    add_options(parser, groups)
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    text = capsys.readouterr().out
    options = [option for group in groups.values() for option in group]
    assert [title for title in groups if f"\n{title}:\n" not in text] == []
    assert [option.name for option in options if option.name not in text] == []
    assert "--no-" not in text


def test_a_default_in_the_help_is_hypercorns():
    told = {
        option.setting: match[1]
        for option in OPTIONS
        if option.setting and (match := re.search(r"\(default: (\d+)\)", option.help))
    }
    assert {"backlog", "keep_alive_timeout", "h11_max_incomplete_size"} == set(told)
    assert all(float(text) == getattr(Config, name) for name, text in told.items())


def test_the_documentation_has_each_option():
    text = (ROOT / "docs/reference/command-line.md").read_text()
    table = text.partition("## `triows routes")[0]
    assert [option.name for option in OPTIONS if f"`{option.name}" not in table] == []
    own = [one.key for one in OPTIONS if one.is_in_file and one.setting is None]
    assert [key for key in own if f"`{key}`" not in table] == []
