"""Which factory of ``deps=`` makes a parameter, and which entries are refused."""

import abc
import contextlib
import functools
import inspect
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterator, Sequence
from typing import Annotated, Any, Generic, NewType, Protocol, Self, TypeVar
from unittest.mock import AsyncMock, MagicMock, Mock

import attrs
import pytest
import trio
from typing_extensions import TypeAliasType

from tests.connecting import connect
from tests.listed import listed_resources
from triows import AsyncResource, Ignore, Triows, WebSocket, WebSocketRoute, use
from triows._where import where
from triows.exceptions import DependencyError, MissingProviderError, RouteSetupError
from triows.testing import WebSocketDenialResponse

T = TypeVar("T")
U = TypeVar("U")
BoundToModel = TypeVar("BoundToModel", bound="Model")


class Database:
    @classmethod
    def make(cls) -> Self:
        return cls()

    @classmethod
    async def opened(cls) -> AsyncIterator[Self]:
        yield cls()

    def copy(self) -> "Database":
        return Database()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None: ...


class Model:
    pass


class User(Model):
    pass


def get_database() -> Database:
    return Database()


async def said(handler: Any, *levels: list[Any], others: tuple[Any, ...] = ()) -> Any:
    """
    Call a handler through an application, and return what it returns.

    The levels of ``deps=`` are the application's, the route's, and the endpoint's. Another handler
    uses the factories that this one doesn't use.
    """
    returned: list[Any] = []

    @functools.wraps(handler)
    async def wrapper(**arguments: Any) -> None:
        returned.append(await handler(**arguments))

    route = WebSocketRoute("a", deps=levels[1] if len(levels) > 1 else ())
    route.endpoint(wrapper, deps=levels[2] if len(levels) > 2 else ())
    if others:
        route.sub("other").endpoint(using(*others))
    app = Triows(route, deps=levels[0] if levels else ())
    # Handlers here return without accepting, so the connection is refused.
    with contextlib.suppress(WebSocketDenialResponse):
        async with connect(app, "/a"):
            pass
    return returned[0]


def using(*factories: Any) -> Any:
    """A handler that asks for what the factories make."""

    async def handler(**made: Any) -> None: ...

    handler.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        inspect.Parameter(
            f"made_{number}",
            inspect.Parameter.KEYWORD_ONLY,
            annotation=Annotated[Any, use(factory)],
        )
        for number, factory in enumerate(factories)
    )
    return handler


def refused(entry: Any, *others: Any) -> str:
    """Return the message that refuses an entry of ``deps=``. It has to name the factory."""
    with pytest.raises(RouteSetupError) as caught:
        Triows(deps=[*others, entry])
    assert caught.value.where == where(getattr(entry, "factory", entry))
    return caught.value.message


@pytest.mark.parametrize(
    "entry", [Annotated[None, use(get_database)], use(Annotated[None, use(get_database)])]
)
def test_the_annotation_of_a_parameter_is_not_a_factory(entry: Any):
    with pytest.raises(DependencyError) as caught:
        Triows(deps=[entry])
    assert "write deps=[use(get_database)] or deps=[get_database]" in caught.value.message


# Every kind of entry works, or is refused with a message that helps.


@contextlib.asynccontextmanager
async def decorated() -> AsyncIterator[Database]:
    yield Database()


def annotated_manager() -> contextlib.AbstractAsyncContextManager[Database]:
    return decorated()


async def coroutine() -> Database:
    return Database()


def awaitable() -> Awaitable[Database]:
    return coroutine()


async def resource() -> AsyncResource[Database]:
    yield Database()


def noted() -> Annotated[Database, "a note", {"not": "hashable"}]:
    return Database()


def noted_within() -> Iterator[Annotated[Database, "a note"]]:
    yield Database()


def as_text() -> "Database":
    return Database()


@attrs.frozen
class Maker:
    async def __call__(self) -> Database:
        return Database()


def with_parameter(shard: int) -> Database:
    return Database()


def named() -> TypeAliasType("Db", Database):  # type: ignore[valid-type]
    return Database()


def named_whole() -> TypeAliasType("Dbs", Iterator[Database]):  # type: ignore[valid-type]
    yield Database()


@pytest.mark.parametrize(
    "entry",
    [
        get_database, coroutine, awaitable, resource, decorated, annotated_manager, noted,
        noted_within, as_text, Maker(), Database, Database.make, Database.opened, Database().copy,
        functools.partial(with_parameter, shard=1), functools.partial(Database.make), use(resource),
        use(get_database, reuse=True), named, named_whole,
    ],
)  # fmt: skip
async def test_an_entry_that_is_accepted_makes_what_is_asked_for(entry: Any):
    async def handler(ws: WebSocket, database: Database) -> Any:
        return database

    assert type(await said(handler, [entry])) is Database


def iterates() -> Iterator[Database]:
    return iter([Database()])


def iterates_async() -> AsyncIterator[Database]:
    return resource()


async def never_yields() -> AsyncIterator[Database]:
    return resource()


async def returns_a_manager() -> contextlib.AbstractAsyncContextManager[Database]:
    return decorated()


async def returns_a_sync_manager() -> contextlib.AbstractContextManager[Database]: ...
async def returns_an_awaitable() -> Awaitable[Database]: ...
def unannotated(): ...
def anything() -> Any: ...
def an_object() -> object: ...
def a_variable() -> T: ...
async def yields_anything() -> AsyncIterator[Any]:
    yield


def yields_what() -> Iterator:
    yield


def a_manager_of_what() -> contextlib.AbstractContextManager: ...
def a_list_of_numbers() -> list[int]: ...
def perhaps_a_text() -> str | None: ...
def marked() -> Annotated[Database, use(get_database)]: ...
def not_there() -> "NotThere": ...  # noqa: F821 - the mistake


@pytest.mark.parametrize(
    ("entry", "remedy"),
    [
        (unannotated, "annotate what it returns"),
        (lambda: None, "annotate what it returns"),
        (iterates, "yield the value in iterates itself"),
        (iterates_async, "yield the value in iterates_async itself"),
        (never_yields, "yield the value in never_yields itself"),
        (returns_a_manager, "without being entered: write `def`"),
        (returns_a_sync_manager, "without being entered: write `def`"),
        (returns_an_awaitable, "await it there"),
        (anything, "annotate the class that anything makes"),
        (an_object, "annotate the class that an_object makes"),
        (a_variable, "annotate the class that a_variable makes"),
        (yields_anything, "annotate the class that yields_anything makes"),
        (yields_what, "annotate what it returns"),
        (a_manager_of_what, "annotate what it returns"),
        (a_list_of_numbers, "make a type of its own with typing.NewType"),
        (perhaps_a_text, "make a type of its own with typing.NewType"),
        (marked, "has use(), which is for parameters: take it out"),
        (not_there, "import it at module level"),
    ],
)
def test_an_entry_that_could_not_be_used_is_refused_with_the_remedy(entry: Any, remedy: str):
    assert remedy in refused(entry)


@pytest.mark.parametrize("mock", [Mock(), MagicMock(), AsyncMock(), Mock(spec=Database)])
def test_a_mock_is_no_factory_for_it_may_be_meant_as_the_value(mock: Any):
    async def handler(ws: WebSocket, database: Annotated[Database, use(mock)]) -> None: ...

    route = WebSocketRoute("a")
    route.endpoint(handler)
    for make in (lambda: Triows(deps=[mock]), lambda: Triows(route)):
        with pytest.raises(DependencyError, match="Write `lambda: mock` to hand it over"):
            make()


async def test_what_a_mock_is_told_to_do_works():
    mock = Mock(spec=Database)

    async def handler(ws: WebSocket, database: Annotated[Database, use(lambda: mock)]) -> Any:
        return database

    assert await said(handler) is mock


def test_an_object_that_can_not_be_hashed_is_refused():
    @attrs.define
    class Unhashable:
        def __call__(self) -> Database: ...

    entry = Unhashable()
    with pytest.raises(DependencyError, match="eq=False"):
        Triows(deps=[entry])


def test_two_factories_of_a_type_in_one_list_are_refused_with_both_named():
    def other() -> Database: ...

    message = refused(other, get_database)
    assert "two factories in one deps= make Database" in message
    assert f"get_database ({where(get_database)})" in message


async def test_one_factory_that_is_given_twice_is_one():
    async def handler(ws: WebSocket, database: Database) -> Any:
        return database

    assert isinstance(await said(handler, [get_database, get_database]), Database)


async def test_an_optional_value_is_found_by_its_type():
    def perhaps() -> Database | None:
        return None

    async def handler(ws: WebSocket, database: Database | None) -> Any:
        return database

    assert await said(handler, [perhaps]) is None


@pytest.mark.parametrize(
    ("made", "asked", "advice"),
    [
        (Database | None, Database, "`database: Database | None`"),
        (Database, Database | None, "`database: Database`"),
        (list[Database], Database, "`database: list[Database]`"),
        (Database, list[Database], "`database: Database`"),
    ],
)
def test_who_nearly_asks_for_what_is_made_is_told_of_it(made: Any, asked: Any, advice: str):
    def get_it() -> made: ...

    async def handler(ws: WebSocket, database: asked) -> None: ...

    route = WebSocketRoute("a")
    route.endpoint(handler)
    with pytest.raises(MissingProviderError, match="get_it in deps= makes") as caught:
        Triows(route, deps=[get_it])
    assert f"annotate it {advice}" in caught.value.message


async def test_what_the_connection_gives_may_be_made_too():
    async def accepted(ws: Ignore[WebSocket]) -> AsyncResource[WebSocket]:
        await ws.accept()
        yield ws

    async def handler(ws: WebSocket) -> Any:
        return ws

    assert isinstance(await said(handler, [accepted]), WebSocket)


# Metadata of other libraries


async def test_metadata_tells_two_factories_of_a_type_apart():
    class Replica(Database):
        pass

    def primary() -> Annotated[Database, "primary"]:
        return Database()

    def replica() -> Annotated[Database, "replica"]:
        return Replica()

    async def handler(ws: WebSocket, database: Annotated[Database, "replica"]) -> Any:
        return database

    async def other(ws: WebSocket, database: Annotated[Database, "another note"]) -> Any: ...

    assert type(await said(handler, [primary, replica], others=(primary,))) is Replica
    with pytest.raises(DependencyError, match="several factories in one deps="):
        await said(other, [primary, replica])
    assert await said(other, [primary]) is None


# Subclasses


class Storage(abc.ABC):
    @abc.abstractmethod
    def put(self) -> None: ...


class Memory(Storage):
    def put(self) -> None: ...


class Disk(Storage):
    def put(self) -> None: ...


class FastDisk(Disk):
    pass


class Putting(Protocol):
    def put(self) -> None: ...


class ByName(Putting):
    pass


def get_memory() -> Memory:
    return Memory()


def get_disk() -> Disk:
    return Disk()


def get_fast_disk() -> FastDisk:
    return FastDisk()


def get_storage() -> Storage:
    return Memory()


async def storing(ws: WebSocket, storage: Storage) -> Any:
    return storage


async def test_a_factory_of_a_class_makes_what_is_above_it():
    async def putting(ws: WebSocket, storage: Putting) -> Any:
        return storage

    async def disk(ws: WebSocket, storage: Annotated[Disk, "a note"]) -> Any:
        return storage

    assert type(await said(storing, [get_memory])) is Memory
    assert type(await said(storing, [Disk])) is Disk
    assert type(await said(storing, [FastDisk])) is FastDisk
    assert type(await said(disk, [get_fast_disk])) is FastDisk
    assert type(await said(putting, [ByName])) is ByName


async def test_use_alone_finds_it_too():
    async def handler(ws: WebSocket, storage: Annotated[Storage, use(reuse=True)]) -> Any:
        return storage

    assert type(await said(handler, [get_memory])) is Memory


def test_a_protocol_is_not_made_by_a_class_that_only_looks_like_it():
    async def putting(ws: WebSocket, storage: Putting) -> None: ...

    route = WebSocketRoute("a")
    route.endpoint(putting)
    with pytest.raises(MissingProviderError, match="a class derived from Putting"):
        Triows(route, deps=[get_memory])


async def test_the_exact_type_goes_before_what_is_below_it():
    def get_disk_exactly() -> Disk:
        return Disk()

    async def handler(ws: WebSocket, storage: Disk) -> Any:
        return storage

    both = [get_fast_disk, get_disk_exactly]
    assert type(await said(handler, both, others=(get_fast_disk,))) is Disk
    assert type(await said(storing, [get_storage], [get_disk], others=(get_disk,))) is Memory


async def test_the_nearest_of_those_below_is_taken():
    others = get_memory, get_disk
    assert type(await said(storing, [get_memory], [get_disk], others=others)) is Disk
    levels = [get_memory], [get_disk], [get_fast_disk]
    assert type(await said(storing, *levels, others=others)) is FastDisk


@pytest.mark.parametrize("levels", [[[get_memory, get_disk]], [[], [Disk, FastDisk]]])
def test_two_that_will_do_are_refused_with_both_named(levels: list[list[Any]]):
    route = WebSocketRoute("a", deps=levels[1] if len(levels) > 1 else ())
    route.endpoint(storing)
    with pytest.raises(DependencyError, match="several factories in one deps=") as caught:
        Triows(route, deps=levels[0])
    assert caught.value.where == where(storing)
    for factory in levels[-1]:
        assert f"{factory.__name__} ({where(factory)})" in caught.value.message


async def test_of_two_that_will_do_one_that_is_named_is_taken():
    async def handler(ws: WebSocket, storage: Annotated[Storage, use(get_disk)]) -> Any:
        return storage

    assert type(await said(handler, [get_memory, get_disk], others=(get_memory,))) is Disk


async def test_the_connections_own_goes_before_a_class_below_it():
    class Wrapped(WebSocket):
        pass

    def wrap(ws: WebSocket) -> Wrapped:
        return Wrapped.__new__(Wrapped)

    async def handler(ws: WebSocket) -> Any:
        return ws

    assert type(await said(handler, [wrap], others=(wrap,))) is WebSocket


async def test_what_is_read_from_the_request_is_not_made_by_a_class_below_it():
    class Token(str):
        __slots__ = ()

    def get_token() -> Token: ...

    route = WebSocketRoute("a")

    @route.endpoint
    async def handler(ws: WebSocket, token: str, limit: int, anything: Any) -> None: ...

    app = Triows(route, deps=[get_token])
    assert len(app.routes[0].parameters) == 3


# Generic types


class Repo(Generic[T]):
    def __init__(self, database: Annotated[Database, use(get_database)]) -> None:
        self.database = database


class Users(Repo[User]):
    pass


class Cached(Repo[T]):
    pass


class Lister(Protocol[T]):
    def list(self) -> Sequence[T]: ...


class UserLister(Lister[User]):
    pass


class Service(Generic[T]):
    def __init__(self, repo: Repo[T], database: Annotated[Database, use()]) -> None:
        self.repo = repo


def get_users() -> Repo[User]:
    return Users(Database())


def get_models() -> Repo[Model]:
    return Repo(Database())


def get_any_repo(database: Annotated[Database, use()]) -> Repo[T]:
    return Cached(database)


async def with_users(ws: WebSocket, users: Repo[User]) -> Any:
    return users


async def test_two_forms_of_a_generic_type_are_two_types():
    async def models(ws: WebSocket, models: Repo[Model]) -> Any:
        return models

    both = [get_users, get_models]
    assert type(await said(with_users, both, others=(get_models,))) is Users
    assert type(await said(models, both, others=(get_users,))) is Repo


@pytest.mark.parametrize(
    ("entry", "made"),
    [
        (Repo[User], Repo), (Repo, Repo), (Users, Users), (Cached, Cached), (Cached[User], Cached),
        (get_users, Users), (get_any_repo, Cached), (use(Repo[User], reuse=True), Repo),
    ],
)  # fmt: skip
async def test_a_form_is_made_by_its_class_its_subclass_or_a_function(entry: Any, made: Any):
    assert type(await said(with_users, [entry])) is made


@pytest.mark.parametrize("factory", [Repo[User], Repo, Users, Cached, get_users, get_any_repo])
async def test_so_it_is_with_use(factory: Any):
    async def handler(ws: WebSocket, users: Annotated[Repo[User], use(factory)]) -> Any:
        return users

    assert isinstance(await said(handler), Repo)


async def test_use_alone_calls_the_class_with_its_arguments():
    async def handler(ws: WebSocket, users: Annotated[Repo[User], use()]) -> Any:
        return users

    made = await said(handler)
    assert made.__orig_class__ == Repo[User]


@pytest.mark.parametrize("entry", [Repo[Model], get_models, Cached[Model]])
def test_another_form_will_not_do(entry: Any):
    route = WebSocketRoute("a")
    route.endpoint(with_users)
    with pytest.raises(MissingProviderError, match=r"nothing makes the Repo\[User\]"):
        Triows(route, deps=[entry])


async def test_without_arguments_any_form_will_do():
    async def handler(ws: WebSocket, users: Repo) -> Any:  # type: ignore[type-arg]
        return users

    assert type(await said(handler, [get_users])) is Users
    assert type(await said(handler, [Cached])) is Cached


async def test_a_generic_protocol_is_made_by_a_class_derived_from_its_form():
    async def handler(ws: WebSocket, lister: Lister[User]) -> Any:
        return lister

    assert type(await said(handler, [UserLister])) is UserLister


@pytest.mark.parametrize("service", [Service[User], Service])
async def test_what_a_generic_class_takes_is_of_the_form_that_is_asked_for(service: Any):
    async def handler(ws: WebSocket, service: Annotated[Service[User], use(service)]) -> Any:
        return service

    made = await said(handler, [get_users, get_models], others=(get_models,))
    assert type(made.repo) is Users


async def test_what_a_generic_function_takes_is_of_the_form_that_is_asked_for():
    def get_service(repo: Repo[U]) -> Service[U]:
        return Service(repo, Database())

    async def handler(ws: WebSocket, service: Service[User]) -> Any:
        return service

    made = await said(handler, [get_service, get_users, get_models], others=(get_models,))
    assert type(made.repo) is Users


def test_a_type_variable_stands_for_what_it_is_bound_to_only():
    def get_repo() -> Repo[BoundToModel]: ...

    async def numbers(ws: WebSocket, repo: Repo[int]) -> None: ...

    for handler, fits in ((with_users, True), (numbers, False)):
        route = WebSocketRoute("a")
        route.endpoint(handler)
        if fits:
            Triows(route, deps=[get_repo])
        else:
            with pytest.raises(MissingProviderError):
                Triows(route, deps=[get_repo])


async def test_two_forms_of_a_reused_function_are_two_values():
    made = []

    def get_repo() -> Repo[T]:
        made.append(Repo(Database()))
        return made[-1]

    async def handler(
        ws: WebSocket, a: Repo[User], b: Repo[Model], c: Repo[User]
    ) -> tuple[Any, ...]:
        return a, b, c

    a, b, c = await said(handler, [use(get_repo, reuse=True)])
    assert (a is c, a is b, len(made)) == (True, False, 2)


async def test_two_forms_of_a_class_of_the_application_are_two_values():
    async def handler(ws: WebSocket, a: Repo[User], b: Repo[Model], c: Repo[User]) -> Any:
        return a, b, c

    a, b, c = await said(handler, [use(Bare, scope="app")])
    assert (a is c, a is b) == (True, False)
    assert (a.__orig_class__, b.__orig_class__) == (Bare[User], Bare[Model])


class Bare(Repo[T]):
    def __init__(self) -> None: ...


def test_a_generic_function_makes_no_value_of_the_application():
    route = WebSocketRoute("a")
    route.endpoint(with_users)

    def get_repo() -> Repo[T]: ...

    with pytest.raises(DependencyError, match="write a function for each type"):
        Triows(route, deps=[use(get_repo, scope="app")])


@pytest.mark.parametrize("named", [Repo, Repo[User]])
async def test_a_generic_class_can_be_overridden_in_all_or_one_of_its_forms(named: Any):
    route = WebSocketRoute("a")
    seen = []

    @route.endpoint
    async def handler(ws: WebSocket, users: Repo[User]) -> None:
        seen.append(users)

    app = Triows(route, deps=[Repo])
    with app.override(named, lambda: "fake"), contextlib.suppress(WebSocketDenialResponse):
        async with connect(app, "/a"):
            pass
    assert seen == ["fake"]


def test_the_factories_of_generic_types_are_named_by_their_class():
    route = WebSocketRoute("a")
    route.endpoint(with_users)
    assert listed_resources(Triows(route, deps=[Repo])) == ("get_database", "Repo")


def test_two_generic_factories_are_refused_with_both_named():
    route = WebSocketRoute("a")
    route.endpoint(with_users)
    with pytest.raises(DependencyError, match="several factories in one deps="):
        Triows(route, deps=[get_any_repo, Repo])


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the syntax came with Python 3.12")
async def test_the_syntax_of_python_3_12_is_understood():
    names: dict[str, Any] = {**globals()}
    exec(PEP_695, names)
    handler, repo, get_repo, alias = (
        names[name] for name in ("handler", "Box", "get_box", "Boxed")
    )
    assert type(await said(handler, [repo])) is repo
    assert type(await said(handler, [get_repo])) is repo

    async def of_alias(ws: WebSocket, box: alias[User], db: names["Db"]) -> Any:  # noqa: F821
        return box

    assert type(await said(of_alias, [repo, get_database])) is repo


PEP_695 = """
class Box[X]:
    def __init__(self, database: Annotated[Database, use(get_database)]) -> None: ...

def get_box[X: Model](database: Annotated[Database, use(get_database)]) -> Box[X]:
    return Box(database)

type Boxed[X] = Annotated[Box[X], "a note"]
type Db = Database
type UserBox = Box[User]

async def handler(ws: WebSocket, box: UserBox) -> Any:
    return box
"""


async def test_an_alias_is_what_it_stands_for_on_both_sides():
    Db = TypeAliasType("Db", Database)  # noqa: N806 - a type
    Boxed = TypeAliasType("Boxed", Repo[T], type_params=(T,))  # noqa: N806
    Marked = TypeAliasType("Marked", Annotated[Repo[T], use(Cached)], type_params=(T,))  # noqa: N806

    def get_db() -> Db:
        return Database()

    async def handler(ws: WebSocket, db: Database, users: Boxed[User], marked: Marked[User]) -> Any:
        return db, users, marked

    async def by_alias(ws: WebSocket, db: Db, noted: Annotated[Db, "a note"]) -> Any:
        return db, noted

    db, users, marked = await said(handler, [get_db, get_users])
    assert [type(one) for one in (db, users, marked)] == [Database, Users, Cached]
    assert [type(one) for one in await said(by_alias, [get_database])] == [Database, Database]


async def test_a_new_type_is_found_by_itself_only():
    Primary = NewType("Primary", Database)

    def get_primary() -> Primary:
        return Primary(Database())

    async def handler(ws: WebSocket, primary: Primary) -> Any:
        return primary

    async def other(ws: WebSocket, database: Database) -> None: ...

    assert type(await said(handler, [get_primary])) is Database
    with pytest.raises(MissingProviderError):
        await said(other, [get_primary])


# A parameter gets the type that it asks for


class Transaction:
    async def __aenter__(self) -> None: ...
    async def __aexit__(self, *exc_info: object) -> None: ...


class Pool:
    async def __aenter__(self) -> Database:
        return Database()

    async def __aexit__(self, *exc_info: object) -> None: ...


class Undecided(Pool):
    async def __aenter__(self):
        return Database()


@pytest.mark.parametrize("scope", ["connection", "app"])
@pytest.mark.parametrize(
    ("asked", "factory", "made"),
    [
        (trio.Lock, trio.Lock, trio.Lock),
        (trio.Semaphore, functools.partial(trio.Semaphore, 1, max_value=2), trio.Semaphore),
        (Database, Database, Database),
        (Database, Pool, Database),
        (Database, Undecided, Database),
        (None, Transaction, type(None)),
        (float, lambda: 1, int),
        (Any, Pool, Database),
    ],
)
async def test_a_class_hands_over_what_it_enters_to_and_a_lock_itself(
    asked: Any, factory: Any, made: Any, scope: Any
):
    async def handler(ws: WebSocket, value: Annotated[asked, use(factory, scope=scope)]) -> Any:
        return value

    assert type(await said(handler)) is made


def returns_a_database() -> Database: ...
def returns_a_user() -> User: ...


@pytest.mark.parametrize(
    ("asked", "factory", "remedy"),
    [
        (Transaction, Transaction, "entering Transaction gives None"),
        (Pool, Pool, "annotate it `value: Annotated[Database, use(Pool)]`"),
        (User, returns_a_database, "annotate it `value: Annotated[Database, use(returns_a_data"),
        (User | None, returns_a_database, "or use a factory that makes User | None"),
        (Database, returns_a_manager, "write `def`"),
        (Database, iterates, "yield the value"),
        (int, Database, "`value` asks for int"),
    ],
)
def test_a_factory_of_another_type_is_refused(asked: Any, factory: Any, remedy: str):
    async def handler(ws: WebSocket, value: Annotated[asked, use(factory)]) -> None: ...

    route = WebSocketRoute("a")
    route.endpoint(handler)
    with pytest.raises(DependencyError) as caught:
        Triows(route)
    assert remedy in caught.value.message
    assert caught.value.where == where(handler)


@pytest.mark.parametrize(
    ("asked", "factory"),
    [
        (contextlib.AbstractAsyncContextManager[Database], returns_a_manager),
        (contextlib.AbstractAsyncContextManager, returns_a_manager),
        (Iterator[Database], iterates),
        (Any, returns_a_manager),
    ],
)
async def test_who_asks_for_the_manager_or_iterator_itself_gets_it(asked: Any, factory: Any):
    async def handler(ws: WebSocket, value: Annotated[asked, use(factory)]) -> Any:
        return value

    assert hasattr(
        await said(handler), "__aenter__" if factory is returns_a_manager else "__next__"
    )


def forgot_to_return() -> Database:
    Database()


def unannotated_text():
    return "text"


class Wrong:
    async def __aenter__(self):
        return "text"

    async def __aexit__(self, *exc_info: object) -> None: ...


@pytest.mark.parametrize("scope", ["connection", "app"])
@pytest.mark.parametrize(
    ("asked", "factory", "says"),
    [
        (Database, forgot_to_return, "forgot_to_return made None, where Database is expected"),
        (
            Database,
            unannotated_text,
            "unannotated_text made an instance of str, where Database is expected",
        ),
        (Wrong, Wrong, "Wrong made an instance of str, where Wrong is expected"),
        (Database | User, unannotated_text, "where Database or User is expected"),
    ],
)
async def test_a_value_of_another_type_is_an_error_and_not_handed_over(
    asked: Any, factory: Any, says: str, scope: Any
):
    async def handler(ws: WebSocket, value: Annotated[asked, use(factory, scope=scope)]) -> Any:
        return value

    with pytest.raises(DependencyError) as caught:
        await said(handler)
    assert says in caught.value.message
    assert caught.value.where == where(factory)


async def test_a_fake_may_hand_over_what_it_likes():
    seen = []
    route = WebSocketRoute("a")

    @route.endpoint
    async def handler(ws: WebSocket, database: Database) -> None:
        seen.append(database)

    app = Triows(route, deps=[get_database])
    with app.override(get_database, lambda: "fake"), contextlib.suppress(WebSocketDenialResponse):
        async with connect(app, "/a"):
            pass
    assert seen == ["fake"]


# Decorators that change what is made


@trio.as_safe_channel
async def numbers() -> AsyncGenerator[int, None]:
    yield 1


async def test_what_a_decorator_makes_of_a_factory_is_not_known_from_its_annotation():
    def doubled(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper() -> Any:
            return [function(), function()]

        return wrapper

    async def handler(
        ws: WebSocket,
        numbers: Annotated[trio.abc.ReceiveChannel[int], use(numbers)],
        two: Annotated[list[Database], use(doubled(get_database))],
    ) -> Any:
        return [type(one) for one in two], await numbers.receive()

    async def wrong(ws: WebSocket, two: Database) -> Any: ...

    assert await said(handler) == ([Database, Database], 1)
    with pytest.raises(
        DependencyError, match="made an instance of list, where Database is expected"
    ):
        await said(wrong, [doubled(get_database)])
