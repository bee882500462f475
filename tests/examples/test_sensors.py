from __future__ import annotations

import pytest
import trio

from examples.sensors import Reading, app
from tests.connecting import connect
from triows import WebSocketDisconnect
from triows.testing import ReceiveTimeout


async def test_readings_come_by_themselves_once_a_second(autojump_clock):
    async with connect(app, "/sensors/boiler") as client:
        started = trio.current_time()
        for second in range(3):
            assert (await client.receive_json(Reading)).sensor == "boiler"
            assert trio.current_time() - started == pytest.approx(second)


async def test_a_command_changes_the_interval_at_once(autojump_clock):
    async with connect(app, "/sensors/boiler") as client:
        await client.receive_json(Reading)
        started = trio.current_time()
        await client.send_json({"type": "every", "seconds": 0.25})
        for reading in range(3):
            await client.receive_json(Reading)
            assert trio.current_time() - started == pytest.approx(reading * 0.25)


async def test_pause_stops_the_readings_until_the_next_command(autojump_clock):
    async with connect(app, "/sensors/boiler") as client:
        await client.receive_json(Reading)
        await client.send_json({"type": "pause"})
        with pytest.raises(ReceiveTimeout):
            await client.receive(timeout=10)
        await client.send_json({"type": "every", "seconds": 1})
        await client.receive_json(Reading)


@pytest.mark.parametrize(
    "command", ["no JSON", '{"type": "explode"}', '{"type": "every", "seconds": 0}']
)
async def test_a_command_that_fits_no_type_closes_with_1007(autojump_clock, command):
    async with connect(app, "/sensors/boiler") as client:
        await client.receive_json(Reading)
        await client.send(command)
        with pytest.raises(WebSocketDisconnect) as closed:
            await client.receive()
    assert (closed.value.code, closed.value.reason) == (1007, "invalid message")


async def test_commands_of_a_client_that_has_left_do_no_harm(autojump_clock):
    async with connect(app, "/sensors/boiler") as client:
        await client.receive_json(Reading)
        for _ in range(5):
            await client.send_json({"type": "every", "seconds": 1})
