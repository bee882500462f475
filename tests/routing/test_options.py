from __future__ import annotations

from http import HTTPStatus
from typing import Any, Literal

import attrs
import pytest

from triows._requires import requires
from triows._routing.options import (
    DepsList,
    RouteOptions,
    compression_setting,
    listed,
    setting,
)
from triows._settings import Compression, Limits, Timeouts
from triows.exceptions import HTTPException, RouteSetupError


# Factories and others for tests that only compare them.
def dep_1() -> None: ...
def dep_2() -> None: ...
def middleware_1(app: Any) -> Any: ...
def middleware_2(app: Any) -> Any: ...
def plugin_1(endpoint: Any) -> Any: ...
def plugin_2(endpoint: Any) -> Any: ...


class NotFound(HTTPException): ...


class Gone(HTTPException): ...


def deps(*factories: Any) -> DepsList:
    return DepsList(factories, of=" of a test", users="no test", at="here")


#: For each setting: what is given further up, what is given here, and what applies.
SETTINGS: dict[str, tuple[Any, Any, Any]] = {
    "deps": (deps(dep_1), deps(dep_2), ((dep_1,), (dep_2,))),
    "middlewares": ([middleware_1], [middleware_2], (middleware_1, middleware_2)),
    "plugins": ([plugin_1], [plugin_2], (plugin_1, plugin_2)),
    "origins": (["https://a"], [], ()),
    "timeouts": (Timeouts(send=1), Timeouts(send=2), Timeouts(send=2)),
    "limits": (Limits(inbox=1), Limits(inbox=2), Limits(inbox=2)),
    "compression": (Compression(level=9), False, False),
    "status": (201, HTTPStatus.ACCEPTED, 202),
    "problems": ([NotFound], [Gone], (NotFound, Gone)),
    "etag": (True, False, False),
}


def test_every_setting_is_in_the_table_of_this_test() -> None:
    assert [one.name for one in attrs.fields(RouteOptions)] == list(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_further_up_counts_for_those_below(name: str) -> None:
    given_above, given_here, applies = SETTINGS[name]
    above = RouteOptions.given(**{name: given_above})
    here = RouteOptions.given(**{name: given_here})
    assert getattr(here.below(above), name) == applies
    assert here.below(above) == RouteOptions(**{name: applies})


@pytest.mark.parametrize("name", SETTINGS)
def test_nothing_above_or_nothing_here_changes_nothing(name: str) -> None:
    some = RouteOptions.given(**{name: SETTINGS[name][0]})
    assert some.below(RouteOptions()) == some
    assert RouteOptions().below(some) == some


@pytest.mark.parametrize("name", ["origins", "timeouts", "limits", "compression", "status", "etag"])
def test_none_is_no_setting(name: str) -> None:
    assert RouteOptions.given(**{name: None}) == RouteOptions()


@pytest.mark.parametrize("name", ["middlewares", "plugins", "origins", "problems"])
@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("https://a", r"takes a list: write {}=\['https://a'\]"),
        (dep_1, r"takes a list: write {}=\[dep_1\]"),
        (5, r"takes a list: write {}=\[5\]"),
        ({"a": 1}, "takes a list, not a dict"),
        ([requires("admin")], r"requires\(\.\.\.\) can't be used in {}="),
    ],
)
def test_what_is_not_a_list_is_refused(name: str, given: Any, problem: str) -> None:
    with pytest.raises(RouteSetupError, match=problem.format(name)):
        RouteOptions.given(**{name: given})


@pytest.mark.parametrize("name", ["middlewares", "plugins", "problems"])
def test_none_is_not_a_list(name: str) -> None:
    with pytest.raises(RouteSetupError, match=rf"write {name}=\[None\]"):
        RouteOptions.given(**{name: None})


@pytest.mark.parametrize(
    ("name", "given", "problem"),
    [
        ("timeouts", 5, r"timeouts takes Timeouts\(\.\.\.\), not 5"),
        ("timeouts", Timeouts, r"not the class Timeouts: call it, as in Timeouts\(\)"),
        ("limits", Timeouts(), r"limits takes Limits\(\.\.\.\), not Timeouts"),
        ("compression", True, r"compression takes Compression\(\.\.\.\), not True"),
        ("status", "201", "status takes the status of the response, .* not '201'"),
        ("status", True, "status takes .* not True"),
        ("status", Literal[201, 202], "status takes .* not typing.Literal"),
        ("status", Literal[304], "but not 304, not typing.Literal"),
        ("status", 101, "from 200 to 599 but not 304, not 101"),
        ("status", 304, "but not 304, not 304"),
        ("status", 600, "not 600"),
        ("etag", "abc", "etag takes True or False, not 'abc'"),
        ("etag", bool, r"not the class bool: call it"),
        ("problems", [ValueError], "takes subclasses of HTTPException, .* not ValueError"),
        ("problems", [404], "takes subclasses of HTTPException, .* not 404"),
        ("problems", [Gone(410)], r"takes classes, not Gone\(.*: write problems=\[Gone\]"),
    ],
)
def test_a_value_that_a_setting_does_not_take_is_refused(
    name: str, given: Any, problem: str
) -> None:
    with pytest.raises(RouteSetupError, match=problem):
        RouteOptions.given(**{name: given})


@pytest.mark.parametrize("given", [201, HTTPStatus.CREATED, Literal[201]])
def test_a_status_may_be_a_number_or_a_name(given: Any) -> None:
    status = RouteOptions.given(status=given).status
    assert (status, type(status)) == (201, int)


def test_a_list_is_copied() -> None:
    given = [middleware_1]
    options = RouteOptions.given(middlewares=given, plugins=iter([plugin_1]))
    given.append(middleware_2)
    assert options == RouteOptions(middlewares=(middleware_1,), plugins=(plugin_1,))
    assert listed("plugins", options.plugins) == (plugin_1,)


def test_an_empty_list_of_factories_is_no_level() -> None:
    assert RouteOptions.given(deps=deps()) == RouteOptions()
    (level,) = RouteOptions.given(deps=deps(dep_1)).deps
    assert (level, level.of, level.users, level.at) == ((dep_1,), " of a test", "no test", "here")


def test_routes_below_share_the_list_of_factories() -> None:
    one = deps(dep_1)
    below = RouteOptions.given(deps=deps(dep_2)).below(RouteOptions.given(deps=one))
    assert below.deps[0] is one


def test_what_is_not_a_list_of_factories_is_refused() -> None:
    with pytest.raises(RouteSetupError, match=r"deps takes a list: write deps=\[dep_1\]"):
        DepsList(dep_1, of="", users="")  # type: ignore[arg-type]


def test_checks_give_back_what_was_given() -> None:
    timeouts, compression = Timeouts(), Compression()
    assert setting("timeouts", timeouts, Timeouts) is timeouts
    assert setting("timeouts", None, Timeouts) is None
    assert compression_setting(compression) is compression
    assert (compression_setting(None), compression_setting(False)) == (None, False)
