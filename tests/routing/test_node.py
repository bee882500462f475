from __future__ import annotations

from typing import Any

import pytest

from triows._routing.kind import WEBSOCKET
from triows._routing.leaf import HANDSHAKE, Method
from triows._routing.node import Node, Registration
from triows._routing.options import DepsList, RouteOptions
from triows._routing.template import Template
from triows._settings import Limits
from triows.exceptions import RouteSetupError, TemplateError


async def handler() -> None: ...


def dep_1() -> None: ...
def dep_2() -> None: ...
def middleware_1(app: Any) -> Any: ...
def middleware_2(app: Any) -> Any: ...


def options(*factories: Any, **others: Any) -> RouteOptions:
    return RouteOptions.given(deps=DepsList(factories, of="", users=""), **others)


def node(path: str, *factories: Any, **others: Any) -> Node:
    return Node(Template.parse(path), options(*factories, **others))


def sub(above: Node, path: str) -> Node:
    return above.sub(Template.parse(path))


def register(at: Node, method: Method = HANDSHAKE, *, own: RouteOptions | None = None) -> None:
    register_all(at, method, own=own)


def register_all(at: Node, *methods: Method, own: RouteOptions | None = None) -> None:
    at.register(
        Registration(WEBSOCKET, method, handler, "here", None, own or RouteOptions())
        for method in methods
    )


def merge(top: Node, *others: Node, prefix: str = "") -> None:
    top.merge(others, Template.parse(prefix))


def test_a_node_knows_its_full_path_at_once() -> None:
    child = sub(sub(node("a/{b}"), "c"), "{d:int}")
    assert (child.own.path, child.template.path) == ("/{d:int}", "/a/{b}/c/{d:int}")


def test_a_path_that_can_not_come_after_another_is_refused_and_leaves_nothing() -> None:
    top = node("{a}")
    with pytest.raises(TemplateError, match="the key 'a' twice"):
        sub(top, "{a}")
    assert top.children == []


def test_handlers_of_several_methods_stand_at_one_node() -> None:
    top = node("a")
    for method in (HANDSHAKE, "GET", "PUT"):
        register(top, method)
    assert [one.method for one in top.registrations] == [HANDSHAKE, "GET", "PUT"]
    with pytest.raises(RouteSetupError, match="'/a' has a handler for PUT already, at here"):
        register(top, "PUT")
    with pytest.raises(RouteSetupError, match="'/a' has a handler already, at here"):
        register(top)


def test_a_handler_is_registered_for_all_its_methods_or_for_none() -> None:
    top = node("a")
    register(top, "PUT")
    with pytest.raises(RouteSetupError, match="'/a' has a handler for PUT already"):
        register_all(top, "GET", "PUT", "POST")
    assert [one.method for one in top.registrations] == ["PUT"]
    register_all(top, "GET", "POST")
    assert [one.method for one in top.registrations] == ["PUT", "GET", "POST"]


def test_settings_are_resolved_from_the_top_to_the_handler() -> None:
    top = node("a", dep_1, middlewares=[middleware_1], limits=Limits(inbox=1))
    register(sub(top, "b"), own=options(dep_2, limits=Limits(inbox=2)))
    (described,) = top.walk()
    assert described.options == RouteOptions(
        deps=((dep_1,), (dep_2,)), middlewares=(middleware_1,), limits=Limits(inbox=2)
    )


def test_a_copy_brings_the_settings_from_above_it_however_often_it_is_merged() -> None:
    guarded = node("a", dep_1)
    register(sub(guarded, "b"))
    first, second = node("x", middlewares=[middleware_1]), node("y", middlewares=[middleware_2])
    merge(first, sub(guarded, "b"))
    merge(second, first.children[0])
    (described,) = second.walk()
    assert described.template.path == "/y/x/a/b"
    assert described.options.deps == ((dep_1,),)
    assert described.options.middlewares == (middleware_2, middleware_1)


def test_a_merged_tree_brings_what_was_merged_into_it() -> None:
    guarded = node("a", dep_1)
    register(sub(guarded, "b"))
    middle, top = node("m"), node("t")
    merge(middle, sub(guarded, "b"))
    merge(top, middle)
    (described,) = top.walk()
    assert (described.template.path, described.options.deps) == ("/t/m/a/b", ((dep_1,),))


def test_only_what_was_given_here_or_below_are_its_own_factories() -> None:
    top = node("a", dep_1)
    child = sub(top, "b")
    register(child, own=options(dep_2))
    assert list(top.own_deps()) == [(dep_1,), (dep_2,)]
    assert list(child.own_deps()) == [(dep_2,)]
    other = node("")
    merge(other, child)
    assert list(other.own_deps()) == [(dep_2,)]


def test_a_middleware_that_is_added_to_a_copy_is_inside_those_that_it_brought() -> None:
    guarded = node("a", middlewares=[middleware_1])
    register(sub(guarded, "b"))
    top = node("")
    merge(top, sub(guarded, "b"))
    top.children[0].add_middleware(middleware_2)
    assert [one.options.middlewares for one in top.walk()] == [(middleware_1, middleware_2)]
    assert [one.options.middlewares for one in guarded.walk()] == [(middleware_1,)]


def test_a_copy_is_open_and_has_handlers_of_its_own() -> None:
    one = node("a")
    register(one)
    one.freeze()
    top = node("")
    merge(top, one)
    register(top.children[0], "GET")
    assert [other.method for other in one.registrations] == [HANDSHAKE]


@pytest.mark.parametrize(
    "change",
    [
        register,
        lambda one: sub(one, "new"),
        lambda one: merge(one, node("x")),
        lambda one: one.add_middleware(middleware_1),
    ],
)
def test_a_frozen_node_and_those_below_it_take_no_more(change: Any) -> None:
    top = node("a")
    child = sub(top, "b")
    top.freeze()
    for one in (top, child):
        with pytest.raises(RouteSetupError, match=f"can't be added to '{one.template}'"):
            change(one)
    assert (list(top.nodes()), list(top.walk())) == ([top, child], [])
    assert sub(top, "b") is child


def test_nothing_is_merged_if_one_of_several_can_not_be() -> None:
    top = node("t")
    with pytest.raises(RouteSetupError, match="'/b' does not begin with parent_prefix '/a'"):
        merge(top, node("a/x"), node("b"), prefix="a")
    assert top.children == []
