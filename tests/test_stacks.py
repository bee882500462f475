"""Where code waits: whose it is, and what of it is shown."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import trio
from attrs import evolve

import triows
from triows._stacks import (
    Frame,
    add_stack,
    describe,
    frame_at,
    frames_of,
    innermost,
    lines,
    relative,
    shown,
)

HERE = __file__
STDLIB = json.__file__
TRIO = trio.__file__
OURS = triows.__file__
LIBRARY = pytest.__file__


def frame(owner, function="f", file=None, line=1) -> Frame:
    return Frame(file or f"/{owner}.py", line, function, owner)


def code_in(file):
    return compile("def f(): pass", file, "exec")


@pytest.mark.parametrize(
    ("file", "owner"),
    [
        (HERE, "application"),
        (LIBRARY, "library"),
        (STDLIB, "system"),
        (TRIO, "system"),
        (OURS, "triows"),
        ("<stdin>", "application"),
        ("<string>", "application"),
        ("<frozen importlib._bootstrap>", "system"),
        ("<attrs generated init x>", "system"),
    ],
)
def test_the_file_says_whose_code_it_is(file, owner):
    assert frame_at(code_in(file), 1).owner == owner


def test_a_frame_has_its_place_and_its_source():
    here = sys._getframe()
    (seen,) = describe([(here, here.f_lineno)])
    name = "test_a_frame_has_its_place_and_its_source"
    assert (seen.file, seen.function) == (HERE, name)
    assert seen.where == f"{HERE}:{seen.line} in {name}"
    assert seen.source == "(seen,) = describe([(here, here.f_lineno)])"


def test_a_file_that_is_not_there_has_no_source():
    assert frame("application", file="/nowhere.py").source == ""


def test_names_that_could_control_a_terminal_are_escaped():
    assert frame_at(code_in("/a\x1b.py"), 1).file == r"/a\x1b.py"


def fail() -> None:
    raise ValueError


def test_an_error_has_the_frames_that_it_has_left_the_outermost_first():
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - it has no text
        fail()
    assert [one.function for one in frames_of(caught.value)][-1] == "fail"


async def test_behind_a_nursery_the_frames_go_on_in_its_task():
    async def task() -> None:
        fail()

    with pytest.raises(ExceptionGroup) as caught:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(task)
    functions = [one.function.rpartition(".")[2] for one in frames_of(caught.value)]
    assert functions[0] == "test_behind_a_nursery_the_frames_go_on_in_its_task"
    assert functions[-2:] == ["task", "fail"]


def test_the_innermost_frame_of_the_application_says_most():
    outer, inner = frame("application", "outer"), frame("application", "inner")
    frames = [frame("triows"), outer, frame("library"), inner, frame("system")]
    assert innermost(frames) is inner
    assert innermost([frame("triows"), frame("library", "l"), frame("system")]).function == "l"
    assert innermost([frame("system", "s")]).function == "s"
    assert innermost([]) is None


def test_what_is_around_the_application_is_not_shown():
    frames = [
        frame("triows", "around"),
        frame("application", "mine"),
        frame("triows", "between"),
        frame("library", "used"),
        frame("system", "called"),
    ]
    assert [one.function for one in shown(frames)] == ["mine", "used", "called"]


def test_the_inside_of_trio_is_shown_only_if_there_is_nothing_else():
    inside = frame("system", "wait_task_rescheduled", file=TRIO)
    assert shown([frame("application", "mine"), inside])[-1].function == "mine"
    assert shown([inside]) == (inside,)


def test_frames_are_written_a_line_for_each():
    one = frame("application", "f", file=str(Path.cwd() / "x.py"), line=3)
    assert lines([one]) == ["  x.py:3 in f"]


def test_of_many_frames_the_middle_is_counted():
    frames = [evolve(frame("application"), line=number) for number in range(30)]
    written = lines(frames)
    assert len(written) == 21
    assert written[5] == "  (10 more calls)"
    assert written[0].endswith(":0 in f")
    assert written[-1].endswith(":29 in f")


def test_a_stack_is_a_note_for_each_line():
    error = ValueError()
    add_stack(error, [frame("application", "f"), frame("application", "g")])
    assert len(error.__notes__) == 3
    assert error.__notes__[1].endswith(" in f")


def test_no_stack_is_no_note():
    error = ValueError()
    add_stack(error, [])
    assert not hasattr(error, "__notes__")


def test_a_place_is_shortened_as_seen_from_here():
    assert relative(os.path.join(os.getcwd(), "a", "b.py")) == os.path.join("a", "b.py")
    assert relative("/elsewhere/b.py") == "/elsewhere/b.py"
