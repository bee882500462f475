"""
A schedule of its own for each example of Hypothesis.

Hypothesis runs a test many times, and gives Trio's source of randomness the same seed each time. So
it would see one order, or few. Here, each example has a seed of its own, and it is part of the
example: the same example always has the same schedule. So Hypothesis can run an example again,
store it, and make it smaller.

An async test draws its seed, like any other value of the example. So Hypothesis tries the same
values with several schedules, and can make the values smaller without changing the schedule. A
plain ``def`` test may use Trio or not, so it draws none: its seed is made from the values that were
drawn before the loop began.
"""

from __future__ import annotations

import functools
import sys
import threading
from typing import TYPE_CHECKING, Any

from .seeds import derived

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Example", "current", "drawing", "forget", "last_seed"]

#: The seeds that are drawn.
_HIGHEST = 2**32 - 1


class Example:
    """
    An example of Hypothesis that runs.

    Args:
        data: What Hypothesis knows of it.
        seed: The seed of its schedule.
    """

    def __init__(self, data: object, seed: int) -> None:
        self.data = data
        self.seed = seed
        #: How many loops it had.
        self.loops = 0


class _Examples(threading.local):
    """The last example of each thread."""

    last: Example | None = None


_examples = _Examples()


def _data() -> Any:
    """Give Hypothesis' data of the example that runs in this thread, or ``None``."""
    # Both names are internal to Hypothesis. Without them, examples have the test's own schedule.
    control = sys.modules.get("hypothesis.control")
    context = getattr(getattr(control, "_current_build_context", None), "value", None)
    return getattr(context, "data", None)


def _is_given(data: Any) -> bool:
    """Whether the values are those of an ``@example``, which has none to draw."""
    return getattr(data, "max_choices", None) == 0


def current() -> Example | None:
    """Give the example that runs in this thread, if there is one that has a seed."""
    data = _data()
    if data is None or _is_given(data):
        return None
    last = _examples.last
    if last is None or last.data is not data:
        seed = derived("example", *map(repr, getattr(data, "choices", ())))
        last = _examples.last = Example(data, seed)
    return last


def last_seed(item: Any) -> int | None:
    """Give the seed of a test's last example, if it is a test of Hypothesis that has failed."""
    # Hypothesis runs the smallest example that fails last.
    last = _examples.last
    if last is None or not hasattr(getattr(item, "obj", None), "hypothesis"):
        return None
    return last.seed


def forget() -> None:
    """Forget the examples of the test before."""
    _examples.last = None


def drawing(test: Callable[..., Any], given: int | None) -> Callable[..., Any]:
    """
    Let each example of a test draw its seed.

    Args:
        test: It is called with the example's values.
        given: The seed that all examples have in place of the one that they draw.
    """

    @functools.wraps(test)
    def draw_first(*args: Any, **kwargs: Any) -> Any:
        data = _data()
        if data is not None and not _is_given(data):
            from hypothesis import note, strategies  # noqa: PLC0415 - not every suite has it

            # An example that Hypothesis has stored begins with its seed, so it is drawn anyway.
            drawn = data.draw(strategies.integers(0, _HIGHEST))
            seed = drawn if given is None else given
            note(f"triows: this example has the schedule {seed}")
            _examples.last = Example(data, seed)
        return test(*args, **kwargs)

    return draw_first
