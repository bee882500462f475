"""Does what messages tell people to do, and checks that it works."""

import datetime
import functools
import inspect
import sys
import textwrap
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Protocol
from unittest.mock import AsyncMock, MagicMock, Mock, create_autospec

import httpx2
import pytest
import starlette
import starlette.applications
import starlette.background
import starlette.requests
import starlette.websockets
import trio

import triows
from tests.listed import listed_parameters
from triows import Param, Triows, WebSocket, WebSocketRoute, use
from triows._injection import signatures
from triows._where import where
from triows.exceptions import DependencyError, RouteSetupError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Database:
    pass


def get_database() -> Database:
    return Database()


def included(handler: Callable[..., Any], **options: Any) -> Triows:
    route = WebSocketRoute("a")
    route.endpoint(handler)
    return Triows(route, **options)


def refused(handler: Callable[..., Any], to_blame: Any = None, **options: Any) -> str:
    with pytest.raises(RouteSetupError) as caught:
        included(handler, **options)
    assert caught.value.where == where(to_blame or handler)
    return caught.value.message


# What the connection provides


# The names as users import them.
NAMES = {
    "Account": type("Account", (), {}),
    "Annotated": Annotated,
    "Any": Any,
    "BackgroundTasks": starlette.background.BackgroundTasks,
    "Param": Param,
    "Triows": Triows,
    "WebSocket": WebSocket,
    "datetime": datetime,
    "starlette": starlette,
    "trio": trio,
    "triows": triows,
    "uuid": uuid,
}


def parameter(name: str, annotation: str | None) -> Any:
    """Make a handler with one parameter, written as a user writes it."""
    names: dict[str, Any] = dict(NAMES)
    colon = "" if annotation is None else f": {annotation}"
    exec(f"async def handler({name}{colon}): ...", names)
    return names["handler"]


def advised(message: str) -> tuple[str, str]:
    """Return the parameter that a message says to write."""
    written = message.rpartition("`")[0].rpartition("`")[2]
    name, _, annotation = written.partition(": ")
    return name, annotation


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("ws", "WebSocket"), ("websocket", "WebSocket"), ("socket", "WebSocket"),
        ("request", "WebSocket"), ("nursery", "trio.Nursery"), ("app", "Triows"),
    ],
)  # fmt: skip
def test_a_usual_name_without_a_type_is_told_its_type(name: str, ours: str):
    message = refused(parameter(name, None))
    assert message == f"`{name}` has no annotation: write `{name}: {ours}`"
    included(parameter(*advised(message)))


@pytest.mark.parametrize(
    ("annotation", "ours"),
    [
        ("starlette.websockets.WebSocket", "triows.WebSocket"),
        ("starlette.requests.Request", "WebSocket"),
        ("starlette.requests.HTTPConnection", "WebSocket"),
        ("starlette.applications.Starlette", "Triows"),
        ("WebSocket | None", "triows.WebSocket"),
        ("Annotated[trio.Nursery | None, 'a note']", "trio.Nursery"),
        ("Triows | None", "triows.Triows"),
    ],
)
def test_what_other_libraries_call_it_is_told_what_it_is_here(annotation: str, ours: str):
    message = refused(parameter("it", annotation)).partition("\n")[0]
    assert message.endswith(f"which nothing makes: annotate it `it: {ours}`")
    included(parameter(*advised(message)))


@pytest.mark.parametrize("annotation", ["str", "int", "str | None", "list[str]", "Any"])
@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("ws", "WebSocket"), ("websocket", "WebSocket"), ("web_socket", "WebSocket"),
        ("socket", "WebSocket"), ("nursery", "trio.Nursery"),
    ],
)  # fmt: skip
def test_what_the_name_says_is_of_the_connection_is_not_read_from_the_query(
    name: str, ours: str, annotation: str
):
    handler = parameter(name, annotation)
    message = refused(handler)
    assert message == (
        f"`{name}: {annotation}` would be read from the query of the request: write "
        f"`{name}: {ours}`, or, if clients do send a '{name}' in the query, "
        f'`{name}: Annotated[{annotation}, Param("query")]`'
    )
    included(parameter(name, ours))
    included(parameter(*advised(message)))

    async def asks(value: Annotated[Any, use(handler)]) -> None: ...

    assert refused(asks, handler) == message


@pytest.mark.parametrize("name", ["request", "app"])
def test_a_name_that_a_query_may_have_is_read_from_it_if_it_has_a_type_of_text(name: str):
    included(parameter(name, "str"))
    assert f"write `{name}: " in refused(parameter(name, "Any"))


def test_a_path_may_have_the_name():
    route = WebSocketRoute("pins/{socket:int}")

    @route.endpoint
    async def handler(ws: WebSocket, socket: int) -> None: ...

    assert listed_parameters(Triows(route)) == ("path socket: int",)


def test_a_websocket_that_may_be_any_object_is_told_its_type():
    message = refused(parameter("ws", "object")).partition("\n")[0]
    assert message == "`ws` is any object, which nothing makes: annotate it `ws: WebSocket`"


@pytest.mark.parametrize(
    ("annotation", "why"),
    [
        ("any", "any is a function. Write a type, such as `typing.Any`"),
        ("Annotated[any, 'a note']", "any is a function. Write a type, such as `typing.Any`"),
        ("list[any]", "any is a function. Write a type, such as `typing.Any`"),
        ("callable", "such as `collections.abc.Callable`"),
        ("len", "len is a function. Write a type, such as `int`"),
        ("5", "5 is a value. Write its type, and the value after it if it is the default, as in "
            "`it: int = 5`"),
        ("True", "as in `it: bool = True`"),
        ("[int]", "a list is a value. Write a type, such as `list[...]`"),
        ("(int, str)", "a tuple is a value. Write a type, such as `tuple[...]`"),
        ("datetime", "datetime is a module. Write a class of it, such as `datetime.datetime`"),
        ("uuid", "uuid is a module. Write a class of it, such as `uuid.UUID`"),
        ("trio", "trio is a module. Write a class of it, such as `trio.Class`"),
        ("Account()", "an instance of Account is a value. Write the class itself, `Account`"),
    ],
)  # fmt: skip
def test_what_is_not_a_type_is_told_what_it_is(annotation: str, why: str):
    message = refused(parameter("it", annotation)).partition("\n")[0]
    assert "doesn't name a type: " in message
    assert message.endswith(why)
    assert "use(factory)" not in message


@pytest.mark.parametrize(
    "annotation",
    ["BackgroundTasks", "BackgroundTasks | None", "starlette.background.BackgroundTask"],
)
def test_tasks_in_the_background_are_told_of_nurseries(annotation: str):
    message = refused(parameter("later", annotation)).partition("\n")[0]
    assert "which nothing makes: annotate it `later: trio.Nursery` for tasks" in message
    assert '`later: Annotated[trio.Nursery, use(factory, scope="app")]`' in message


def test_any_other_name_without_a_type_is_told_of_both_ways():
    message = refused(parameter("limit", None))
    assert "`limit: int` for a value from the request" in message
    assert "`limit: Annotated[TYPE, use(factory)]` for a value that a factory makes" in message


def test_a_method_without_its_object_is_told_of_it():
    class Maker:
        def make(self) -> Database:
            return Database()

    async def handler(database: Annotated[Database, use(Maker.make)]) -> None: ...
    async def right(database: Annotated[Database, use(Maker().make)]) -> None: ...

    assert "give the method of an object, and not that of the class" in refused(handler, Maker.make)
    included(right)


# Classes of libraries


LIBRARY = """
from __future__ import annotations
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from library.types import Url

class Client:
    def __init__(self, url: Url) -> None:
        self.url = url
"""


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A library's module whose annotations can't be evaluated."""
    (tmp_path / "somebodys_library.py").write_text(textwrap.dedent(LIBRARY))
    monkeypatch.syspath_prepend(tmp_path)
    import somebodys_library

    yield somebodys_library
    del sys.modules["somebodys_library"]


def using(client: Any) -> Any:
    async def handler(client: Annotated[client, use(client)]) -> None: ...

    return handler


def test_a_class_whose_annotations_can_not_be_evaluated_may_be_somebody_elses(library):
    message = refused(using(library.Client), library.Client)
    assert "'Url' can't be resolved" in message
    assert "If Client isn't yours, write a factory of your own" in message


def test_a_class_of_an_installed_library_is_not_mended_but_called(library, tmp_path, monkeypatch):
    monkeypatch.setattr(signatures, "_library_folders", lambda: (str(tmp_path),))
    message = refused(using(library.Client), library.Client)
    assert "module level" not in message
    assert "`def make() -> Client: return Client(...)`" in message

    def make() -> library.Client:
        return library.Client("http://localhost")

    async def handler(client: Annotated[library.Client, use(make)]) -> None: ...

    included(handler)


@pytest.mark.parametrize("cls", [httpx2.AsyncClient, trio.MemorySendChannel, trio.SocketStream])
def test_a_class_of_a_library_that_takes_what_no_request_has_is_told_so(cls: Any):
    message = refused(using(cls), cls)
    assert f"such as `def make() -> {cls.__name__}: return {cls.__name__}(...)`" in message
    assert "belongs to a library" in message


# Annotations that are text


def with_signature(function: Any) -> Any:
    """A decorator as in some libraries. It only sets the signature."""

    def wrapper(**arguments: Any) -> Any:
        return function(**arguments)

    wrapper.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return wrapper


def test_a_signature_that_a_decorator_has_set_may_have_text_for_types():
    def make(database: "Annotated[Database, use(get_database)]", limit: "int" = 5) -> "str":
        return ""

    async def handler(value: Annotated[str, use(with_signature(make))]) -> None: ...

    app = included(handler)
    assert listed_parameters(app) == ("query limit: int = 5",)


def test_a_signature_with_names_that_are_not_there_is_told_of_the_decorator():
    def make(limit: "NotThere"): ...  # noqa: F821 - the mistake

    wrapped = with_signature(make)

    async def handler(value: Annotated[str, use(wrapped)]) -> None: ...

    message = refused(handler, wrapped)
    assert "comes from the __signature__ that a decorator has set" in message


async def generator() -> "AsyncGenerator[Database, None]":
    yield Database()


def test_a_generator_that_is_named_may_have_its_return_type_for_type_checkers_only():
    async def handler(database: Annotated[Database, use(generator)]) -> None: ...

    included(handler)


def test_one_that_is_found_by_its_type_may_not():
    async def handler(database: Database) -> None: ...

    message = refused(handler, generator, deps=[generator])
    assert "'AsyncGenerator' in its return annotation can't be resolved" in message


def test_text_inside_a_type_is_evaluated_where_it_is_needed():
    async def handler(
        a: Annotated["Database", use(get_database)],
        b: Annotated["NotThere", use(get_database)],  # noqa: F821 - nobody needs it
        c: list["int"],
        d: "list[int] | None" = None,
    ) -> None: ...

    assert listed_parameters(included(handler)) == (
        "query c: list[int]",
        "query d: list[int] | None = None",
    )


def test_text_inside_a_type_that_can_not_be_evaluated_is_refused():
    async def handler(a: Annotated["NotThere", "a note"]) -> None: ...  # noqa: F821

    async def inside(a: list["NotThere"]) -> None: ...  # noqa: F821

    for wrong in (handler, inside):
        message = refused(wrong)
        assert "'NotThere'" in message
        assert "can't be resolved: define or import it at module level" in message


# Mocks


async def with_database(database: Annotated[Database, use(get_database)]) -> None: ...


@pytest.mark.parametrize("mock", [Mock(), MagicMock(), AsyncMock(), Mock(spec=Database)])
def test_a_mock_is_no_fake_for_it_may_be_meant_as_the_value(mock: Any):
    app = included(with_database)
    with (
        pytest.raises(DependencyError, match="nothing says whether it is the factory") as caught,
        app.override(get_database, mock),
    ):
        pass
    assert "write override(get_database, lambda: mock) to hand it over" in str(caught.value)
    with app.override(get_database, lambda: mock):
        pass


def test_a_function_with_the_signature_of_another_may_be_a_fake():
    app = included(with_database)
    with app.override(get_database, create_autospec(get_database)):
        pass


def test_what_can_not_be_hashed_was_never_a_factory():
    with (
        pytest.raises(DependencyError, match="can't be hashed"),
        included(with_database).override(Unhashable(), get_database),
    ):
        pass


class Unhashable:
    __hash__ = None  # type: ignore[assignment]

    def __call__(self) -> None: ...


# Application resources


def test_a_default_of_an_application_resource_can_be_bound():
    def pool(size: int = 5) -> Database: ...

    async def handler(pool: Annotated[Database, use(pool, scope="app")]) -> None: ...

    assert "give its value with functools.partial" in refused(handler, pool)
    bound = functools.partial(pool, size=5)

    async def right(pool: Annotated[Database, use(bound, scope="app")]) -> None: ...

    included(right)


# Factories that make nearly the type, and classes that can't be called.


@dataclass
class Account:
    name: str = ""


def get_account() -> Account:
    return Account()


def find_account() -> Account | None:
    return None


def test_a_factory_that_nearly_fits_a_type_with_fields_is_named():
    async def optional(account: Account | None): ...
    async def required(account: Account): ...

    says = refused(optional, deps=[get_account])
    assert "get_account in deps= makes Account, so annotate it `account: Account`" in says
    says = refused(required, deps=[find_account])
    assert "makes Account | None, so annotate it `account: Account | None`" in says
    assert "body" not in says


class Store(ABC):
    @abstractmethod
    def load(self) -> str: ...


class DerivedStore(Store):
    """It is abstract, too."""


class FileStore(DerivedStore):
    def load(self) -> str:
        return ""


class Loader(Protocol):
    def load(self) -> str: ...


class Makes(ABC):
    """An abstract class that makes instances of another class."""

    def __new__(cls) -> Any:
        return FileStore()

    @abstractmethod
    def load(self) -> str: ...


@pytest.mark.parametrize(
    ("cls", "kind", "give"),
    [
        (Store, "abstract", "a class derived from it, FileStore"),
        (partial(Store), "abstract", "a class derived from it, FileStore"),
        (Loader, "a protocol", "a function that makes an object of a class derived from Loader"),
    ],
)
def test_a_class_without_instances_is_refused_as_a_factory(cls: Any, kind: str, give: str):
    async def handler(store: Annotated[Any, use(cls)]): ...
    async def by_type(): ...

    for says in (
        refused(handler),
        refused(by_type, getattr(cls, "func", cls), deps=[cls]),
        refused(by_type, getattr(cls, "func", cls), deps=[use(cls, scope="app")]),
    ):
        assert f"is {kind}, so Python can't make an instance of it: give {give}" in says


def test_an_abstract_class_that_makes_others_may_be_a_factory():
    async def handler(ws: WebSocket, store: Annotated[Any, use(Makes)]): ...

    assert included(handler).routes[0].resources
