"""
Tells a service manager such as systemd what the process does. See ``sd_notify(3)``.

The manager listens at a datagram socket that it names in ``NOTIFY_SOCKET``. Whatever happens to
that socket, serving matters more: nothing here waits for it or raises.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import time
from typing import TYPE_CHECKING, Final, Self

import trio
from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

__all__ = ["NOBODY", "Manager", "Notifier", "turns"]

logger = logging.getLogger("triows")

#: Seconds that a message waits for room. systemd's own library waits as long.
_PATIENCE: Final = 5.0

_MICROSECONDS: Final = 1_000_000


@frozen
class Manager:
    """What a service manager wants to be told."""

    #: The address of its socket, as in ``NOTIFY_SOCKET``, if there is one.
    address: str | None = None
    #: Seconds within which it wants to hear that the process is alive.
    patience: float = math.inf

    @classmethod
    def taken_from(cls, variables: MutableMapping[str, str]) -> Self:
        """
        Take its variables out of the environment.

        Processes that the application or this process starts must not speak for this one.

        Args:
            variables: ``os.environ``.
        """
        address = variables.pop("NOTIFY_SOCKET", None)
        watched = variables.pop("WATCHDOG_PID", None) in (None, str(os.getpid()))
        microseconds = variables.pop("WATCHDOG_USEC", "")
        if not (watched and microseconds.isdecimal() and microseconds.strip("0")):
            return cls(address)
        return cls(address, int(microseconds) / _MICROSECONDS)


#: For a process that no manager has started.
NOBODY: Final = Manager()


async def turns() -> bool:
    """Say that the loop turns, in its next turn."""
    await trio.lowlevel.checkpoint()
    return True


class Notifier:
    """
    Tells the manager, if there is one. Use it in the event loop.

    If the manager can't be told, one warning says so.

    Args:
        manager: What the manager wants to be told.
    """

    def __init__(self, manager: Manager) -> None:
        self._patience = manager.patience
        self._warned = False
        self._address = self._understood(manager.address)
        # What the manager knows. Each message repeats it, so only the last one matters.
        self._state: tuple[str, ...] = ()
        self._status = ""
        # When the end is over, as far as it knows.
        self._ends_at = math.inf
        # Set while the manager's socket has no room for that.
        self._full = trio.Event()

    def _understood(self, address: str | None) -> str | None:
        if address is None or address.startswith("/"):
            return address
        if address.startswith("@"):  # Linux's sockets without a file
            return f"\0{address[1:]}"
        # systemd also has `vsock:`, for the first process of a virtual machine.
        self._warn(f"NOTIFY_SOCKET is neither a path nor an abstract name: {address!r}")
        return None

    # What there is to tell.

    def tell_ready(self, status: str) -> None:
        """Tell that it serves: after the start-up, and after it has read its files again."""
        self._tell(status, "READY=1")

    def tell_reloading(self, status: str) -> None:
        """Tell that it reads its files again. :meth:`tell_ready` has to follow."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell(status, "RELOADING=1", f"MONOTONIC_USEC={now}")

    def tell_stopping(self, status: str, seconds: float) -> None:
        """
        Tell that it ends.

        Args:
            status: What it does, for people.
            seconds: How long that may take. The manager then waits as long.
        """
        self._ends_at = trio.current_time() + seconds
        self._tell(status, "STOPPING=1")

    def tell_status(self, status: str) -> None:
        """Tell people what it does."""
        self._tell(status, *self._state)

    def _tell(self, status: str, *state: str) -> None:
        self._state, self._status = state, status
        if not self._send(self._message):
            self._full.set()

    @property
    def _message(self) -> bytes:
        return "\n".join([*self._state, *self._extension, f"STATUS={self._status}"]).encode()

    @property
    def _extension(self) -> list[str]:
        """What makes the manager wait for the end. It counts from each message."""
        left = self._ends_at - trio.current_time()
        return [f"EXTEND_TIMEOUT_USEC={round(left * _MICROSECONDS)}"] if 0 < left < math.inf else []

    # How it is told.

    def _send(self, message: bytes) -> bool:
        """Send a message. Return whether that's done with, for good or not."""
        if self._address is None:
            return True
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.sendto(message, self._address)
        except BlockingIOError:
            return False
        except OSError as exc:
            self._warn(exc)
        return True

    def _warn(self, reason: object) -> None:
        if not self._warned:
            logger.warning("the service manager can't be told what this process does: %s", reason)
            self._warned = True

    async def run(self, is_alive: Callable[[], Awaitable[bool]]) -> None:
        """
        Send what had to wait, and tell that the process is alive, until cancelled.

        Args:
            is_alive: Asked before the manager is told that the process is alive. If it isn't, or
                doesn't say so in time, the manager isn't told, and will end the process.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send_what_waits)
            if self._patience < math.inf and self._address is not None:
                nursery.start_soon(self._tell_alive, is_alive)
            await trio.sleep_forever()

    async def _tell_alive(self, is_alive: Callable[[], Awaitable[bool]]) -> None:
        # Half of the time, as sd_watchdog_enabled(3) says.
        rest = self._patience / 2
        while True:
            due = trio.current_time() + rest
            with trio.move_on_at(due):
                if await is_alive():
                    # Without room, the manager has not even read the last one.
                    self._send(b"WATCHDOG=1")
            await trio.sleep_until(due)

    async def _send_what_waits(self) -> None:
        while True:
            await self._full.wait()
            self._full = trio.Event()
            with trio.move_on_after(_PATIENCE) as waiting:
                await self._send_when_there_is_room()
            if waiting.cancelled_caught:
                self._warn("it doesn't read its socket")

    async def _send_when_there_is_room(self) -> None:
        assert self._address is not None
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.connect(self._address)  # or it would not be known whose room to wait for
                while True:
                    await trio.lowlevel.wait_writable(sock)
                    try:
                        sock.send(self._message)
                    except BlockingIOError:
                        continue
                    return
        except OSError as exc:
            self._warn(exc)
