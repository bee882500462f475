import io

import rich.console
import trio
from trio.testing import wait_all_tasks_blocked

from tests.inspection.looking import connected, only, serving
from triows import WebSocket
from triows.inspect import look_at_task, tree


async def talk(ws: WebSocket, room: str) -> None:
    await ws.accept()
    async for _ in ws:
        pass


LONG = "x" * 300


async def test_the_text_says_what_there_is(autojump_clock):
    app = serving(talk, "rooms/{room}")
    async with connected(app, "/rooms/1"):
        await trio.sleep(2)
        lines = str(tree(app)).splitlines()
    assert lines[0].endswith(":  1 connection")
    assert lines[1] == "└── /rooms/{room}  /rooms/1  testclient:50000  open  2.0 s"
    assert any("async for _ in ws:" in line for line in lines)


async def test_the_text_has_no_colours_whatever_the_environment_asks_for(
    autojump_clock, monkeypatch
):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.setenv(name, "1")
    app = serving(talk, "rooms/{room}")
    async with connected(app, "/rooms/\x1b[31m"):
        assert "\x1b" not in str(tree(app))


async def test_no_line_of_the_text_is_folded_or_cut(autojump_clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    app = serving(talk, "rooms/{room}")
    async with connected(app, f"/rooms/{LONG}"):
        await wait_all_tasks_blocked()
        text = str(only(tree(app)))
    assert f"/rooms/{LONG}  testclient:50000" in text
    assert text.count("\n") == 3
    assert all(line == line.rstrip() for line in text.splitlines())


async def test_a_part_of_the_tree_is_printed_alone(nursery):
    nursery.start_soon(trio.sleep_forever, name="sleeper")
    await wait_all_tasks_blocked()
    (task,) = nursery.child_tasks
    assert str(look_at_task(task)).startswith("sleeper  ")


async def test_rich_prints_it_with_colours_and_loses_nothing_in_a_narrow_terminal(autojump_clock):
    app = serving(talk, "rooms/{room}")
    file = io.StringIO()
    console = rich.console.Console(
        file=file, width=60, force_terminal=True, color_system="standard"
    )
    async with connected(app, f"/rooms/{LONG}"):
        console.print(tree(app))
    assert "\x1b[" in file.getvalue()
    assert file.getvalue().count("x") >= len(LONG)


async def test_markup_in_a_path_is_only_text(autojump_clock):
    app = serving(talk, "rooms/{room}")
    async with connected(app, "/rooms/[red]1"):
        assert "/rooms/[red]1" in str(tree(app))
