"""A line is what a lifetime needs of the peer, and no more."""

from __future__ import annotations

import inspect

import pytest

from tests.exchange.noting import NotingLine
from triows._exchange.line import Conclusion, Line
from triows._request.line import RequestLine
from triows._websocket.line import WebSocketLine

NEEDED = {name: value for name, value in vars(Line).items() if not name.startswith("_")}


def test_an_end_is_a_normal_one_unless_the_line_says_something_else():
    assert Conclusion() == Conclusion(why="", failed=False, told=False)


@pytest.mark.parametrize("line", [WebSocketLine, RequestLine, NotingLine])
def test_each_line_has_what_a_lifetime_needs(line):
    assert {"start", "conclude", "shut_down", "wait_delivered", "aclose"} <= NEEDED.keys()
    for name, needed in NEEDED.items():
        if isinstance(needed, property):
            continue  # an attribute of the class or of its objects
        has = getattr(line, name)
        assert list(inspect.signature(has).parameters) == list(inspect.signature(needed).parameters)
        assert inspect.iscoroutinefunction(has) == inspect.iscoroutinefunction(needed), name


@pytest.mark.parametrize(
    ("line", "words"),
    [(WebSocketLine, ("connection", "the handler")), (RequestLine, ("request", "the application"))],
)
def test_messages_have_words_for_each_kind(line, words):
    assert (line.noun, line.who) == words
