"""Exceptions are taken apart, even those whose classes do their worst."""

from __future__ import annotations

import pytest
import trio

from triows._errors import (
    add_note,
    behind,
    children_of,
    combined,
    consists_of,
    exc_info,
    is_a,
    leaves,
    only,
    text_of,
    unwrapped,
    without,
    without_cancelled,
    without_stray,
)

ONE, TWO, THREE = ValueError("1"), KeyError("2"), OSError("3")


class Hostile(ExceptionGroup):
    """A group that lies about itself, and can't be split."""

    @property
    def __class__(self):
        raise RuntimeError("no class")

    @property
    def exceptions(self):
        raise RuntimeError("no exceptions")

    @property
    def __traceback__(self):
        raise RuntimeError("no traceback")

    def derive(self, excs):
        raise RuntimeError("no parts")

    def __str__(self):
        raise RuntimeError("no text")


def raised(error):
    try:
        raise error
    except BaseException as exc:  # noqa: BLE001
        return exc


def cancelled():
    """Return a Cancelled, as Trio makes it."""

    async def main():
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled as exc:
                found.append(exc)
                raise

    found = []
    trio.run(main)
    return found[0]


def group(*errors):
    return BaseExceptionGroup("", errors)


def test_leaves_are_found_in_groups_of_groups_in_their_order():
    assert list(leaves(group(ONE, group(TWO, group(THREE))))) == [ONE, TWO, THREE]
    assert list(leaves(ONE)) == [ONE]


def test_leaves_are_found_in_a_group_that_is_deeper_than_the_stack():
    deep = ONE
    for _ in range(5000):
        deep = group(deep)
    assert list(leaves(deep)) == [ONE]
    assert without(deep, TWO) is deep
    assert without(deep, ONE) is None
    assert unwrapped(deep) is ONE


def test_only_a_group_has_children():
    assert children_of(group(ONE, TWO)) == (ONE, TWO)
    assert children_of(ONE) == ()


def test_it_consists_of_types_if_each_of_its_leaves_is_of_one():
    both = group(ONE, group(TWO))
    assert consists_of(both, ValueError, LookupError)
    assert not consists_of(both, ValueError)


def test_a_group_that_lies_is_taken_apart():
    hostile = Hostile("", [ONE, TWO])
    assert is_a(hostile, ExceptionGroup)
    assert not is_a(hostile, ValueError)
    assert list(leaves(hostile)) == [ONE, TWO]
    assert exc_info(hostile) == (Hostile, hostile, None)
    assert text_of(hostile) == "Hostile: <its text can't be read>"
    rest = without(hostile, TWO)
    assert rest is not None
    assert list(leaves(rest)) == [ONE]


def test_what_is_known_is_left_out_and_the_rest_keeps_its_groups():
    rest = without(group(ONE, group(TWO, THREE)), group(TWO))
    assert [type(one) for one in children_of(rest)] == [ValueError, ExceptionGroup]
    assert list(leaves(rest)) == [ONE, THREE]


def test_an_error_without_anything_known_is_the_same_object():
    whole = group(ONE, group(TWO))
    assert without(whole, THREE) is whole
    assert without(ONE, THREE) is ONE


def test_nothing_is_left_of_what_is_known_even_in_another_group():
    assert without(group(ONE), ONE) is None
    assert without(ONE, group(ONE)) is None


def test_a_part_of_a_group_has_its_cause_its_context_its_traceback_and_its_notes():
    whole = raised(group(ONE, TWO))
    whole.__cause__, whole.__context__ = THREE, ONE
    whole.add_note("a note")
    part = without(whole, ONE)
    assert part is not whole
    assert (part.__cause__, part.__context__) == (THREE, ONE)
    assert part.__traceback__ is whole.__traceback__
    assert part.__notes__ == ["a note"]


def test_cancellations_are_left_out():
    gone = cancelled()
    assert without_cancelled(gone) is None
    assert list(leaves(without_cancelled(group(gone, ONE)))) == [ONE]
    assert without_cancelled(ONE) is ONE


def test_the_only_error_of_a_group_is_no_cancellation():
    assert only(group(group(ONE))) is ONE
    assert only(group(ONE, TWO)) is None
    assert only(group(cancelled())) is None


def test_groups_with_one_exception_are_taken_off():
    both = group(ONE, TWO)
    assert unwrapped(group(group(both))) is both
    assert unwrapped(group(ONE)) is ONE


def test_what_was_being_handled_is_found_behind_an_error_also_in_groups():
    def clean_up():
        try:
            raise group(ONE, TWO)
        finally:
            raise THREE

    with pytest.raises(OSError, match="3") as caught:
        clean_up()
    assert list(behind(group(caught.value))) == [ONE, TWO]
    assert list(behind(ValueError())) == []


def test_errors_that_refer_to_each_other_are_found_once():
    one, two = ValueError(), KeyError()
    one.__context__, two.__context__ = two, one
    assert list(behind(one)) == [two, one]


def test_the_text_has_the_name_of_the_class():
    assert text_of(ONE) == "ValueError: 1"


def test_a_note_is_added_unless_the_error_refuses():
    class Frozen(Exception):
        def add_note(self, note):
            raise AttributeError("frozen")

    error = ValueError()
    add_note(error, "where it was")
    add_note(Frozen(), "where it was")
    assert error.__notes__ == ["where it was"]


@pytest.mark.parametrize(("errors", "result"), [([], None), ([ONE], ONE)])
def test_none_or_one_is_combined_into_itself(errors, result):
    assert combined("several", errors) is result


def test_several_are_combined_into_a_group():
    both = combined("several", iter([ONE, TWO]))
    assert str(both) == "several (2 sub-exceptions)"
    assert children_of(both) == (ONE, TWO)


async def stray() -> trio.Cancelled:
    """A cancellation whose scope is over."""
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as exc:
            return exc
    raise AssertionError


async def test_a_cancellation_whose_scope_is_over_becomes_an_error_that_says_so():
    cancelled = await stray()
    error = without_stray(cancelled)
    assert isinstance(error, RuntimeError)
    assert "nothing has cancelled this task" in str(error)
    assert error.__cause__ is cancelled


async def test_beside_an_error_a_cancellation_whose_scope_is_over_is_left_out():
    error = without_stray(BaseExceptionGroup("", [ONE, await stray()]))
    assert list(leaves(error)) == [ONE]


async def test_a_cancellation_whose_scope_is_cancelled_stays():
    with trio.CancelScope() as scope:
        scope.cancel()
        with pytest.raises(trio.Cancelled) as caught:
            await trio.lowlevel.checkpoint()
        group = BaseExceptionGroup("", [ONE, caught.value])
        assert without_stray(caught.value) is caught.value
        assert without_stray(group) is group
    assert without_stray(TWO) is TWO
