"""Several errors of a test and of its application, raised as one."""

import pytest
import trio

from triows import WebSocketDisconnect
from triows.testing._blocked import LoopBlocked
from triows.testing._raising import is_cancelled, raise_all


def raised(*errors):
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - any of them
        raise_all("errors", errors)
    return caught.value


async def cancellation():
    with trio.CancelScope() as scope:
        scope.cancel()
        with pytest.raises(trio.Cancelled) as caught:
            await trio.sleep_forever()
    return caught.value


def test_nothing_is_raised_if_nothing_went_wrong():
    raise_all("errors", [None, None])


def test_one_error_is_raised_as_itself():
    error = ValueError()
    assert raised(None, error, error) is error


def test_several_errors_are_a_group():
    errors = ValueError(), KeyError()
    assert raised(*errors).exceptions == errors


@pytest.mark.parametrize("kind", [KeyboardInterrupt, LoopBlocked])
def test_what_ends_a_test_goes_before_its_consequences(kind):
    error = kind()
    assert raised(ValueError(), ExceptionGroup("", [KeyError()]), error) is error


async def test_a_cancellation_alone_is_raised_as_itself():
    error = await cancellation()
    assert is_cancelled(error)
    assert raised(error, WebSocketDisconnect(1006)) is error


async def test_a_cancellation_does_not_hide_an_error():
    cancelled, error = await cancellation(), ValueError()
    assert not is_cancelled(error)
    assert raised(cancelled, error).exceptions == (error, cancelled)
