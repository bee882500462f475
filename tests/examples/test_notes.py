# There is no virtual clock here, because it would jump ahead while SQLite works in its threads.
from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from examples.notes import Database, app, open_database
from triows import AsyncResource
from triows.testing import AppClient, TestClient, open_app

TEA = {"title": "Tea", "text": "Buy some"}
CAKE = {"title": "Cake", "text": "Bake one"}


@pytest.fixture
async def client():
    async with open_app(app) as client:
        yield client


async def all_notes(client: AppClient) -> Any:
    return (await client.get("/notes")).json()["notes"]


async def test_a_note_is_created_read_and_deleted(client):
    created = await client.post("/notes", json=TEA)
    assert created.status_code == 201
    assert created.json() == {"id": 1, **TEA, "version": 1}
    location = created.headers["location"]
    assert (await client.get(location)).json() == created.json()
    deleted = await client.delete("/notes/1")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert await all_notes(client) == []


async def test_notes_are_listed_page_by_page(client):
    for number in range(5):
        await client.post("/notes", json={"title": f"Note {number}"})
    pages, after = [], 0
    while after is not None:
        page = (await client.get("/notes", params={"after": after, "limit": 2})).json()
        pages.append([note["title"] for note in page["notes"]])
        after = page["next"]
    assert pages == [["Note 0", "Note 1"], ["Note 2", "Note 3"], ["Note 4"]]


@pytest.mark.parametrize("limit", [0, 101, "many"])
async def test_a_page_has_between_one_and_a_hundred_notes(client, limit):
    response = await client.get("/notes", params={"limit": limit})
    assert response.status_code == 422
    assert [error["name"] for error in response.json()["errors"]] == ["limit"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/notes/7"), ("DELETE", "/notes/7")])
async def test_a_note_that_is_not_there_is_a_problem(client, method, path):
    response = await client.request(method, path)
    assert response.status_code == 404
    assert response.json() == {
        "type": "not-found",
        "title": "There is no such note.",
        "status": 404,
        "instance": "/notes/7",
    }


async def test_a_number_that_no_note_can_have_is_refused(client):
    response = await client.get(f"/notes/{2**63}")
    assert response.status_code == 422
    assert [error["name"] for error in response.json()["errors"]] == ["number"]


async def test_a_change_counts_only_for_the_version_that_was_read(client):
    await client.post("/notes", json=TEA)
    changed = await client.put("/notes/1", json={**CAKE, "version": 1})
    assert changed.json() == {"id": 1, **CAKE, "version": 2}
    outdated = await client.put("/notes/1", json={**TEA, "version": 1})
    assert outdated.status_code == 409
    assert outdated.json()["detail"] == "somebody else has changed it: read it again"
    assert await all_notes(client) == [changed.json()]


async def test_whoever_has_a_note_already_gets_it_only_when_it_has_changed(client):
    await client.post("/notes", json=TEA)
    first = await client.get("/notes/1")
    headers = {"if-none-match": first.headers["etag"]}
    assert (await client.get("/notes/1", headers=headers)).status_code == 304
    await client.put("/notes/1", json={**CAKE, "version": 1})
    second = await client.get("/notes/1", headers=headers)
    assert (second.status_code, second.json()["title"]) == (200, "Cake")


async def test_a_title_is_taken_only_once(client):
    await client.post("/notes", json=TEA)
    response = await client.post("/notes", json=TEA)
    assert response.status_code == 409
    assert response.json()["detail"] == "another note has this title"
    assert len(await all_notes(client)) == 1


@pytest.mark.parametrize(
    ("draft", "wrong"),
    [({}, "title"), ({"title": ""}, "title"), ({"title": "Tea", "text": 7}, "text")],
)
async def test_a_draft_that_makes_no_sense_is_refused(client, draft, wrong):
    response = await client.post("/notes", json=draft)
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert error["location"] == "body"
    assert wrong in error["name"] + error["message"]
    assert await all_notes(client) == []


class Full(Database):
    """A database whose commits fail."""

    async def execute(self, sql: str, *values: Any) -> list[Any]:
        if sql == "COMMIT":
            raise sqlite3.OperationalError("database or disk is full")
        return await super().execute(sql, *values)


async def test_no_201_is_sent_for_a_commit_that_fails():
    async def open_full() -> AsyncResource[Database]:
        database = Full()
        yield database
        database.close()

    with app.override(open_database, open_full):
        async with open_app(app, raise_app_exceptions=False) as client:
            response = await client.post("/notes", json=TEA)
            assert response.status_code == 500
            assert "location" not in response.headers


async def test_a_client_that_leaves_in_the_middle_of_its_request_stores_nothing(client):
    headers = {"content-type": "application/json"}
    async with client.stream("POST", "/notes", sending=True, headers=headers) as request:
        await request.send(b'{"title": "Tea"}')
        request.reset()
    assert await all_notes(client) == []


def test_notes_in_a_file_outlive_the_server(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTES_FILE", str(tmp_path / "notes.db"))
    with TestClient(app) as client:
        assert client.post("/notes", json=TEA).status_code == 201
    with TestClient(app) as client:
        assert client.get("/notes/1").json() == {"id": 1, **TEA, "version": 1}
