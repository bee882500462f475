"""
Programs as lihil's README and manual show them, one for each thing that they show of HTTP.

They are written anew, with lihil's words, and each says what clients get from it. On triows, it has
to be the same, once the names are replaced as :data:`COUNTERPARTS` says. Where something more has
to be changed, or the answer is another one, the program says so.

Run as a program, it asks lihil itself, and prints what that answers, as JSON.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from types import ModuleType
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COUNTERPARTS", "PROGRAMS", "Ask", "Program", "answered", "made", "moved"]

#: Names of lihil, what they are here, and the module that has it.
COUNTERPARTS = {
    "Lihil": ("Triows", "triows"),
    "SSE": ("ServerSentEvent", "triows"),
    "HTTPException": ("HTTPProblem", "triows"),
    "Json": ("JSON", "triows"),
    "Text": ("str", ""),
    "Empty": ("None", ""),
    "Stream": ("AsyncIterator", "collections.abc"),
    "Form()": ('Param("form")', "triows"),
    "Payload": ("Struct", "msgspec"),
    "Struct": ("Struct", "msgspec"),
    "Annotated": ("Annotated", "typing"),
    "Response": ("Response", "starlette.responses"),
}


@frozen
class Ask:
    """
    A request, and what comes back.

    Args:
        line: The method and the path.
        sent: What else the client sends, as arguments of a test client.
        status: The status of the response.
        got: Its body: text, or what its JSON says. Of a problem, only these members.
        there: Status and body of lihil, if they are others.
    """

    line: str
    got: Any = None
    status: int = 200
    sent: Mapping[str, Any] = field(factory=dict, kw_only=True)
    there: tuple[int, Any] | None = field(default=None, kw_only=True)


@frozen
class Program:
    """
    A program of lihil.

    Args:
        text: The program, which makes an ``app``.
        asks: What clients ask it.
        changes: What has to be changed on triows beside the names.
        runs_there: Whether it runs on lihil 0.2.41, whose manual shows more than that has.
    """

    text: str = field(converter=textwrap.dedent)
    asks: tuple[Ask, ...]
    changes: Mapping[str, str] = field(factory=dict, kw_only=True)
    runs_there: bool = field(default=True, kw_only=True)


def moved(program: Program) -> str:
    """Return a program as it is on triows."""
    text = program.text
    for theirs, ours in program.changes.items():
        assert theirs in text, theirs
        text = text.replace(theirs, ours)
    text = text.replace("from lihil.vendors import TestClient", "")
    text = re.sub(r"^from lihil import \(?([^)\n]*)\)?$", _imports, text, flags=re.MULTILINE)
    head, _, rest = text.rpartition("import ")
    imported, newline, rest = rest.partition("\n")
    for theirs, (ours, _) in COUNTERPARTS.items():
        rest = re.sub(rf"\b{re.escape(theirs)}(?!\w)", ours, rest)
    return f"{head}import {imported}{newline}{rest}"


def _imports(line: re.Match[str]) -> str:
    names = [name.strip() for name in line[1].split(",") if name.strip()]
    found = [
        COUNTERPARTS.get(name, COUNTERPARTS.get(f"{name}()", (name, "triows"))) for name in names
    ]
    wanted = {(module, re.split(r"\W", name)[0]) for name, module in found if module}
    return "\n".join(f"from {module} import {name}" for module, name in sorted(wanted))


def made(text: str) -> Any:
    """Run a program in a module of its own, and return its application."""
    module = ModuleType("program")
    sys.modules[module.__name__] = module  # where libraries look for the names in annotations
    exec(compile(text, "program.py", "exec", dont_inherit=True), vars(module))
    return module.app


def answered(response: Any) -> tuple[int, Any]:
    """
    Return the status and the body of a response: what its JSON says, if it is JSON.

    A text in JSON keeps its quotes, which tell it from one that is sent as text.
    """
    kind = response.headers.get("content-type", "").partition(";")[0]
    said = response.json() if kind.endswith("json") and response.content else response.text
    return response.status_code, response.text if isinstance(said, str) else said


_ADA = {"name": "ada", "age": 36}

#: What lihil answers where it fails.
_FAILED = (500, "Internal Server Error")

PROGRAMS: dict[str, Program] = {
    "README: quick start, with events": Program(
        """
        from typing import TypedDict
        from lihil import Lihil, Route, EventStream, SSE

        class Question(TypedDict):
            content: str

        class Model:
            def answer(self, text: str, name: str) -> list[str]:
                return [name, *text.split()]

        def get_model() -> Model:
            return Model()

        route = Route("/gpt", deps=[get_model])

        @route.sub("/messages").post
        async def add_message(model: Model, question: Question, name: str) -> EventStream:
            yield SSE(event="open")
            for token in model.answer(question["content"], name):
                yield SSE(event="token", data={"text": token})
            yield SSE(event="close")

        app = Lihil(route)
        """,
        (
            Ask(
                "POST /gpt/messages?name=o1",
                'event: open\ndata: \n\nevent: token\ndata: {"text":"o1"}\n\n'
                'event: token\ndata: {"text":"hi"}\n\nevent: close\ndata: \n\n',
                sent={"json": {"content": "hi"}},
                # Browsers don't dispatch an event without data.
                there=(
                    200,
                    'event: open\n\nevent: token\ndata: {"text":"o1"}\n\n'
                    'event: token\ndata: {"text":"hi"}\n\nevent: close\n\n',
                ),
            ),
        ),
    ),
    "README: routes of both kinds": Program(
        """
        from lihil import Lihil, Route, WebSocketRoute, WebSocket

        api = Route("api")
        v1 = api.sub("v1")
        users = v1.sub("users")

        @users.get
        async def list_users() -> list[str]:
            return ["ada"]

        ws = WebSocketRoute("ws")
        notify = ws.sub("v1").sub("notification")

        async def tell(ws: WebSocket) -> None:
            await ws.accept()
            await ws.send_text("news")
            await ws.close()

        for route in (ws, ws.sub("v1"), notify):
            route.endpoint(tell)

        app = Lihil(api, ws)
        """,
        (
            Ask("GET /api/v1/users", ["ada"]),
            Ask("GET /api/v2/users", {}, 404, there=(404, "Not Found")),
        ),
    ),
    "README: a plugin": Program(
        """
        from functools import wraps
        from lihil import Lihil, Route

        class Doubling:
            def __init__(self, factor: int):
                self.factor = factor

            def decorate(self, ep_info):
                original = ep_info.func

                @wraps(original)
                async def wrapper(*args, **kwargs):
                    return self.factor * await original(*args, **kwargs)

                return wrapper

        route = Route("/data")

        @route.get(plugins=[Doubling(2).decorate, Doubling(5).decorate])
        async def read(number: int) -> int:
            return number

        app = Lihil(route)
        """,
        (Ask("GET /data?number=3", 30),),
    ),
    "README: a problem": Program(
        """
        from lihil import Lihil, Route, HTTPException

        class BookNotFound(HTTPException[str]):
            "The book you are looking for does not exist"
            __status__ = 404

        class Gone(HTTPException[str]):
            "Somebody has taken it"
            __status__ = 410
            __problem_type__ = "book-gone"
            __problem_title__ = "Taken"

        books = Route("/books/{book}")

        @books.get(problems=[BookNotFound, Gone])
        async def read(book: str) -> str:
            if book == "gone":
                raise Gone("yesterday")
            if book == "odd":
                raise BookNotFound(
                    detail="odd", problem_type="odd-book", problem_title="An odd book", status=409
                )
            raise BookNotFound(f"there is no {book}")

        app = Lihil(books)
        """,
        (
            Ask(
                "GET /books/x",
                {
                    "title": "The book you are looking for does not exist",
                    "status": 404,
                    "detail": "there is no x",
                    "instance": "/books/x",
                },
                404,
            ),
            Ask("GET /books/gone", {"title": "Taken", "detail": "yesterday"}, 410),
            Ask("GET /books/odd", {"title": "An odd book", "status": 409}, 409),
        ),
    ),
    "README: a problem with a body of its own": Program(
        """
        from lihil import Lihil, Route, HTTPException
        from lihil.interface.problem import ProblemDetail

        class Invalid(HTTPException[dict]):
            "The order can't be taken"
            __status__ = 400

            def __problem_detail__(self, instance: str) -> ProblemDetail[dict]:
                return ProblemDetail(
                    type_="order-invalid",
                    title="The order can't be taken",
                    status=400,
                    detail=self.detail,
                    instance=f"orders{instance}",
                )

            @classmethod
            def __json_example__(cls) -> ProblemDetail[dict]:
                return ProblemDetail(
                    type_="order-invalid", title="", status=400, detail={}, instance=""
                )

        orders = Route("/orders")

        @orders.post
        async def order() -> None:
            raise Invalid({"size": "too small"})

        app = Lihil(orders)
        """,
        (
            Ask(
                "POST /orders",
                {"title": "The order can't be taken", "detail": {"size": "too small"}},
                400,
            ),
        ),
        changes={
            "from lihil.interface.problem import ProblemDetail\n": "",
            """
    def __problem_detail__(self, instance: str) -> ProblemDetail[dict]:
        return ProblemDetail(
            type_="order-invalid",
            title="The order can't be taken",
            status=400,
            detail=self.detail,
            instance=f"orders{instance}",
        )

    @classmethod
    def __json_example__(cls) -> ProblemDetail[dict]:
        return ProblemDetail(
            type_="order-invalid", title="", status=400, detail={}, instance=""
        )
""": '    __problem_type__ = "order-invalid"\n',
        },
    ),
    "README: a generic problem with arguments of its own": Program(
        """
        from typing import Generic, TypeVar
        from lihil import Lihil, Route, HTTPException

        T = TypeVar("T")

        class ResourceNotFound(HTTPException[T], Generic[T]):
            "There is no such thing"
            __status__ = 404

            def __init__(self, detail: T, kind: str):
                super().__init__(detail, problem_type=f"{kind}-not-found", problem_title=kind)

        posts = Route("/posts/{post}")

        @posts.get
        async def read(post: str) -> str:
            raise ResourceNotFound(f"no {post}", kind="post")

        app = Lihil(posts)
        """,
        (Ask("GET /posts/x", {"title": "post", "detail": "no x"}, 404),),
    ),
    "Copilot guide: a whole application": Program(
        """
        from lihil import Lihil, Route, Payload

        class UserCreate(Payload):
            name: str
            age: int

        api = Route("/api/v1")
        users = api.sub("/users")

        @users.get
        async def list_users(page: int = 1, limit: int = 10) -> dict:
            return {"users": [], "page": page, "limit": limit}

        @users.post
        async def create_user(user: UserCreate) -> UserCreate:
            return user

        user = users.sub("/{user_id}")

        @user.get
        async def get_user(user_id: str) -> dict:
            return {"id": user_id}

        @user.put
        async def update_user(user_id: int, user: UserCreate) -> dict:
            return {"id": user_id, "name": user.name}

        @user.delete
        async def delete_user(user_id: str) -> dict:
            return {"deleted": user_id}

        @user.sub("posts/{post_id}").get
        async def get_post(user_id: str, post_id: int) -> dict:
            return {"user": user_id, "post": post_id}

        app = Lihil()
        app.include(api)
        """,
        (
            Ask("GET /api/v1/users?limit=5", {"users": [], "page": 1, "limit": 5}),
            Ask(
                "POST /api/v1/users",
                {"name": "ada", "age": 36},
                sent={"json": {"name": "ada", "age": 36}},
            ),
            Ask("GET /api/v1/users/7", {"id": "7"}),
            Ask(
                "PUT /api/v1/users/7",
                {"id": 7, "name": "b"},
                sent={"json": {"name": "b", "age": 1}},
            ),
            Ask("PUT /api/v1/users/x", {}, 422, sent={"json": _ADA}),
            Ask("DELETE /api/v1/users/7", {"deleted": "7"}),
            Ask("GET /api/v1/users/7/posts/3", {"user": "7", "post": 3}),
            Ask("POST /api/v1/users", {}, 422, sent={"json": {"name": "ada"}}),
        ),
    ),
    "Copilot guide: the application has methods": Program(
        """
        from lihil import Lihil, Route

        app = Lihil()

        @app.get
        async def root() -> dict:
            return {"ping": "pong"}

        @app.sub("/health").get
        async def health() -> dict:
            return {"status": "healthy"}
        """,
        (Ask("GET /", {"ping": "pong"}), Ask("GET /health", {"status": "healthy"})),
        changes={
            "app = Lihil()": "app = Route()",
            'return {"status": "healthy"}': 'return {"status": "healthy"}\n\napp = Lihil(app)',
        },
    ),
    "Copilot guide: dependencies": Program(
        """
        from lihil import Lihil, Route

        class Database:
            def get_all(self) -> list[int]:
                return [1, 2]

        class Auth:
            def __init__(self, db: Database):
                self.user = len(db.get_all())

        route = Route("/api", deps=[Database, Auth])

        @route.get
        async def read(db: Database, auth: Auth) -> list[int]:
            return [*db.get_all(), auth.user]

        app = Lihil(route)
        """,
        (Ask("GET /api", [1, 2, 2]),),
    ),
    "Quick start: text": Program(
        """
        from lihil import Lihil, Route, Text, Annotated

        root = Route()

        @root.get
        def hello(world: str = "world") -> Annotated[Text, 200]:
            return f"hello, {world}!"

        app = Lihil(root)
        """,
        (Ask("GET /", "hello, world!"), Ask("GET /?world=you", "hello, you!")),
    ),
    "Quick start: a function is registered later": Program(
        """
        from lihil import Lihil, Route, Struct

        class UserData(Struct):
            name: str

        class Engine:
            async def insert(self, user: UserData) -> str:
                return f"1-{user.name}"

        def get_engine() -> Engine:
            return Engine()

        async def create_user(user: UserData, engine: Engine) -> dict:
            return {"id": await engine.insert(user)}

        users = Route("/users")
        users.factory(get_engine)
        users.post(create_user)

        app = Lihil(users)
        """,
        (Ask("POST /users", {"id": "1-ada"}, sent={"json": {"name": "ada"}}),),
        changes={
            'users = Route("/users")\nusers.factory(get_engine)\n': (
                'users = Route("/users", deps=[get_engine])\n'
            )
        },
    ),
    "Endpoint: a resource, and a status": Program(
        """
        from lihil import Lihil, Route, Struct, Annotated, status

        class User(Struct):
            name: str

        closed = []

        class Connection: ...

        async def get_connection() -> Connection:
            yield Connection()
            closed.append("closed")

        users = Route("/users", deps=[get_connection])

        @users.post
        async def create(user: User, connection: Connection) -> Annotated[User, status.CREATED]:
            return user

        @users.sub("closed").get
        async def read() -> list[str]:
            return closed

        app = Lihil(users)
        """,
        (
            Ask("POST /users", {"name": "ada"}, 201, sent={"json": {"name": "ada"}}),
            Ask("GET /users/closed", ["closed"]),
        ),
    ),
    "Endpoint: what a handler returns": Program(
        """
        from lihil import Lihil, Route, HTML, Text, Json, Empty, Stream, Annotated, status

        root = Route()

        @root.sub("list").get
        async def a_list() -> Json[list[int]]:
            return [1]

        @root.sub("quoted").get
        async def quoted() -> Json[str]:
            return "ok"

        @root.sub("plain").get
        async def plain() -> str:
            return "ok"

        @root.sub("text").get
        async def text() -> Text:
            return "ok"

        @root.sub("html").get
        async def html() -> HTML:
            return "<p>ok</p>"

        @root.sub("empty").get
        async def empty() -> Empty:
            return None

        @root.sub("nothing").get
        async def nothing():
            return None

        @root.sub("stream").get
        async def stream() -> Stream[str]:
            yield "a"
            yield "b"

        @root.sub("union").get
        async def union(
            n: int,
        ) -> Annotated[list[int], status.OK] | Annotated[int, status.ACCEPTED]:
            return n if n else []

        app = Lihil(root)
        """,
        (
            Ask("GET /list", [1]),
            Ask("GET /quoted", '"ok"'),
            # There, a str is JSON, and has quotes. So it is below.
            Ask("GET /plain", "ok", there=(200, '"ok"')),
            Ask("GET /text", "ok"),
            Ask("GET /html", "<p>ok</p>"),
            Ask("GET /empty", "", 204, there=(200, "")),
            Ask("GET /nothing", "", 204, there=(200, None)),
            Ask("GET /stream", "ab"),
            Ask("GET /union?n=0", []),
            Ask("GET /union?n=3", 3, 202, there=(200, 3)),
        ),
    ),
    "Endpoint: an encoder": Program(
        """
        from lihil import Lihil, Route

        def encode(number: int) -> bytes:
            return b"<%d>" % number

        route = Route("/number")

        @route.get(encoder=encode)
        async def read() -> int:
            return 3

        app = Lihil(route)
        """,
        (Ask("GET /number", "<3>"),),
        changes={
            "@route.get(encoder=encode)": "@route.get",
            "-> int:\n    return 3": "-> bytes:\n    return encode(3)",
        },
        runs_there=False,
    ),
    "Endpoint: properties of a route": Program(
        """
        from lihil import Lihil, Route, HTTPException

        class Inactive(HTTPException[str]):
            "The user is not active"
            __status__ = 409

        route = Route("/users", deps=[])

        @route.get(problems=[Inactive], in_schema=False, tags=["users"], to_thread=False)
        def read() -> str:
            raise Inactive("since May")

        app = Lihil(route)
        """,
        (Ask("GET /users", {"title": "The user is not active", "detail": "since May"}, 409),),
        changes={', in_schema=False, tags=["users"], to_thread=False': ""},
    ),
    "Route: one function for several methods": Program(
        """
        from lihil import Lihil, Route

        route = Route("/count")

        async def count(by: int = 1) -> int:
            return by

        route.add_endpoint("PUT", func=count)
        route.get(route.post(count))

        assert route.sub("x") is route.sub("x")

        app = Lihil(route)
        """,
        (Ask("GET /count", 1), Ask("POST /count?by=2", 2), Ask("PUT /count?by=3", 3)),
    ),
    "Route: merged below another": Program(
        """
        from lihil import Lihil, Route

        items = Route("/items")

        @items.get
        def list_items() -> list[int]:
            return [1]

        @items.sub("/{item_id}").get
        def get_item(item_id: str) -> dict:
            return {"id": item_id}

        carts = Route("/carts")
        carts.merge(items)

        app = Lihil(carts)
        """,
        (Ask("GET /carts/items", [1]), Ask("GET /carts/items/4", {"id": "4"})),
    ),
    "Errors: a solver": Program(
        """
        from lihil import Lihil, Route, Request, Response
        from lihil.problems import problem_solver

        class NotInStock(Exception): ...

        route = Route("/roses")

        @route.post
        async def order() -> str:
            raise NotInStock("roses")

        app = Lihil(route)

        @problem_solver
        def solve(request: Request, exc: NotInStock):
            return Response(f"no {exc}", status_code=409)
        """,
        (Ask("POST /roses", {"detail": "no roses"}, 409, there=(409, "no roses")),),
        changes={
            "from lihil.problems import problem_solver\n": "",
            "from lihil import Lihil, Route, Request, Response\n": (
                "from triows import Triows, Route, HTTPException as Refusal\n"
            ),
            "@problem_solver\ndef solve(request: Request, exc: NotInStock):": (
                "@app.catch(NotInStock)\ndef solve(exc: NotInStock) -> Refusal:"
            ),
            'return Response(f"no {exc}", status_code=409)': 'return Refusal(409, f"no {exc}")',
        },
    ),
    "Lifespan": Program(
        """
        from lihil import Lihil, Route

        cache = {}

        async def lifespan(app: Lihil):
            cache["key"] = "value"
            yield
            cache.clear()

        route = Route("/cache")

        @route.get
        async def read() -> dict:
            return cache

        app = Lihil(route, lifespan=lifespan)
        """,
        (Ask("GET /cache", {"key": "value"}),),
    ),
    "Middleware": Program(
        """
        from starlette.middleware.gzip import GZipMiddleware
        from lihil import Lihil, Route, Request

        def tracing(next_app):
            async def trace(scope, receive, send):
                scope["trace_id"] = "t1"
                await next_app(scope, receive, send)
            return trace

        route = Route("/trace", middlewares=[GZipMiddleware])

        @route.get
        async def read(request: Request) -> dict:
            return {"trace": request.scope["trace_id"]}

        app = Lihil(route, middlewares=[lambda app: tracing(app)])
        """,
        (Ask("GET /trace", {"trace": "t1"}),),
    ),
    "Body: of every kind of class": Program(
        """
        from dataclasses import dataclass
        from typing import TypedDict
        import pydantic
        from lihil import Lihil, Route, Param, Struct, Annotated

        class A(Struct):
            n: int

        @dataclass
        class B:
            n: int

        class C(TypedDict):
            n: int

        class D(pydantic.BaseModel):
            n: int

        root = Route("/")

        @root.sub("a").post
        async def a(data: A) -> int:
            return data.n

        @root.sub("b").post
        async def b(data: Annotated[B, Param("body")]) -> int:
            return data.n

        @root.sub("c").post
        async def c(data: C) -> int:
            return data["n"]

        @root.sub("d").post
        async def d(data: D) -> int:
            return data.n

        @root.sub("e").post
        async def e(data: dict) -> int:
            return data["n"]

        @root.sub("f").post
        async def f(data: Annotated[list[int], Param("body")]) -> int:
            return data[0]

        app = Lihil(root)
        """,
        (
            *(Ask(f"POST /{one}", 5, sent={"json": {"n": 5}}) for one in "abcde"),
            Ask("POST /f", 5, sent={"json": [5]}),
            *(Ask(f"POST /{one}", {}, 422, sent={"json": {"n": "x"}}) for one in "abc"),
            *(Ask(f"POST /{one}", {}, 422, sent={"json": {}}) for one in "abc"),
            Ask("POST /d", {}, 422, sent={"json": {}}, there=_FAILED),
        ),
    ),
    "Body: a decoder": Program(
        """
        from lihil import Lihil, Route, Param, Struct, Annotated

        class User(Struct):
            name: str

        def parse(value: bytes) -> User:
            return User(value.decode().strip())

        route = Route("/users")

        @route.post
        async def create(data: Annotated[User, Param("body", decoder=parse)]) -> User:
            return data

        app = Lihil(route)
        """,
        (Ask("POST /users", {"name": "ada"}, sent={"content": b" ada\n"}),),
    ),
    "Body: constraints in the class": Program(
        """
        from lihil import Lihil, Route, Param, Struct, Annotated

        class User(Struct):
            name: Annotated[str, Param(min_length=3)]

        route = Route("/users")

        @route.post
        async def create(user: User) -> User:
            return user

        app = Lihil(route)
        """,
        # There, nobody checks it, whatever the manual says.
        (Ask("POST /users", {}, 422, sent={"json": {"name": "a"}}, there=(200, {"name": "a"})),),
        changes={
            "from lihil import Lihil, Route, Param, Struct, Annotated": (
                "from msgspec import Meta\nfrom lihil import Lihil, Route, Struct, Annotated"
            ),
            "Annotated[str, Param(min_length=3)]": "Annotated[str, Meta(min_length=3)]",
        },
    ),
    "Cookies and headers": Program(
        """
        from lihil import Lihil, Route, Param, Annotated

        def lower(value: str) -> str:
            return value.lower()

        route = Route("/dashboard")

        @route.get
        async def show(
            session_id: Annotated[int, Param("cookie", gt=0)],
            user_agent: Annotated[str, Param("header")],
            credentials: Annotated[str, Param("header", alias="User-Credentials")],
            x_custom: Annotated[str, Param("header", decoder=lower)],
            theme: Annotated[str, Param("cookie")] = "light",
        ) -> list[str]:
            return [str(session_id), user_agent, credentials, x_custom, theme]

        app = Lihil(route)
        """,
        (
            Ask(
                "GET /dashboard",
                ["7", "me", "c", "abc", "light"],
                sent={
                    "headers": {
                        "cookie": "session_id=7",
                        "user-agent": "me",
                        "user-credentials": "c",
                        "x-custom": "ABC",
                    }
                },
                there=_FAILED,  # whatever a cookie has
            ),
            Ask(
                "GET /dashboard",
                {},
                422,
                sent={"headers": {"cookie": "session_id=-7", "user-credentials": "c"}},
                there=_FAILED,
            ),
        ),
    ),
    "Form: a class": Program(
        """
        from lihil import Lihil, Route, Form, Struct, Annotated

        class LoginForm(Struct):
            username: str
            password: str

        login = Route("/login")

        @login.post
        async def handle(form: Annotated[LoginForm, Form()]) -> str:
            return f"Welcome {form.username}"

        app = Lihil(login)
        """,
        (
            Ask(
                "POST /login",
                "Welcome ada",
                sent={"data": {"username": "ada", "password": "x"}},
                there=(200, '"Welcome ada"'),
            ),
            Ask("POST /login", {}, 422, sent={"data": {"username": "ada"}}),
        ),
    ),
    "Form: a file": Program(
        """
        from lihil import Lihil, Route, UploadFile

        user = Route("/user")

        @user.post
        async def upload(file: UploadFile) -> str:
            return f"{file.filename} {len(await file.read())}"

        app = Lihil(user)
        """,
        (
            Ask(
                "POST /user",
                "a.png 3",
                sent={"files": {"file": ("a.png", b"abc", "image/png")}},
                there=(200, '"a.png 3"'),
            ),
        ),
    ),
    "Form: several files": Program(
        """
        from lihil import Lihil, Route, Form, UploadFile, Annotated

        user = Route("/user")

        @user.post
        async def upload(
            files: Annotated[list[UploadFile], Form(max_files=5, max_part_size=2 * 1024 * 1024)]
        ) -> int:
            return len(files)

        app = Lihil(user)
        """,
        (
            Ask("POST /user", 2, sent={"files": [("files", ("a", b"1")), ("files", ("b", b"2"))]}),
            Ask("POST /user", {}, 413, sent={"files": [("files", ("a", b"1"))] * 6}),
        ),
        changes={
            "Route, Form, UploadFile": "Route, Form, Limits, UploadFile",
            'Route("/user")': 'Route("/user", limits=Limits(parts=5, body=2 * 1024 * 1024))',
            "Form(max_files=5, max_part_size=2 * 1024 * 1024)": "Form()",
        },
        runs_there=False,
    ),
    "Form: a file beside text": Program(
        """
        from lihil import Lihil, Route, Form, UploadFile, Annotated

        route = Route("/upload")

        @route.post
        async def upload(
            file: Annotated[bytes, Form()], filename: Annotated[str, Form()]
        ) -> str:
            return filename

        app = Lihil(route)
        """,
        (
            Ask(
                "POST /upload",
                "b",
                sent={"files": {"file": ("a", b"1")}, "data": {"filename": "b"}},
            ),
        ),
        changes={"file: Annotated[bytes, Form()]": "file: UploadFile"},
        runs_there=False,
    ),
    "Path": Program(
        """
        from lihil import Lihil, Route, Param, HTTPException, Annotated

        PositiveInt = Annotated[int, Param(gt=0)]

        class Unlucky(HTTPException[str]):
            "I don't like this value"

        def lucky(value: str) -> int:
            if value == "13":
                raise Unlucky("take another one")
            return int(value)

        route = Route("/users/{user_id}/{number}")

        @route.get
        async def read(
            user_id: PositiveInt, number: Annotated[int, Param("path", decoder=lucky)]
        ) -> list[int]:
            return [user_id, number]

        app = Lihil(route)
        """,
        (
            Ask("GET /users/4/2", [4, 2]),
            Ask("GET /users/-4/2", {}, 422),
            Ask("GET /users/x/2", {}, 422),
            Ask("GET /users/4/13", {"title": "I don't like this value"}, 422),
        ),
    ),
    "Query": Program(
        """
        from typing import Literal
        from lihil import Lihil, Route, Param, Annotated

        articles = Route("/articles")

        @articles.get
        async def search(
            keyword: str,
            tag: Annotated[list[str], Param(max_length=2)],
            order: Literal["asc", "desc"] = "asc",
            page: Annotated[int, Param("query", ge=1)] = 1,
        ) -> list[str]:
            return [keyword, *tag, order, str(page)]

        app = Lihil(articles)
        """,
        (
            Ask(
                "GET /articles?keyword=a&tag=b&tag=c&page=2",
                ["a", "b", "c", "asc", "2"],
                there=(422, {}),  # as all lists that have a constraint
            ),
            Ask("GET /articles?keyword=a&tag=b&order=up", {}, 422),
            Ask("GET /articles?keyword=a&tag=b&tag=c&tag=d", {}, 422),
            Ask("GET /articles?keyword=a&tag=b&page=0", {}, 422),
            Ask("GET /articles?tag=b", {}, 422),
        ),
    ),
    "Query: a decoder of a list": Program(
        """
        from lihil import Lihil, Route, Param, HTTPException, Annotated

        class Blocked(HTTPException[str]):
            "This tag is not allowed"

        def check(tags: list[str]) -> list[str]:
            if "spam" in tags:
                raise Blocked("spam")
            return tags

        route = Route("/filter")

        @route.get
        async def search(tag: Annotated[list[str], Param(decoder=check)]) -> list[str]:
            return tag

        app = Lihil(route)
        """,
        (
            Ask("GET /filter?tag=a&tag=b", ["a", "b"]),
            Ask("GET /filter?tag=a&tag=spam", {"title": "This tag is not allowed"}, 422),
        ),
        changes={
            "tag: Annotated[list[str], Param(decoder=check)]": "tag: list[str]",
            "    return tag\n\napp": "    return check(tag)\n\napp",
        },
    ),
    "Request": Program(
        """
        from lihil import Lihil, Route, Request

        route = Route("users")

        @route.post
        async def create(req: Request) -> dict:
            return {"method": req.method, "size": len(await req.body())}

        app = Lihil(route)
        """,
        (Ask("POST /users", {"method": "POST", "size": 3}, sent={"content": b"abc"}),),
    ),
    "Demo: a page": Program(
        """
        from lihil import Lihil, Route, Response

        page = Route("/")

        @page.get
        async def serve_chat() -> Response:
            return Response(b"<p>chat</p>", media_type="text/html")

        app = Lihil(page)
        """,
        (Ask("GET /", "<p>chat</p>"),),
    ),
}


def main() -> None:
    from lihil.vendors import TestClient

    told: dict[str, Any] = {}
    for name, program in PROGRAMS.items():
        try:
            app = made(program.text)
            with TestClient(app, raise_server_exceptions=False) as client:
                told[name] = [
                    answered(client.request(*ask.line.split(" "), **ask.sent))
                    for ask in program.asks
                ]
        except Exception as exc:  # noqa: BLE001 - what lihil raises depends on the program
            told[name] = repr(exc)
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
