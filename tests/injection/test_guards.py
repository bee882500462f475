"""Guards: factories in ``deps=`` that make nothing, and run before everything else."""

import contextlib
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Generator, Iterator
from typing import Annotated, Any, Literal, Never, NoReturn

import attrs
import pytest
from starlette.responses import JSONResponse, Response

from tests.connecting import connect
from tests.listed import listed_resources
from triows import (
    AsyncResource,
    HTTPException,
    Ignore,
    Param,
    Triows,
    WebSocket,
    WebSocketClose,
    WebSocketRoute,
    use,
)
from triows._where import where
from triows.exceptions import DependencyError, RouteSetupError
from triows.testing import WebSocketDenialResponse

# What the current test has called, in order.
log: list[str] = []


@pytest.fixture(autouse=True)
def _no_calls():
    log.clear()


async def handler(ws: WebSocket) -> None:
    log.append("handler")
    await ws.accept()


def serving(**options: Any) -> Triows:
    """An application with one route at ``/a``, whose endpoint has *options*."""
    route = WebSocketRoute("a")
    route.endpoint(handler, **options)
    return Triows(route)


async def status(app: Triows, url: str = "/a", **options: Any) -> int:
    try:
        async with connect(app, url, **options):
            return 101
    except WebSocketDenialResponse as refused:
        return refused.status_code


async def only_members(token: Annotated[str, Param("header")] = "") -> None:
    log.append("only_members")
    if token != "secret":
        raise HTTPException(401)


async def test_a_guard_refuses_by_raising():
    app = serving(deps=[only_members])
    assert await status(app) == 401
    assert log == ["only_members"]
    assert await status(app, headers={"token": "secret"}) == 101
    assert log == ["only_members", "only_members", "handler"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [(HTTPException(403), 403), (WebSocketClose(4003), 403), (ValueError("internal"), 500)],
)
async def test_what_a_guard_raises_is_the_answer(error: Exception, expected: int):
    def guard() -> None:
        raise error

    app = serving(deps=[guard])
    if expected == 500:
        with pytest.raises(ValueError, match="internal"):
            await status(app)
    else:
        assert await status(app) == expected
    assert log == []


# Every kind of factory


def function() -> None:
    log.append("guard")


async def coroutine() -> None:
    log.append("guard")


def awaitable() -> Awaitable[None]:
    return coroutine()


def generator() -> Iterator[None]:
    log.append("guard")
    yield
    log.append("exit")


def full_generator() -> Generator[None, None, None]:
    yield from generator()


async def async_generator() -> AsyncIterator[None]:
    log.append("guard")
    yield
    log.append("exit")


async def full_async_generator() -> AsyncGenerator[None, None]:
    log.append("guard")
    yield
    log.append("exit")


async def resource() -> AsyncResource[None]:
    log.append("guard")
    yield
    log.append("exit")


manager = contextlib.contextmanager(generator)
async_manager = contextlib.asynccontextmanager(async_generator)


def annotated_manager() -> contextlib.AbstractAsyncContextManager[None]:
    return async_manager()


class Manager:
    async def __aenter__(self) -> None:
        log.append("guard")

    async def __aexit__(self, *exc_info: object) -> None:
        log.append("exit")


@attrs.frozen
class Guard:
    """A guard with options, as people write them."""

    role: str = "member"

    async def __call__(self, ws: WebSocket) -> None:
        log.append("guard")

    def method(self) -> None:
        log.append("guard")

    @classmethod
    def of_class(cls) -> None:
        log.append("guard")


def with_role(role: str) -> None:
    log.append("guard")


PLAIN = [
    function, coroutine, awaitable, Guard(), Guard("admin").method, Guard.of_class,
    functools.partial(with_role, role="admin"), functools.partial(coroutine), use(function),
    use(function, reuse=True),
]  # fmt: skip
HOSTED = [
    generator, full_generator, async_generator, full_async_generator, resource, manager,
    async_manager, annotated_manager, Manager,
]  # fmt: skip


@pytest.mark.parametrize("guard", PLAIN)
async def test_any_factory_that_makes_nothing_is_a_guard(guard: Any):
    assert await status(serving(deps=[guard])) == 101
    assert log == ["guard", "handler"]


@pytest.mark.parametrize("guard", HOSTED)
async def test_a_guard_may_have_an_exit(guard: Any):
    assert await status(serving(deps=[guard])) == 101
    assert log == ["guard", "handler", "exit"]


@pytest.mark.parametrize(
    "returned",
    [None, "None", NoReturn, Never, Annotated[None, "a note"], Literal[None]],
)
async def test_a_guard_says_so_by_its_annotation(returned: Any):
    def guard():
        raise HTTPException(403)

    guard.__annotations__["return"] = returned
    assert await status(serving(deps=[guard])) == 403


# What a guard may take


class User:
    pass


class Database:
    def __init__(self) -> None:
        log.append("database")


def get_database() -> Database:
    return Database()


async def test_a_guard_may_take_what_handlers_take_and_it_is_made_before():
    def guard(
        room_id: str, limit: int, ws: WebSocket, app: Triows, database: Annotated[Database, use()]
    ) -> None:
        log.append(f"guard {room_id} {limit}")

    route = WebSocketRoute("rooms/{room_id}")
    route.endpoint(handler, deps=[guard, get_database])
    assert await status(Triows(route), "/rooms/7?limit=5") == 101
    assert log == ["database", "guard 7 5", "handler"]
    assert await status(Triows(route), "/rooms/7") == 422


async def test_a_guard_and_its_handler_share_what_both_reuse():
    shared = use(get_database, reuse=True)

    def guard(database: Annotated[Database, shared]) -> None: ...

    route = WebSocketRoute("a")

    @route.endpoint(deps=[guard])
    async def handler(ws: WebSocket, database: Annotated[Database, shared]) -> None:
        await ws.accept()

    assert await status(Triows(route)) == 101
    assert log == ["database"]


# The order


def logging_guard(name: str) -> Any:
    def guard() -> None:
        log.append(name)

    return guard


async def test_guards_run_from_the_application_inwards_before_all_resources():
    above = WebSocketRoute("above", deps=[logging_guard("above"), get_database])
    below = WebSocketRoute("merged", deps=[logging_guard("below")])

    @below.endpoint(deps=[logging_guard("endpoint 1"), logging_guard("endpoint 2")])
    async def handler(ws: WebSocket, database: Database) -> None:
        log.append("handler")
        await ws.accept()

    above.merge(below)
    app = Triows(above, deps=[logging_guard("app 1"), logging_guard("app 2")])
    assert await status(app, "/above/merged") == 101
    guards = ["app 1", "app 2", "above", "below", "endpoint 1", "endpoint 2"]
    assert log == [*guards, "database", "handler"]


async def test_after_a_guard_that_refuses_nothing_runs():
    def refusing() -> None:
        raise HTTPException(403)

    app = serving(deps=[logging_guard("first"), refusing, logging_guard("third")])
    assert await status(app) == 403
    assert log == ["first"]


async def test_a_guard_holds_for_all_routes_below_and_where_they_are_merged():
    top = WebSocketRoute("top", deps=[only_members])
    (top / "sub").endpoint(handler)
    elsewhere = WebSocketRoute("elsewhere")
    elsewhere.merge(top / "sub", parent_prefix="top")
    app = Triows(top, elsewhere)
    assert [await status(app, url) for url in ("/top/sub", "/elsewhere/sub")] == [401, 401]


async def test_a_guard_of_the_application_holds_for_routes_that_are_included_later():
    app = Triows(deps=[only_members])
    route = WebSocketRoute("a")
    route.endpoint(handler)
    app.include(route)
    assert await status(app) == 401


async def test_a_guard_that_is_given_at_several_levels_runs_once():
    guard = logging_guard("guard")
    route = WebSocketRoute("a", deps=[guard, Guard("x")])
    route.endpoint(handler, deps=[guard, Guard("x"), Guard("y")])
    assert await status(Triows(route, deps=[guard])) == 101
    assert log == ["guard", "guard", "guard", "handler"]


@pytest.mark.parametrize("second", [function, use(function), use(function, reuse=True)])
def test_a_guard_that_is_twice_in_one_list_is_refused_with_its_place(second):
    message = "function is a guard that is twice in one deps=, and would run once: leave one"
    for make in (
        lambda: Triows(deps=[function, second]),
        lambda: Triows(routed(WebSocketRoute("a", deps=[function, second]))),
        lambda: Triows(routed(WebSocketRoute("a"), deps=[function, second])),
    ):
        with pytest.raises(DependencyError, match=message) as caught:
            make()
        assert caught.value.where == where(function)


def routed(route, **options):
    route.endpoint(handler, **options)
    return route


async def test_a_guard_that_is_reused_runs_once_for_whoever_asks_for_it():
    route = WebSocketRoute("a")

    @route.endpoint(deps=[use(function, reuse=True)])
    async def handler(ws: WebSocket, done: Annotated[None, use(function, reuse=True)]) -> None:
        await ws.accept()

    assert await status(Triows(route)) == 101
    assert log == ["guard"]


# Overrides


async def test_a_guard_can_be_overridden():
    app = serving(deps=[only_members])
    with app.override(only_members, lambda: None):
        assert await status(app) == 101
    assert await status(app) == 401


async def test_a_guard_can_be_overridden_by_one_with_parameters_and_an_exit():
    app = serving(deps=[only_members])

    async def fake(name: str):
        log.append(name)
        yield "whatever"
        log.append("exit")

    with app.override(only_members, fake):
        assert await status(app, "/a?name=ada") == 101
    assert log == ["ada", "handler", "exit"]


async def test_what_a_guard_needs_can_be_overridden():
    def get_token() -> str:
        return "none"

    def guard(token: Annotated[str, use(get_token)]) -> None:
        log.append(token)

    app = serving(deps=[guard])
    with app.override(get_token, lambda: "fake"):
        assert await status(app) == 101
    assert log == ["fake", "handler"]


# Mistakes


@pytest.mark.parametrize("value", [False, True, "no", HTTPException(403)])
async def test_a_guard_that_returns_its_answer_refuses_and_says_how(value: Any):
    def guard() -> None:
        return value

    with pytest.raises(DependencyError, match=r"is a guard, and returned") as caught:
        await status(serving(deps=[guard]))
    assert "let it raise HTTPException(403)" in str(caught.value)
    assert log == []


def refused(entry: Any) -> str:
    with pytest.raises(RouteSetupError) as caught:
        serving(deps=[entry])
    factory = getattr(entry, "factory", entry)
    assert caught.value.where == where(factory)
    return caught.value.message


def test_a_guard_does_not_live_as_long_as_the_application():
    assert 'take scope="app" out' in refused(use(only_members, scope="app"))


def test_a_guard_is_not_ignored():
    def ignored() -> Ignore[None]: ...

    assert "annotate it `-> None`" in refused(ignored)


def test_a_guard_does_not_answer_by_a_bool():
    def guard() -> bool:
        return False

    assert "A guard is annotated `-> None` and refuses by raising" in refused(guard)


@pytest.mark.parametrize("answer", [Response, JSONResponse | None, HTTPException, bool | None])
def test_a_guard_does_not_answer_by_what_it_returns(answer: Any):
    def guard() -> answer: ...

    message = refused(guard)
    assert "guard is annotated `-> None`" in message
    assert "refuses by raising HTTPException" in message


def test_a_factory_that_the_only_handler_does_not_ask_for_is_not_taken_for_a_guard():
    def current_user() -> User: ...

    with pytest.raises(DependencyError, match="nothing here asks for it") as caught:
        serving(deps=[current_user])
    assert "If it is a guard, annotate it `-> None`" in caught.value.message
    assert caught.value.where == where(handler)


async def test_a_factory_for_many_handlers_need_not_be_asked_for_by_each():
    def current_user() -> User: ...

    async def other(user: User, database: Database) -> None: ...

    route = WebSocketRoute("a", deps=[current_user])
    route.endpoint(handler)
    route.sub("other").endpoint(other)
    assert await status(Triows(route, deps=[get_database])) == 101
    assert log == ["handler"]


def test_the_class_of_a_guard_is_not_a_guard():
    assert "give an instance, deps=[Guard(...)]" in refused(Guard)


def test_nor_is_it_if_its_call_is_not_annotated():
    class OnlyMembers:
        def __call__(self, ws): ...

    class Heir(OnlyMembers):
        pass

    assert "give an instance, deps=[OnlyMembers(...)]" in refused(OnlyMembers)
    assert "give an instance, deps=[Heir(...)]" in refused(Heir)


def test_guards_are_not_given_by_name():
    with pytest.raises(RouteSetupError, match="deps takes a list, not a dict"):
        serving(deps={"members": only_members})


def test_a_guard_without_an_annotation_is_told_of_it():
    def guard(): ...

    assert "`-> None` for a guard" in refused(guard)


def test_a_guard_is_checked_as_handlers_are():
    def guard(database: Database) -> None: ...

    with pytest.raises(DependencyError, match="nothing makes the Database") as caught:
        serving(deps=[guard])
    assert caught.value.chain == ("handler", guard.__qualname__)
    assert caught.value.where == where(guard)


def test_guards_are_listed_with_the_resources_of_a_route():
    assert listed_resources(serving(deps=[only_members])) == ("only_members",)
