from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import given, strategies as st

from triows._routing.leaf import HANDSHAKE
from triows._routing.path import (
    BadPath,
    join_segments,
    request_method,
    request_segments,
    restore_root,
)


def scope_of(raw: bytes, **other: Any) -> dict[str, Any]:
    """Make the scope that Hypercorn and uvicorn make from a request's target."""
    path = unquote(raw.decode("latin-1"))
    return {"type": "websocket", "path": path, "raw_path": raw, "root_path": ""} | other


@pytest.mark.parametrize(
    ("raw", "segments"),
    [
        (b"/", ()),
        (b"", ()),
        (b"/a", ("a",)),
        (b"/a/b", ("a", "b")),
        (b"/a/", ("a", "")),
        (b"//", ("", "")),
        (b"/a//b", ("a", "", "b")),
        (b"/a%2Fb/c", ("a/b", "c")),
        (b"/a%2fb", ("a/b",)),
        (b"/%2F", ("/",)),
        (b"/a%252Fb", ("a%2Fb",)),
        (b"/caf%C3%A9", ("café",)),
        (b"/caf\xc3\xa9", None),
        (b"/a+b%20c", ("a+b c",)),
        (b"/a%00b%0A%7F", ("a\0b\n\x7f",)),
        (b"/../a/.", ("..", "a", ".")),
        (b"/%2e%2e", ("..",)),
        (b"/a;v=1/b:c@d", ("a;v=1", "b:c@d")),
        (b"/a%3Fb%23c", ("a?b#c",)),
        (b"/%EF%BF%BD", ("\ufffd",)),
        (b"/%F0%9F%98%80", ("\U0001f600",)),
    ],
)
def test_the_raw_path_is_split_and_then_decoded(
    raw: bytes, segments: tuple[str, ...] | None
) -> None:
    if segments is None:  # raw UTF-8, which some servers accept
        scope = {"path": raw.decode(), "raw_path": raw}
        assert request_segments(scope) == ("café",)
    else:
        assert request_segments(scope_of(raw)) == segments


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        (b"/%", "two hexadecimal digits"),
        (b"/a%2", "two hexadecimal digits"),
        (b"/%zz/a", "two hexadecimal digits"),
        (b"/%%41", "two hexadecimal digits"),
        (b"/%\xb2\xb2", "two hexadecimal digits"),
        (b"/%FF", "UTF-8"),
        (b"/%C3/%A9", "UTF-8"),
        (b"/%C0%AF", "UTF-8"),
        (b"/%ED%A0%80", "UTF-8"),
        (b"*", "begin with a slash"),
        (b"http://example.org/a", "begin with a slash"),
        (b"a/b", "begin with a slash"),
        (b"%2Fa", "begin with a slash"),
    ],
)
def test_what_is_no_path_is_refused(raw: bytes, detail: str) -> None:
    path = raw.decode("utf-8", "replace") if b"\xb2" in raw else unquote(raw.decode("latin-1"))
    with pytest.raises(BadPath) as caught:
        request_segments({"path": path, "raw_path": raw})
    assert detail in caught.value.detail
    assert isinstance(caught.value, ValueError)


def test_the_detail_quotes_nothing_of_the_request() -> None:
    details = set()
    for raw in (b"/secret%zz", b"/other%zz"):
        with pytest.raises(BadPath) as caught:
            request_segments(scope_of(raw))
        details.add(caught.value.detail)
    assert len(details) == 1


@pytest.mark.parametrize("raw", [{}, {"raw_path": None}, {"raw_path": "/a%2Fb"}])
@pytest.mark.parametrize(
    ("path", "segments"),
    [("/", ()), ("", ()), ("/a/b", ("a", "b")), ("/a//", ("a", "", "")), ("/\ufffd", ("\ufffd",))],
)
def test_without_a_raw_path_the_decoded_one_is_split(
    raw: dict[str, Any], path: str, segments: tuple[str, ...]
) -> None:
    assert request_segments({"path": path, **raw}) == segments


@pytest.mark.parametrize("path", ["*", "a/b", "http://example.org/", "/caf\udce9"])
def test_without_a_raw_path_what_is_no_path_is_refused_too(path: str) -> None:
    with pytest.raises(BadPath):
        request_segments({"path": path})


def test_a_rewritten_path_counts_and_not_the_raw_one() -> None:
    assert request_segments(scope_of(b"/v1/a%2Fb", path="/a/b")) == ("a", "b")


def test_a_malformed_raw_path_that_was_replaced_does_not_matter() -> None:
    assert request_segments(scope_of(b"/%zz", path="/a")) == ("a",)


def test_a_raw_path_with_the_query_in_it_does_not_count() -> None:
    assert request_segments({"path": "/a", "raw_path": b"/a?b=c"}) == ("a",)


@pytest.mark.parametrize(
    ("raw", "root", "segments"),
    [
        (b"/app/a", "/app", ("a",)),
        (b"/app/a%2Fb", "/app", ("a/b",)),
        (b"/app/a", "/app/", ("a",)),
        (b"/app", "/app", ()),
        (b"/app/", "/app", ()),
        (b"/app//", "/app", ("", "")),
        (b"/app//a", "/app", ("", "a")),
        (b"/application", "/app", ("application",)),
        (b"/a", "/app", ("a",)),
        (b"/a", "/", ("a",)),
        (b"/a/b/c", "/a/b", ("c",)),
        (b"/caf%C3%A9/x%2Fy", "/café", ("x/y",)),
        (b"/a%2Fb/c%2Fd", "/a/b", ("c/d",)),
        # Something that sees only decoded paths has mounted this inside a segment.
        (b"/a%2Fb/c%2Fd", "/a", ("b", "c", "d")),
        (b"/a", "app", ("a",)),
    ],
)
def test_the_root_path_is_taken_off(raw: bytes, root: str, segments: tuple[str, ...]) -> None:
    assert request_segments(scope_of(raw, root_path=root)) == segments


@pytest.mark.parametrize(
    ("path", "segments"), [("/app/a", ("a",)), ("/app", ()), ("/app/", ()), ("/x", ("x",))]
)
def test_the_root_path_is_taken_off_a_decoded_path(path: str, segments: tuple[str, ...]) -> None:
    assert request_segments({"path": path, "root_path": "/app"}) == segments


@pytest.mark.parametrize(
    ("root", "raw", "restored"),
    [
        ("/app", b"/a%2Fb", ("/app", "/app/a/b", b"/app/a%2Fb")),
        ("/app/", b"/a", ("/app", "/app/a", b"/app/a")),
        ("/app", b"/", ("/app", "/app/", b"/app/")),
        ("/app", b"", ("/app", "/app", b"/app")),
        ("/app", b"/application", ("/app", "/app/application", b"/app/application")),
        ("/r t/\u00e9", b"/a", ("/r t/\u00e9", "/r t/\u00e9/a", b"/r%20t/%C3%A9/a")),
        # These begin with the root.
        ("/app", b"/app", ("/app", "/app", b"/app")),
        ("/app/", b"/app/", ("/app", "/app/", b"/app/")),
        ("/app", b"/%61pp/a", ("/app", "/app/a", b"/%61pp/a")),
        ("/app", b"/app%2Fa", ("/app", "/app/a", b"/app%2Fa")),
        # These have no root, or no path.
        ("/", b"/a", ("", "/a", b"/a")),
        ("app", b"/a", ("app", "/a", b"/a")),
        ("/app", b"*", ("/app", "*", b"*")),
    ],
)
def test_a_root_that_a_proxy_has_removed_is_restored(root: str, raw: bytes, restored: Any) -> None:
    scope = scope_of(raw, path=unquote(raw.decode()), root_path=root)
    restore_root(scope)
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == restored


@pytest.mark.parametrize("raw", [{}, {"raw_path": None}])
def test_a_root_is_restored_without_a_raw_path(raw: Any) -> None:
    scope = {"path": "/a", "root_path": "/app", **raw}
    restore_root(scope)
    assert scope == {"path": "/app/a", "root_path": "/app", **raw}


text = st.text(st.characters(codec="utf-8"), max_size=6)
root_paths = st.lists(text.filter(lambda part: "/" not in part), min_size=1).map(
    lambda parts: "/" + "/".join(parts)
)


@given(root_paths, st.lists(text))
def test_whether_a_proxy_removes_the_root_changes_no_route(root: str, parts: list[str]) -> None:
    raw = "/" + "/".join(quote(part, safe="") for part in parts)
    for path in (raw, quote(root.rstrip("/")) + raw):
        scope = scope_of(path.encode(), root_path=root)
        before = request_segments(scope)
        restore_root(scope)
        assert request_segments(scope) == before
        assert scope["path"].startswith(scope["root_path"])


@given(st.lists(text, max_size=5), st.booleans())
def test_any_segments_survive_encoding(parts: list[str], mounted: bool) -> None:
    if parts == [""]:  # "/" has no segments
        return
    raw = "/" + "/".join(quote(part, safe="") for part in parts)
    scope = scope_of((("/r%20t" if mounted else "") + raw).encode())
    scope["root_path"] = "/r t" if mounted else ""
    assert request_segments(scope) == tuple(parts)
    if parts:
        assert join_segments(request_segments(scope)) == unquote(raw)


@given(st.binary(max_size=12), st.sampled_from(["", "/", "/a", "a", "//"]))
def test_no_bytes_crash(raw: bytes, root: str) -> None:
    for path in (unquote(raw.decode("latin-1")), raw.decode("utf-8", "replace")):
        try:
            segments = request_segments({"path": path, "raw_path": raw, "root_path": root})
        except BadPath:
            continue
        assert all(isinstance(segment, str) for segment in segments)


@pytest.mark.parametrize(
    ("scope", "method"),
    [
        ({"type": "http", "method": "GET"}, "GET"),
        ({"type": "http", "method": "websocket"}, "websocket"),
        ({"type": "websocket"}, HANDSHAKE),
        ({"type": "websocket", "method": "GET"}, HANDSHAKE),
    ],
)
def test_a_request_asks_for_a_method_or_a_websocket(scope: Any, method: Any) -> None:
    assert request_method(scope) == method
