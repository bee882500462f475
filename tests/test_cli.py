from __future__ import annotations

import signal
import sys
from importlib.metadata import version

import pytest

from triows._cli import _parser, main

APP = """
from typing import Annotated

from triows import AsyncResource, Triows, WebSocket, WebSocketRoute, use


async def pool() -> str:
    return "pool"


async def session(pool: Annotated[str, use(pool, scope="app")]) -> AsyncResource[str]:
    yield "session"


rooms = WebSocketRoute("rooms/{room}")


@rooms.endpoint
async def talk(
    ws: WebSocket, room: str, session: Annotated[str, use(session)], times: int = 1
) -> None: ...


@rooms.sub("log").endpoint
async def log(ws: WebSocket, room: str) -> None: ...


class Apps:
    chat = Triows(rooms)


app = Apps.chat
number = 1
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder to be in; modules imported from it are forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def test_routes_are_listed_with_handlers_parameters_and_resources(folder, capsys):
    write(folder, "chat_for_routes.py", APP)
    assert main(["routes", "chat_for_routes:app"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["PATH", "HANDLER", "PARAMETERS", "RESOURCES"],
        ["/rooms/{room}", "chat_for_routes.py:18", "(talk)", "path", "room:", "str", "session"],
        ["query", "times:", "int", "=", "...", "pool", "(application)"],
        ["/rooms/{room}/log", "chat_for_routes.py:24", "(log)", "path", "room:", "str"],
    ]
    assert len({line.find("path room") for line in lines if "path room" in line}) == 1


def test_an_application_without_routes_has_an_empty_table(folder, capsys):
    write(folder, "empty.py", "import triows\napp = triows.Triows()\n")
    assert main(["routes", "empty:app"]) == 0
    assert capsys.readouterr().out == "PATH  HANDLER  PARAMETERS  RESOURCES\n"


@pytest.mark.parametrize("target", ["nested.chat:app", "nested.chat:Apps.chat"])
def test_modules_and_names_may_have_dots(folder, capsys, target):
    write(folder, "nested/chat.py", APP)
    assert main(["routes", target]) == 0
    assert "/rooms/{room}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("chat_there", "write module:app"),
        ("chat_there:", "write module:app"),
        (":app", "write module:app"),
        ("", "write module:app"),
        (".chat_there:app", "write module:app"),
        ("nowhere:app", "there is no module 'nowhere'"),
        ("nowhere.chat:app", "there is no module 'nowhere'"),
        ("chat_there.py:app", "without .py"),
        ("./chat_there:app", "write module:app"),
        ("chat_there:nothing", "'chat_there' has no 'nothing'"),
        ("chat_there:Apps.nothing", "'chat_there' has no 'Apps.nothing'"),
        ("chat_there:number", "is a int, not a Triows application"),
        ("chat_there:Apps", "not a Triows application"),
    ],
)
def test_what_leads_nowhere_ends_with_2_and_a_sentence(folder, capsys, target, told):
    write(folder, "chat_there.py", APP)
    assert main(["routes", target]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("triows: ")
    assert told in err
    assert "Traceback" not in err


def test_a_mistake_in_a_route_ends_with_1_and_names_its_line(folder, capsys):
    text = (
        "from triows import Triows, WebSocketRoute\n"
        "route = WebSocketRoute('rooms/{room}')\n"
        "@route.endpoint\n"
        "async def talk() -> None: ...\n"
        "app = Triows(route)\n"
    )
    write(folder, "mistaken.py", text)
    assert main(["run", "mistaken:app"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("triows: ")
    assert "mistaken.py:3 (talk)" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import a_module_that_is_not_there", "No module named 'a_module_that_is_not_there'"),
        ("1 / 0", "ZeroDivisionError"),
        ("def app(", "SyntaxError"),
    ],
)
def test_a_module_that_can_not_be_imported_ends_with_1_and_its_traceback(
    folder, capsys, text, told
):
    write(folder, "broken.py", text)
    assert main(["run", "broken:app"]) == 1
    err = capsys.readouterr().err
    assert "broken.py" in err
    assert told in err


@pytest.mark.parametrize("arguments", [[], ["fly"], ["run"], ["run", "a:b", "--speed", "9"]])
def test_a_command_that_is_none_ends_with_2_and_the_usage(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: triows" in capsys.readouterr().err


def test_it_knows_its_version(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"triows {version('triows')}\n"


@pytest.mark.parametrize("address", ["", "unix:", "127.0.0.1:http"])
def test_an_address_that_is_none_is_refused_before_anything_is_imported(address, capsys):
    assert main(["run", "nowhere:app", "--bind", address]) == 2
    assert capsys.readouterr().err.startswith("triows: --bind: ")


# Printing the tree


def test_the_tree_is_printed_on_a_signal_only_if_asked_for(capsys):
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    assert "--tree-on-signal" in capsys.readouterr().out
    assert not _parser().parse_args(["run", "chat:app"]).tree_on_signal
    assert _parser().parse_args(["run", "--tree-on-signal", "chat:app"]).tree_on_signal


def test_a_system_without_the_signal_is_told_so(monkeypatch, capsys):
    monkeypatch.delattr(signal, "SIGUSR1")
    assert main(["run", "--tree-on-signal", "chat:app"]) == 2
    assert "--tree-on-signal needs a system with SIGUSR1" in capsys.readouterr().err
