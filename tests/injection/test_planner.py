"""Plans: what a handler needs, according to its signature and those of its factories."""

import contextlib
import functools
import sys
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Coroutine,
    Generator,
    Iterator,
)
from typing import Annotated, Any, NewType, Protocol

import attrs
import msgspec
import pytest
import trio

from tests.injection import postponed
from tests.injection.kinds import WEBSOCKETS
from triows import AsyncResource, Ignore, Param, Triows, WebSocket, use
from triows._injection.planner import Planner
from triows._injection.providers import providers
from triows._injection.query import RequestData
from triows._injection.readers import read_params
from triows._routing.template import Template
from triows.exceptions import (
    DependencyCycleError,
    DependencyError,
    HandlerSignatureError,
    MissingProviderError,
)


class Database:
    pass


class Session:
    pass


class User:
    pass


UserId = NewType("UserId", int)


def plan(handler, **given):
    return planner(**given).plan(handler)


def planner(*, path=(), deps=(), levels=(), overrides=None):
    return Planner(
        kind=WEBSOCKETS,
        providers=providers(*levels, deps),
        overrides=overrides or {},
        path_keys=Template.parse("/" + "/".join(f"{{{key}}}" for key in path)).by_name,
    )


def sources(plan):
    """
    Describe where each argument comes from, as a person would draw it.

    A factory's value is ``name#n(its arguments)``. The number tells two calls of a factory from two
    uses of the same value.
    """
    labels = [
        *(f"{spec.known.source}:{spec.known.alias}" for spec in plan.head.params),
        *(given.name for given in plan.head.givens),
        *(f"app:{factory.__name__}" for factory in plan.head.shared),
    ]
    for number, step in enumerate(plan.body.steps):
        inner = ", ".join(labels[place] for _, place in step.arguments)
        name = step.factory.name.rpartition(".")[2]
        labels.append(f"{name}#{number}({inner})")
    return {name: labels[place] for name, place in plan.body.arguments}


def get_database() -> Database: ...


async def get_session(database: Annotated[Database, use(get_database)]) -> Session: ...


# What the request and the connection give


def test_a_parameter_named_in_the_path_is_read_from_there_and_others_from_the_query():
    async def handler(room_id: str, limit: int): ...

    assert sources(plan(handler, path=["room_id"])) == {
        "room_id": "path:room_id",
        "limit": "query:limit",
    }


def test_the_connection_gives_itself_its_nursery_and_the_application():
    async def handler(ws: WebSocket, tasks: trio.Nursery, app: Triows): ...

    assert sources(plan(handler)) == {"ws": "WebSocket", "tasks": "nursery", "app": "application"}


def test_a_factory_may_ask_for_what_a_handler_may_ask_for():
    async def factory(
        ws: WebSocket, tasks: trio.Nursery, app: Triows, room_id: str, limit: int
    ): ...

    async def handler(value: Annotated[Any, use(factory)]): ...

    made = "factory#0(WebSocket, nursery, application, path:room_id, query:limit)"
    assert sources(plan(handler, path=["room_id"])) == {"value": made}


def test_what_nobody_asks_for_is_not_in_the_plan():
    async def handler(): ...

    empty = plan(handler)
    assert (empty.head.params, empty.head.givens, empty.head.shared, empty.body.steps) == (
        (),
        (),
        (),
        (),
    )
    assert empty.body.arguments == ()


def test_parameters_of_factories_are_found_however_deep():
    def innermost(token: Annotated[str, Param("header")]): ...

    def inner(value: Annotated[Any, use(innermost)], page: int = 1): ...

    async def handler(value: Annotated[Any, use(inner)]): ...

    assert sources(plan(handler)) == {
        "value": "inner#1(innermost#0(header:token), query:page)",
    }


def test_a_parameter_that_several_ask_for_is_read_once():
    def factory(user: str): ...

    async def handler(user: str, value: Annotated[Any, use(factory)]): ...

    assert len(plan(handler).head.params) == 1


def test_a_parameter_that_two_want_as_different_types_is_read_for_each():
    def factory(user: int): ...

    async def handler(user: str, value: Annotated[Any, use(factory)]): ...

    assert [spec.known.type for spec in plan(handler).head.params] == [str, int]


def test_a_keyword_only_parameter_is_a_parameter():
    async def handler(*, limit: int): ...

    assert sources(plan(handler)) == {"limit": "query:limit"}


def test_constraints_of_msgspec_are_kept():
    Positive = Annotated[int, msgspec.Meta(gt=0)]  # noqa: N806 - a type

    async def handler(limit: Annotated[Positive, Param(alias="n")]): ...

    data = RequestData(b"n=-1", [], {}, max_query_parameters=10)
    _, errors = read_params(plan(handler).head.params, data)
    assert [(error.name, error.message) for error in errors] == [("n", "Expected `int` >= 1")]


def test_marks_that_are_not_ours_do_no_harm():
    async def handler(limit: Annotated[int, "a note", {"not": "hashable"}]): ...

    assert sources(plan(handler)) == {"limit": "query:limit"}


def test_a_name_for_an_annotation_may_have_a_mark():
    Token = Annotated[str, Param("header", alias="x-token")]  # noqa: N806 - a type

    async def handler(a: Token, b: Annotated[Token, "a note"]): ...

    assert sources(plan(handler)) == {"a": "header:x-token", "b": "header:x-token"}


# Factories


def test_a_factory_is_called_before_what_needs_it():
    async def handler(session: Annotated[Session, use(get_session)]): ...

    made = plan(handler)
    assert [step.factory.call for step in made.body.steps] == [get_database, get_session]


def test_factories_are_called_in_the_order_of_the_parameters():
    def first(): ...
    def second(): ...
    def inner(): ...
    def third(value: Annotated[Any, use(inner)]): ...

    async def handler(
        a: Annotated[Any, use(first)], b: Annotated[Any, use(third)], c: Annotated[Any, use(second)]
    ): ...

    assert [step.factory.call for step in plan(handler).body.steps] == [first, inner, third, second]


def test_each_place_gets_its_own_instance():
    async def handler(
        a: Annotated[Database, use(get_database)], b: Annotated[Database, use(get_database)]
    ): ...

    assert sources(plan(handler)) == {"a": "get_database#0()", "b": "get_database#1()"}


def test_places_that_reuse_share_one_instance():
    shared = use(get_database, reuse=True)

    async def handler(a: Annotated[Database, shared], b: Annotated[Database, shared]): ...

    assert sources(plan(handler)) == {"a": "get_database#0()", "b": "get_database#0()"}


def test_a_place_that_does_not_reuse_has_its_own_beside_the_shared_one():
    async def handler(
        a: Annotated[Database, use(get_database, reuse=True)],
        b: Annotated[Database, use(get_database)],
        c: Annotated[Database, use(get_database, reuse=True)],
    ): ...

    assert sources(plan(handler)) == {
        "a": "get_database#0()",
        "b": "get_database#1()",
        "c": "get_database#0()",
    }


def test_a_factory_and_its_handler_share_what_both_reuse():
    def session(database: Annotated[Database, use(get_database, reuse=True)]): ...

    async def handler(
        session: Annotated[Session, use(session)],
        database: Annotated[Database, use(get_database, reuse=True)],
    ): ...

    assert sources(plan(handler)) == {
        "session": "session#1(get_database#0())",
        "database": "get_database#0()",
    }


def test_two_instances_of_a_factory_have_two_of_what_it_does_not_reuse():
    async def handler(
        a: Annotated[Session, use(get_session)], b: Annotated[Session, use(get_session)]
    ): ...

    assert sources(plan(handler)) == {
        "a": "get_session#1(get_database#0())",
        "b": "get_session#3(get_database#2())",
    }


def test_an_application_resource_is_taken_from_the_application():
    def pool(size: int): ...

    async def handler(pool: Annotated[Any, use(pool, scope="app")]): ...

    made = plan(handler)
    assert sources(made) == {"pool": "app:pool"}
    assert (made.head.params, made.body.steps) == ((), ())


def test_an_application_resource_may_use_the_application_and_others_of_its_kind():
    def settings(): ...
    def pool(app: Triows, settings: Annotated[Any, use(settings, scope="app")]): ...

    factory, made = planner().plan_shared(pool)
    assert factory.call is pool
    assert sources(made) == {"app": "application", "settings": "app:settings"}


# What may be a handler or factory


class Factories:
    def method(self, limit: int): ...

    @classmethod
    def of_class(cls, limit: int): ...

    @staticmethod
    def static(limit: int): ...

    def __call__(self, limit: int): ...


def two(limit: int, page: int): ...


def after_one(page: int, limit: int): ...


def wrapping(func):
    @functools.wraps(func)
    def wrapper(*args, **kwargs): ...

    return wrapper


def yielding(limit: int) -> Any:
    yield limit


@pytest.mark.parametrize(
    "factory",
    [
        Factories().method,
        Factories().of_class,
        Factories.of_class,
        Factories.static,
        Factories(),
        functools.partial(two, page=1),
        functools.partial(functools.partial(two, page=1)),
        functools.partial(after_one, 1),
        wrapping(functools.partial(two, page=1)),
        functools.partial(wrapping(two), page=1),
        functools.partial(wrapping(functools.partial(two, page=1))),
        functools.partial(Factories().method),
        wrapping(Factories.static),
        contextlib.contextmanager(yielding),
    ],
)
def test_whatever_can_be_called_has_its_own_parameters_only(factory):
    async def handler(value: Annotated[Any, use(factory)]): ...

    (step,) = plan(handler).body.steps
    assert [name for name, _ in step.arguments] == ["limit"]


def test_what_a_partial_has_bound_of_a_handler_is_not_asked_for():
    async def handler(ws: WebSocket, room_id: str, greeting: Database): ...

    bound = functools.partial(handler, greeting=Database())
    assert sources(plan(bound, path=["room_id"])) == {"ws": "WebSocket", "room_id": "path:room_id"}


def test_two_partials_of_one_function_are_two_factories():
    one, other = (functools.partial(two, page=page) for page in (1, 2))

    async def handler(
        a: Annotated[Any, use(one, reuse=True)],
        b: Annotated[Any, use(other, reuse=True)],
        c: Annotated[Any, use(one, reuse=True)],
    ): ...

    assert sources(plan(handler)) == {
        "a": "two#0(query:limit)",
        "b": "two#1(query:limit)",
        "c": "two#0(query:limit)",
    }


def test_a_method_of_one_object_is_one_factory():
    factories = Factories()

    async def handler(
        a: Annotated[Any, use(factories.method, reuse=True)],
        b: Annotated[Any, use(factories.method, reuse=True)],
    ): ...

    assert len(plan(handler).body.steps) == 1


@attrs.frozen
class Page:
    ws: WebSocket
    size: int = 20


def test_a_class_is_the_factory_of_its_instances():
    async def handler(page: Annotated[Page, use(Page)]): ...

    assert sources(plan(handler)) == {"page": "Page#0(WebSocket, query:size)"}


# use() without a factory


def test_use_alone_calls_the_class_that_the_annotation_names():
    async def handler(database: Annotated[Database, use()]): ...

    assert sources(plan(handler)) == {"database": "Database#0()"}


def test_use_alone_prefers_the_factory_that_makes_the_type():
    async def handler(database: Annotated[Database, use()]): ...

    assert sources(plan(handler, deps=[get_database])) == {"database": "get_database#0()"}


def test_use_alone_adds_its_options_to_those_of_the_provider():
    async def handler(
        a: Annotated[Database, use(reuse=True)], b: Annotated[Database, use(reuse=True)]
    ): ...

    assert sources(plan(handler, deps=[get_database])) == {
        "a": "get_database#0()",
        "b": "get_database#0()",
    }

    async def app_wide(database: Annotated[Database, use(scope="app")]): ...

    assert sources(plan(app_wide, deps=[get_database])) == {"database": "app:get_database"}


def test_use_alone_keeps_the_options_of_the_provider():
    async def handler(a: Annotated[Database, use()], b: Annotated[Database, use()]): ...

    reused = sources(plan(handler, deps=[use(get_database, reuse=True)]))
    assert reused == {"a": "get_database#0()", "b": "get_database#0()"}
    app_wide = sources(plan(handler, deps=[use(get_database, scope="app")]))
    assert app_wide == {"a": "app:get_database", "b": "app:get_database"}


class Abstract(contextlib.AbstractContextManager[int]):
    pass


class Interface(Protocol):
    def method(self) -> None: ...


@pytest.mark.parametrize("annotation", [Abstract, Interface, WebSocket, Database | None, list[int]])
def test_use_alone_on_a_type_that_can_not_be_called_is_refused(annotation):
    async def handler(value: Annotated[annotation, use()]): ...

    with pytest.raises(MissingProviderError, match=r"write use\(factory\)"):
        plan(handler)


# Factories found by the type they make


async def coroutine() -> Database: ...
def function() -> Database: ...
def awaitable() -> Awaitable[Database]: ...
def coroutine_object() -> Coroutine[Any, Any, Database]: ...
async def async_generator() -> AsyncGenerator[Database, None]:
    yield Database()


async def async_iterator() -> AsyncIterator[Database]:
    yield Database()


async def async_resource() -> AsyncResource[Database]:
    yield Database()


def generator() -> Generator[Database, None, None]:
    yield Database()


def iterator() -> Iterator[Database]:
    yield Database()


def manager() -> contextlib.AbstractContextManager[Database]: ...
def async_manager() -> contextlib.AbstractAsyncContextManager[Database]: ...


@contextlib.asynccontextmanager
async def decorated() -> AsyncIterator[Database]:
    yield Database()


@pytest.mark.parametrize(
    "factory",
    [
        coroutine, function, awaitable, coroutine_object, async_generator, async_iterator,
        async_resource, generator, iterator, manager, async_manager, decorated, Database,
        functools.partial(function), use(function), use(Database),
    ],
)  # fmt: skip
def test_a_factory_in_deps_is_found_by_the_type_of_its_value(factory):
    async def handler(database: Database): ...

    (step,) = plan(handler, deps=[factory]).body.steps
    assert step.factory.call is getattr(factory, "factory", factory)


def test_of_two_factories_of_one_type_the_nearer_is_found():
    def nearer() -> Database: ...

    async def handler(database: Database): ...

    assert sources(plan(handler, levels=[[get_database], [nearer]])) == {"database": "nearer#0()"}


def test_a_factory_in_deps_keeps_its_options():
    async def handler(a: Database, b: Database): ...

    assert len(plan(handler, deps=[get_database]).body.steps) == 2
    assert len(plan(handler, deps=[use(get_database, reuse=True)]).body.steps) == 1
    assert plan(handler, deps=[use(get_database, scope="app")]).head.shared == (get_database,)


def test_use_goes_before_a_factory_in_deps():
    def other(): ...

    async def handler(database: Annotated[Database, use(other)]): ...

    assert sources(plan(handler, deps=[get_database])) == {"database": "other#0()"}


def test_a_factory_in_deps_may_need_another_of_them():
    def session(database: Database) -> Session: ...

    async def handler(session: Session): ...

    made = sources(plan(handler, deps=[session, get_database]))
    assert made == {"session": "session#1(get_database#0())"}


def test_a_new_type_is_a_type_of_its_own():
    def current_user() -> UserId: ...

    async def handler(user_id: UserId, room_id: int): ...

    assert sources(plan(handler, deps=[current_user])) == {
        "user_id": "current_user#0()",
        "room_id": "query:room_id",
    }


def test_a_param_is_read_even_if_a_factory_makes_its_type():
    def current_user() -> UserId: ...

    async def handler(user_id: Annotated[UserId, Param("query")]): ...

    assert sources(plan(handler, deps=[current_user])) == {"user_id": "query:user_id"}


def test_a_name_in_the_path_goes_before_a_factory_of_its_type():
    def default_room() -> UserId: ...

    async def handler(room_id: UserId): ...

    made = plan(handler, path=["room_id"], deps=[default_room])
    assert sources(made) == {"room_id": "path:room_id"}


def test_a_name_in_the_path_may_be_what_a_factory_makes_of_it():
    def get_user(user: str) -> User: ...

    async def handler(user: User): ...

    made = sources(plan(handler, path=["user"], deps=[get_user]))
    assert made == {"user": "get_user#0(path:user)"}


def test_deps_take_only_factories_with_the_type_they_make():
    def unannotated(): ...

    with pytest.raises(DependencyError, match="annotate what it returns") as caught:
        providers([unannotated])
    assert caught.value.where.endswith(
        f"{unannotated.__code__.co_firstlineno} ({unannotated.__qualname__})"
    )
    for nothing in ("get_database", 5, use()):
        with pytest.raises(DependencyError, match="deps= takes factories"):
            providers([nothing])


# Ignore


async def accepted(ws: Ignore[WebSocket]) -> AsyncResource[WebSocket]:
    yield ws


def test_a_factory_in_deps_may_make_what_the_connection_has():
    async def handler(ws: WebSocket): ...

    assert sources(plan(handler, deps=[accepted])) == {"ws": "accepted#0(WebSocket)"}


def test_an_ignored_parameter_is_not_made_by_a_factory():
    async def handler(ws: Ignore[WebSocket], user_id: Ignore[UserId]): ...

    def current_user() -> UserId: ...

    made = plan(handler, deps=[accepted, current_user])
    assert sources(made) == {"ws": "WebSocket", "user_id": "query:user_id"}


def test_a_factory_with_an_ignored_return_is_not_found_by_type():
    async def hidden(ws: WebSocket) -> Ignore[AsyncResource[WebSocket]]:
        yield ws

    async def hidden_inside(ws: WebSocket) -> AsyncResource[Ignore[WebSocket]]:
        yield ws

    async def handler(ws: WebSocket): ...

    assert sources(plan(handler, deps=[hidden, hidden_inside])) == {"ws": "WebSocket"}


def test_a_factory_that_asks_for_what_it_makes_is_told_of_ignore():
    async def circular(ws: WebSocket) -> AsyncResource[WebSocket]:
        yield ws

    async def handler(ws: WebSocket): ...

    with pytest.raises(DependencyCycleError, match=r"Ignore\[TYPE\]"):
        plan(handler, deps=[circular])


# Annotations that are names or strings


def test_string_annotations_are_evaluated_where_they_were_written():
    made = plan(postponed.handler, path=["room_id"])
    assert sources(made) == {
        "ws": "accepted#0(WebSocket)",
        "session": "get_session#2(Database#1(WebSocket, query:shard), header:user)",
        "room_id": "path:room_id",
        "nursery": "nursery",
        "app": "application",
    }


def test_string_annotations_of_a_factory_in_deps_are_evaluated():
    async def handler(session: postponed.Session): ...

    (*_, step) = plan(handler, deps=[postponed.get_session]).body.steps
    assert step.factory.call is postponed.get_session


def test_a_name_only_type_checkers_know_is_refused_with_the_way_out():
    with pytest.raises(HandlerSignatureError, match="not under TYPE_CHECKING") as caught:
        plan(postponed.unresolved)
    assert "'Decimal'" in str(caught.value)


def test_a_string_that_names_something_local_is_refused_with_the_way_out():
    with pytest.raises(HandlerSignatureError, match="inside a function") as caught:
        plan(postponed.local_handler())
    assert "'Local'" in str(caught.value)


def test_what_is_no_annotation_is_refused():
    async def handler(limit: "int +"): ...  # noqa: F722 - the mistake

    with pytest.raises(HandlerSignatureError, match="its signature can't be read"):
        plan(handler)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="`type` came with Python 3.12")
def test_a_type_statement_may_hold_a_mark():
    names = {**globals()}
    exec("type Db = Annotated[Database, use(get_database)]\ntype Limit = int", names)

    Db, Limit = names["Db"], names["Limit"]  # noqa: N806 - types

    async def handler(a: Db, b: Annotated[Db, "a note"], limit: Limit): ...

    assert sources(plan(handler)) == {
        "a": "get_database#0()",
        "b": "get_database#1()",
        "limit": "query:limit",
    }


# Overrides


def test_a_fake_takes_the_place_of_a_factory_wherever_it_is_asked_for():
    def fake(): ...

    async def handler(
        session: Annotated[Session, use(get_session)],
        database: Annotated[Database, use(get_database)],
    ): ...

    made = plan(handler, overrides={get_database: fake})
    assert sources(made) == {"session": "get_session#1(fake#0())", "database": "fake#2()"}


def test_a_fake_of_a_reused_factory_is_reused():
    async def handler(
        a: Annotated[Database, use(get_database, reuse=True)],
        b: Annotated[Database, use(get_database, reuse=True)],
    ): ...

    def fake(): ...

    made = sources(plan(handler, overrides={get_database: fake}))
    assert made == {"a": "fake#0()", "b": "fake#0()"}


def test_a_fake_is_used_for_a_factory_found_by_type():
    def fake(): ...

    async def handler(database: Database): ...

    made = plan(handler, deps=[get_database], overrides={get_database: fake})
    assert sources(made) == {"database": "fake#0()"}


def test_a_fake_may_be_of_another_kind_and_have_parameters_of_its_own():
    async def fake(ws: WebSocket, shard: int):
        yield

    async def handler(database: Annotated[Database, use(get_database)]): ...

    made = plan(handler, overrides={get_database: fake})
    assert sources(made) == {"database": "fake#0(WebSocket, query:shard)"}
    assert made.body.steps[0].factory.kind.hosted


def test_a_fake_need_not_take_the_key_that_its_original_takes():
    def get_user(user_id: int) -> User: ...

    async def handler(user: Annotated[User, use(get_user)]): ...

    made = plan(handler, path=["user_id"], overrides={get_user: lambda: None})
    assert made.head.params == ()


def test_a_fake_that_asks_for_what_it_replaces_is_a_circle():
    def fake(database: Annotated[Database, use(get_database)]): ...

    async def handler(database: Annotated[Database, use(get_database)]): ...

    with pytest.raises(DependencyCycleError):
        plan(handler, overrides={get_database: fake})


def test_a_fake_of_an_application_resource_is_planned_in_its_place():
    def fake(app: Triows): ...

    factory, made = planner(overrides={get_database: fake}).plan_shared(get_database)
    assert factory.call is fake
    assert sources(made) == {"app": "application"}


def test_a_plan_knows_the_factories_as_the_user_named_them():
    async def handler(session: Annotated[Session, use(get_session)]): ...

    made = plan(handler, overrides={get_database: lambda: None})
    assert made.factories == {get_session, get_database}


# Refusals that name the chain


def test_a_missing_factory_is_reported_with_who_needed_it():
    def session(database: Database): ...

    async def handler(session: Annotated[Session, use(session)]): ...

    with pytest.raises(MissingProviderError, match="nothing makes the Database") as caught:
        plan(handler)
    assert caught.value.chain == (handler.__qualname__, session.__qualname__)


def test_a_circle_is_reported_with_everyone_in_it():
    def first(value: "Annotated[Any, use(second)]"): ...
    def second(value: "Annotated[Any, use(first)]"): ...

    first.__annotations__["value"] = Annotated[Any, use(second)]
    second.__annotations__["value"] = Annotated[Any, use(first)]

    async def handler(value: Annotated[Any, use(first)]): ...

    with pytest.raises(DependencyCycleError) as caught:
        plan(handler)
    names = [name.rpartition(".")[2] for name in caught.value.chain]
    assert names == ["handler", "first", "second", "first"]


def test_a_partial_is_called_by_its_function_in_the_chain():
    def session(page: int, database: Database): ...

    async def handler(session: Annotated[Session, use(functools.partial(session, page=1))]): ...

    with pytest.raises(MissingProviderError) as caught:
        plan(handler)
    assert caught.value.chain == (handler.__qualname__, session.__qualname__)
