"""
The network between a client and a server in memory, and what it does to the bytes on their way.

It sits inside each direction of a connection. A direction may take its time and cut the bytes
anywhere, and it may break. It never does what TCP forbids: within a direction, nothing is lost,
repeated, changed or overtaken, and nothing follows the end.
"""

from __future__ import annotations

import math
from collections import deque
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any

import trio
from attrs import Attribute, field, frozen

from _triows_schedules.schedule import current_loop

from ._memory import Pipe

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Network", "Transit"]

#: A connection that is to break does so at a byte before this power of two. Small powers are as
#: likely as large ones. So it breaks in the request, in the handshake's answer, in a short message
#: or within a long one.
_DOOM = 14

#: A number of seconds is below this. From here on, the clock's time can't count single seconds.
_LONGEST = 2**53

#: Where to cut a number of bytes, given a number from 0 to 1: not at all, near the beginning (in
#: the head of a frame), or anywhere.
_CUTS: tuple[Callable[[int, float], int], ...] = (
    lambda size, chance: size,
    lambda size, chance: 1 + int(chance * 16),
    lambda size, chance: 1 + int(chance * size),
)


def _likely(default: float) -> Any:
    def check(instance: object, attribute: Attribute[Any], value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise ValueError(
                f"Network.{attribute.name} is a probability, from 0 to 1, not {value!r}"
            )

    return field(default=default, validator=check)


def _check_piece(instance: object, attribute: Attribute[Any], value: object) -> None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return
    raise ValueError(f"Network.piece is a number of bytes, 1 or more, or None, not {value!r}")


def _range(value: float | tuple[float, float]) -> tuple[float, float]:
    return value if isinstance(value, tuple) else (value, value)


def _check_delay(instance: object, attribute: Attribute[Any], value: Any) -> None:
    if len(value) == 2 and all(_is_seconds(one) for one in value) and value[0] <= value[1]:
        return
    raise ValueError(
        "Network.delay is a number of seconds, or the least and the most of them, such as "
        f"(0, 0.1), not {value!r}"
    )


def _check_stall(instance: object, attribute: Attribute[Any], value: object) -> None:
    if not _is_seconds(value):
        raise ValueError(f"Network.stall is a number of seconds, not {value!r}")


def _is_seconds(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < _LONGEST


@frozen(kw_only=True)
class Network:
    """
    A network that misbehaves, for :func:`open_app`. The seed of the test's schedule decides how.

        async with open_app(app, network=Network(delay=(0, 2), resets=0.1)) as client:
            ...

    It delays what one side sends, and cuts it into pieces that may end at any byte. The other side
    may get several pieces at once. Messages of different connections can overtake each other.

    Within a connection, the network keeps the promises of TCP (RFC 9293): in each direction, all
    bytes arrive in order and without gaps. If the connection breaks, both sides can still read what
    has arrived before. All times are on Trio's clock.

    The client waits for a round trip longer than usual. But the application has its own timeouts. A
    connection ends if the network is too slow for them: the request has to arrive within
    ``Timeouts.handshake``, and the answer to a ping within ``Timeouts.ping_timeout``. If the
    network breaks the connection, or the request comes too late, the client's error says so.

    Plain HTTP requests go through it, too, each on a connection of its own. If the test runs
    without a schedule, the network does the same each time.

    Args:
        piece: How many bytes a read returns at most. With ``1``, the bytes arrive one by one. By
            default, a read may end at any of the bytes that have arrived.
        delay: How many seconds the bytes of one write take: a number, or a tuple of the least and
            the most.
        stalls: The probability, from 0 to 1, that a write is held up. Everything that is sent after
            it in the same direction waits, too.
        stall: How many more seconds such a write takes.
        resets: The probability, from 0 to 1, that a connection breaks. It breaks at one of its
            first 16,000 bytes, in one of the two directions. Both sides get an error when they have
            read what has arrived.
        half_closes: The probability, from 0 to 1, that the client's direction of a connection ends
            at such a byte. The server gets no more from the client, and the client's next write
            fails. What the server sends still arrives.

    Raises:
        ValueError: A number is out of its range.
    """

    piece: int | None = field(default=None, validator=_check_piece)
    delay: tuple[float, float] = field(default=(0.0, 0.1), converter=_range, validator=_check_delay)
    stalls: float = _likely(0.0)
    stall: float = field(default=5.0, validator=_check_stall)
    resets: float = _likely(0.0)
    half_closes: float = _likely(0.0)


class Transit:
    """
    All that is on its way in the connections of one client. It needs one task.

    Args:
        network: What happens on the way.
    """

    def __init__(self, network: Network) -> None:
        if not isinstance(network, Network):
            raise TypeError(
                "open_app() takes a network such as network=Network(delay=(0, 2)), not "
                f"network={network!r}"
            )
        loop = current_loop()
        #: Decides. Without a schedule it is the same in each run.
        self.random = Random(0) if loop is None else loop.source("the network")
        self.network = network
        #: How many seconds an answer is on its way at most, if each side writes once.
        self.round_trip = 2 * (network.delay[1] + (network.stall if network.stalls else 0.0))
        self._due: list[tuple[float, int, _SlowPipe]] = []
        self._numbers = count()
        self._wanted = trio.Event()
        self._sleep = trio.CancelScope()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """
        Let everything arrive when it is due, until this is cancelled.

        What is still on its way then arrives at once.
        """
        task_status.started()
        try:
            while True:
                await self._wanted.wait()
                await self._wait_due()
        finally:
            while self._due:
                heappop(self._due)[2].arrive(math.inf)

    async def _wait_due(self) -> None:
        due = self._due[0][0]
        with trio.CancelScope(deadline=due) as self._sleep:
            await trio.sleep_forever()
        while self._due and self._due[0][0] <= (now := trio.current_time()):
            heappop(self._due)[2].arrive(now)
        if not self._due:
            self._wanted = trio.Event()

    def expect(self, pipe: _SlowPipe, due: float) -> None:
        """Call ``pipe.arrive()`` when it is *due*."""
        heappush(self._due, (due, next(self._numbers), pipe))
        self._wanted.set()
        self._sleep.deadline = min(self._sleep.deadline, due)

    def pipes(self, size: int) -> tuple[Pipe, Pipe]:
        """Make the directions of a connection, and decide what happens to them."""
        to_server, to_client = _SlowPipe(size, self), _SlowPipe(size, self)
        chance, network = self.random.random, self.network

        def reset() -> None:
            to_server.fail()
            to_client.fail()

        if chance() < network.resets:
            broken = to_server if chance() < 0.5 else to_client
            broken.doom(self._byte(), reset)
        elif chance() < network.half_closes:
            to_server.doom(self._byte(), to_server.stop)
        return to_server, to_client

    def _byte(self) -> int:
        return int(2 ** (self.random.random() * _DOOM))

    def delay(self) -> float:
        """Say how many seconds the next bytes are on their way."""
        network, chance = self.network, self.random.random
        least, most = network.delay
        stalls = network.stalls and chance() < network.stalls
        return least + (most - least) * chance() + (network.stall if stalls else 0.0)

    def cut(self, size: int) -> int:
        """Say how many of *size* bytes are handed over, at least one of them."""
        if self.network.piece is not None:
            return min(size, self.network.piece)
        chance = self.random.random
        return min(size, _CUTS[int(chance() * len(_CUTS))](size, chance()))


class _SlowPipe(Pipe):
    """
    Bytes on their way in one direction of a network.

    Args:
        size: How many bytes it holds, with those that are on their way.
        transit: Brings them.
    """

    __slots__ = ("_doom", "_has_stopped", "_latest", "_transit", "_under_way", "_way")

    def __init__(self, size: int, transit: Transit) -> None:
        super().__init__(size)
        self._transit = transit
        # What is on its way, with the time when it is due: bytes, or what ends the direction.
        self._way: deque[tuple[float, bytes | Callable[[], None]]] = deque()
        self._under_way = 0
        # Nothing arrives before what was sent earlier.
        self._latest = -math.inf
        # Whether the writer has sent the end.
        self._has_stopped = False
        # After how many more bytes something happens to the connection.
        self._doom: tuple[int, Callable[[], None]] | None = None

    def doom(self, after: int, happens: Callable[[], None]) -> None:
        """Let something happen to the connection when *after* bytes have arrived."""
        self._doom = after, happens

    # The writer's side.

    def _takes_no_more(self) -> bool:
        return self._has_stopped or super()._takes_no_more()

    def _room(self) -> int:
        return super()._room() - self._under_way

    def unacknowledged(self) -> int:
        return super().unacknowledged() + self._under_way

    def _carry(self, data: bytes | memoryview) -> None:
        self._under_way += len(data)
        first = self._transit.cut(len(data))
        self._send(bytes(data[:first]))
        if first < len(data):
            self._send(bytes(data[first:]))

    def end(self) -> None:
        self._stop_sending(super().end)

    def cut(self) -> None:
        self._stop_sending(super().cut)

    def abort(self) -> None:
        self._lose()
        super().abort()

    def _stop_sending(self, end: Callable[[], None]) -> None:
        self._has_stopped = True
        self._wake()
        self._send(end)

    def _send(self, what: bytes | Callable[[], None]) -> None:
        now = trio.current_time()
        self._latest = max(self._latest, now + self._transit.delay())
        self._way.append((self._latest, what))
        if self._latest > now:
            self._transit.expect(self, self._latest)
        else:
            self.arrive(now)

    # The reader's side.

    def take(self, size: int) -> bytes:
        return super().take(min(size, self._transit.cut(len(self))) if len(self) else size)

    def drop(self) -> None:
        self._lose()
        super().drop()

    # On the way.

    def arrive(self, now: float) -> None:
        """Hand over what is due *now*."""
        while self._way and self._way[0][0] <= now:
            _, what = self._way.popleft()
            if isinstance(what, bytes):
                self._under_way -= len(what)
                self._pass(what)
            else:
                what()

    def _pass(self, data: bytes) -> None:
        if self._doom is None:
            super()._carry(data)
            return
        left, happens = self._doom
        if data[:left]:
            super()._carry(data[:left])
        self._doom = left - len(data), happens
        if len(data) >= left:
            self._doom = None
            self._lost += len(data) - left
            happens()

    def fail(self) -> None:
        """Break. What has arrived can still be read."""
        self.fault = "the test's network reset the connection"
        self._lose()
        self._break()

    def stop(self) -> None:
        """End here, for both sides. What has arrived can still be read."""
        self.fault = "the test's network ended the client's direction of the connection"
        self._lose()
        super().end()

    def _lose(self) -> None:
        self._lost += self._under_way
        self._under_way = 0
        self._way.clear()
