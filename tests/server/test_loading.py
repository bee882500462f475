"""Finding the application that a command names."""

from __future__ import annotations

import sys

import pytest

from triows import Triows
from triows._server.loading import ImportFailed, UnusableTarget, load

CHAT = """
from starlette.applications import Starlette

from triows import Triows, WebSocket, WebSocketRoute

rooms = WebSocketRoute("rooms/{room}")


@rooms.endpoint
async def talk(ws: WebSocket, room: str) -> None: ...


class Apps:
    chat = Triows(rooms)


def make() -> Triows:
    return Triows()


app = Apps.chat
number = 1
other = Starlette()
"""


@pytest.fixture(autouse=True)
def write(import_folder):
    """Write a module into the current folder."""

    def write_module(name, text):
        path = import_folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    return write_module


# What is found


@pytest.mark.parametrize("target", ["nested.chat:app", "nested.chat:Apps.chat"])
def test_modules_and_names_may_have_dots(write, target):
    write("nested/chat.py", CHAT)
    assert load(target) is sys.modules["nested.chat"].app


def test_a_module_may_make_the_application_when_it_is_asked_for_it(write):
    write("lazy.py", "import triows\ndef __getattr__(name): return triows.Triows()\n")
    assert isinstance(load("lazy:app"), Triows)


def test_the_current_folder_is_looked_into_first_and_put_on_the_path_once(write, import_folder):
    write("chat_there.py", CHAT)
    load("chat_there:app")
    load("chat_there:app")
    assert sys.path[0] == str(import_folder)
    assert sys.path.count(str(import_folder)) == 1


# What isn't


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("chat_there", "write module:app, as in 'chat_there:app'"),
        ("chat_there:", "write module:app, as in 'chat_there:app'"),
        ("chat_there.py", "write module:app, as in 'chat_there:app'"),
        ("./chat_there.py", "write module:app, as in 'chat_there:app'"),
        ("chat_there.app", "write module:app, with a colon, as in 'chat_there:app'"),
        ("chat_there/app", "write module:app, with a colon, as in 'chat_there:app'"),
        ("chat_there/nothing:app", "write module:app, as in 'chat:app' or"),
        (":app", "write module:app"),
        ("", "write module:app"),
        (".chat_there:app", "write module:app"),
        ("nowhere:app", "there is no module 'nowhere'"),
        ("nowhere.chat:app", "there is no module 'nowhere'"),
        ("nowhere:app", "The current folder is /"),
        ("chat_here:app", "did you mean 'chat_there:app'?"),
        ("chat_there.py:app", "written without .py, so write module:app, as in 'chat_there:app'"),
        ("empty_there:app", "nor any other application of triows: write `app = Triows(route)`"),
        ("chat_there:make()", "has no 'make()': write 'chat_there:app'"),
        ("empty_there:make()", ": write 'empty_there:make' with --factory"),
        ("./chat_there:app", "write module:app"),
        ("chat_there:nothing", "'chat_there' has no 'nothing': write 'chat_there:app'"),
        ("chat_there:Apps.nothing", "'chat_there' has no 'Apps.nothing'"),
        ("chat_there:number", "is an object of type int, not a Triows application"),
        (
            "chat_there:Apps",
            "not a Triows application. If you mean the application there, write 'chat_there:app'",
        ),
        ("chat_there:talk", "if it is a handler, put `@route.endpoint` above talk"),
        ("chat_there:talk", "If you mean the application there, write 'chat_there:app'"),
        ("chat_there:make", "call it, as in `app = make()`"),
        ("chat_there:rooms", "is a WebSocketRoute, not an application: make one with Triows"),
        ("chat_there:Triows", "is the class Triows, not an application"),
        ("chat_there:other", "is a Starlette, not a Triows application: to serve another ASGI"),
    ],
)
def test_a_target_that_leads_nowhere_is_told_what_to_write(write, target, told):
    write("chat_there.py", CHAT)
    write("empty_there.py", "def make(): ...\n")
    with pytest.raises(UnusableTarget) as caught:
        load(target)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(repr(target))
    assert told in line


@pytest.mark.parametrize(
    "target", ["chat_there", "chat_there.py", "chat_there.app", "./chat_there:app"]
)
def test_a_module_that_was_only_meant_is_not_run(write, target):
    write("chat_there.py", "raise RuntimeError('it was run')\n")
    with pytest.raises(UnusableTarget, match="'chat_there:app'"):
        load(target)


# What fails


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1 / 0", ZeroDivisionError),
        ("def app(", SyntaxError),
        ("raise GeneratorExit", GeneratorExit),
        ("import a_module_that_is_not_there", ModuleNotFoundError),
        ("raise ModuleNotFoundError('of no module')", ModuleNotFoundError),
        ("def __getattr__(name): raise OSError('no database')", OSError),
    ],
)
def test_what_an_import_raises_is_kept(write, text, kind):
    write("broken.py", text)
    with pytest.raises(ImportFailed, match="'broken:app' can't be imported") as caught:
        load("broken:app")
    assert type(caught.value.error) is kind
    assert caught.value.__cause__ is caught.value.error


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_an_import_that_ends_the_process_does_so(write, kind):
    write("leaving.py", f"raise {kind.__name__}\n")
    with pytest.raises(kind):
        load("leaving:app")


def test_a_current_folder_that_is_gone_is_told(import_folder, monkeypatch):
    gone = import_folder / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(UnusableTarget, match="the current folder can't be found: No such file"):
        load("chat:app")


# Functions that make it


def test_a_function_may_make_the_application(write):
    write("making.py", CHAT)
    assert isinstance(load("making:make", factory=True), Triows)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("app", "is an application and no function: leave --factory out"),
        ("number", "is an object of type int: --factory needs a function"),
        ("talk", "can't be called without arguments: missing a required argument: 'ws'"),
        ("Apps", "is an object of type Apps, not a Triows application"),
        ("later", "is a coroutine, not an application"),
    ],
)
def test_what_makes_no_application_is_told_what_to_write(write, name, told):
    write("making_none.py", CHAT + "\n\nasync def later(): ...\n")
    with pytest.raises(UnusableTarget) as caught:
        load(f"making_none:{name}", factory=True)
    assert told in str(caught.value)


def test_a_function_that_fails_is_told(write):
    write("making_failing.py", "def make(): raise OSError('no database')")
    with pytest.raises(ImportFailed, match="'making_failing:make' failed") as caught:
        load("making_failing:make", factory=True)
    assert str(caught.value.error) == "no database"


# Folders


def test_a_module_is_looked_for_in_the_folder_first_and_then_here(write):
    write("one_of_two.py", "import not_in_two")
    write("two/one_of_two.py", CHAT + "import only_here")
    write("only_here.py", "")
    assert isinstance(load("one_of_two:app", folder="two"), Triows)


def test_a_folder_that_is_not_there_is_told():
    with pytest.raises(UnusableTarget, match="--app-dir: there is no folder 'nowhere'"):
        load("chat:app", folder="nowhere")
