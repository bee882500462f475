"""Does everything that the README tells a new user to do."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.request import urlopen

import pytest
from playwright.sync_api import sync_playwright
from websockets.sync.client import connect

from tests.server.clients.chromium import CHROMIUM, FLAGS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def block(language: str, containing: str) -> str:
    """The fenced block of the README that contains a text."""
    found = re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    (text,) = [text for text in found if containing in text]
    return text


def files() -> dict[str, str]:
    """The files that a reader has at the end who did what the README says."""
    saved: dict[str, str] = {}
    block = r"```\w+\n(.*?)^```"
    pattern = rf"(Save this\s+as|Add this to the\s+end\s+of)\s+`([\w.]+)`[^:]*:\n\n{block}"
    for what, name, text in re.findall(pattern, README, re.DOTALL | re.MULTILINE):
        assert what.startswith("Add") == (name in saved)
        saved[name] = f"{saved[name]}\n\n{text}" if name in saved else text
    return saved


@pytest.fixture(scope="module")
def hello(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the README's files."""
    folder = tmp_path_factory.mktemp("hello")
    for name, text in files().items():
        (folder / name).write_text(text)
    return folder


def run(*command: str, folder: Path, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        input=given,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@contextmanager
def talking(*arguments: str, folder: Path) -> Iterator[tuple[IO[str], IO[str]]]:
    """Run Python for 50 seconds at most. Yield what it reads, and all that it prints."""
    with subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        bufsize=1,
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        limit = threading.Timer(50, program.kill)
        limit.start()
        try:
            yield program.stdin, program.stdout
        finally:
            limit.cancel()
            limit.join()
            program.kill()


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Run the server as the README says, but on a free port. Yield its host and port."""
    command = [sys.executable, "-m", "triows", "run", "hello:app", "--bind", "127.0.0.1:0"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            log = []
            for line in process.stderr:
                log.append(line)
                if found := re.search(r"serving hello:app on http://(\S+)", line):
                    yield found[1]
                    return
            pytest.fail("the server did not start:\n" + "".join(log))
        finally:
            process.kill()


def test_the_first_program_passes_a_strict_type_check(hello: Path) -> None:
    pytest.importorskip("mypy", reason="the environment of `make test-lowest` has no mypy")
    # With the same options as `make types`, it finds in the cache what that has checked.
    options = [
        "--config-file",
        str(ROOT / "pyproject.toml"),
        "--cache-dir",
        str(ROOT / ".mypy_cache"),
    ]
    checked = run("mypy", "--strict", *options, "hello.py", folder=hello)
    assert checked.stdout == "Success: no issues found in 1 source file\n", checked.stderr


def test_the_readme_says_where_every_program_goes(hello: Path) -> None:
    saved = "".join(files().values())
    blocks = re.findall(r"^```(?:python|ini)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    assert [text for text in blocks if text not in saved] == []
    assert set(files()) == {"hello.py", "test_hello.py", "pytest.ini", "program.py"}


def test_the_tests_that_are_shown_pass_as_they_are_shown(hello: Path) -> None:
    tested = run("pytest", "-q", "-p", "no:cacheprovider", folder=hello)
    assert "3 passed" in tested.stdout, tested.stdout


@pytest.mark.real_socket
def test_the_program_that_serves_can_be_tried_and_shows_a_line_for_each_connection(
    hello: Path,
) -> None:
    # Python would keep back what it prints to a pipe.
    with talking("-u", "program.py", folder=hello) as (_, output):
        listening = output.readline()
        shown = re.fullmatch(r"listening on \['http://(\S+)'\]\n", listening)
        assert shown is not None, listening + output.read()
        with connect(f"ws://{shown[1]}/rooms/kitchen") as client:
            client.send("hi")
            assert client.recv() == "kitchen: hi"
        line = output.readline()
    assert re.match(r"INFO:triows:\S+ /rooms/\{room\} closed 1000 ", line), line


def test_the_first_program_has_the_routes_that_are_shown(hello: Path) -> None:
    shown = block("console", "triows routes hello:app").partition("triows routes hello:app\n")[2]
    printed = run("triows", "routes", "hello:app", folder=hello)
    assert printed.stdout.split() == shown.split()
    assert printed.stderr == ""


def console(url: str) -> list[str]:
    """The arguments of the README's command that connects to a URL."""
    (line,) = [
        line
        for line in re.findall(r"^\$ python -m (.*)$", README, re.MULTILINE)
        if line.endswith(f'{url}"')
    ]
    return line.replace('"', "").split()


@pytest.mark.real_socket
def test_the_client_for_a_terminal_gets_an_answer(hello: Path) -> None:
    with serving(hello) as address:
        arguments = [one.replace("127.0.0.1:8000", address) for one in console("times=2")]
        with talking("-m", *arguments, folder=hello) as (given, output):
            given.write("hi\n")
            shown = ""
            # Up to its end: a client that can't write no longer sees that its input has ended.
            for line in output:
                shown += line
                if shown.count("kitchen: hi") == 2:
                    given.close()
    assert shown.count("kitchen: hi") == 2, shown


@pytest.mark.real_socket
def test_the_client_for_a_terminal_says_that_a_mistake_is_refused(hello: Path) -> None:
    with serving(hello) as address:
        arguments = [one.replace("127.0.0.1:8000", address) for one in console("times=many")]
        assert "422" in run(*arguments, folder=hello, given="").stdout


@pytest.mark.real_socket
def test_a_browser_shows_what_is_shown(hello: Path) -> None:
    (path,) = re.findall(r"<http://127.0.0.1:8000(/\S*)>", README)
    with serving(hello) as address, urlopen(f"http://{address}{path}", timeout=50) as response:
        assert response.read().decode() == block("json", "Hello").rstrip("\n")


@pytest.mark.browser
@pytest.mark.real_socket
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
def test_the_program_can_be_tried_in_a_browser(hello: Path) -> None:
    # If a snippet ends with a function, Playwright calls it. A console doesn't.
    snippet = block("js", "new WebSocket") + "0"
    with serving(hello) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.goto(f"http://{address}/hello/ada")
        with page.expect_console_message(lambda message: message.text == "kitchen: hi"):
            page.evaluate(snippet.replace("127.0.0.1:8000", address))
        blank = browser.new_page()
        with blank.expect_console_message(lambda message: "403" in message.text):
            blank.evaluate(snippet.replace("127.0.0.1:8000", address))
        browser.close()


def test_every_file_that_is_linked_exists() -> None:
    linked = re.findall(r"\]\(([^)#:]+)\)", README)
    assert linked
    missing = [name for name in linked if not (ROOT / name.replace("\n", "")).exists()]
    assert missing == []


def test_the_commands_that_are_shown_are_targets_of_make() -> None:
    makefile = (ROOT / "Makefile").read_text()
    commands = re.findall(r"^\$ make (\w+)", README, re.MULTILINE)
    assert commands == ["demo", "test"]
    assert all(re.search(rf"^{command}:", makefile, re.MULTILINE) for command in commands)
