"""Factories in ``deps=`` that no handler uses are refused, because nothing would call them."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
import trio

from triows import (
    AsyncResource,
    HTTPException,
    Ignore,
    Triows,
    WebSocket,
    WebSocketRoute,
    use,
)
from triows._where import where
from triows.exceptions import DependencyError
from triows.testing import open_app


class User:
    pass


class Admin(User):
    pass


class Database:
    pass


class RequireLogin:
    """A guard as in FastAPI: its constructor is the check."""

    def __init__(self, token: str = "") -> None:
        raise HTTPException(401)


def current_user() -> User:
    raise HTTPException(401)


def get_admin() -> Admin:
    return Admin()


async def get_database() -> AsyncIterator[Database]:
    yield Database()


async def open_to_all(ws: WebSocket) -> None:
    await ws.accept()


async def with_user(ws: WebSocket, user: User) -> None:
    await ws.accept()


async def with_database(ws: WebSocket, database: Database) -> None:
    await ws.accept()


def route_for(path: str, handler: Any, **options: Any) -> WebSocketRoute:
    route = WebSocketRoute(path, **options)
    route.endpoint(handler)
    return route


async def start(app: Triows) -> None:
    async with open_app(app):
        pass


async def unstarted(app: Triows, factory: Any) -> str:
    """Return the message that refuses the start-up. It has to name the factory."""
    with pytest.raises(DependencyError) as caught:
        await start(app)
    assert caught.value.where == where(factory)
    return caught.value.message


GUARDS = [
    (current_user, "makes User", "If it is a guard, annotate it `-> None`"),
    (RequireLogin, "makes RequireLogin", "give a function that is annotated `-> None`"),
    (use(current_user, reuse=True), "makes User", "If it is a guard, annotate it `-> None`"),
]


@pytest.mark.parametrize(("entry", "made", "remedy"), GUARDS)
def test_a_route_is_refused_if_nothing_below_it_uses_its_factory(
    entry: Any, made: str, remedy: str
):
    route = route_for("admin", open_to_all, deps=[entry])
    route.sub("below").endpoint(with_database)
    app = Triows(deps=[get_database])
    with pytest.raises(DependencyError) as caught:
        app.include(route)
    assert caught.value.where == where(getattr(entry, "factory", entry))
    assert f"in deps= of the route '/admin' {made}" in caught.value.message
    assert "no handler of that route or below it asks for it" in caught.value.message
    assert remedy in caught.value.message
    assert not app.routes
    route.sub("more")  # the route has not changed


@pytest.mark.parametrize(("entry", "made", "remedy"), GUARDS)
async def test_an_application_does_not_start_if_no_handler_uses_its_factory(
    entry: Any, made: str, remedy: str
):
    app = Triows(route_for("admin", open_to_all), deps=[entry])
    message = await unstarted(app, getattr(entry, "factory", entry))
    assert f"in deps= of the application {made}, and no handler asks for it" in message
    assert remedy in message


async def test_another_server_is_told_so_at_start_up():
    app = Triows(route_for("admin", open_to_all), deps=[current_user])
    answers: list[Any] = []

    async def receive() -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        await trio.lowlevel.checkpoint()
        answers.append(message)

    await app({"type": "lifespan"}, receive, send)
    assert [answer["type"] for answer in answers] == ["lifespan.startup.failed"]
    assert "current_user in deps= of the application" in answers[0]["message"]


def by_class(user: User) -> Database:
    return Database()


async def by_use(ws: WebSocket, user: Annotated[User, use(current_user)]) -> None: ...


async def by_factory(ws: WebSocket, database: Annotated[Database, use(by_class)]) -> None: ...


@pytest.mark.parametrize("handler", [with_user, by_use, by_factory])
async def test_a_factory_is_used_by_a_parameter_of_a_handler_or_of_its_factories(handler: Any):
    await start(Triows(route_for("a", handler, deps=[current_user])))
    await start(Triows(route_for("a", handler), deps=[current_user]))


async def test_a_factory_is_used_by_a_parameter_of_a_base_class():
    await start(Triows(route_for("a", with_user, deps=[get_admin]), deps=[]))
    await start(Triows(route_for("a", with_user), deps=[get_admin]))


async def test_a_factory_is_used_by_a_guard():
    def only_users(user: User) -> None: ...

    await start(Triows(route_for("a", open_to_all, deps=[current_user, only_users])))
    await start(Triows(route_for("a", open_to_all), deps=[current_user, only_users]))


async def test_one_handler_far_below_is_enough():
    top = route_for("top", open_to_all, deps=[current_user])
    top.sub("a").endpoint(open_to_all)
    top.sub("b").sub("c").endpoint(with_user)
    await start(Triows(top, route_for("other", open_to_all)))


async def test_one_handler_that_is_included_later_is_enough_for_the_application():
    app = Triows(route_for("a", open_to_all), deps=[current_user])
    app.include(route_for("b", with_user))
    await start(app)


async def test_each_list_counts_the_handlers_that_it_is_for():
    deps = (current_user,)  # the same tuple, given twice
    a, b = route_for("a", with_user, deps=deps), route_for("b", open_to_all, deps=deps)
    with pytest.raises(DependencyError, match="of the route '/b'"):
        Triows(a, b)


async def test_a_factory_that_nearer_ones_replace_everywhere_is_not_used():
    def other_user() -> User: ...

    app = Triows(route_for("a", with_user, deps=[other_user]), deps=[current_user])
    await unstarted(app, current_user)


async def test_an_application_without_routes_starts():
    await start(Triows(deps=[current_user, use(get_database, scope="app")]))


async def test_a_mounted_application_counts_by_itself():
    inner = Triows(route_for("a", with_user), deps=[current_user])
    outer = Triows(route_for("a", with_database), deps=[get_database])
    outer.mount("/inner", inner)
    await start(outer)
    inner.include(route_for("b", open_to_all))
    await start(outer)
    outer.mount("/open", Triows(route_for("a", open_to_all), deps=[current_user]))
    await unstarted(outer, current_user)


async def test_a_handler_of_a_mounted_application_does_not_count_for_the_other():
    outer = Triows(route_for("a", open_to_all), deps=[current_user])
    outer.mount("/inner", Triows(route_for("a", with_user), deps=[current_user]))
    await unstarted(outer, current_user)


async def test_an_override_changes_nothing_about_it():
    def fake() -> User:
        return User()

    def fake_database() -> Database:
        return Database()

    app = Triows(route_for("a", by_factory), deps=[current_user])
    with app.override(by_class, fake_database):  # the fake doesn't need the user
        await start(app)
        app.include(route_for("b", by_factory, deps=[current_user]))
    with app.override(current_user, fake):
        await start(app)
    await start(app)


async def test_what_is_included_inside_an_override_is_checked_at_start_up():
    def fake() -> User: ...

    app = Triows(route_for("a", by_use))
    with app.override(current_user, fake):
        app.include(route_for("b", open_to_all, deps=[get_database]))
        await start(app)
    await unstarted(app, get_database)


# Merged routes, and routes that are included in parts


async def test_a_merged_route_is_refused_with_the_route_that_it_is_merged_into():
    guarded = route_for("guarded", open_to_all, deps=[current_user])
    top = WebSocketRoute("top")
    top.merge(guarded)
    with pytest.raises(DependencyError, match="of the route '/guarded'"):
        Triows(top)


async def test_a_merged_route_counts_for_the_route_that_it_is_merged_into():
    top = route_for("top", open_to_all, deps=[current_user])
    top.merge(route_for("users", with_user))
    await start(Triows(top))


async def test_a_route_may_be_merged_twice_and_included_in_two_applications():
    users = route_for("users", with_user, deps=[current_user])
    a, b = WebSocketRoute("a"), WebSocketRoute("b")
    a.merge(users)
    b.merge(users)
    await start(Triows(a, b))
    await start(Triows(users))
    await start(Triows(users))


@pytest.mark.parametrize("merged", [False, True])
async def test_parts_of_a_route_count_together_at_start_up(merged: bool):
    api = WebSocketRoute("api", deps=[current_user, get_database])
    (api / "users").endpoint(with_user)
    (api / "data").endpoint(with_database)

    def part(name: str) -> WebSocketRoute:
        if not merged:
            return api / name
        top = WebSocketRoute(f"merged-{name}")
        top.merge(api / name)
        return top

    app = Triows(part("users"))
    await unstarted(app, get_database)
    app.include(part("data"))
    await start(app)


# Resources of the application, and Ignore


async def test_a_resource_of_the_application_that_nobody_asks_for_is_refused():
    entry = use(get_database, scope="app")
    remedy = "ask for it in a handler, open it in the lifespan"
    with pytest.raises(DependencyError) as caught:
        Triows(route_for("a", open_to_all, deps=[entry]))
    assert remedy in caught.value.message
    assert remedy in await unstarted(
        Triows(route_for("a", open_to_all), deps=[entry]), get_database
    )


async def test_a_resource_of_the_application_is_used_by_another_one():
    class Pool:
        def __init__(self, database: Database) -> None: ...

    async def handler(ws: WebSocket, pool: Pool) -> None: ...

    deps = [use(get_database, scope="app"), use(Pool, scope="app")]
    await start(Triows(route_for("a", handler), deps=deps))
    await unstarted(Triows(route_for("a", open_to_all), deps=deps[:1]), get_database)


def test_a_factory_that_ignore_hides_has_to_be_named_by_a_handler():
    async def accepted(ws: Ignore[WebSocket]) -> Ignore[AsyncResource[WebSocket]]:
        yield ws

    async def naming_it(ws: Annotated[WebSocket, use(accepted)]) -> None: ...

    Triows(route_for("a", naming_it, deps=[accepted]))
    with pytest.raises(DependencyError, match=r"so write use\(.*accepted\) where you need it"):
        Triows(route_for("a", open_to_all, deps=[accepted]))


async def test_a_guard_is_never_unused():
    def only_members() -> None: ...

    def named() -> None: ...

    app = Triows(route_for("a", open_to_all, deps=[only_members, use(named)]), deps=[named])
    await start(app)
