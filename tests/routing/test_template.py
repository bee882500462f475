from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, strategies as st
from starlette.convertors import CONVERTOR_TYPES, Convertor, register_url_convertor
from starlette.routing import compile_path

from triows._routing.template import MAX_AMBIGUOUS, Key, Segment, Template
from triows.exceptions import RouteSetupError, TemplateError


def segment(text: str) -> Segment:
    (only,) = Template.parse(text).segments
    return only


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Register converters during a test."""
    monkeypatch.setattr("starlette.convertors.CONVERTOR_TYPES", CONVERTOR_TYPES)
    before = dict(CONVERTOR_TYPES)
    yield register_url_convertor
    CONVERTOR_TYPES.clear()
    CONVERTOR_TYPES.update(before)


class Slug(Convertor[str]):
    regex = "[a-z]+(-[a-z]+)*"

    def convert(self, value: str) -> str:
        return value.upper()

    def to_string(self, value: str) -> str:
        return value.lower()


@pytest.mark.parametrize(
    ("text", "path", "keys"),
    [
        ("", "/", ()),
        ("/", "/", ()),
        ("rooms", "/rooms", ()),
        ("/rooms", "/rooms", ()),
        ("web_socket/{session_id}", "/web_socket/{session_id}", ("session_id",)),
        ("/{a}/{b:int}/{c:path}", "/{a}/{b:int}/{c:path}", ("a", "b", "c")),
        ("/report-{year:int}.{fmt}", "/report-{year:int}.{fmt}", ("year", "fmt")),
        ("/{a:int}{b:uuid}", "/{a:int}{b:uuid}", ("a", "b")),
        ("/café au lait", "/café au lait", ()),
        ("/100%", "/100%", ()),
        ("/50% off", "/50% off", ()),
        ("/...", "/...", ()),
        ("/..{rest}", "/..{rest}", ("rest",)),
        ("/{raum_für_zwei}", "/{raum_für_zwei}", ("raum_für_zwei",)),
        ("/{class}", "/{class}", ("class",)),
    ],
)
def test_a_template_is_read(text: str, path: str, keys: tuple[str, ...]) -> None:
    template = Template.parse(text)
    assert (template.path, template.keys, str(template)) == (path, keys, path)
    assert Template.parse(template.path) == template


@pytest.mark.parametrize(
    ("text", "problem", "remedy"),
    [
        ("/rooms/", "ends with a slash", "leave the last slash out"),
        ("//", "ends with a slash", "leave the last slash out"),
        ("/a//b", "an empty segment", "one slash"),
        ("//a", "an empty segment", "one slash"),
        ("/{a", "a brace without its pair in '{a'", "{name}"),
        ("/a}", "a brace without its pair in 'a}'", "{name}"),
        ("/{{a}}", "a brace without its pair", "{name}"),
        ("/{a/b}", "a brace without its pair in '{a'", "within one segment"),
        ("/{a:colour}", "the unknown converter 'colour'", "float, int, path, str, uuid"),
        ("/{a:}", "the unknown converter ''", "write {a}"),
        ("/{a}/{a}", "the key 'a' twice", "a name of its own"),
        ("/{a}-{a}", "the key 'a' twice", "a name of its own"),
        ("/{}", "the key ''", "letters, digits and underscores"),
        ("/{:int}", "the key ''", "letters, digits and underscores"),
        ("/{room-id}", "the key 'room-id'", "{room_id}"),
        ("/{1st}", "the key '1st'", "letters, digits and underscores"),
        ("/{ a }", "the key ' a '", "as in {a}"),
        ("/caf%C3%A9", "the escape '%C3'", "write the decoded character"),
        ("/a%2Fb", "the escape '%2F'", "write the decoded character"),
        ("/a?b=c", "a '?' in 'a?b=c'", "parameters of the handler"),
        ("/a#b", "a '#' in 'a#b'", "clients don't send the fragment"),
        ("/a/../b", "the segment '..'", "write the path that you mean"),
        ("/./a", "the segment '.'", "write the path that you mean"),
        ("/{p:path}/a", "a {name:path} before its end", "the last segment"),
        ("/{p:path}/{q:path}", "a {name:path} before its end", "the last segment"),
        ("/a-{p:path}", "shares its segment", "a segment alone"),
        ("/{a}{p:path}", "shares its segment", "a segment alone"),
    ],
)
def test_what_can_not_be_read_is_refused_with_a_remedy(
    text: str, problem: str, remedy: str
) -> None:
    with pytest.raises(TemplateError) as caught:
        Template.parse(text)
    assert repr(text) in caught.value.message
    assert problem in caught.value.message
    assert remedy in caught.value.message


@pytest.mark.parametrize("text", [None, b"/rooms", 1, ["/rooms"]])
def test_a_template_that_is_no_str_is_refused(text: Any) -> None:
    with pytest.raises(TemplateError, match="is a str such as"):
        Template.parse(text)


def test_a_template_error_is_a_route_setup_error() -> None:
    assert issubclass(TemplateError, RouteSetupError)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("/{a}", "/{b}", True),
        ("/{a}", "/{a:str}", True),
        ("a", "/a", True),
        ("/x-{a:int}.{b}", "/x-{c:int}.{d}", True),
        ("/{a}", "/{a:int}", False),
        ("/{a}", "/a", False),
        ("/{a}.b", "/{a}.c", False),
        ("/{a}", "/{a:path}", False),
        ("/a/b", "/a", False),
        ("/a b", "/a/b", False),
    ],
)
def test_shapes_forget_the_names_of_keys(one: str, other: str, same: bool) -> None:
    assert (Template.parse(one).shape == Template.parse(other).shape) is same
    assert len({Template.parse(one).shape, Template.parse(other).shape}) == 2 - same


def test_templates_with_other_names_of_keys_are_not_equal() -> None:
    assert Template.parse("/{a}") == Template.parse("{a:str}")
    assert Template.parse("/{a}") != Template.parse("/{b}")


def test_a_registered_converter_can_be_used(registered: Any) -> None:
    registered("slug", Slug())
    template = Template.parse("/{title:slug}")
    assert template.segments[0].match("two-words") == ("two-words",)
    assert template.segments[0].match("Two") is None


def test_a_registered_converter_is_named_among_the_known(registered: Any) -> None:
    registered("slug", Slug())
    with pytest.raises(TemplateError, match="path, slug, str"):
        Template.parse("/{a:nope}")


def test_a_converter_that_is_registered_again_makes_another_shape(registered: Any) -> None:
    registered("slug", Slug())
    before = Template.parse("/{title:slug}")
    registered("slug", type("Other", (Slug,), {"regex": "[0-9a-f]+"})())
    assert before.shape != Template.parse("/{title:slug}").shape


def test_a_converter_with_an_invalid_expression_is_refused(registered: Any) -> None:
    registered("broken", type("Broken", (Slug,), {"regex": "(["})())
    with pytest.raises(TemplateError, match=r"'broken', whose regular expression '\(\['"):
        Template.parse("/{a:broken}")


@pytest.mark.parametrize(
    ("parent", "child", "joined"),
    [
        ("/", "/", "/"),
        ("/a", "", "/a"),
        ("", "a", "/a"),
        ("/a/{b}", "c-{d:int}", "/a/{b}/c-{d:int}"),
        ("/a", "/{p:path}", "/a/{p:path}"),
    ],
)
def test_a_template_is_put_below_another(parent: str, child: str, joined: str) -> None:
    template = Template.parse(parent).join(Template.parse(child))
    assert template == Template.parse(joined)
    assert template.path == joined


@pytest.mark.parametrize(
    ("parent", "child", "problem"),
    [
        ("/{a}", "/b/{a:int}", "the key 'a' twice"),
        ("/{a:path}", "/b", "a {name:path} before its end"),
    ],
)
def test_templates_that_do_not_go_together_are_refused(
    parent: str, child: str, problem: str
) -> None:
    with pytest.raises(TemplateError) as caught:
        Template.parse(parent).join(Template.parse(child))
    assert problem in caught.value.message


@pytest.mark.parametrize(
    ("path", "prefix", "left"),
    [
        ("/a/b", "/a", "/b"),
        ("/a/b", "/", "/a/b"),
        ("/a/b", "/a/b", "/"),
        ("/a/b", "/b", None),
        ("/ab", "/a", None),
        ("/{a}/b", "/{a}", "/b"),
        ("/{a}/b", "/{x}", None),
    ],
)
def test_a_prefix_is_taken_off(path: str, prefix: str, left: str | None) -> None:
    relative = Template.parse(path).relative_to(Template.parse(prefix))
    assert relative == (None if left is None else Template.parse(left))


@pytest.mark.parametrize(
    ("template", "text", "values"),
    [
        ("a", "a", ()),
        ("a", "A", None),
        ("{a}", "x", ("x",)),
        ("{a}", "x/y", ("x/y",)),
        ("{a}", "x\ny\0", ("x\ny\0",)),
        ("{a}", "", None),
        ("{a:int}", "12", ("12",)),
        ("{a:int}", "12\n", None),
        ("{a:int}", "-1", None),
        ("{a:int}", "\u0663", None),
        ("{a:float}", "1.5", ("1.5",)),
        ("{a:float}", "1.", None),
        ("v{a:int}", "v2", ("2",)),
        ("v{a:int}", "v", None),
        ("v{a:int}", "x2", None),
        ("{a}.json", "x.json", ("x",)),
        ("{a}.json", ".json", None),
        ("aba{x}ba", "ababa", None),
        ("report-{year:int}.{fmt}", "report-2024.tar.gz", ("2024", "tar.gz")),
        ("report-{year:int}.{fmt}", "report-x.pdf", None),
        ("{a}.{b}", "x.y.z", ("x.y", "z")),
        ("{a}.{b}", ".x", None),
        ("{a}{b}", "xyz", ("xy", "z")),
        ("{a}{b:int}", "x123", ("x12", "3")),
        ("{a:int}{b}", "12x", ("12", "x")),
        ("{lat:float},{lon:float}", "1.5,2", ("1.5", "2")),
        ("{a}--{b}", "x---y", ("x-", "y")),
        ("{a}.{b}", "x/y.z\n", ("x/y", "z\n")),
    ],
)
def test_the_keys_of_a_segment_are_found(
    template: str, text: str, values: tuple[str, ...] | None
) -> None:
    assert segment(template).match(text) == values


def test_a_group_or_a_flag_in_a_converters_expression_does_no_harm(registered: Any) -> None:
    registered("pair", type("Pair", (Slug,), {"regex": r"(?i:(?P<a>[a-z])(?P=a))"})())
    assert segment("{a:pair}-{b:pair}").match("xX-yy") == ("xX", "yy")
    assert segment("{a:pair}-{b:pair}").match("xz-yy") is None


parts = st.sampled_from(["{}", "{}", "{:int}", "{:float}", "{:str}", "-", ".", "a", "1"])


@given(
    st.lists(parts, min_size=1, max_size=6),
    st.text("a1-.", max_size=12),
)
def test_a_segment_matches_as_starlettes_expression_does(pieces: list[str], text: str) -> None:
    named = "/" + "".join(p.replace("{", f"{{k{n}") for n, p in enumerate(pieces))
    if named in ("/.", "/.."):
        return
    regex, _, _ = compile_path(named)
    expected = re.fullmatch(regex, "/" + text)
    keys = Template.parse(named).keys
    found = segment(named).match(text)
    assert found == (tuple(expected[key] for key in keys) if expected else None)


HOSTILE = ["-" * 100_000, "1-" * 50_000, "1" * 100_000, "a" * 100_000 + "!", "." * 100_000]
SEGMENTS = [
    "{a}-{b}-{c}-{d}-{e}-{f}!",
    "{a:int}{b:int}{c:int}{d:int}x",
    "{a}-{b:int}-{c:float}-{d}x",
    "{a}{b}{c}{d}{e}x",
    "x-{a}-x",
    "{a:int}",
    "{a}",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("template", SEGMENTS)
@pytest.mark.parametrize("length", [MAX_AMBIGUOUS, 100_000])
def test_a_hostile_segment_is_looked_at_a_bounded_number_of_times(
    template: str, text: str, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    def accepts(key: Key, text: str) -> bool:
        nonlocal looks
        looks += 1
        return key.pattern.fullmatch(text) is not None

    monkeypatch.setattr(Key, "accepts", accepts)
    subject = segment(template)
    subject.match(text[-length:])
    assert looks <= len(subject.keys) * MAX_AMBIGUOUS**2 / 2


def test_one_key_with_text_around_it_has_no_limit() -> None:
    assert segment("token-{t}.x").match("token-" + "y" * 100_000 + ".x") == ("y" * 100_000,)


def test_several_keys_in_a_segment_have_one() -> None:
    fits = "x." + "y" * (MAX_AMBIGUOUS - 2)
    assert segment("{a}.{b}").match(fits) == ("x", fits[2:])
    assert segment("{a}.{b}").match(fits + "y") is None


def test_segments_sort_by_how_specific_they_are(registered: Any) -> None:
    registered("slug", Slug())
    in_order = [
        "a",
        "{a:int}",
        "{a:float}",
        "{a:uuid}",
        "{a:slug}",
        "longer-{a}",
        "s-{a:int}",
        "s-{a}",
        "{a:int}{b}",
        "{a}{b}",
        "{a}",
        "{a:path}",
    ]
    backwards = in_order[::-1]
    assert sorted(backwards, key=lambda text: segment(text).precedence) == in_order
