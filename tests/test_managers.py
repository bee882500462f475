"""What is only of use in a `with` block says so if it is used without one."""

import asyncio
import copy
import re
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import pytest

from triows import Triows, WebSocket, WebSocketRoute, _managers, use
from triows.testing import TestClient, open_app, open_server

pytest_plugins = ["pytester"]


def get_name() -> str:
    return "real"


def serving() -> Triows:
    route = WebSocketRoute("name")

    @route.endpoint
    async def handler(ws: WebSocket, name: Annotated[str, use(get_name)]) -> None:
        await ws.accept()
        await ws.send(name)

    return Triows(route)


CALLS = {
    "with Triows.override(...)": lambda app: app.override(get_name, lambda: "fake"),
    "async with Triows.running(...)": lambda app: app.running(),
    "async with open_app(...)": open_app,
    "async with open_server(...)": open_server,
    "with TestClient.websocket_connect(...)": lambda app: TestClient(app).websocket_connect("/"),
}

# The lines of the calls. A lambda's code begins there; the other functions are called below.
LINES = {
    written: call.__code__.co_firstlineno
    for written, call in CALLS.items()
    if call.__name__ == "<lambda>"
}


@pytest.mark.parametrize("written", CALLS)
def test_a_call_without_its_block_is_warned_of_at_its_line(written):
    call: Callable[[Triows], Any] = CALLS[written]
    app = serving()
    with pytest.warns(RuntimeWarning, match="was never entered, so it did nothing") as caught:
        call(app)
    (warning,) = caught
    assert f"write `{written}:`" in str(warning.message)
    assert warning.filename == __file__


@pytest.mark.parametrize("written", CALLS)
def test_the_line_is_that_of_the_call_even_if_another_line_lets_it_go(written):
    call: Callable[[Triows], Any] = CALLS[written]
    managers = [call(serving())]
    with pytest.warns(RuntimeWarning, match="was never entered") as caught:
        managers.clear()
    (warning,) = caught
    code = test_the_line_is_that_of_the_call_even_if_another_line_lets_it_go.__code__
    expected = LINES.get(written, code.co_firstlineno + 3)
    assert (warning.filename, warning.lineno) == (__file__, expected)


@pytest.mark.parametrize("call", [open_app, open_server, Triows.running])
def test_a_plain_block_for_an_async_one_says_what_to_write(call):
    with (
        pytest.raises(TypeError, match=rf"write `async with {call.__qualname__}\(\.\.\.\):`"),
        call(serving()),
    ):
        pass


@pytest.mark.parametrize("written", [one for one in CALLS if "TestClient" not in one])
async def test_an_await_of_one_says_what_to_write(written):
    call: Callable[[Triows], Any] = CALLS[written]
    with pytest.raises(TypeError, match=re.escape(f"awaited: write `{written} as value:`")):
        await call(serving())


async def test_a_connection_of_the_native_client_can_not_be_awaited_either():
    async with open_app(serving()) as client:
        with pytest.raises(
            TypeError, match=r"`async with AppClient\.websocket_connect\(\.\.\.\) as"
        ):
            await client.websocket_connect("/name")


async def test_an_async_block_for_a_plain_one_says_what_to_write():
    app = serving()
    with pytest.raises(TypeError, match=r"write `with Triows\.override\(\.\.\.\):`"):
        async with app.override(get_name, lambda: "fake"):
            pass


async def test_an_async_block_of_the_synchronous_client_says_what_to_write():
    with pytest.raises(
        TypeError, match=r"`async with triows\.testing\.open_app\(app\) as client:`"
    ):
        async with TestClient(serving()):
            pass


ENTERED_UNDER_ASYNCIO = {
    open_app: "open_app needs Trio, and no Trio loop runs here: install pytest-trio",
    open_server: "open_server needs Trio, .* use triows.testing.TestClient",
    Triows.running: r"app\.running\(\) needs Trio, .* trio\.run\(main\)",
}


@pytest.mark.parametrize("call", ENTERED_UNDER_ASYNCIO)
def test_a_block_under_asyncio_says_what_runs_it_on_trio(call):
    async def enter() -> None:
        async with call(serving()):
            pass

    with pytest.raises(RuntimeError, match=ENTERED_UNDER_ASYNCIO[call]):
        asyncio.run(enter())


async def test_so_is_a_connection_of_the_native_client():
    async with open_app(serving()) as client:
        with pytest.warns(
            RuntimeWarning, match=r"`async with AppClient.websocket_connect\(...\):`"
        ):
            client.websocket_connect("/name")


def test_a_block_is_not_warned_of():
    app = serving()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with (
            app.override(get_name, lambda: "fake"),
            TestClient(app).websocket_connect("/name") as ws,
        ):
            assert ws.receive_text() == "fake"


def test_under_pytest_the_warning_is_seen(pytester):
    """As that of a coroutine that was never awaited: the object is collected, and can't raise."""
    pytester.makepyfile(
        """
        from triows import Triows
        from triows.testing import open_app

        def test_forgetful():
            open_app(Triows())
        """
    )
    result = pytester.runpytest_subprocess("-W", "error")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*RuntimeWarning: open_app(...) was never entered*"])


def test_what_is_taken_for_the_value_says_that_it_has_to_be_entered():
    manager = open_app(serving())
    with pytest.raises(AttributeError, match=r"no 'http': write `async with open_app\(...\) as"):
        manager.http  # noqa: B018 - it raises
    with pytest.warns(RuntimeWarning):
        del manager


def test_it_can_be_copied():
    with (manager := _managers.contextmanager(counting)()):
        assert copy.copy(manager).gen is manager.gen


def counting():
    yield 1
