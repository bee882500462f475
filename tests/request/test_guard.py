"""A response that was cut can't be ended by a middleware."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from triows import ClientDisconnect
from triows._request.guard import cut_response, guarded

SCOPE = {"type": "http", "method": "GET"}
END = {"type": "http.response.body"}


def sending(sent: list[Any]) -> Any:
    async def send(event: Any) -> None:
        await trio.lowlevel.checkpoint()
        sent.append(event)

    return send


async def foreign(*_):
    """Stand for a function of another server."""


async def test_events_pass_until_the_response_is_cut():
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**END, "more_body": True})
        cut_response(foreign, foreign)
        with pytest.raises(ClientDisconnect, match="was cut"):
            await send(END)

    await guarded(app, SCOPE, trio.sleep_forever, sending(sent))
    assert sent == [{**END, "more_body": True}]


async def test_it_is_cut_from_a_task_of_a_middleware():
    sent: list[Any] = []

    async def cutting() -> None:
        await trio.lowlevel.checkpoint()
        cut_response(foreign, foreign)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cutting)
        with pytest.raises(ClientDisconnect):
            await send(END)

    await guarded(app, SCOPE, trio.sleep_forever, sending(sent))
    assert sent == []


async def test_a_mounted_application_is_within_the_guard_of_the_outer_one():
    sent: list[Any] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await trio.lowlevel.checkpoint()
        cut_response(foreign, foreign)

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        await guarded(inner, scope, receive, send)
        with pytest.raises(ClientDisconnect):
            await send(END)

    await guarded(outer, SCOPE, trio.sleep_forever, sending(sent))
    assert sent == []


async def test_without_a_guard_there_is_nothing_to_cut():
    cut_response(foreign, foreign)
