"""
Schedules: the order of Trio's tasks in a test, decided by a seed.

What enters is a seed, which is a whole number. What leaves is a :class:`~.schedule.Schedule`. It
replaces Trio's source of randomness while a test runs. Trio passes it each batch of ready tasks,
and runs them in the order that the schedule chooses. (The documentation calls a batch a round.) The
same seed gives the same order again, in any process and with any supported Python.

pytest loads the plugin, and so this package, in every suite of an environment with triows. It is
not inside the package triows, because importing that takes half a second, and not every suite uses
it. Here, only ``running``, ``plugin`` and ``starting`` import pytest, and nothing imports triows.
From the bottom up:

- ``seeds``: reads, makes and derives seeds.
- ``orders``: the strategies. Each sorts batches in a way of its own.
- ``internals``: all private names of Trio that are used, and a check that they are there.
- ``fixtures``: lets pytest-trio start fixtures in the same order each time.
- ``hypotheses``: gives each example of Hypothesis a schedule of its own.
- ``schedule``: what a seed decides, in each loop of a test.
- ``exploring``: which seeds to try, if a test runs under many schedules.
- ``places``: whose code a function is, and which lines of a stack help people most.
- ``failures``: how a test failed, so that two runs can be compared.
- ``trace``: records the task switches, if they are to be shown.
- ``running``: one run of a test.
- ``shrinking``: finds out which choices of a failing schedule matter.
- ``telling``: the words of a failure's report. ``summary``: those at the end of pytest's output.
- ``repeating``: runs a test under many schedules, and finds out more about a failure.
- ``plugin``: the hooks of pytest.
- ``starting``: reads pytest's options, and starts ``plugin`` if Trio is as expected.
"""

from __future__ import annotations
