"""
The chat's page in a real browser, against a real server process.

This also takes the picture in the README::

    python -m tests.examples.test_chat_browser docs/images/chat.png
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from attrs import frozen
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

# The browser has to run as root, and must talk only to the test.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.real_socket,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]


@frozen
class Server:
    """``triows run`` in a process of its own."""

    process: subprocess.Popen[str]
    url: str

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


@contextmanager
def serving(bind: str = "127.0.0.1:0") -> Iterator[Server]:
    command = [sys.executable, "-m", "triows", "run", "examples.chat:app", "--bind", bind]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Server(process, listening_at(process))
        finally:
            process.kill()


def listening_at(process: subprocess.Popen[str]) -> str:
    """Read the server's address from its log, because the server chooses a free port."""
    assert process.stderr is not None
    log = []
    for line in process.stderr:
        log.append(line)
        if found := re.search(r"serving examples\.chat:app on (\S+)", line):
            return found[1]
    pytest.fail("the server did not start:\n" + "".join(log))


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def new_page(browser: Browser):
    """Open pages, each with its own storage. A script error in any of them fails the test."""
    errors: list[str] = []
    contexts = []

    def make(**options: object) -> Page:
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        return page

    yield make
    for context in contexts:
        context.close()
    assert errors == []


def join(page: Page, url: str, name: str, room: str = "lobby") -> None:
    page.goto(url)
    page.get_by_label("Your name").fill(name)
    page.get_by_label("Room").fill(room)
    page.get_by_role("button", name="Join").click()


def say(page: Page, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def names(page: Page):
    return page.get_by_role("complementary").get_by_role("listitem")


def texts(page: Page):
    return page.locator("#log .text")


def status(page: Page):
    return page.get_by_role("status")


def test_two_pages_talk_and_see_each_other_come_and_go(server, new_page):
    ada, grace = new_page(), new_page()
    join(ada, server.url, "Ada")
    expect(status(ada)).to_have_text("Connected")
    join(grace, server.url, "Grace")
    expect(names(ada)).to_have_text(["Ada", "Grace"])
    say(ada, "Is anybody there?")
    expect(texts(grace)).to_have_text(["Is anybody there?"])
    say(grace, "I am.")
    expect(texts(ada)).to_have_text(["Is anybody there?", "I am."])
    grace.close()
    expect(names(ada)).to_have_text(["Ada"])
    expect(ada.get_by_role("log")).to_contain_text("Grace left")


def test_two_windows_of_one_browser_have_a_name_each(server, new_page):
    ada = new_page()
    grace = ada.context.new_page()
    join(ada, server.url, "Ada", room="windows")
    expect(names(ada)).to_have_text(["Ada"])
    join(grace, server.url, "Grace", room="windows")
    expect(names(ada)).to_have_text(["Ada", "Grace"])
    say(ada, "Am I still Ada?")
    expect(grace.get_by_role("log").get_by_role("strong")).to_have_text(["Ada"])


def test_names_and_messages_are_shown_as_text_whatever_they_contain(server, new_page):
    page = new_page()
    hostile = "<img src=x onerror=alert(1)>"
    join(page, server.url, hostile, room="hostile")
    expect(names(page)).to_contain_text([hostile])
    say(page, f"<b>{hostile}</b> & more")
    expect(texts(page)).to_have_text([f"<b>{hostile}</b> & more"])
    expect(page.locator("#chat :is(img, b)")).to_have_count(0)


def test_the_form_takes_neither_a_blank_name_nor_an_impossible_room(server, new_page):
    page = new_page()
    join(page, server.url, "   ")
    expect(page.get_by_role("alert")).to_have_text("Please tell your name.")
    join(page, server.url, "Ada", room="two words")
    expect(page.get_by_label("Room")).to_have_js_property("validity.valid", False)
    expect(page.get_by_role("button", name="Join")).to_be_visible()


def test_a_name_too_long_is_cut_by_the_form_and_refused_by_the_server(server, new_page):
    page = new_page()
    page.goto(server.url)
    page.get_by_label("Your name").press_sequentially("x" * 50)
    expect(page.get_by_label("Your name")).to_have_value("x" * 40)
    # Remove the attribute, as anybody can do with the browser's tools.
    page.get_by_label("Your name").evaluate("input => input.removeAttribute('maxlength')")
    page.get_by_label("Your name").fill("x" * 41)
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_role("alert")).to_contain_text("could not be joined")
    expect(page.get_by_role("button", name="Join")).to_be_visible()


def test_leaving_goes_back_to_the_form_and_another_room_starts_empty(server, new_page):
    page = new_page()
    join(page, server.url, "Ada", room="first")
    say(page, "hello")
    expect(texts(page)).to_have_text(["hello"])
    page.get_by_role("button", name="Leave").click()
    page.get_by_label("Room").fill("second")
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_role("heading", name="# second")).to_be_visible()
    expect(texts(page)).to_have_count(0)
    expect(names(page)).to_have_text(["Ada"])


def test_a_page_connects_again_when_the_server_comes_back(new_page):
    page = new_page()
    with serving() as first:
        join(page, first.url, "Ada")
        say(page, "before")
        expect(texts(page)).to_have_text(["before"])
        first.stop()
        expect(status(page)).to_contain_text("Not connected, trying again")
        expect(page.get_by_label("Message", exact=True)).to_be_disabled()
    with serving(first.url.removeprefix("http://")):
        expect(status(page)).to_have_text("Connected", timeout=30_000)
        say(page, "after")
        expect(texts(page)).to_have_text(["before", "after"])


def test_a_narrow_window_shows_all_without_scrolling_sideways(server, new_page):
    page = new_page(viewport={"width": 320, "height": 480})
    join(page, server.url, "A" * 40, room="r" * 40)
    say(page, "w" * 300)
    expect(texts(page)).to_have_count(1)
    expect(page.get_by_role("button", name="Send")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def take_picture(path: str) -> None:
    """Take a picture of two people in a conversation, as one of them sees it."""
    with serving() as server, chromium() as browser:
        look = {
            "viewport": {"width": 900, "height": 600},
            "device_scale_factor": 2,
            "locale": "en-GB",
            "timezone_id": "UTC",
        }
        ada, grace = browser.new_page(**look), browser.new_page(**look)
        for page in (ada, grace):
            page.clock.set_fixed_time("2026-01-15T09:41:00Z")
        join(ada, server.url, "Ada")
        expect(names(ada)).to_have_count(1)
        join(grace, server.url, "Grace")
        expect(names(ada)).to_have_count(2)
        for page, text in [
            (grace, "Morning! Does the engine run?"),
            (ada, "It does. Every cog in its own nursery, and none of them gets lost."),
            (grace, "And when somebody pulls the plug?"),
            (ada, "Then all of them are put back in their places, the last one first."),
            (grace, "Tidy. No bugs, then?"),
            (ada, "One. I taped it into the logbook."),
        ]:
            before = texts(ada).count()
            say(page, text)
            expect(texts(ada)).to_have_count(before + 1)
        ada.screenshot(path=path)


if __name__ == "__main__":
    take_picture(os.fspath(sys.argv[1]))
