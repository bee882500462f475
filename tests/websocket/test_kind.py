"""What handlers of WebSocket routes may ask for, and the sentences about it."""

import pytest
import trio

from triows import Triows, WebSocket
from triows._injection.kinds import APP, NURSERY
from triows._websocket.kind import WEBSOCKET, blind, websocket_kind
from triows._where import where

KIND = websocket_kind(Triows)


def test_a_handler_may_ask_for_the_websocket_its_nursery_and_the_application():
    assert KIND.givens == {WebSocket: WEBSOCKET, trio.Nursery: NURSERY, Triows: APP}


def test_only_the_application_is_there_at_start_up():
    assert [given for given in KIND.givens.values() if given.in_app] == [APP]


def test_each_name_stands_for_something_that_a_handler_may_ask_for():
    written = {"WebSocket", "trio.Nursery", "Triows"}
    assert set(KIND.names.values()) == written
    assert set(KIND.unmistakable) <= KIND.names.keys()


@pytest.mark.parametrize("name", ["request", "Request", "HTTPConnection", "ws", "socket"])
def test_names_of_requests_and_sockets_mean_the_websocket(name):
    assert KIND.names[name] == "WebSocket"


def test_a_handler_that_can_not_accept_is_named_with_both_remedies():
    async def handler(): ...

    sentence = blind(handler)
    assert sentence.startswith(where(handler))
    assert "add a parameter `ws: WebSocket`" in sentence
    assert "annotate it `-> NoReturn`" in sentence
