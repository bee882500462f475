"""What would complete a response is kept until its end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.request.asgi import body
from triows._request.kept import KeptEnd

END = body(b"")
FILE = {"type": "http.response.pathsend", "path": "/file"}


def start(status: int = 200, *lengths: bytes) -> dict[str, Any]:
    headers = [(b"content-type", b"text/plain"), *[(b"Content-Length", one) for one in lengths]]
    return {"type": "http.response.start", "status": status, "headers": headers}


def is_complete(method: str, events: list[Any]) -> bool:
    """Say whether a client may take what was passed on for a whole response."""
    if not events:
        return False
    head, *rest = events
    data = b"".join(one["body"] for one in rest)
    length = dict(head["headers"]).get(b"Content-Length")
    return (
        method == "HEAD"
        or head["status"] in (204, 304)
        or (length is not None and len(data) >= int(length))
        or any(not one["more_body"] for one in rest)
    )


@given(
    parts=st.lists(st.binary(max_size=3)),
    method=st.sampled_from(["GET", "HEAD", "POST"]),
    status=st.sampled_from([200, 204, 205, 304]),
    is_declared=st.booleans(),
)
def test_a_client_has_not_all_before_the_end_and_then_it_has(parts, method, status, is_declared):
    whole = b"".join(parts)
    head = start(status, *([b"%d" % len(whole)] if is_declared else []))
    kept = KeptEnd(method)
    passed: list[Any] = []
    for event in (head, *[body(part, more=True) for part in parts]):
        passed += kept.pass_on(event)
        assert not is_complete(method, passed)
    passed += kept.pass_on(END)
    assert passed[0] is head
    assert not passed[-1]["more_body"]
    if method != "HEAD" and status in (200, 205):
        assert b"".join(one["body"] for one in passed[1:]) == whole


def test_what_completes_nothing_is_passed_on_and_the_head_with_the_first_part():
    kept = KeptEnd("GET")
    hint, head, part = {"type": "http.response.early_hint"}, start(), body(b"", more=True)
    passed = [list(kept.pass_on(one)) for one in (hint, head, part, part, END)]
    assert passed == [[hint], [], [head, part], [part], [END]]


@pytest.mark.parametrize("length", [b"5", b" 5 "])
def test_the_part_that_reaches_the_length_is_kept(length):
    kept = KeptEnd("GET")
    head = start(200, length)
    kept.pass_on(head)
    assert list(kept.pass_on(body(b"abc", more=True))) == [head, body(b"abc", more=True)]
    assert list(kept.pass_on(body(bytearray(b"de"), more=True))) == []
    assert list(kept.pass_on({"type": "http.response.body", "more_body": True})) == []
    assert list(kept.pass_on(END)) == [body(b"de")]


@pytest.mark.parametrize("more", [True, False])
@pytest.mark.parametrize("length", [0, 2])
def test_a_body_that_is_longer_than_its_length_is_refused(length, more):
    kept = KeptEnd("GET")
    kept.pass_on(start(200, b"%d" % length))
    with pytest.raises(ValueError, match="longer than its content-length"):
        kept.pass_on(body(b"abc", more=more))


@pytest.mark.parametrize("length", [b"0", b"5"])
def test_the_head_of_a_file_comes_with_the_file(length):
    kept, head = KeptEnd("GET"), start(200, length)
    assert list(kept.pass_on(head)) == []
    assert list(kept.pass_on(FILE)) == [head, FILE]


def test_nothing_is_kept_of_a_response_that_has_begun_before():
    kept = KeptEnd("HEAD")
    assert list(kept.pass_on(body(b"a", more=True))) == [body(b"a", more=True)]
