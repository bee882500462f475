"""``app.static()``: folders of files, as Starlette serves them."""

from __future__ import annotations

import inspect
import os
import re
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from triows import RouteConflictError, RouteSetupError, Triows, WebSocketRoute
from triows._server.files import OpenFile
from triows.testing import WebSocketDenialResponse, open_app

PAGE = b"<h1>hello</h1>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of files beside a secret one."""
    folder, secret = tmp_path / "site", tmp_path / "site-secret"
    (folder / "guide").mkdir(parents=True)
    secret.mkdir()
    (folder / "page.html").write_bytes(PAGE)
    (folder / "guide" / "index.html").write_bytes(b"a guide")
    (folder / "404.html").write_bytes(b"not here")
    (secret / "key").write_text("1234")
    (folder / "link").symlink_to(secret / "key")
    return folder


def serving(directory: Path | str | None = None, **options: Any) -> Triows:
    app = Triows()
    app.static("/assets", directory, **options)
    return app


async def asked(app: Triows, path: str, method: str = "GET", **headers: str) -> Any:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with open_app(app) as client:
        return await client.request(method, path, headers=sent)


async def test_a_file_is_served_with_what_a_client_may_ask_for_later(folder):
    response = await asked(serving(folder), "/assets/page.html")
    assert (response.status_code, response.content) == (200, PAGE)
    assert response.headers["content-type"].startswith("text/html")
    assert {"etag", "last-modified", "content-length"} <= set(response.headers)


async def test_head_has_the_headers_alone(folder):
    response = await asked(serving(folder), "/assets/page.html", "HEAD")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == str(len(PAGE))


async def test_a_client_that_has_the_file_gets_304(folder):
    app = serving(folder)
    etag = (await asked(app, "/assets/page.html")).headers["etag"]
    for headers in ({"if_none_match": etag}, {"if_modified_since": formatdate(usegmt=True)}):
        response = await asked(app, "/assets/page.html", **headers)
        assert (response.status_code, response.content) == (304, b"")
    other = await asked(app, "/assets/page.html", if_none_match='"other"')
    assert (other.status_code, other.content) == (200, PAGE)


async def test_a_client_may_ask_for_a_part(folder):
    response = await asked(serving(folder), "/assets/page.html", range="bytes=4-8")
    assert (response.status_code, response.content) == (206, b"hello")
    assert response.headers["content-range"] == f"bytes 4-8/{len(PAGE)}"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_files_can_only_be_read(folder, method):
    response = await asked(serving(folder), "/assets/page.html", method)
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize("path", ["/assets/page.html", "/assets/none.html", "/assets"])
async def test_options_is_answered_with_what_files_allow(folder, path):
    response = await asked(serving(folder), path, "OPTIONS")
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("html", [True, False])
@pytest.mark.parametrize(
    ("asked_for", "status", "detail"),
    [
        ("bytes=abc", 400, "the header `Range` can't be read"),
        ("bytes=", 400, "the header `Range` can't be read"),
        ("bytes=900-", 416, "the file has no such part as `Range` asks for"),
    ],
)
async def test_a_part_that_is_not_there_is_refused_with_a_problem(
    folder, html, asked_for, status, detail
):
    app = serving(folder, html=html)
    response = await asked(app, "/assets/page.html", range=asked_for)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"] == detail
    size = f"bytes */{len(PAGE)}" if status == 416 else None
    assert response.headers.get("content-range") == size


@pytest.mark.parametrize(
    ("path", "method", "status"), [("/assets/none.html", "GET", 404), ("/assets/a", "PUT", 405)]
)
async def test_every_refusal_is_a_problem(folder, path, method, status):
    response = await asked(serving(folder), path, method)
    assert (response.status_code, response.json()["status"]) == (status, status)
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path",
    [
        "/assets/none.html",
        "/assets/../site-secret/key",
        "/assets/..%2fsite-secret/key",
        "/assets/%2e%2e/site-secret/key",
        "/assets/%2e%2e%2fsite-secret%2fkey",
        "/assets/guide/../../site-secret/key",
        "/assets/..%5csite-secret%5ckey",
        "/assets//etc/passwd",
        "/assets/%2fetc/passwd",
        "/assets/%2fetc%2fpasswd",
        "/assets-secret/key",
        "/assets/page.html%00",
        "/assets/guide",
        "/assets",
        "/assets/",
        "/assets/link",
        "/assets/" + "a" * 5000,
    ],
)
async def test_nothing_but_the_files_of_the_folder_is_served(folder, path):
    response = await asked(serving(folder), path)
    assert response.status_code == 404
    assert b"1234" not in response.content
    assert b"root:" not in response.content


async def test_links_may_lead_out_of_the_folder_if_that_is_wanted(folder):
    response = await asked(serving(folder, follow_symlink=True), "/assets/link")
    assert (response.status_code, response.content) == (200, b"1234")


async def test_the_index_of_a_folder_is_served_if_that_is_wanted(folder):
    app = serving(folder, html=True)
    assert (await asked(app, "/assets/guide/")).content == b"a guide"
    redirected = await asked(app, "/assets/guide")
    assert (redirected.status_code, redirected.headers["location"]) == (
        307,
        "http://testserver/assets/guide/",
    )
    missing = await asked(app, "/assets/none")
    assert (missing.status_code, missing.content) == (404, b"not here")


async def test_a_package_may_have_the_files(folder, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    files = tmp_path / "shop_with_files" / "files"
    files.mkdir(parents=True)
    (tmp_path / "shop_with_files" / "__init__.py").touch()
    (files / "style.css").write_text("h1 {}")
    app = serving(folder, packages=[("shop_with_files", "files")])
    assert (await asked(app, "/assets/style.css")).text == "h1 {}"
    assert (await asked(app, "/assets/page.html")).content == PAGE


async def test_a_folder_is_found_from_where_it_was_given(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    app = serving("site")
    monkeypatch.chdir("/")
    assert (await asked(app, "/assets/page.html")).content == PAGE


async def test_the_server_gets_the_path_of_a_file_and_not_its_bytes(folder, monkeypatch):
    opened: list[str] = []
    really = OpenFile.open

    async def noting(path: str) -> OpenFile:
        opened.append(path)
        return await really(path)

    monkeypatch.setattr(OpenFile, "open", noting)
    content = os.urandom(300_000)
    (folder / "large").write_bytes(content)
    assert (await asked(serving(folder), "/assets/large")).content == content
    assert opened == [str(folder / "large")]


async def test_a_websocket_to_a_file_is_refused(folder):
    async with open_app(serving(folder)) as client:
        with pytest.raises(WebSocketDenialResponse, match="403"):
            async with client.websocket_connect("/assets/page.html"):
                pass


def test_files_have_a_name_if_they_are_given_one(folder):
    app = serving(folder, name="assets")
    assert app.url_path_for("assets", path="/a b.css") == "/assets/a%20b.css"


def test_files_are_listed_as_a_mount(folder):
    (mount,) = serving(folder, name="assets").mounts
    assert (mount.path, mount.name) == ("/assets", "assets")
    assert mount.handler == "starlette.staticfiles.StaticFiles"


def line_below(function: Any) -> int:
    """Return the number of the line after that of the ``def``."""
    return function.__code__.co_firstlineno + 1


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"directory": "nowhere"}, r"the folder '.*/nowhere' doesn't exist"),
        ({"directory": __file__}, r"the folder '.*test_static\.py' is a file"),
        ({}, r"static\(\) takes a folder: write directory=\.\.\."),
        ({"directory": ""}, 'directory is empty, as if a variable .* write directory="." if you'),
        ({"directory": "", "packages": ["email"]}, "directory is empty"),
        ({"directory": 3}, "directory takes the path of one folder, a str or a Path, not 3"),
        ({"directory": ["site"]}, r"the path of one folder, a str or a Path, not \['site'\]"),
        ({"packages": 3}, r"packages takes a list: write packages=\[3\]"),
        ({"packages": [""]}, "packages takes the names of packages, or pairs"),
        ({"packages": [("email", "")]}, r"and the name of its folder, not \('email', ''\)"),
        ({"packages": [("email", "a", "b")]}, "packages takes the names of packages, or pairs"),
        ({"packages": [3]}, "packages takes the names of packages, or pairs"),
        ({"packages": "shop"}, r"packages takes a list: write packages=\['shop'\]"),
        ({"packages": ["no_such_shop"]}, "Package 'no_such_shop' could not be found"),
        ({"packages": ["no_such.shop"]}, "No module named 'no_such'"),
        ({"packages": [("email", "files")]}, "in package 'email' could not be found"),
    ],
)
def test_a_folder_that_is_missing_is_refused_with_the_line_of_the_call(options, problem):
    def call() -> None:
        Triows().static("/assets", **options)

    with pytest.raises(RouteSetupError, match=problem) as caught:
        call()
    assert caught.value.where == f"{__file__}:{line_below(call)} ({call.__qualname__})"


def test_two_folders_at_one_path_are_a_conflict_with_both_places(folder):
    app = Triows()

    def first() -> None:
        app.static("/assets", folder)

    def second() -> None:
        app.static("/assets", folder)

    first()
    before = re.escape(f"which was registered before at {__file__}:{line_below(first)} (")
    with pytest.raises(RouteConflictError, match=before) as caught:
        second()
    assert caught.value.where == f"{__file__}:{line_below(second)} ({second.__qualname__})"
    assert len(app.mounts) == 1


async def test_routes_come_before_files(folder):
    live = WebSocketRoute("assets/page.html")

    @live.endpoint
    async def handler() -> None: ...

    app = Triows(live)
    app.static("/assets", folder)
    assert (await asked(app, "/assets/page.html")).status_code == 426


def test_the_arguments_are_those_of_starlette():
    from starlette.staticfiles import StaticFiles

    theirs = set(inspect.signature(StaticFiles).parameters) - {"check_dir"}
    assert theirs <= set(inspect.signature(Triows.static).parameters)
