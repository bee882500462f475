"""Routes become endpoints, with the application's settings, and factories may be overridden."""

import logging
from functools import partial
from typing import Annotated, Any, NoReturn
from unittest.mock import Mock

import pytest
from attrs import frozen

from triows import (
    DependencyCycleError,
    DependencyError,
    Limits,
    RouteSetupError,
    Timeouts,
    WebSocket,
    WebSocketRoute,
    use,
)
from triows._compile import Compiled, Compiler, check_origin_setting
from triows._exchange.catchers import Catchers
from triows._exchange.registry import Exchanges
from triows._request.kind import request_kind
from triows._routing.options import DepsList, RouteOptions
from triows._running import AppResources
from triows._websocket.kind import websocket_kind


class Page:
    """A type that only a factory makes."""


def get_page() -> Page:
    return Page()


class App:
    """The application. Handlers may ask for it."""


@frozen
class Info:
    func: Any
    path: str
    signature: Any
    app: Any


def get_number() -> int:
    return 1


def get_text(number: Annotated[int, use(get_number)]) -> str:
    return str(number)


def open_pool() -> list[int]:
    return []


def open_store(pool: Annotated[list[int], use(open_pool, scope="app")]) -> dict[str, int]:
    return {}


async def numbered(ws: WebSocket, number: Annotated[int, use(get_number)]) -> None: ...


async def texted(ws: WebSocket, text: Annotated[str, use(get_text)]) -> None: ...


async def stored(
    ws: WebSocket, store: Annotated[dict[str, int], use(open_store, scope="app")]
) -> None: ...


async def blind(number: Annotated[int, use(get_number)]) -> None: ...


def compiler(*deps: Any, **options: Any) -> Compiler:
    app = App()
    return Compiler(
        app=app,
        kind=websocket_kind(App),
        request_kind=partial(request_kind, App),
        deps=DepsList(deps, of=" of the application", users="no handler"),
        options=RouteOptions.given(**options),
        endpoint_info=Info,
        exchanges=Exchanges(None),
        shutdown_code=4000,
        resources=AppResources(app, None, 5),
        catchers=Catchers(),
    )


def routed(handler: Any, path: str = "rooms", plugins: Any = (), **settings: Any) -> WebSocketRoute:
    route = WebSocketRoute(path, **settings)
    route.endpoint(plugins=plugins)(handler)
    return route


def compiled(one: Compiler, *routes: WebSocketRoute) -> Compiled:
    return one.compile(
        [description for route in routes for description in route.describe()],
        [deps for route in routes for deps in route.own_deps()],
    )


def added(one: Compiler, *routes: WebSocketRoute) -> Compiler:
    one.add(compiled(one, *routes))
    return one


def steps(one: Compiler) -> list[list[Any]]:
    """The factories that each route calls, in order."""
    return [[step.factory.call for step in entry.endpoint.plan.body.steps] for entry in one.entries]


# Compiling


def test_an_endpoint_has_what_belongs_to_its_route_and_to_the_application():
    one = added(compiler(), routed(numbered))
    (entry,) = one.entries
    endpoint = entry.endpoint
    assert (endpoint.path, endpoint.handler) == ("/rooms", numbered)
    assert (endpoint.app, endpoint.exchanges) == (one.app, one.exchanges)
    assert (endpoint.shutdown_code, endpoint.can_accept) == (4000, True)
    assert endpoint.shared is one.resources.shared


def test_a_routes_own_settings_replace_those_of_the_application():
    own, outer = Timeouts(close=1), Timeouts(close=2)
    one = compiler(timeouts=outer, limits=Limits(inbox=7), origins=["*"])
    added(one, routed(numbered), routed(numbered, "other", timeouts=own))
    assert [entry.endpoint.settings.timeouts for entry in one.entries] == [outer, own]
    assert {entry.endpoint.settings.limits.inbox for entry in one.entries} == {7}
    assert {entry.endpoint.origins for entry in one.entries} == {("*",)}


def test_plugins_are_around_the_handler_and_know_the_route():
    seen: list[Info] = []

    def plugin(info: Info) -> Any:
        async def wrapper(**arguments: Any) -> None: ...

        seen.append(info)
        return wrapper

    one = added(compiler(), routed(numbered, plugins=[plugin]))
    (info,) = seen
    assert (info.func, info.path, info.app) == (numbered, "/rooms", one.app)
    assert list(info.signature.parameters) == ["ws", "number"]
    assert one.entries[0].endpoint.handler is not numbered


def test_to_compile_changes_nothing_before_the_routes_are_added():
    one = compiler()
    new = compiled(one, routed(stored))
    assert (one.entries, one.shared) == ([], {})
    one.add(new)
    assert [entry.description.handler for entry in one.entries] == [stored]
    assert list(one.shared) == list(new.shared)


def test_resources_of_the_application_come_after_those_that_they_need_and_once():
    one = added(compiler(), routed(stored), routed(stored, "other"))
    assert list(one.shared) == [open_pool, open_store]


def test_a_resource_of_the_application_that_needs_itself_is_refused():
    async def handler(ws: WebSocket, one: Annotated[int, use(first, scope="app")]) -> None: ...

    with pytest.raises(DependencyCycleError, match="needs itself"):
        compiled(compiler(), routed(handler))


def first(value: str) -> int:
    return 1


def second(value: Annotated[int, use(first, scope="app")]) -> str:
    return ""


first.__annotations__["value"] = Annotated[str, use(second, scope="app")]


def test_a_resource_that_comes_after_the_start_up_is_refused():
    one = added(compiler(), routed(stored))
    one.resources.planned = one.shared.keys()
    compiled(one, routed(stored, "other"))  # it has been started with those

    async def handler(
        ws: WebSocket, late: Annotated[int, use(get_number, scope="app")]
    ) -> None: ...

    with pytest.raises(DependencyError, match="which has been started without it"):
        compiled(one, routed(handler, "late"))


@pytest.mark.parametrize("origins", [["example.org"], ["https://example.org/path"]])
def test_origins_that_can_never_match_are_refused(origins):
    with pytest.raises(RouteSetupError):
        compiled(compiler(), routed(numbered, origins=origins))
    with pytest.raises(RouteSetupError) as caught:
        check_origin_setting(tuple(origins), "here")
    assert caught.value.where == "here"
    check_origin_setting(None)


# Factories that nobody uses


def test_a_factory_of_a_route_that_nothing_below_it_uses_is_refused():
    with pytest.raises(DependencyError, match="get_page"):
        compiled(compiler(), routed(numbered, deps=[get_page]))


def test_a_factory_of_the_application_may_be_used_by_a_route_that_comes_later():
    one = added(compiler(get_page), routed(numbered))
    with pytest.raises(DependencyError, match="get_page"):
        one.check_all_used()

    async def handler(ws: WebSocket, page: Page) -> None: ...

    added(one, routed(handler, "later"))
    one.check_all_used()


# Handlers that can only refuse


async def refusing(number: Annotated[int, use(get_number)]) -> NoReturn:
    raise LookupError


@pytest.mark.parametrize(
    ("handler", "warned"), [(blind, True), (refusing, False), (numbered, False)]
)
def test_a_handler_that_can_only_refuse_is_warned_of_unless_it_says_so(caplog, handler, warned):
    caplog.set_level(logging.WARNING, "triows")
    added(compiler(), routed(handler))
    assert [message.startswith("/rooms: ") for message in caplog.messages] == [True] * warned


# Overrides


def fake_number() -> int:
    return 2


def test_an_override_reaches_every_route_and_ends_with_its_block():
    one = added(compiler(), routed(numbered), routed(texted, "texts"))
    before = steps(one)
    with one.override(get_number, fake_number):
        assert steps(one) == [[fake_number], [fake_number, get_text]]
    assert steps(one) == before == [[get_number], [get_number, get_text]]


def test_routes_that_are_added_meanwhile_are_overridden_and_then_not():
    one = compiler()
    added(one, routed(numbered))
    with one.override(get_number, fake_number):
        added(one, routed(texted, "texts"))
        assert steps(one)[1] == [fake_number, get_text]
    assert steps(one)[1] == [get_number, get_text]


def test_an_override_in_another_ends_in_any_order():
    one = added(compiler(), routed(texted))
    outer = one.override(get_number, fake_number)
    inner = one.override(get_text, lambda: "fake")
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    assert len(steps(one)[0]) == 1
    inner.__exit__(None, None, None)
    assert steps(one) == [[get_number, get_text]]


def test_an_override_of_an_override_brings_the_first_one_back():
    one = added(compiler(), routed(numbered))
    with one.override(get_number, fake_number):
        with one.override(get_number, lambda: 3):
            pass
        assert steps(one) == [[fake_number]]


def test_an_override_that_can_not_be_used_changes_nothing():
    def fake(page: Page) -> int:  # nothing makes it
        return 1

    one = added(compiler(), routed(numbered))
    with pytest.raises(RouteSetupError), one.override(get_number, fake):
        pytest.fail("it can't be used")
    assert steps(one) == [[get_number]]


@pytest.mark.parametrize(
    ("factory", "fake", "message"),
    [
        (get_text, fake_number, "no route uses get_text"),
        (get_number, Mock(), "a mock takes any call"),
        (get_number, 2, r"takes a factory, not 2: write override\(get_number, lambda: ...\)"),
    ],
)
def test_what_can_not_be_overridden_is_refused(factory, fake, message):
    one = added(compiler(), routed(numbered))
    with pytest.raises(DependencyError, match=message), one.override(factory, fake):
        pytest.fail("there is nothing to override")


def test_a_resource_of_the_application_is_overridden_before_the_start_up_or_not_at_all():
    one = added(compiler(), routed(stored))
    with one.override(open_pool, lambda: [1]):
        pass
    one.resources.planned = one.shared.keys()
    with (
        pytest.raises(DependencyError, match="override it before the application starts"),
        one.override(open_pool, lambda: [1]),
    ):
        pytest.fail("it is too late")
