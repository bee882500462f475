"""
What the tutorials of FastAPI and Starlette show of HTTP, written for triows.

The first part is what moves, and how. The second part is what somebody who comes from there writes
first. It is refused when the application is made, or at the name, with what to write instead.
"""

from __future__ import annotations

import textwrap

import pytest

import triows
from tests.users.lihils import Ask, answered, made
from triows.testing import TestClient

IMPORTS = """
from collections.abc import AsyncIterator
from enum import Enum
from typing import Annotated
import trio
from pydantic import BaseModel
from starlette.background import BackgroundTask
from starlette.responses import *
import triows
from triows import *
from triows import status

class Item(BaseModel):
    name: str
    price: float = 1.0

log = []
"""

ITEM = {"name": "tea", "price": 2.5}

PROGRAMS = {
    "first steps": (
        """
        root = Route()

        @root.get
        async def read_root() -> dict:
            return {"Hello": "World"}

        app = Triows(root)
        """,
        [Ask("GET /", {"Hello": "World"})],
    ),
    "path and query parameters": (
        """
        class Kind(str, Enum):
            new = "new"

        items = Route("items")

        @items.sub("{item_id}").get
        async def read_item(item_id: int, q: str | None = None, short: bool = False) -> dict:
            return {"id": item_id, "q": q, "short": short}

        @items.sub("kinds/{kind}").get
        async def read_kind(kind: Kind) -> Kind:
            return kind

        @items.sub("files/{file_path:path}").get
        async def read_file(file_path: str) -> str:
            return file_path

        app = Triows(items)
        """,
        [
            Ask("GET /items/3?q=a&short=true", {"id": 3, "q": "a", "short": True}),
            Ask("GET /items/3", {"id": 3, "q": None, "short": False}),
            Ask("GET /items/x", {}, 422),
            Ask("GET /items/kinds/new", '"new"'),
            Ask("GET /items/kinds/old", {}, 422),
            Ask("GET /items/files/a/b.txt", "a/b.txt"),
        ],
    ),
    "request body, response status and model": (
        """
        class Public(BaseModel):
            name: str

        items = Route("items")

        @items.post(status=201)
        async def create(item: Item) -> Public:
            return Public(name=item.name)

        @items.put
        async def update(item: Item) -> Annotated[Item, status.ACCEPTED]:
            return item

        app = Triows(items)
        """,
        [
            Ask("POST /items", {"name": "tea"}, 201, sent={"json": ITEM}),
            Ask("PUT /items", ITEM, 202, sent={"json": ITEM}),
            Ask("POST /items", {}, 422, sent={"json": {"price": "x"}}),
        ],
    ),
    "forms and files": (
        """
        login = Route("login")

        @login.post
        async def log_in(
            username: Annotated[str, Param("form")], password: Annotated[str, Param("form")]
        ) -> dict:
            return {"username": username}

        files = Route("files")

        @files.post
        async def upload(file: UploadFile, note: Annotated[str, Param("form")] = "") -> dict:
            return {"name": file.filename, "size": len(await file.read()), "note": note}

        app = Triows(login, files)
        """,
        [
            Ask(
                "POST /login", {"username": "a"}, sent={"data": {"username": "a", "password": "b"}}
            ),
            Ask(
                "POST /files",
                {"name": "a.txt", "size": 3, "note": "n"},
                sent={"files": {"file": ("a.txt", b"abc")}, "data": {"note": "n"}},
            ),
        ],
    ),
    "headers and cookies": (
        """
        items = Route("items")

        @items.get
        async def read(
            user_agent: Annotated[str, Param("header")],
            ads_id: Annotated[str | None, Param("cookie")] = None,
        ) -> Response:
            response = JSONResponse({"agent": user_agent, "ads": ads_id})
            response.set_cookie("seen", "yes")
            return response

        @items.put
        async def write(item: Item, headers: ResponseHeaders) -> Item:
            headers.set_cookie("seen", "yes")
            headers["X-Items"] = "1"
            return item

        @items.sub("last").get
        async def last(request: Request) -> dict:
            return request.cookies

        app = Triows(items)
        """,
        [
            Ask(
                "GET /items",
                {"agent": "me", "ads": "1"},
                sent={"headers": {"user-agent": "me", "cookie": "ads_id=1"}},
            ),
            Ask("GET /items/last", {"seen": "yes"}),
            Ask("PUT /items", ITEM, sent={"json": ITEM}),
        ],
    ),
    "dependencies with yield, and guards": (
        """
        class Database:
            items = {"tea": 3}

        async def get_database() -> AsyncIterator[Database]:
            log.append("open")
            try:
                yield Database()
            finally:
                log.append("close")

        async def check_token(x_token: Annotated[str, Param("header")]) -> None:
            if x_token != "secret":
                raise HTTPException(403, "wrong token")

        items = Route("items", deps=[check_token])

        @items.sub("{name}").get
        async def read(name: str, database: Annotated[Database, use(get_database)]) -> int:
            if name not in database.items:
                raise HTTPException(404, "Item not found", headers={"x-error": "yes"})
            return database.items[name]

        logs = Route("log")

        @logs.get
        async def read_log() -> list[str]:
            return log

        app = Triows(items, logs)
        """,
        [
            Ask("GET /items/tea", 3, sent={"headers": {"x-token": "secret"}}),
            Ask(
                "GET /items/milk",
                {"detail": "Item not found"},
                404,
                sent={"headers": {"x-token": "secret"}},
            ),
            Ask(
                "GET /items/tea", {"detail": "wrong token"}, 403, sent={"headers": {"x-token": "x"}}
            ),
            Ask("GET /log", ["open", "close", "open", "close"]),
        ],
    ),
    "background tasks": (
        """
        mail = Route("mail/{address}")

        @mail.post
        async def send(address: str, nursery: trio.Nursery) -> Annotated[str, status.ACCEPTED]:
            async def write() -> None:
                log.append(address)

            nursery.start_soon(write)
            return "it will be sent"

        @mail.put
        async def after(address: str) -> JSONResponse:
            return JSONResponse("later", background=BackgroundTask(log.append, f"{address} later"))

        @mail.get
        async def read_log(address: str) -> list[str]:
            return log

        app = Triows(mail)
        """,
        [
            Ask("POST /mail/ada", "it will be sent", 202),
            Ask("PUT /mail/ada", '"later"'),
            Ask("GET /mail/ada", ["ada", "ada later"]),
        ],
    ),
    "streams, redirects and files": (
        """
        async def parts():
            for part in "abc":
                yield part

        root = Route()

        @root.sub("theirs").get
        async def theirs() -> StreamingResponse:
            return StreamingResponse(parts())

        @root.sub("ours").get
        async def ours() -> AsyncIterator[str]:
            async for part in parts():
                yield part

        @root.sub("old").get
        async def old() -> RedirectResponse:
            return RedirectResponse("/ours")

        @root.sub("file").get
        def file() -> FileResponse:
            return FileResponse(trio.__file__)

        @root.sub("page").get
        def page() -> HTML:
            return "<h1>page</h1>"

        app = Triows(root)
        """,
        [
            Ask("GET /theirs", "abc"),
            Ask("GET /ours", "abc"),
            Ask("GET /old", "abc"),
            Ask("GET /page", "<h1>page</h1>"),
        ],
    ),
    "errors of your own": (
        """
        class Unicorn(Exception):
            pass

        root = Route("{name}")

        @root.get
        async def read(name: str) -> str:
            raise Unicorn(name)

        app = Triows(root)

        @app.catch(Unicorn)
        def refuse(error: Unicorn) -> HTTPException:
            return HTTPException(418, f"Oops! {error} did something.")
        """,
        [Ask("GET /yolo", {"detail": "Oops! yolo did something."}, 418)],
    ),
    "Starlette: the request itself": (
        """
        echo = Route("echo")

        @echo.post
        async def answer(request: Request) -> JSONResponse:
            form = await request.form()
            return JSONResponse({"path": request.url.path, "n": form["n"], **request.query_params})

        app = Triows(echo)
        """,
        [Ask("POST /echo?q=a", {"path": "/echo", "n": "1", "q": "a"}, sent={"data": {"n": "1"}})],
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_the_tutorial_shows_works(name):
    text, asks = PROGRAMS[name]
    with TestClient(made(IMPORTS + textwrap.dedent(text))) as client:
        for ask in asks:
            code, got = answered(client.request(*ask.line.split(" "), **ask.sent))
            if isinstance(got, dict) and "status" in got:
                got = {one: value for one, value in got.items() if one in ask.got}
            assert (ask.line, code, got) == (ask.line, ask.status, ask.got)


#: What is written, in a handler or before it, and the sentence about it.
MISTAKES = {
    # Parameters
    "async def f(db: Annotated[int, Depends(make)]): ...": "Annotated[int, use(factory)]",
    "async def f(db: int = Depends(make)): ...": "Annotated[int, use(factory)]",
    "async def f(q: str = Query()): ...": 'q: Annotated[str, Param("query")]',
    "async def f(q: Annotated[str, Query(max_length=9)]): ...": 'Annotated[str, Param("query")]',
    "async def f(q: Annotated[Item, Query()]): ...": 'q: Annotated[Item, Param("query")]',
    "async def f(x_token: Annotated[str, Header()]): ...": 'Annotated[str, Param("header")]',
    "async def f(ads: Annotated[str, Cookie()]): ...": 'Annotated[str, Param("cookie")]',
    "async def f(item: Item = Body()): ...": 'item: Annotated[Item, Param("body")]',
    "async def f(n: Annotated[int, Body(embed=True)]): ...": 'n: Annotated[int, Param("body")]',
    "async def f(name: str = Form()): ...": 'name: Annotated[str, Param("form")]',
    "async def f(file: bytes = File()): ...": "write `file: UploadFile`",
    "async def f(file: Annotated[list[bytes], File()]): ...": "write `file: list[UploadFile]`",
    "import fastapi\nasync def f(file: fastapi.UploadFile): ...": (
        "write `from triows import UploadFile`, and not fastapi's"
    ),
    "async def f(tasks: BackgroundTasks): ...": "annotate it `tasks: trio.Nursery`",
    "async def f(response: Response): ...": "ask for `headers: ResponseHeaders`",
    "from starlette.datastructures import *\nasync def f(headers: MutableHeaders): ...": (
        "annotate it `headers: ResponseHeaders`"
    ),
    "async def f(request): ...": "write `request: Request`",
    "async def f(item: Item, other: Item): ...": "make one class with both as its fields",
    "async def f(ws: WebSocket): ...": "annotate it `ws: Request`",
    # What is sent
    "def f():\n    yield 'a'": "write `async def`, which can `yield` as well",
    # Decorators and routes
    "@route.get('/items')\nasync def g(): ...": "a path belongs to a route",
    "@route.get(response_model=Item)\nasync def g(): ...": "the return annotation says what",
    "@route.get(status_code=201)\nasync def g(): ...": "write `@route.get(status=...)`",
    "@route.get(dependencies=[Depends(make)])\nasync def g(): ...": "write deps=[...]",
    "@route.get(tags=['a'])\nasync def g(): ...": "triows makes no schema: leave it out",
    "@route.get(response_class=Response)\nasync def g(): ...": "the return annotation says",
    "@route.api_route('/', methods=['GET'])\nasync def g(): ...": "write `@route.get`",
    "@route.websocket('/')\nasync def g(): ...": "WebSocketRoute(path)",
    "Route(prefix='/items')": "the path comes first: Route(path)",
    "route = Route('a', deps=[Depends(make)])\nasync def f(): ...": "deps=[make]",
    # The application
    "@Triows().get('/')\nasync def g(): ...": "write `route = Route(path)`",
    "Triows().include_router(route)": "write `app.include_routes(route, ...)`",
    "Triows(APIRouter())": "isn't a route",
    "@Triows().exception_handler(ValueError)\ndef g(): ...": "write `@app.catch(Error)`",
    "@Triows().middleware('http')\nasync def g(): ...": "write `Triows(middlewares=[...])`",
    "@Triows().on_event('startup')\nasync def g(): ...": "write `Triows(lifespan=lifespan)`",
    "Triows(title='my API')": "triows makes no schema: leave it out",
    "Triows(dependencies=[])": "write deps=[...]",
    "Triows(exception_handlers={})": "write `@app.catch(Error)`",
}

AROUND = """
from typing import Annotated
from pydantic import BaseModel
from fastapi import *
from triows import *

class Item(BaseModel):
    name: str

def make() -> int:
    return 3

route = Route("items")
{code}
if "f" in globals():
    route.post(f)
app = Triows(route)
"""


@pytest.mark.parametrize("code", MISTAKES)
def test_what_people_write_first_is_answered_with_what_to_write(code):
    pytest.importorskip("fastapi")
    with pytest.raises((TypeError, AttributeError, triows.RouteSetupError)) as caught:
        made(AROUND.format(code=code))
    assert MISTAKES[code] in str(caught.value)
