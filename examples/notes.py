"""
A small JSON API for notes, which are in SQLite.

    triows run examples.notes:app

    curl -i --json '{"title": "Tea", "text": "Buy some"}' http://127.0.0.1:8000/notes
    curl -i 'http://127.0.0.1:8000/notes?limit=10'

Set ``NOTES_FILE`` to keep the notes in a file. Three things are worth a look:

* **A 2xx means that the work is done.** Each request has a transaction, which is a resource. It
  commits when it exits, and the response is sent after that. If the commit fails, the client gets a
  500 and no 201. If the handler fails, or is cancelled because the client has left, the transaction
  is rolled back.
* ``Notes`` knows nothing of HTTP. ``@app.catch`` says which answer its exceptions get.
* Nobody overwrites what they have not seen: whoever changes a note says which version they have
  read. And whoever has a note already gets a 304 in place of it (``etag=True``).
"""

from __future__ import annotations

import os
import sqlite3
from typing import Annotated, Any

import msgspec
import trio

from triows import (
    AsyncResource,
    HTTPException,
    HTTPProblem,
    Limits,
    ResponseHeaders,
    Route,
    Triows,
    status,
    use,
)

SCHEMA = """
CREATE TABLE IF NOT EXISTS notes (
    id INTEGER PRIMARY KEY, title TEXT UNIQUE, text TEXT, version INTEGER
)
"""


class Database:
    """SQLite in threads, because its calls block. It allows one transaction at a time."""

    def __init__(self, file: str = ":memory:") -> None:
        # Without an isolation level, transactions begin where the code says so.
        self._connection = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self._connection.execute(SCHEMA)
        self.lock = trio.Lock()

    async def execute(self, sql: str, *values: Any) -> list[Any]:
        """Execute a statement. A cancellation waits until it has ended."""

        def run() -> list[Any]:
            return self._connection.execute(sql, values).fetchall()

        return await trio.to_thread.run_sync(run)

    def close(self) -> None:
        self._connection.close()


async def open_database() -> AsyncResource[Database]:
    database = Database(os.environ.get("NOTES_FILE", ":memory:"))
    yield database
    database.close()


SharedDatabase = Annotated[Database, use(open_database, scope="app")]


# What there is

#: SQLite's numbers have 64 bits.
Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Title = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Text = Annotated[str, msgspec.Meta(max_length=10_000)]


class Draft(msgspec.Struct):
    """A note that is new."""

    title: Title
    text: Text = ""


class Change(msgspec.Struct):
    """What a note becomes, if it still has the version that somebody has read."""

    title: Title
    text: Text
    version: int


class Note(msgspec.Struct):
    id: int
    title: str
    text: str
    version: int


class Page(msgspec.Struct):
    notes: list[Note]
    #: What to ask for as ``after`` to get the next page. There is none if this is the last one.
    next: int | None


class NoSuchNote(Exception):
    """There is no note with this number."""


class Outdated(Exception):
    """Somebody else has changed the note."""


class Notes:
    """The notes, in one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, draft: Draft) -> Note:
        sql = "INSERT INTO notes (title, text, version) VALUES (?, ?, 1) RETURNING *"
        (row,) = await self._database.execute(sql, draft.title, draft.text)
        return Note(*row)

    async def list_after(self, number: int, limit: int) -> Page:
        # One more than a page has, to see whether there is another page.
        sql = "SELECT * FROM notes WHERE id > ? ORDER BY id LIMIT ?"
        rows = await self._database.execute(sql, number, limit + 1)
        notes = [Note(*row) for row in rows[:limit]]
        return Page(notes, notes[-1].id if len(rows) > limit else None)

    async def get(self, number: int) -> Note:
        rows = await self._database.execute("SELECT * FROM notes WHERE id = ?", number)
        if not rows:
            raise NoSuchNote(number)
        return Note(*rows[0])

    async def change(self, number: int, change: Change) -> Note:
        if (await self.get(number)).version != change.version:
            raise Outdated(number)
        sql = "UPDATE notes SET title = ?, text = ?, version = version + 1 WHERE id = ? RETURNING *"
        (row,) = await self._database.execute(sql, change.title, change.text, number)
        return Note(*row)

    async def delete(self, number: int) -> None:
        await self.get(number)
        await self._database.execute("DELETE FROM notes WHERE id = ?", number)


async def transaction(database: SharedDatabase) -> AsyncResource[Notes]:
    """Begin a transaction before the handler, and commit it or roll it back afterwards."""
    async with database.lock:
        await database.execute("BEGIN")
        try:
            yield Notes(database)
            await database.execute("COMMIT")
        except Exception:
            await database.execute("ROLLBACK")
            raise


# What a client may ask for


class NotFound(HTTPProblem[str]):
    """There is no such note."""

    __status__ = status.NOT_FOUND


class Conflict(HTTPProblem[str]):
    """The note can't be stored as it is."""

    __status__ = status.CONFLICT


notes = Route("notes", deps=[transaction], limits=Limits(body=2**16))
note = notes / "{number:int}"


@notes.post(problems=[Conflict])
async def create(
    notes: Notes, draft: Draft, headers: ResponseHeaders
) -> Annotated[Note, status.CREATED]:
    """Store a new note. No two notes have the same title."""
    created = await notes.create(draft)
    headers["location"] = f"/notes/{created.id}"
    return created


@notes.get
async def list_notes(
    notes: Notes, after: Number = 0, limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20
) -> Page:
    """List the notes, page by page."""
    return await notes.list_after(after, limit)


@note.get(etag=True, problems=[NotFound])
async def read(notes: Notes, number: Number) -> Note:
    """Read a note."""
    return await notes.get(number)


@note.put(problems=[NotFound, Conflict])
async def change(notes: Notes, number: Number, change: Change) -> Note:
    """Change a note."""
    return await notes.change(number, change)


@note.delete(problems=[NotFound])
async def delete(notes: Notes, number: Number) -> None:
    """Delete a note."""
    await notes.delete(number)


app = Triows(notes)


@app.catch(NoSuchNote)
def answer_not_found(error: NoSuchNote) -> HTTPException:
    return NotFound()


@app.catch(Outdated)
def answer_outdated(error: Outdated) -> HTTPException:
    return Conflict("somebody else has changed it: read it again")


@app.catch(sqlite3.IntegrityError)
def answer_taken(error: sqlite3.IntegrityError) -> HTTPException:
    return Conflict("another note has this title")
