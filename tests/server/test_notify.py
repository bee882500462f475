"""What a service manager is told. The manager is a socket of the test's own."""

from __future__ import annotations

import math
import os
import sys
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.server.harness.manager import PlayedManager
from triows._server.notify import Manager, Notifier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="service managers are Linux'")


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PlayedManager]:
    name = f"@triows-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    played = PlayedManager(name)
    yield played
    played.socket.close()


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


# The environment


def test_its_variables_are_taken_out_of_the_environment():
    variables = {
        "NOTIFY_SOCKET": "/run/notify",
        "WATCHDOG_USEC": "3000000",
        "WATCHDOG_PID": str(os.getpid()),
        "HOME": "/root",
    }
    assert Manager.taken_from(variables) == Manager("/run/notify", 3.0)
    assert variables == {"HOME": "/root"}


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid() + 1)},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "-1"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": ""},
    ],
)
def test_a_watchdog_that_watches_somebody_else_or_nobody_hears_nothing(variables):
    assert Manager.taken_from(variables).patience == math.inf


def test_a_watchdog_without_a_process_watches_this_one():
    assert Manager.taken_from({"WATCHDOG_USEC": "500000"}).patience == 0.5


# What is told


async def test_it_is_told_each_state_with_words_for_people(autojump_clock, manager):
    notifier = Notifier(Manager(manager.address))
    notifier.tell_ready("serving")
    notifier.tell_stopping("closing 3 connections", 36.5)
    assert manager.heard() == [
        {"READY": "1", "STATUS": "serving"},
        {"STOPPING": "1", "EXTEND_TIMEOUT_USEC": "36500000", "STATUS": "closing 3 connections"},
    ]


async def test_an_end_that_takes_any_time_extends_no_timeout(manager):
    Notifier(Manager(manager.address)).tell_stopping("closing", math.inf)
    assert manager.heard() == [{"STOPPING": "1", "STATUS": "closing"}]


async def test_it_waits_no_longer_for_an_end_that_goes_on(autojump_clock, manager):
    notifier = Notifier(Manager(manager.address))
    notifier.tell_stopping("closing 3 connections", 36.5)
    await trio.sleep(30)
    notifier.tell_status("still closing 1 connection")
    await trio.sleep(30)
    notifier.tell_status("still closing 1 connection")
    told = [message.get("EXTEND_TIMEOUT_USEC") for message in manager.heard()]
    assert told == ["36500000", "6500000", None]


async def test_a_reload_has_the_time_at_which_it_began(manager):
    notifier = Notifier(Manager(manager.address))
    notifier.tell_reloading("reading")
    (told,) = manager.heard()
    assert told["RELOADING"] == "1"
    assert told["MONOTONIC_USEC"].isdecimal()


async def test_without_a_manager_nothing_is_told(caplog):
    Notifier(Manager()).tell_ready("serving")
    assert caplog.messages == []


# The watchdog


async def test_it_hears_a_sign_of_life_twice_within_its_patience(autojump_clock, manager):
    notifier = Notifier(Manager(manager.address, patience=10))
    with trio.move_on_after(21):
        await notifier.run(yes)
    assert manager.heard() == [{"WATCHDOG": "1"}] * 5


@pytest.mark.parametrize("is_alive", [no, trio.sleep_forever], ids=["no", "no answer"])
async def test_it_hears_no_sign_of_a_life_that_is_not_there(autojump_clock, manager, is_alive):
    notifier = Notifier(Manager(manager.address, patience=10))
    with trio.move_on_after(21):
        await notifier.run(is_alive)
    assert manager.heard() == []


async def test_it_hears_signs_of_life_again_when_it_is_back(autojump_clock, manager):
    answers = iter([True, False, True])

    async def is_alive() -> bool:
        return next(answers)

    notifier = Notifier(Manager(manager.address, patience=10))
    with trio.move_on_after(14):
        await notifier.run(is_alive)
    assert manager.heard() == [{"WATCHDOG": "1"}] * 2


async def test_a_manager_without_a_watchdog_hears_no_signs_of_life(autojump_clock, manager):
    with trio.move_on_after(1000):
        await Notifier(Manager(manager.address)).run(yes)
    assert manager.heard() == []


# A manager that can't be told


@pytest.mark.parametrize("address", ["/nowhere/notify", "vsock:2:1234", "notify", "", "@"])
async def test_a_manager_that_is_not_there_is_logged_once(autojump_clock, caplog, address):
    notifier = Notifier(Manager(address, patience=10))
    notifier.tell_ready("serving")
    notifier.tell_stopping("closing", 1)
    with trio.move_on_after(100):
        await notifier.run(yes)
    (message,) = caplog.messages
    assert message.startswith("the service manager can't be told what this process does: ")


async def test_a_manager_that_is_gone_is_logged_once(manager, caplog):
    notifier = Notifier(Manager(manager.address))
    notifier.tell_ready("serving")
    manager.socket.close()
    notifier.tell_stopping("closing", 1)
    notifier.tell_stopping("closing", 1)
    assert len(caplog.messages) == 1


async def test_what_had_no_room_is_told_as_soon_as_there_is_some(manager, caplog):
    notifier = Notifier(Manager(manager.address))
    count = manager.fill()
    notifier.tell_ready("serving")
    notifier.tell_stopping("closing", math.inf)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(notifier.run, yes)
        await wait_all_tasks_blocked()
        assert len(manager.heard()) == count
        await trio.lowlevel.wait_readable(manager.socket)
        nursery.cancel_scope.cancel()
    # Only the last state matters.
    assert manager.heard() == [{"STOPPING": "1", "STATUS": "closing"}]
    assert caplog.messages == []


async def test_a_manager_that_never_reads_is_logged_once_and_holds_nothing_up(
    autojump_clock, manager, caplog
):
    notifier = Notifier(Manager(manager.address, patience=10))
    manager.fill()
    with trio.move_on_after(100):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(notifier.run, yes)
            for _ in range(3):
                notifier.tell_ready("serving")
                await trio.sleep(20)
    assert caplog.messages == [
        "the service manager can't be told what this process does: it doesn't read its socket"
    ]


async def test_a_manager_that_vanishes_with_a_full_socket_is_logged_once(manager, caplog):
    notifier = Notifier(Manager(manager.address))
    manager.fill()
    notifier.tell_ready("serving")
    manager.socket.close()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(notifier.run, yes)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert len(caplog.messages) == 1
