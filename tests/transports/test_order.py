"""Which ASGI event may follow which, and what is said about one that may not."""

from __future__ import annotations

import pytest

from triows import WebSocketStateError
from triows._transports.order import ACCEPT, BODY, CLOSE, SEND, START, Order, Phase


def sent(*kinds):
    """An order in which these events were sent."""
    order = Order()
    for kind in kinds:
        order.note(order.after({"type": kind}))
    return order


@pytest.mark.parametrize(
    ("kinds", "phase"),
    [
        ([], Phase.HANDSHAKE),
        ([ACCEPT], Phase.ACCEPTED),
        ([ACCEPT, SEND, SEND], Phase.ACCEPTED),
        ([ACCEPT, CLOSE], Phase.CLOSED),
        ([CLOSE], Phase.REFUSED),
        ([START], Phase.RESPONSE),
        ([START, BODY], Phase.REFUSED),
    ],
)
async def test_each_event_leads_to_a_phase(kinds, phase):
    assert sent(*kinds).phase is phase


async def test_a_part_of_a_body_does_not_end_the_response():
    order = sent(START)
    assert order.after({"type": BODY, "more_body": True}) is Phase.RESPONSE
    assert order.after({"type": BODY}) is Phase.REFUSED


@pytest.mark.parametrize(
    ("kinds", "late", "text"),
    [
        ([], SEND, "can't come before the acceptance"),
        ([], BODY, f"can't come before {START}"),
        ([ACCEPT], ACCEPT, "can't follow the acceptance"),
        ([ACCEPT], START, "can't follow the acceptance"),
        ([ACCEPT, CLOSE], SEND, "can't follow the close"),
        ([CLOSE], ACCEPT, "can't follow the refusal"),
        ([START], CLOSE, f"can't follow {START}"),
        ([], "http.response.start", "write websocket.http.response.start"),
        ([], "websocket.receive", "isn't an event that a WebSocket application sends"),
    ],
)
async def test_an_event_out_of_order_is_told_what_came_before(kinds, late, text):
    order = sent(*kinds)
    with pytest.raises(WebSocketStateError) as caught:
        order.after({"type": late})
    assert text in str(caught.value)
    assert order.phase is sent(*kinds).phase


async def test_the_place_that_sent_the_last_event_is_named():
    with pytest.raises(WebSocketStateError, match=r"test_order\.py:\d+ in sent"):
        sent(ACCEPT).after({"type": ACCEPT})


@pytest.mark.parametrize(
    ("kinds", "text"),
    [
        ([START], "has begun"),
        ([CLOSE], "has refused"),
        ([ACCEPT], "has accepted"),
        ([ACCEPT, CLOSE], "has closed"),
    ],
)
async def test_an_application_that_is_called_too_late_learns_why(kinds, text):
    assert text in str(sent(*kinds).too_late)


async def test_an_application_that_is_called_first_is_not_too_late():
    assert Order().too_late is None


@pytest.mark.parametrize(
    ("kinds", "text"),
    [
        ([], "the door returned without sending anything"),
        ([START], f"nobody has sent {BODY}"),
        ([ACCEPT], f"send {CLOSE}"),
    ],
)
async def test_a_connection_that_is_left_open_says_what_is_missing(kinds, text):
    assert text in str(sent(*kinds).left("the door"))


@pytest.mark.parametrize("kinds", [[CLOSE], [START, BODY], [ACCEPT, CLOSE]])
async def test_a_connection_that_is_over_lacks_nothing(kinds):
    assert sent(*kinds).left("the door") is None
