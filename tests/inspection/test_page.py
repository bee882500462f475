from __future__ import annotations

import logging
import re
from typing import Any

import httpx
import msgspec
import pytest
import trio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from trio.testing import wait_all_tasks_blocked

from tests.inspection.looking import connected, serving
from triows import Triows, WebSocket
from triows._inspection import page
from triows.inspect import Tree

PAGE = "/_triows/tree"


async def talk(ws: WebSocket, room: str) -> None:
    await ws.accept()
    await trio.sleep_forever()


async def request(
    app: Triows,
    path: str = PAGE,
    *,
    method: str = "GET",
    client: tuple[str, int] = ("127.0.0.1", 50000),
    host: str = "localhost:8000",
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    transport = httpx.ASGITransport(app.handle, client=client)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        return await http.request(method, path, headers={"host": host, **(headers or {})})


async def test_the_page_shows_what_is_alive(autojump_clock):
    app = serving(talk, "rooms/{room}", debug=True)
    async with connected(app, "/rooms/1"):
        await wait_all_tasks_blocked()
        answer = await request(app)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert '<span class="title">/rooms/{room}</span>' in answer.text
    assert "await trio.sleep_forever()" in answer.text


async def test_the_page_refreshes_itself_without_javascript_or_assets():
    answer = await request(Triows(debug=True))
    assert '<meta http-equiv="refresh" content="2">' in answer.text
    assert not re.search("<script|<link|<img|src=|href=|url\\(", answer.text)


async def test_what_a_peer_chose_is_escaped_on_the_page(autojump_clock):
    app = serving(talk, "rooms/{room}", debug=True)
    async with connected(app, "/rooms/<b>&'\""):
        answer = await request(app)
    assert "<b>" not in answer.text
    assert "/rooms/&lt;b&gt;&amp;&#x27;&quot;" in answer.text


async def test_the_page_allows_nothing_but_its_own_style_and_is_not_kept():
    headers = (await request(Triows(debug=True))).headers
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("path", "headers"),
    [(f"{PAGE}?format=json", {}), (PAGE, {"accept": "application/json"})],
)
async def test_programs_get_json(autojump_clock, path, headers):
    app = serving(talk, "rooms/{room}", debug=True)
    async with connected(app, "/rooms/1"):
        answer = await request(app, path, headers=headers)
    assert answer.headers["content-type"] == "application/json"
    seen = msgspec.json.decode(answer.content, type=Tree)
    assert [one.route for one in seen.connections] == ["/rooms/{room}"]


async def test_terminals_get_text():
    answer = await request(Triows(debug=True), f"{PAGE}?format=text")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text.endswith(":  0 connections  (not running)\n")


@pytest.mark.parametrize("wanted", ["xml", "JSON", "html,json"])
async def test_a_format_that_does_not_exist_is_a_bad_request(wanted):
    answer = await request(Triows(debug=True), f"{PAGE}?format={wanted}")
    assert (answer.status_code, answer.text) == (400, "format is one of: html, json, text\n")


async def test_head_gets_the_headers_alone():
    app = Triows(debug=True)
    answer, full = await request(app, method="HEAD"), await request(app)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(full.content))


async def test_other_methods_are_not_allowed():
    answer = await request(Triows(debug=True), method="POST")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_looking_at_the_page_is_no_connection(autojump_clock):
    app = serving(talk, "rooms/{room}", debug=True)
    async with app.running():
        assert "0 connections" in (await request(app)).text


async def test_a_page_of_very_many_connections_shows_some_and_says_so(autojump_clock, monkeypatch):
    monkeypatch.setattr(page, "_MOST", 1)
    app = serving(talk, "rooms/{room}", debug=True)
    async with connected(app, "/rooms/1"), connected(app, "/rooms/2"):
        answer = await request(app)
    assert "/rooms/1<" in answer.text
    assert "/rooms/2<" not in answer.text
    assert "and 1 more" in answer.text


# Who may not see it


async def is_unknown(app: Triows, **options) -> bool:
    """Whether the answer is the same as for a path that doesn't exist."""
    options["path"] = options.get("path", PAGE)
    answer, other = await request(app, **options), await request(app, **{**options, "path": "/no"})
    assert other.status_code == 404
    return (answer.status_code, answer.content, answer.headers.raw) == (
        other.status_code,
        other.content,
        other.headers.raw,
    )


async def test_without_debug_there_is_no_page():
    assert await is_unknown(Triows())


@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "0.0.0.0", "::", "2001:db8::1", ""])
async def test_another_machine_does_not_get_the_page(address):
    assert await is_unknown(Triows(debug=True), client=(address, 50000))


async def test_a_client_whose_address_is_not_known_does_not_get_the_page():
    assert await is_unknown(Triows(debug=True), client=None)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
async def test_every_address_of_this_machine_gets_the_page(address):
    assert (await request(Triows(debug=True), client=(address, 1))).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "attacker.example",
        "localhost.attacker.example",
        "127.0.0.1.attacker.example",
        "127.0.0.1:8000.attacker.example",
        "[::1].attacker.example",
        "[::1",
        "192.0.2.1",
        "0.0.0.0",
        "localhost:x",
        "",
    ],
)
async def test_a_page_of_somebody_elses_name_does_not_get_it(host):
    assert await is_unknown(Triows(debug=True), host=host)


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:8000", "127.0.0.1", "127.0.0.1:8000", "[::1]", "[::1]:8000"]
)
async def test_every_name_of_this_machine_is_answered(host):
    assert (await request(Triows(debug=True), host=host)).status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://localhost",
        "http://localhost:3000",
        "https://localhost:8000",
        "http://127.0.0.1:8000",
        "null",
        "",
    ],
)
async def test_a_page_of_another_origin_does_not_get_it(origin):
    assert await is_unknown(Triows(debug=True), headers={"origin": origin})


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "none, cross-site"])
async def test_what_a_browser_asks_for_another_site_does_not_get_the_page(site):
    assert await is_unknown(Triows(debug=True), headers={"sec-fetch-site": site})


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "same-origin"},
        {"origin": "http://localhost:8000"},
        {"connection": "Keep-Alive"},
    ],
)
async def test_a_browser_gets_the_page_for_its_user_and_for_the_page_itself(headers):
    assert (await request(Triows(debug=True), headers=headers)).status_code == 200


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000"])
async def test_what_a_browser_says_of_itself_does_not_matter(host):
    headers = {
        "connection": "keep-alive",
        "sec-ch-ua": '"Chromium";v="140"',
        "upgrade-insecure-requests": "1",
        "user-agent": "Mozilla/5.0",
        "sec-fetch-site": "none",
        "sec-fetch-mode": "navigate",
        "sec-fetch-dest": "document",
        "origin": f"http://{host}",
        "referer": f"http://{host}{PAGE}",
        "cookie": "a=b",
        "priority": "u=0, i",
    }
    assert (await request(Triows(debug=True), host=host, headers=headers)).status_code == 200


async def test_a_middleware_does_not_let_other_origins_read_the_page():
    open_to_all = Middleware(CORSMiddleware, allow_origins=["*"])
    app = Triows(debug=True, middlewares=[open_to_all])
    asking = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    assert (await request(app, headers=asking)).status_code == 404
    own = await request(app, headers={"origin": "http://localhost:8000"})
    assert (own.status_code, own.headers.get("access-control-allow-origin")) == (200, None)


async def test_a_middleware_does_not_change_who_asks():
    class Rewriting:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            await self.app({**scope, "client": ("127.0.0.1", 1)}, receive, send)

    app = Triows(debug=True, middlewares=[Rewriting])
    assert await is_unknown(app, client=("192.0.2.1", 50000))


@pytest.mark.parametrize(
    "header",
    ["forwarded", "x-forwarded-for", "x-forwarded-proto", "x-real-ip", "via", "cf-connecting-ip"],
)
async def test_what_a_proxy_passes_on_does_not_get_the_page(header):
    assert await is_unknown(Triows(debug=True), headers={header: "for=192.0.2.1"})


@pytest.mark.parametrize(
    "headers", [{"connection": "upgrade"}, {"upgrade": "h2c"}, {"connection": "close"}]
)
async def test_a_proxy_that_is_set_up_for_websockets_does_not_get_the_page(headers):
    assert await is_unknown(Triows(debug=True), headers=headers)


def asking(*hosts: bytes, version: str = "1.1") -> dict[str, Any]:
    """The scope of a request for the page."""
    return {
        "type": "http",
        "path": page.PATH,
        "raw_path": page.PATH.encode(),
        "root_path": "",
        "client": ("127.0.0.1", 1),
        "headers": [(b"host", host) for host in hosts],
        "http_version": version,
    }


def test_a_proxy_that_says_nothing_but_speaks_http_1_0_does_not_get_the_page():
    assert page.asks_for_page(asking(b"localhost"))
    assert not page.asks_for_page(asking(b"localhost", version="1.0"))


def test_two_hosts_in_one_request_do_not_get_the_page():
    assert not page.asks_for_page(asking(b"localhost", b"attacker.example"))


# Where it is


async def anything(request):
    return PlainTextResponse("mounted")


async def test_the_page_goes_before_an_application_mounted_at_the_root():
    app = Triows(debug=True)
    app.mount("/", Starlette(routes=[Route("/{path:path}", anything)]))
    assert "<title>triows</title>" in (await request(app)).text
    assert (await request(app, "/_triows/other")).text == "mounted"
    assert (await request(app, host="attacker.example")).text == "mounted"


async def test_a_websocket_route_at_the_pages_path_is_served_as_ever(autojump_clock):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send("mine")

    app = serving(handler, PAGE, debug=True)
    async with connected(app, PAGE) as client:
        assert await client.receive() == "mine"


async def test_a_start_up_with_debug_warns_once(caplog):
    inner, app = Triows(debug=True), Triows()
    app.mount("/inner", inner)
    with caplog.at_level(logging.WARNING, "triows"):
        async with app.running():
            pass
    (record,) = caplog.records
    assert record.getMessage().startswith("debug is on: GET /_triows/tree shows every connection")


async def test_a_start_up_without_debug_says_nothing(caplog):
    with caplog.at_level(logging.WARNING, "triows"):
        async with Triows().running():
            pass
    assert caplog.records == []
