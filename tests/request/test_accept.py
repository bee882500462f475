"""``Accept``: which of the offers a client gets."""

import re

import pytest
from hypothesis import example, given, strategies as st

from triows._request.accept import preferred

OFFERS = ("application/json", "application/msgpack", "text/plain; charset=utf-8")


@pytest.mark.parametrize("accept", [None, b"", b" ", b",", b" , ,"])
def test_without_ranges_the_first_offer_is_sent(accept):
    assert preferred(accept, OFFERS) == OFFERS[0]


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (b"*/*", 0),
        (b"application/*", 0),
        (b"application/msgpack", 1),
        (b"APPLICATION/MsgPack", 1),
        (b"text/*", 2),
        (b"text/plain", 2),
        (b"text/plain; charset=UTF-8", 2),
        (b'text/plain; charset="utf-8"', 2),
        (b"text/plain; charset=latin-1", None),
        (b"application/json; charset=utf-8", 0),
        (b"application/json;version=2", None),
        (b"image/png", None),
        (b"image/png, */*;q=0.1", 0),
        (b"application/json;q=0.5, application/msgpack", 1),
        (b"application/json;Q=0.5, application/msgpack;q=0.51", 1),
        (b"application/json ; q=0.5 ,application/msgpack;q=0.5", 0),
        (b"*/*, application/json;q=0", 1),
        (b"application/*;q=0, */*", 2),
        (b"application/json;q=0, application/msgpack;q=0, text/*;q=0.000", None),
        (b"*/*;q=0", None),
        (b"text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8", 0),
        (b'text/x;a="q=0,\\",*/*", application/msgpack', 1),
        (b"text/x;;a=b;, application/msgpack;", 1),
    ],
)
def test_the_best_offer_is_chosen(accept, chosen):
    assert preferred(accept, OFFERS) == (None if chosen is None else OFFERS[chosen])


@pytest.mark.parametrize(
    "accept",
    [
        # The default of Java's HttpURLConnection.
        b"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
        b"image/png;q=2",
        b"image/png;q=0.1234",
        b"image/png;q=-1",
        b"image/png;q=",
        b"image/png;q",
        b"*/png",
        b"image",
        b"image/",
        b"image/png image/gif",
        b'image/png;a="b',
        b"image/png;a=b c",
        b"image/p\xffng",
    ],
)
def test_what_can_not_be_read_is_ignored(accept):
    assert preferred(accept, OFFERS) == OFFERS[0]


def test_the_example_of_the_rfc():
    """RFC 9110 section 12.5.1: the weights of its table, one offer against another."""
    accept = b"text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, "
    accept += b"text/plain;format=fixed;q=0.4, */*;q=0.5"
    by_weight = [
        "text/plain;format=flowed",
        "text/plain",
        "image/jpeg",
        "text/plain;format=fixed",
        "text/html",
    ]
    while by_weight:
        assert preferred(accept, by_weight[::-1]) == by_weight.pop(0)


def test_nothing_on_offer_is_nothing():
    assert preferred(b"*/*", []) is None


# A reference that does the same in the plainest way.

TYPES = ("a", "b", "*")
ranges = st.tuples(
    st.sampled_from([(one, two) for one in TYPES for two in TYPES if one != "*" or two == "*"]),
    st.sampled_from(["", ";v=1", ";v=2"]),
    st.integers(0, 1000),
)
offers = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from("ab"), st.sampled_from(["", ";v=1"])),
    max_size=4,
)


def plainly(wanted, offered):
    best, best_weight = None, 0
    for type_, subtype, parameter in offered:
        weights = {}
        for (wanted_type, wanted_subtype), wanted_parameter, weight in wanted:
            if (
                wanted_type in ("*", type_)
                and wanted_subtype in ("*", subtype)
                and wanted_parameter in ("", parameter)
            ):
                stars = (wanted_type, wanted_subtype).count("*")
                rank = (-stars, wanted_parameter != "")
                weights[rank] = max(weight, weights.get(rank, 0))
        weight = weights[max(weights)] if weights else 0
        if weight > best_weight:
            best, best_weight = f"{type_}/{subtype}{parameter}", weight
    return best


@given(st.lists(ranges, min_size=1), offers)
def test_the_choice_is_that_of_a_plain_reference(wanted, offered):
    header = ", ".join(
        f"{type_}/{subtype}{parameter};q={weight / 1000:.3f}"
        for (type_, subtype), parameter, weight in wanted
    )
    names = ["{}/{}{}".format(*one) for one in offered]
    assert preferred(header.encode(), names) == plainly(wanted, offered)


@given(st.binary() | st.text('a/*;q=0.1, "\\').map(str.encode))
@example(b"a/b" + b" ;" * 20_000 + b"\xff")
@example(b"a/b;" + b" " * 20_000 + b"\xff")
@example(b'a/b;a="' + b"\\a" * 20_000)
@example(b"a/b," * 20_000 + b"\xff")
def test_any_bytes_are_read_in_linear_time(header):
    # If not, the 60 seconds for each test would be over long before.
    assert preferred(header, OFFERS) in (None, *OFFERS)


def test_offers_of_ours_can_all_be_read():
    assert all(re.fullmatch(r"[a-z]+/[a-z-]+(; charset=utf-8)?", one) for one in OFFERS)
