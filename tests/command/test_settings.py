"""Hypercorn's settings in a configuration file."""

from __future__ import annotations

import inspect
import ssl
from pathlib import Path

import pytest
from hypercorn.config import Config

from triows._command.options import OPTIONS
from triows._command.settings import INEFFECTIVE, SETTINGS

ROOT = Path(__file__).parents[2]

FLAGS, MODE = SETTINGS["verify_flags"], SETTINGS["verify_mode"]


def test_each_setting_of_hypercorn_is_known_once():
    computed = {"log", "ssl_enabled"}
    routines = (name for name, value in vars(Config).items() if inspect.isroutine(value))
    theirs = {*vars(Config), *Config.__annotations__} - computed - set(routines)
    ours = [*SETTINGS, *INEFFECTIVE, *(option.key for option in OPTIONS)]
    assert len(ours) == len(set(ours))
    assert {name for name in theirs if not name.startswith("_")} <= set(ours)
    added = {"daemon"}  # by Hypercorn 0.18
    assert {*SETTINGS, *INEFFECTIVE} - theirs <= added


def test_what_enumerations_have_is_named_or_numbered():
    assert MODE.from_toml("CERT_REQUIRED", "") is ssl.CERT_REQUIRED
    assert MODE.from_toml("ssl.CERT_REQUIRED", "") is ssl.CERT_REQUIRED
    assert MODE.from_toml(2, "") is ssl.CERT_REQUIRED
    names = ["VERIFY_X509_STRICT", "VERIFY_CRL_CHECK_LEAF"]
    assert FLAGS.from_toml(names, "") == ssl.VERIFY_X509_STRICT | ssl.VERIFY_CRL_CHECK_LEAF


@pytest.mark.parametrize("value", ["CERT_MAYBE", 9, True, [], {}])
def test_another_member_is_told_which_there_are(value):
    with pytest.raises(ValueError, match="give one of CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED"):
        MODE.from_toml(value, "")


def test_a_file_for_logging_keeps_what_says_its_format():
    kind = SETTINGS["logconfig"]
    assert kind.from_toml("json:log.json", "/etc") == "json:/etc/log.json"
    assert kind.from_toml("log.ini", "/etc") == "/etc/log.ini"


def test_the_documentation_has_each_setting():
    text = (ROOT / "docs/reference/hypercorn-config.md").read_text()
    assert [name for name in SETTINGS if f"`{name}`" not in text] == []
