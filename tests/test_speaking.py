"""Middleware that speaks to the peer itself, in memory. See :mod:`tests.server.test_speaking`."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.speaking import CASES, WRAPPED, Case, Seen, application, check, wrapping
from triows import WebSocketDisconnect
from triows.testing import WebSocketDenialResponse, open_app

if TYPE_CHECKING:
    from triows.testing import AppClient


async def seen_by(client: AppClient) -> Seen:
    """Connect, send a command, and return what comes."""
    messages: list[str] = []
    try:
        async with client.websocket_connect("/x") as session:
            with suppress(WebSocketDisconnect):
                await session.send_text("command")
            try:
                while True:
                    messages.append(await session.receive_text())
            except WebSocketDisconnect as exc:
                return Seen(101, tuple(messages), exc.code)
    except WebSocketDenialResponse as exc:
        return Seen(exc.status_code)


async def run(case: Case, caplog: pytest.LogCaptureFixture, *inside: object) -> None:
    app, story = application(case, *inside)
    with caplog.at_level(logging.INFO, "triows"):
        async with open_app(app, raise_app_exceptions=False) as client:
            seen = await seen_by(client)
    check(case, story, seen, caplog)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_middleware_and_the_application_share_one_state(case, caplog, autojump_clock):
    await run(case, caplog)


@pytest.mark.parametrize("case", WRAPPED, ids=lambda case: case.name)
async def test_they_do_so_behind_a_middleware_that_wraps_the_events(case, caplog, autojump_clock):
    await run(case, caplog, wrapping)
