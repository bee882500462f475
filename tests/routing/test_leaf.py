from __future__ import annotations

from typing import Any

import pytest

from triows._routing.leaf import HANDSHAKE, Leaf, Match, Mismatch, Target
from triows._routing.template import Template
from triows.exceptions import RouteConflictError


def target(template: str, value: Any = None, where: str | None = None) -> Target[Any]:
    return Target(Template.parse(template), value, where)


def leaf(**targets: str) -> Leaf[Any]:
    """Make a leaf with a template for each method, which is its own value. `ws` is a WebSocket."""
    made: Leaf[Any] = Leaf()
    for method, template in targets.items():
        made = made.with_target(HANDSHAKE if method == "ws" else method, target(template, template))
    return made


def test_a_target_makes_the_match_of_a_path() -> None:
    one = target("/a/{x}/{n:int}", 1)
    assert one.match(("b", "007"), ("rest",)) == Match(
        value=1,
        template=Template.parse("/a/{x}/{n:int}"),
        raw_params={"x": "b", "n": "007"},
        params={"x": "b", "n": 7},
        remaining=("rest",),
    )


def test_a_target_whose_converter_refuses_the_text_matches_nothing() -> None:
    assert target("/{n:int}").match(("9" * 5000,)) is None


def test_a_leaf_has_a_websocket_and_methods_side_by_side() -> None:
    both = leaf(ws="/{a}", GET="/{b}", POST="/{c}")
    for method, key in ((HANDSHAKE, "a"), ("GET", "b"), ("POST", "c")):
        found = both.match(method, ("x",))
        assert isinstance(found, Match)
        assert (found.value, found.params) == (f"/{{{key}}}", {key: "x"})


@pytest.mark.parametrize(
    ("has", "asked", "websocket", "methods"),
    [
        ({"ws": "/a"}, "GET", True, ()),
        ({"ws": "/a"}, "OPTIONS", True, ()),
        (
            {"ws": "/a", "PUT": "/a", "GET": "/a"},
            "POST",
            True,
            ("GET", "HEAD", "OPTIONS", "PUT"),
        ),
        ({"GET": "/a"}, "POST", False, ("GET", "HEAD", "OPTIONS")),
        ({"GET": "/a"}, "OPTIONS", False, ("GET", "HEAD", "OPTIONS")),
        ({"PUT": "/a"}, "HEAD", False, ("OPTIONS", "PUT")),
        ({"HEAD": "/a"}, "GET", False, ("HEAD", "OPTIONS")),
        ({"GET": "/a"}, HANDSHAKE, False, ("GET", "HEAD", "OPTIONS")),
    ],
)
def test_a_mismatch_says_what_the_path_has(
    has: dict[str, str], asked: str | None, websocket: bool, methods: tuple[str, ...]
) -> None:
    assert leaf(**has).match(asked, ()) == Mismatch(Template.parse("/a"), websocket, methods)


def test_head_is_answered_as_get_unless_there_is_a_handler_for_it() -> None:
    without, with_head = leaf(GET="/{a}"), leaf(GET="/{a}", HEAD="/{b}")
    for one, params in ((without, {"a": "x"}), (with_head, {"b": "x"})):
        found = one.match("HEAD", ("x",))
        assert isinstance(found, Match)
        assert found.params == params
    assert isinstance(leaf(ws="/a", PUT="/a").match("HEAD", ()), Mismatch)


def test_options_may_have_a_handler() -> None:
    assert isinstance(leaf(OPTIONS="/a").match("OPTIONS", ()), Match)


@pytest.mark.parametrize("word", ["get", "websocket", "ws", "None", ""])
def test_no_word_of_a_client_is_taken_for_another_method_or_a_websocket(word: str) -> None:
    assert isinstance(leaf(ws="/a", GET="/a").match(word, ()), Mismatch)


@pytest.mark.parametrize("method", [HANDSHAKE, "GET", "POST"])
def test_a_leaf_whose_converters_refuse_the_text_is_not_of_that_path(method: str | None) -> None:
    assert leaf(ws="/{n:int}", GET="/{n:int}").match(method, ("9" * 5000,)) is None


def test_a_leaf_stays_as_it_is_when_another_is_made_of_it() -> None:
    one = leaf(GET="/a")
    one.with_target("POST", target("/a"))
    assert one.match("POST", ()) == Mismatch(
        Template.parse("/a"), False, ("GET", "HEAD", "OPTIONS")
    )


@pytest.mark.parametrize(("method", "named"), [(HANDSHAKE, ""), ("GET", "GET ")])
def test_a_second_target_of_one_method_is_refused_and_both_are_named(
    method: str | None, named: str
) -> None:
    one = Leaf[Any]().with_target(method, target("/{a}", where="one.py:1 (one)"))
    with pytest.raises(RouteConflictError) as caught:
        one.with_target(method, target("/{b}", where="two.py:2 (two)"))
    assert caught.value.message == (
        f"{named}'/{{b}}' matches the same paths as '/{{a}}', which was registered before at "
        "one.py:1 (one): change one of them, or remove it"
    )
    assert caught.value.where == "two.py:2 (two)"


def test_a_second_target_whose_value_is_none_is_refused_too() -> None:
    with pytest.raises(RouteConflictError):
        leaf(GET="/a").with_target("GET", target("/a", None))
