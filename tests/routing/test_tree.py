from __future__ import annotations

import itertools
import uuid
from typing import Any

import pytest
from hypothesis import given, strategies as st
from starlette.convertors import CONVERTOR_TYPES, Convertor, register_url_convertor
from starlette.routing import compile_path

from triows._routing.leaf import HANDSHAKE, Match, Mismatch, Target
from triows._routing.template import Template
from triows._routing.tree import RouteTree, _steps
from triows.exceptions import RouteConflictError


def tree_of(*templates: str, mounts: tuple[str, ...] = ()) -> RouteTree[str]:
    """Make a tree in which every template leads to its own text."""
    tree: RouteTree[str] = RouteTree()
    for text in templates:
        tree.add(Template.parse(text), text)
    for text in mounts:
        tree.mount(Template.parse(text), f"{text}...")
    return tree


def split(path: str) -> tuple[str, ...]:
    return tuple(path[1:].split("/")) if path != "/" else ()


def find(tree: RouteTree[str], path: str) -> str | None:
    match = tree.match(split(path))
    return None if match is None else match.value


class Even(Convertor[int]):
    """Matches numbers. `convert` refuses those that aren't even."""

    regex = "[0-9]*"

    def convert(self, value: str) -> int:
        if int(value) % 2:
            raise ValueError("odd")
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


@pytest.fixture
def even() -> Any:
    register_url_convertor("even", Even())
    yield
    del CONVERTOR_TYPES["even"]


@pytest.mark.parametrize(
    ("template", "path", "matches"),
    [
        ("/", "/", True),
        ("/", "/a", False),
        ("/", "//", False),
        ("/a", "/a", True),
        ("/a", "/a/", False),
        ("/a", "/A", False),
        ("/a", "/", False),
        ("/a/b", "/a", False),
        ("/a/b", "/a/b/c", False),
        ("/{x}", "/", False),
        ("/{x}", "//", False),
        ("/a/{x}/b", "/a//b", False),
        ("/a/{x}", "/a/", False),
        ("/a/{x}", "/a/..", True),
        ("/{p:path}", "/", True),
        ("/{p:path}", "/a/b/", True),
        ("/a/{p:path}", "/a", False),
        ("/a/{p:path}", "/a/", True),
        ("/a/{p:path}", "/a//b/", True),
        ("/a/{p:path}", "/b/", False),
    ],
)
def test_a_template_matches_the_whole_path(template: str, path: str, matches: bool) -> None:
    assert (find(tree_of(template), path) is not None) is matches


def test_a_match_has_the_texts_and_the_values() -> None:
    one = uuid.uuid4()
    template = "/{s}/{i:int}/{f:float}/{u:uuid}/v{n:int}.{x}/{p:path}"
    match = tree_of(template).match(("a/b", "007", "1.50", str(one), "v2.tar.gz", "c", "", "d"))
    assert match == Match(
        value=template,
        template=Template.parse(template),
        raw_params={
            "s": "a/b", "i": "007", "f": "1.50", "u": str(one), "n": "2", "x": "tar.gz",
            "p": "c//d",
        },
        params={"s": "a/b", "i": 7, "f": 1.5, "u": one, "n": 2, "x": "tar.gz", "p": "c//d"},
        remaining=(),
    )  # fmt: skip


def test_the_rest_of_a_path_may_be_empty() -> None:
    match = tree_of("/a/{p:path}").match(("a", ""))
    assert match is not None
    assert match.params == {"p": ""}


def test_an_encoded_slash_in_the_rest_of_a_path_is_a_slash() -> None:
    match = tree_of("/{p:path}").match(("a/b", "c"))
    assert match is not None
    assert match.params == {"p": "a/b/c"}


BY_PRECEDENCE = [
    "/7", "/{a:int}", "/{a:float}", "/{a:even}", "/{a}7", "/{a:int}{b}", "/{a}", "/{a:path}"
]  # fmt: skip


def test_the_more_specific_template_wins_whatever_the_order(even: None) -> None:
    expected = {
        "/7": "/7", "/12": "/{a:int}", "/1.5": "/{a:float}", "/x7": "/{a}7", "/1x": "/{a:int}{b}",
        "/x": "/{a}", "/": "/{a:path}", "/x/y": "/{a:path}",
    }  # fmt: skip
    for order in itertools.islice(itertools.permutations(BY_PRECEDENCE), 0, None, 997):
        tree = tree_of(*order, mounts=("/",))
        assert {path: find(tree, path) for path in expected} == expected


def test_a_mount_comes_after_all_routes() -> None:
    tree = tree_of("/{p:path}", mounts=("/a",))
    assert find(tree, "/a/b") == "/{p:path}"


def test_a_literal_segment_wins_over_a_parameter_further_left_first() -> None:
    tree = tree_of("/{x}/b", "/a/{y}", "/{x}/{y}")
    assert find(tree, "/a/b") == "/a/{y}"
    assert find(tree, "/c/b") == "/{x}/b"
    assert find(tree, "/c/d") == "/{x}/{y}"


def test_a_dead_end_deeper_leads_back_to_the_next_branch() -> None:
    tree = tree_of("/a/b/c", "/a/{x:int}/d", "/{x}/b/e", "/{x}/{y}/f", "/{p:path}")
    assert find(tree, "/a/b/c") == "/a/b/c"
    assert find(tree, "/a/b/e") == "/{x}/b/e"
    assert find(tree, "/a/1/d") == "/a/{x:int}/d"
    assert find(tree, "/a/1/f") == "/{x}/{y}/f"
    assert find(tree, "/a/b/g") == "/{p:path}"


def test_values_of_a_dead_end_are_forgotten() -> None:
    match = tree_of("/{a:int}/{b:int}/x", "/{c}/{d}/y").match(("1", "2", "y"))
    assert match is not None
    assert match.params == {"c": "1", "d": "2"}


def test_keys_of_one_shape_keep_their_own_names() -> None:
    tree = tree_of("/{a}/x", "/{b}/y")
    matches = [tree.match(("1", end)) for end in "xy"]
    assert [match and match.params for match in matches] == [{"a": "1"}, {"b": "1"}]


def test_a_value_that_its_converter_refuses_is_no_match() -> None:
    assert find(tree_of("/{a:int}"), "/" + "9" * 5000) is None


def test_a_value_that_its_converter_refuses_leads_to_the_next_branch(even: None) -> None:
    tree = tree_of("/{a:even}", "/{b}", mounts=("/{c:even}", "/"))
    assert find(tree, "/4") == "/{a:even}"
    assert find(tree, "/5") == "/{b}"
    assert find(tree, "/4/x") == "/{c:even}..."
    assert find(tree, "/5/x") == "/..."


def test_no_key_matches_an_empty_segment_even_if_its_expression_would(even: None) -> None:
    assert find(tree_of("/{a:even}"), "//") is None
    assert find(tree_of("/a/{a:even}/b"), "/a//b") is None


@pytest.mark.parametrize(
    ("one", "other"),
    [("/a", "a"), ("/{a}", "/{b}"), ("/{a}/x", "/{b:str}/x"), ("/", ""), ("/{p:path}", "{q:path}")],
)
def test_a_second_template_of_one_shape_is_refused_and_both_are_named(one: str, other: str) -> None:
    tree: RouteTree[int] = RouteTree()
    tree.add(Template.parse(one), 1, where="one.py:1 (one)")
    with pytest.raises(RouteConflictError) as caught:
        tree.add(Template.parse(other), 2, where="other.py:2 (other)")
    assert f"'{Template.parse(one)}'" in caught.value.message
    assert f"'{Template.parse(other)}'" in caught.value.message
    assert "one.py:1 (one)" in caught.value.message
    assert caught.value.where == "other.py:2 (other)"
    assert tree.match(split(Template.parse(one).path)) is not None


def test_a_template_whose_value_is_none_is_a_route_too() -> None:
    tree: RouteTree[None] = RouteTree()
    tree.add(Template.parse("/a"), None)
    assert tree.match(("a",)) is not None
    with pytest.raises(RouteConflictError):
        tree.add(Template.parse("/a"), None)


#: The methods of a path that has GET.
READS = ("GET", "HEAD", "OPTIONS")


def with_methods(*routes: tuple[str, str | None]) -> RouteTree[str]:
    """Make a tree in which each template with a method leads to the text of both."""
    tree: RouteTree[str] = RouteTree()
    for template, method in routes:
        tree.add(Template.parse(template), f"{method} {template}", method=method)
    return tree


def test_templates_of_one_shape_are_told_apart_by_their_methods() -> None:
    tree = with_methods(("/{a}", HANDSHAKE), ("/{b}", "GET"), ("/{c}", "PUT"))
    for method, key in ((HANDSHAKE, "a"), ("GET", "b"), ("PUT", "c")):
        match = tree.match(("x",), method)
        assert isinstance(match, Match)
        assert (match.value, match.params) == (f"{method} /{{{key}}}", {key: "x"})


def test_the_path_is_matched_first_and_the_method_second() -> None:
    tree = with_methods(("/me", "GET"), ("/{name}", "PUT"), ("/{name}", HANDSHAKE))
    tree.mount(Template.parse("/"), "mount")
    assert tree.match(("me",), "PUT") == Mismatch(Template.parse("/me"), False, READS)
    assert tree.match(("x",), "GET") == Mismatch(
        Template.parse("/{name}"), True, ("OPTIONS", "PUT")
    )
    assert isinstance(tree.match(("x", "y"), "GET"), Match)


def test_a_template_whose_converters_refuse_a_text_is_no_mismatch(even: None) -> None:
    tree = with_methods(("/{a:even}", "GET"), ("/{b}", "PUT"))
    assert tree.match(("4",), "PUT") == Mismatch(Template.parse("/{a:even}"), False, READS)
    assert isinstance(tree.match(("5",), "PUT"), Match)


def test_several_routes_are_added_or_none() -> None:
    tree = with_methods(("/a", "GET"))
    routes = [("/a", "PUT"), ("/b", "GET"), ("/b", HANDSHAKE), ("/a", "GET")]
    with pytest.raises(RouteConflictError):
        tree.add_all((method, Target(Template.parse(path), path, None)) for path, method in routes)
    assert tree.match(("a",), "PUT") == Mismatch(Template.parse("/a"), False, READS)
    assert tree.match(("b",), "GET") is None
    assert tree.match(("b",), HANDSHAKE) is None
    tree.add_all((method, Target(Template.parse(path), path, None)) for path, method in routes[:3])
    assert isinstance(tree.match(("a",), "PUT"), Match)


@pytest.mark.parametrize(
    ("path", "value", "remaining"),
    [
        ("/static", "/static...", ()),
        ("/static/", "/static...", ("",)),
        ("/static/a/b", "/static...", ("a", "b")),
        ("/static/deep", "/static/deep...", ()),
        ("/static/deep/a//", "/static/deep...", ("a", "", "")),
        ("/statics", "/...", ("statics",)),
        ("/", "/...", ()),
        ("/users/7/x", "/users/{id:int}...", ("x",)),
        ("/users/me/x", "/users/{name}...", ("x",)),
        ("/users//x", "/...", ("users", "", "x")),
    ],
)
def test_the_longest_mount_wins_and_the_rest_is_its_own(
    path: str, value: str, remaining: tuple[str, ...]
) -> None:
    mounts = ("/", "/static", "/static/deep", "/users/{name}", "/users/{id:int}")
    match = tree_of(mounts=mounts).match(split(path))
    assert match is not None
    assert (match.value, match.remaining) == (value, remaining)


def test_a_mount_has_its_parameters() -> None:
    match = tree_of(mounts=("/users/{id:int}",)).match(("users", "7", "x"))
    assert match is not None
    assert (match.params, match.raw_params) == ({"id": 7}, {"id": "7"})


def test_a_longer_mount_behind_a_parameter_wins_over_a_literal_one() -> None:
    assert find(tree_of(mounts=("/a", "/{x}/b")), "/a/b/c") == "/{x}/b..."


def test_a_route_may_stand_at_a_mount_point() -> None:
    tree = tree_of("/a", mounts=("/a",))
    assert find(tree, "/a") == "/a"
    assert find(tree, "/a/") == "/a..."


def test_a_second_mount_of_one_shape_is_refused() -> None:
    with pytest.raises(RouteConflictError, match=r"'/\{b\}' matches the same paths as '/\{a\}'"):
        tree_of(mounts=("/{a}", "/{b}"))


def test_nothing_can_be_mounted_below_the_rest_of_a_path() -> None:
    with pytest.raises(RouteConflictError, match="Mount at the part before it"):
        tree_of(mounts=("/a/{p:path}",))


def test_an_empty_tree_matches_nothing() -> None:
    assert find(tree_of(), "/") is None
    assert find(tree_of(), "/a") is None


def test_a_template_of_a_thousand_segments_can_be_matched() -> None:
    path = "/a" * 3000
    assert find(tree_of(path), path) == path


def test_a_long_path_costs_only_what_the_tree_is_deep() -> None:
    assert find(tree_of("/{a}/{b}", "/a/{b}"), "/a" * 200_000) is None


def test_a_path_of_dead_ends_visits_no_node_twice() -> None:
    # There are ten places with two choices each, and no combination matches.
    ways = itertools.product(("a", "{}"), repeat=10)
    tree = tree_of(
        *("/" + "/".join(way).replace("{}", "{{k{}}}").format(*range(10)) for way in ways)
    )
    seen = [id(node) for node, _, _ in _steps(tree._routes, ("a",) * 11)]
    assert len(seen) == len(set(seen)) == 2**11 - 1


# The tree against a list of expressions, sorted by precedence.

RANKS = ["", ":int}", ":float}", ":uuid}", "v{", "}", ":path}"]
UUID = "12345678-1234-1234-1234-123456789abc"
segments = st.sampled_from(["a", "b", "1", "{:int}", "{:float}", "{:uuid}", "v{:int}", "{}"])
requested = st.sampled_from(["a", "b", "1", "2", "1.5", "v1", "v", "", UUID])


@st.composite
def templates(draw: st.DrawFn) -> str:
    parts = draw(st.lists(segments, max_size=3))
    if draw(st.integers(0, 4)) == 0:
        parts.append("{:path}")
    return "/" + "/".join(part.replace("{", f"{{k{n}") for n, part in enumerate(parts))


def rank(segment: str) -> int:
    if "{" not in segment:
        return 0
    if segment.startswith("v"):
        return 4
    kind = segment.partition(":")[2].rstrip("}")
    return {"int": 1, "float": 2, "uuid": 3, "": 5, "path": 6}[kind]


def naive(routes: list[str], path: str) -> tuple[str, dict[str, Any]] | None:
    """Try all expressions. The most specific template is the first."""
    by_rank = sorted(routes, key=lambda text: [rank(part) for part in text[1:].split("/")])
    for text in by_rank:
        regex, _, convertors = compile_path(text)
        if (found := regex.match(path)) is not None:
            return text, {k: convertors[k].convert(v) for k, v in found.groupdict().items()}
    return None


@given(st.lists(templates(), max_size=12), st.lists(requested, max_size=4))
def test_the_tree_agrees_with_a_list_of_expressions(routes: list[str], parts: list[str]) -> None:
    path = "/" + "/".join(parts)
    tree: RouteTree[str] = RouteTree()
    kept = list({Template.parse(text).shape: text for text in routes}.values())
    for text in kept:
        tree.add(Template.parse(text), text)
    match = tree.match(split(path))
    assert (match and (match.value, match.params)) == naive(kept, path)


methods = st.sampled_from([HANDSHAKE, "GET", "PUT", "HEAD"])


@given(
    st.lists(st.tuples(templates(), methods), max_size=12),
    st.lists(requested, max_size=4),
    methods,
)
def test_the_tree_finds_the_path_first_and_then_the_method(
    routes: list[tuple[str, str | None]], parts: list[str], asked: str | None
) -> None:
    by_shape: dict[Any, dict[str | None, str]] = {}
    for text, method in routes:
        by_shape.setdefault(Template.parse(text).shape, {}).setdefault(method, text)
    tree = with_methods(*((text, m) for there in by_shape.values() for m, text in there.items()))
    path = "/" + "/".join(parts)
    found = naive([next(iter(there.values())) for there in by_shape.values()], path)
    match = tree.match(split(path), asked)
    if found is None:
        assert match is None
        return
    there = by_shape[Template.parse(found[0]).shape]
    served = "GET" if asked == "HEAD" and "HEAD" not in there else asked
    if served in there:
        assert isinstance(match, Match)
        assert match.value == f"{served} {there[served]}"
    else:
        assert isinstance(match, Mismatch)
        assert match.has_websocket == (HANDSHAKE in there)
        own = there.keys() - {HANDSHAKE}
        implied = {"OPTIONS"} if own else set()
        implied |= {"HEAD"} if "GET" in own else set()
        assert match.methods == tuple(sorted(own | implied))


@given(st.lists(templates(), max_size=8), st.lists(requested, max_size=4), st.randoms())
def test_the_order_of_registration_does_not_matter(
    routes: list[str], parts: list[str], random: Any
) -> None:
    kept = list({Template.parse(text).shape: text for text in routes}.values())
    shuffled = random.sample(kept, len(kept))
    path = "/" + "/".join(parts)
    assert find(tree_of(*kept), path) == find(tree_of(*shuffled), path)


@given(
    st.lists(templates().filter(lambda text: ":path" not in text), max_size=8),
    st.lists(requested, max_size=5),
)
def test_a_mount_is_the_longest_prefix_that_matches(prefixes: list[str], parts: list[str]) -> None:
    kept = list({Template.parse(text).shape: text for text in prefixes}.values())
    path = "/" + "/".join(parts)
    match = tree_of(mounts=tuple(kept)).match(split(path))
    depths = [
        depth
        for depth in range(len(split(path)), -1, -1)
        if naive([t for t in kept if len(split(t)) == depth], "/" + "/".join(split(path)[:depth]))
    ]
    if match is None:
        assert depths == []
    else:
        assert len(match.remaining) == len(split(path)) - max(depths)
        assert match.remaining == split(path)[max(depths) :]
