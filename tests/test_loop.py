"""What runs under another loop than Trio's is refused with the remedy."""

from __future__ import annotations

import asyncio

import pytest
import trio

from triows._errors import leaves
from triows._loop import check_trio, check_trio_in_test, note_loop


async def test_nothing_is_refused_in_a_loop_of_trio():
    check_trio("it", "use another")
    check_trio_in_test("it")


def test_without_a_loop_the_remedy_is_told():
    with pytest.raises(RuntimeError, match=r"^it needs Trio, .* runs here: use another$"):
        check_trio("it", "use another")


def test_a_test_of_asyncio_is_told_what_to_install():
    async def test() -> None:
        check_trio_in_test("open_app()")

    with pytest.raises(RuntimeError, match=r"^open_app\(\) needs Trio, .*pytest-trio"):
        asyncio.run(test())


def error_of(function) -> Exception:
    async def main():
        await function()

    with pytest.raises((RuntimeError, AttributeError)) as caught:
        trio.run(main)
    return caught.value


async def lock_twice():
    lock = asyncio.Lock()
    await lock.acquire()
    await lock.acquire()


@pytest.mark.parametrize(
    "function",
    [lambda: asyncio.sleep(1), lambda: asyncio.to_thread(int), lock_twice],
    ids=["sleep", "to_thread", "lock"],
)
def test_an_error_of_asyncio_gets_a_note(function):
    error = error_of(function)
    note_loop(ExceptionGroup("", [ValueError(), error]))
    assert "use Trio's" in error.__notes__[0]


def test_other_errors_get_no_note():
    errors = ExceptionGroup(
        "", [RuntimeError("something else"), ValueError("no running event loop")]
    )
    note_loop(errors)
    assert not any(hasattr(leaf, "__notes__") for leaf in leaves(errors))
