"""Chromium, whose page calls ``fetch``."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import asdict, field, frozen

from tests.server.clients.chromium import missing
from tests.server.clients.http.interface import Answer, Step

if TYPE_CHECKING:
    from tests.server.clients.chromium import BrowserInThread

__all__ = ["Chromium"]

# Pages that don't come from https have no crypto.subtle. So the body goes back as a string.
SCRIPT = """
async ({ target, method, size, leave }) => {
  const body = size ? Uint8Array.from({ length: size }, (_, index) => index % 256) : undefined;
  const response = await fetch(target, { method, body });
  const parts = [];
  let received = 0;
  if (response.body) {
    const reader = response.body.getReader();
    while (!leave || received < leave) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      received += value.length;
    }
    if (leave) await reader.cancel();
  }
  const data = new Uint8Array(await new Blob(parts).arrayBuffer());
  let binary = "";
  for (let begin = 0; begin < data.length; begin += 10000)
    binary += String.fromCharCode(...data.subarray(begin, begin + 10000));
  return [response.status, Object.fromEntries(response.headers), btoa(binary)];
}
"""


@frozen
class Chromium:
    """A page of a browser."""

    browser: BrowserInThread
    cannot: Mapping[str, str] = field(
        default={
            "chunked": "it sends bodies without a length over HTTP/2 only",
            "expects": "pages can't tell a browser to",
        }
    )

    @staticmethod
    def missing() -> str | None:
        return missing()

    async def ask(self, url: str, steps: list[Step]) -> list[Answer]:
        async with self.browser.page(url) as page:
            facts = [
                await self.browser.loop.run(page.evaluate(SCRIPT, asdict(step))) for step in steps
            ]
        return [
            Answer.of(status, headers, base64.b64decode(data)) for status, headers, data in facts
        ]
