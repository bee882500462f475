"""Chromium. A page opens the WebSocket."""

from __future__ import annotations

import base64
import shutil
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from attrs import frozen
from playwright.async_api import Browser, Page, Route, async_playwright

from tests.server.clients.interface import Closed, Loop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

__all__ = ["BrowserInThread", "browser_in_thread", "missing"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

# Chromium has to run as root, and must talk only to the test.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # The page comes from the test, and not from the address of the server that it talks to.
    "--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets",
]

# Messages go to and from the page as strings, with a letter for their kind before them.
SCRIPT = """
async ([url, subprotocols]) => {
  const events = [];
  const waiting = [];
  const tell = (event) => (waiting.length ? waiting.shift()(event) : events.push(event));
  const ws = new WebSocket(url, subprotocols);
  ws.binaryType = "arraybuffer";
  ws.onopen = () => tell(["open", ws.protocol]);
  ws.onmessage = async ({ data }) => {
    if (typeof data === "string") return tell(["text", data]);
    let binary = "";
    for (const byte of new Uint8Array(data)) binary += String.fromCharCode(byte);
    tell(["binary", btoa(binary)]);
  };
  ws.onerror = () => tell(["error", ""]);
  ws.onclose = ({ code, reason }) => tell(["close", code, reason]);
  window.next = () =>
    new Promise((resolve) => (events.length ? resolve(events.shift()) : waiting.push(resolve)));
  window.sendText = (text) => ws.send(text);
  window.sendBinary = (data) => ws.send(Uint8Array.from(atob(data), (c) => c.charCodeAt(0)));
  window.closeIt = ([code, reason]) => ws.close(code, reason);
  return await window.next();
}
"""


def missing() -> str | None:
    """Return why Chromium can't be used here, or ``None``."""
    return "no Chromium here: apt-get install chromium" if CHROMIUM is None else None


@frozen
class ChromiumClient:
    """A connection of a page."""

    cannot: ClassVar[Mapping[str, str]] = {
        "send_fragments": "pages can't tell a browser to",
        "ping": "pages can't tell a browser to",
    }

    loop: Loop
    page: Page
    subprotocol: str | None

    async def _event(self) -> Any:
        event = await self.loop.run(self.page.evaluate("next()"))
        if event[0] == "close":
            raise Closed(*event[1:])
        return event

    async def send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            await self.loop.run(self.page.evaluate("message => sendText(message)", message))
        else:
            data = base64.b64encode(message).decode()
            await self.loop.run(self.page.evaluate("message => sendBinary(message)", data))

    async def receive(self) -> str | bytes:
        kind, data = await self._event()
        assert kind in {"text", "binary"}
        return base64.b64decode(data) if kind == "binary" else data

    async def close(self, code: int, reason: str) -> None:
        await self.loop.run(self.page.evaluate("how => closeIt(how)", [code, reason]))
        try:
            while True:
                await self._event()
        except Closed:
            pass


async def _give_empty_page(route: Route) -> None:
    await route.fulfill(body="", content_type="text/html")


@frozen
class BrowserInThread:
    """One browser for many connections, because it takes a second to start."""

    loop: Loop
    browser: Browser

    @asynccontextmanager
    async def open(
        self, url: str, *, cafile: str | None = None, subprotocols: Sequence[str] = ()
    ) -> AsyncIterator[ChromiumClient]:
        async with self.page(url, trusting=cafile is not None) as page:
            opened = await self.loop.run(page.evaluate(SCRIPT, [url, list(subprotocols)]))
            assert opened[0] == "open", opened
            yield ChromiumClient(self.loop, page, opened[1] or None)

    @asynccontextmanager
    async def page(self, url: str, *, trusting: bool = False) -> AsyncIterator[Page]:
        """
        Open a page with the server's origin, which doesn't come from the server.

        A browser trusts only the system's authorities. With *trusting*, it trusts anybody.
        """
        parts = urlsplit(url)
        page_url = f"{parts.scheme.replace('ws', 'http')}://{parts.netloc}/"
        context = await self.loop.run(self.browser.new_context(ignore_https_errors=trusting))
        try:
            page = await self.loop.run(context.new_page())
            await self.loop.run(page.route(page_url, _give_empty_page))
            await self.loop.run(page.goto(page_url))
            yield page
        finally:
            self.loop.run_sync(context.close())


@contextmanager
def browser_in_thread() -> Iterator[BrowserInThread]:
    with Loop() as loop:
        playwright = loop.run_sync(async_playwright().start())
        try:
            launching = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            browser = loop.run_sync(launching)
            try:
                yield BrowserInThread(loop, browser)
            finally:
                loop.run_sync(browser.close())
        finally:
            loop.run_sync(playwright.stop())
