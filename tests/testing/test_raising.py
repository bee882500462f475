"""The errors of a test and of its application are raised as one."""

from __future__ import annotations

import pytest
import trio

from triows import WebSocketDisconnect
from triows.testing._blocked import LoopBlocked
from triows.testing._raising import is_cancelled, raise_all

ONE, TWO = ValueError("1"), KeyError("2")


def cancelled() -> trio.Cancelled:
    async def main() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled as exc:
                found.append(exc)
                raise

    found: list[trio.Cancelled] = []
    trio.run(main)
    return found[0]


def raised(*errors: BaseException | None) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - any
        raise_all("several", errors)
    return caught.value


def test_nothing_is_raised_for_nothing():
    raise_all("several", [None, None])


def test_the_only_error_is_raised_itself():
    assert raised(None, ONE, ONE) is ONE


def test_several_errors_are_a_group():
    error = raised(ONE, TWO)
    assert str(error) == "several (2 sub-exceptions)"
    assert error.exceptions == (ONE, TWO)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, LoopBlocked])
def test_what_interrupts_a_test_is_raised_alone(kind):
    interrupt = kind("now")
    assert raised(ONE, BaseExceptionGroup("", [TWO, interrupt])) is interrupt


def test_a_cancellation_alone_is_raised_itself():
    gone = cancelled()
    assert raised(gone) is gone
    assert raised(gone, BaseExceptionGroup("", [cancelled()])) is gone


def test_a_cancellation_beside_errors_is_in_their_group_once():
    first, second = cancelled(), cancelled()
    assert raised(first, ExceptionGroup("", [ONE]), second).exceptions == (ONE, first)


def test_a_connection_that_ended_with_the_cancellation_is_no_news():
    gone = cancelled()
    assert raised(gone, WebSocketDisconnect(1001)) is gone


def test_a_part_that_is_a_cancellation_is_found():
    assert is_cancelled(cancelled())
    assert is_cancelled(BaseExceptionGroup("", [ONE, cancelled()]))
    assert not is_cancelled(ONE)
    assert not is_cancelled(None)
