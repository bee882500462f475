"""The event loop that everything here needs: Trio's."""

from __future__ import annotations

import trio

from ._errors import add_note, is_a, leaves, text_of

__all__ = ["NO_TRIO", "check_trio", "check_trio_in_test", "note_loop"]

NO_TRIO = (
    "triows runs on Trio, and this server does not: start the application by "
    "`triows run module:app`, or by `hypercorn -k trio module:app`. In a test, use "
    "triows.testing.TestClient, which has the interface of Starlette's, or triows.testing.open_app"
)


_IN_TESTS = (
    "install pytest-trio, and write `trio_mode = true` below [tool.pytest.ini_options] in "
    "pyproject.toml, or below [pytest] in pytest.ini. With anyio's plugin, let a fixture "
    "anyio_backend return 'trio'. pytest-asyncio can't run this test: without pytest-trio, use "
    "triows.testing.TestClient in a test that is not async"
)


def check_trio(what: str, remedy: str) -> None:
    """
    Refuse to run where no Trio loop runs, for example under asyncio.

    Args:
        what: The function that was called.
        remedy: What to write instead.

    Raises:
        RuntimeError: No Trio loop runs. The message says what to write instead.
    """
    if not trio.lowlevel.in_trio_run():
        raise RuntimeError(f"{what} needs Trio, and no Trio loop runs here: {remedy}")


def check_trio_in_test(what: str) -> None:
    """
    Refuse a test that doesn't run on Trio, for example because pytest-asyncio runs it.

    Args:
        what: The function that was called, or the fixture.

    Raises:
        RuntimeError: No Trio loop runs. The message says how to run tests on Trio.
    """
    check_trio(what, _IN_TESTS)


# What asyncio, sniffio and anyio say if they find no loop that they know.
_NO_LOOP = (
    "no running event loop",
    "There is no current event loop",
    "AsyncLibraryNotFoundError",
    "NoEventLoopError",
    "'NoneType' object has no attribute 'create_future'",  # asyncio's Event, Lock, Queue
)
_USE_TRIO = (
    "triows runs on Trio, where asyncio's functions don't work: use Trio's, such as trio.sleep, "
    "trio.Event, trio.Lock and a nursery, or a library that supports Trio or anyio"
)


def note_loop(error: BaseException) -> None:
    """Add a note to errors of code that needs another event loop, such as asyncio's."""
    for leaf in leaves(error):
        if is_a(leaf, RuntimeError, AttributeError) and any(
            said in text_of(leaf) for said in _NO_LOOP
        ):
            add_note(leaf, _USE_TRIO)
