"""
A schedule: what a seed decides in a test.

A test may run several loops, one after another or in several threads. Each has an order and a
source of chance of its own, by its number in the test, so what one does changes nothing for the
next.

A test may also install schedules of its own meanwhile, as ``explore_cancellation`` does. What runs
under them counts for the schedule of the test as well. Otherwise it would seem that the test ran no
loop at all, and that its seed decides nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from . import hypotheses, internals
from .orders import Alternating, Fixed, Ranked, Shuffled
from .seeds import Seed, derived

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .orders import Order, Task

__all__ = [
    "MIX",
    "Kind",
    "Loop",
    "Schedule",
    "current_loop",
    "installed_schedule",
    "installed_seed",
    "kind_of",
]


class Kind(NamedTuple):
    """A strategy, with its parameters."""

    name: str
    make: Callable[[Random], Order]
    #: How many batches with a choice a test should have for it to make sense.
    length: int = 0


#: The strategies. A seed's remainder picks one. What each of them finds, and how soon, is shown by
#: ``tests/schedules/races.py``: the mix is what finds all planted races in the fewest runs.
MIX: tuple[Kind, ...] = (
    Kind("forwards", lambda random: Fixed(backwards=False)),
    Kind("shuffled", Shuffled),
    Kind("ranked", lambda random: Ranked(random, 0)),
    Kind("ranked, changes every 8 batches", lambda random: Ranked(random, 8), 8),
    Kind("shuffled", Shuffled),
    Kind("ranked, changes every 32 batches", lambda random: Ranked(random, 32), 32),
    Kind("redrawn every 4 batches", lambda random: Ranked(random, 4, redraws=True), 4),
    Kind("ranked, changes every 128 batches", lambda random: Ranked(random, 128), 128),
    Kind("alternating", Alternating),
    Kind("backwards", lambda random: Fixed(backwards=True)),
    Kind("shuffled", Shuffled),
    Kind("ranked, changes every 512 batches", lambda random: Ranked(random, 512), 512),
)

#: How often a call gives others a turn that need not do so. Each loop has one of these.
_YIELDS = (0.0, 1.0, 0.5, 0.5, 0.1, 0.9)

#: With ``--triows-unfair``: how often a task is held back, and for how many batches at most.
_HELD_BACK = 0.1
_HELD_FOR = 8


def kind_of(seed: int) -> Kind:
    """Tell which strategy a seed picks."""
    return MIX[seed % len(MIX)]


class Loop:
    """The part of a schedule that is one loop's."""

    def __init__(self, schedule: Schedule, kind: Kind, *names: object) -> None:
        self.schedule = schedule
        self.order = kind.make(Random(derived("order", *names)))
        self._names = names
        self._sources = 0
        self._random = Random(derived("chance", *names)).random
        self._yields = _YIELDS[int(self._random() * len(_YIELDS))]
        #: Draw what the loop serves. Called between two steps.
        self.pictures: list[Callable[[], str]] = []
        # Tasks that are held back, by their number, and for how many more batches.
        self._held: dict[int, int] = {}

    def yields(self) -> bool:
        """Whether a call gives others a turn that need not do so."""
        self.schedule.decisions += 1
        return self._random() < self._yields and self.schedule.chooses

    def source(self, name: str) -> Random:
        """
        Make a source of chance for something else that the seed is to decide.

        Args:
            name: What it is, as people call it.
        """
        self.schedule.decisions += 1
        self.schedule.besides.add(name)
        self._sources += 1
        return Random(derived(name, self._sources, *self._names))

    def picture(self) -> str:
        """Draw all that the loop serves."""
        return "\n".join(draw() for draw in self.pictures)

    def hold_back(self, batch: list[Task]) -> None:
        """Move some tasks to the next batch, but never all of them."""
        held = self._held
        for task in batch[:]:
            left = held.pop(task._counter, None)
            if left is None and self._random() < _HELD_BACK:
                left = 1 + int(self._random() * _HELD_FOR)
            if left and len(batch) > 1:
                held[task._counter] = left - 1
                batch.remove(task)
                internals.run_queue().append(task)
                self.schedule.held += 1


class Schedule(Random):
    """
    Decides the order of tasks, in the place of Trio's own source of randomness.

    Args:
        seed: What decides.
        choices: Which choices it makes, counted from 1. The others are the plain ones. By default,
            it makes all.
        kind: The strategy, if not the one that the seed picks.
        examples: Whether each example of Hypothesis has a schedule of its *own*, or this one, the
            *same* for each, or is *ignored*.
        unfair: Whether it holds ready tasks back over several batches, which Trio never does.
        on_loop: Called in each loop, before its first batch.
    """

    def __init__(
        self,
        seed: int,
        *,
        choices: range | None = None,
        kind: Kind | None = None,
        examples: Literal["own", "same", "ignored"] = "own",
        unfair: bool = False,
        on_loop: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(derived("trio", seed))
        self.source_seed = Seed(seed, choices)
        #: How often there was something to choose. Of the schedules that were installed meanwhile,
        #: each chooses for itself, and only the longest counts.
        self.decisions = 0
        #: How many loops there were, with those under schedules that were installed meanwhile.
        self.loops = 0
        #: How often a task was held back.
        self.held = 0
        #: What else decided: the real clock, threads, sockets.
        self.outside: set[str] = set()
        #: What the seed decided besides the choices.
        self.besides: set[str] = set()
        # The number of the next loop of its own.
        self._number = 0
        self._kind = kind
        self._examples = examples
        self._unfair = unfair
        self._on_loop = on_loop

    def shuffle(self, x: Any) -> None:
        """Put a batch in order. Trio calls it for each, in the loop's thread, with no task."""
        loop: Loop | None = getattr(internals.LOOP, "triows_schedule", None)
        if loop is None or loop.schedule is not self:
            loop = self._enter()
        if len(x) < 2:
            return
        bystanders = [task for task in x if task.name in internals.BYSTANDERS]
        for task in bystanders:
            x.remove(task)
        if len(x) > 1:
            self.decisions += 1
            if self.chooses:
                loop.order(x)
                if self._unfair:
                    loop.hold_back(x)
            else:
                loop.order(x[:])  # the later choices are those of the seed all the same
                x.reverse()  # forwards: what is last runs first
        x += bystanders

    @property
    def chooses(self) -> bool:
        """Whether the seed makes the choice that is due."""
        choices = self.source_seed.choices
        return choices is None or self.decisions in choices

    def _enter(self) -> Loop:
        """Begin in a loop that is new, or that began under another schedule."""
        # Nothing about a loop of an example may depend on the examples before.
        example = self._example()
        seed = self._seed_in(example)
        if example is None:
            number = self._number
            self._number += 1
        else:
            number = example.loops
            example.loops += 1
        self.loops += 1
        loop = Loop(self, self._kind or kind_of(seed), seed, number)
        internals.LOOP.triows_schedule = loop
        if self._on_loop is not None:
            self._on_loop()
        return loop

    def _example(self) -> hypotheses.Example | None:
        return None if self._examples == "ignored" else hypotheses.current()

    def _seed_in(self, example: hypotheses.Example | None) -> int:
        if example is None or self._examples == "same":
            return self.source_seed.number
        return example.seed

    def again(self) -> Schedule:
        """
        Make a schedule that decides the same each time.

        What it decides in its first loop is the same for every schedule that is made here during a
        test, or during an example of Hypothesis.
        """
        return Schedule(
            self._seed_in(self._example()),
            choices=self.source_seed.choices,
            kind=self._kind,
            examples="ignored",
            unfair=self._unfair,
            on_loop=self._on_loop,
        )

    @contextmanager
    def installed(self) -> Iterator[Schedule]:
        """Let it decide, in all loops of the process."""
        outer = installed_schedule()
        try:
            with internals.installed(self, self.outside.add):
                yield self
        finally:
            if outer is not None:
                outer._count(self)

    def _count(self, inner: Schedule) -> None:
        """Count what ran under another schedule, which was installed meanwhile."""
        self.loops += inner.loops
        self.decisions = max(self.decisions, inner.decisions)
        self.held += inner.held
        self.outside |= inner.outside
        self.besides |= inner.besides


def installed_schedule() -> Schedule | None:
    """Give the schedule that decides in this process now, if there is one."""
    random = internals.source()
    return random if isinstance(random, Schedule) else None


def installed_seed() -> int:
    """Give the seed of the schedule that decides in this process now; 0 if there is none."""
    schedule = installed_schedule()
    return 0 if schedule is None else schedule.source_seed.number


def current_loop() -> Loop | None:
    """Give the schedule of the loop that runs in this thread, if it has one."""
    loop: Loop | None = getattr(internals.LOOP, "triows_schedule", None)
    return loop
