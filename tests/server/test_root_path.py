"""Applications below a ``root_path``, with proxies that remove it and with those that don't."""

from __future__ import annotations

import http.client
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, Protocol
from urllib.parse import urlsplit

import pytest
import websockets.sync.client

from tests.server.applications import rooted
from tests.server.harness.process import HYPERCORN, PATIENCE, ServerProcess
from triows.testing import open_app


class Served(Protocol):
    """A server, with ``/app`` as its ``root_path``."""

    host: str

    async def get(self, path: str) -> tuple[int, str, str]:
        """Return the status, where it redirects to, and the body."""

    async def receive(self, path: str) -> Any:
        """Return the first message of a WebSocket."""


class InMemory:
    """Our own server."""

    host = "testserver"

    def __init__(self, client: Any) -> None:
        self._client = client

    async def get(self, path: str) -> tuple[int, str, str]:
        response = await self._client.get(path, follow_redirects=False)
        return response.status_code, response.headers.get("location", ""), response.text

    async def receive(self, path: str) -> Any:
        async with self._client.websocket_connect(path) as ws:
            return await ws.receive_json()


class PlainHypercorn:
    """Hypercorn's own server."""

    def __init__(self, url: str) -> None:
        self.host = urlsplit(url).netloc

    async def get(self, path: str) -> tuple[int, str, str]:
        connection = http.client.HTTPConnection(self.host, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            location = response.headers.get("location", "")
            return response.status, location, response.read().decode()
        finally:
            connection.close()

    async def receive(self, path: str) -> Any:
        with websockets.sync.client.connect(f"ws://{self.host}{path}", proxy=None) as ws:
            return json.loads(ws.recv(PATIENCE))


@pytest.fixture(scope="module")
def hypercorn() -> Iterator[ServerProcess]:
    with ServerProcess(HYPERCORN, "rooted:app", "--root-path", "/app") as process:
        yield process


@pytest.fixture(params=["memory", pytest.param("hypercorn", marks=pytest.mark.real_socket)])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    if request.param == "hypercorn":
        yield PlainHypercorn(request.getfixturevalue("hypercorn").url)
        return
    async with open_app(rooted.app, root_path="/app") as client:
        yield InMemory(client)


#: What a proxy leaves of "/app" at the beginning of a path.
LEAVES = pytest.mark.parametrize("left", ["", "/app"], ids=["removed", "left"])


@LEAVES
@pytest.mark.parametrize("below", ["", "/starlette", "/inner"])
async def test_a_plain_request_finds_its_path_and_makes_urls_that_lead_back(server, left, below):
    route = "/items" if below != "/starlette" else ""
    status, _, body = await server.get(f"{left}{below}{route}/a%20b")
    assert (status, json.loads(body)) == (
        200,
        {
            "root_path": f"/app{below}",
            "path": f"/app{below}{route}/a b",
            "raw_path": f"/app{below}{route}/a%20b",
            "url": f"http://{server.host}/app{below}{route}/a b",
            "url_for": f"http://{server.host}/app{below}{route}/1",
            "item": "a b",
        },
    )


@LEAVES
@pytest.mark.parametrize("below", ["", "/inner"])
async def test_a_websocket_finds_its_path_and_makes_urls_that_lead_back(server, left, below):
    assert await server.receive(f"{left}{below}/ws/a%2Fb") == {
        "root_path": f"/app{below}",
        "path": f"/app{below}/ws/a/b",
        "raw_path": f"/app{below}/ws/a%2Fb",
        "url": f"ws://{server.host}/app{below}/ws/a/b",
        "url_for": f"ws://{server.host}/app{below}/ws/1",
        "item": "a/b",
    }


@LEAVES
async def test_static_files_are_served_and_redirect_below_the_root(server, left):
    assert await server.get(f"{left}/files/below/index.html") == (200, "", "a page\n")
    status, location, _ = await server.get(f"{left}/files/below")
    assert (status, location) == (307, f"http://{server.host}/app/files/below/")


@pytest.mark.parametrize("path", ["/application/items/1", "/app/app/items/1", "/app"])
async def test_what_only_looks_like_the_root_is_not_removed(server, path):
    assert (await server.get(path))[0] == 404
