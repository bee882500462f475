from contextlib import asynccontextmanager
from typing import Annotated

import trio
from trio.testing import wait_all_tasks_blocked

from tests.inspection.looking import connected, only, place_of, serving
from triows import AsyncResource, Timeouts, Triows, WebSocket, use
from triows._inspection.inside import live
from triows.inspect import tree


async def bare() -> AsyncResource[int]:
    yield 1  # bare


def plain(bare: Annotated[int, use(bare)]):
    yield 2  # plain


@asynccontextmanager
async def managed(plain: Annotated[int, use(plain)]):
    try:
        yield 3  # managed
    finally:
        await trio.lowlevel.checkpoint()


class Manager:
    def __enter__(self) -> int:
        return 4

    def __exit__(self, *exc_info: object) -> None: ...


async def stay(
    ws: WebSocket, three: Annotated[int, use(managed)], four: Annotated[int, use(Manager)]
) -> None:
    await ws.accept()
    await trio.sleep_forever()


async def test_resources_are_in_the_order_of_their_entry(autojump_clock):
    app = serving(stay)
    async with connected(app):
        resources = only(tree(app)).resources
    assert [one.name for one in resources] == ["bare", "plain", "managed", "Manager"]
    assert {one.state for one in resources} == {"held"}


async def test_a_generator_that_is_held_stands_at_its_yield(autojump_clock):
    app = serving(stay)
    async with connected(app):
        resources = only(tree(app)).resources
    assert [one.at for one in resources[:3]] == [
        f"{place_of(function, function.__name__)} in {function.__name__}"
        for function in (bare, plain, managed)
    ]
    assert resources[0].source == "yield 1  # bare"


async def test_a_context_manager_that_is_held_is_shown_with_its_class(autojump_clock):
    app = serving(stay)
    async with connected(app):
        (*_, last) = only(tree(app)).resources
        text = str(last)
    assert last.where.startswith(f"{__file__}:")
    assert last.where.endswith(" (Manager)")
    assert (last.at, last.source) == ("", "")
    assert "test_resources.py" in text


async def test_a_resource_that_is_being_entered_is_shown_where_it_waits(autojump_clock):
    seen = []

    async def slow() -> AsyncResource[int]:
        await trio.sleep(5)  # here
        yield 1

    async def handler(ws: WebSocket, value: Annotated[int, use(slow)]) -> None:
        await ws.accept()

    app = serving(handler)

    async def look() -> None:
        await trio.sleep(1)
        seen.append(only(tree(app)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        async with connected(app):
            pass
    (resource,) = seen[0].resources
    test = test_a_resource_that_is_being_entered_is_shown_where_it_waits
    assert (seen[0].stage, resource.state) == ("arguments", "entering")
    assert resource.at.startswith(f"{place_of(test, 'here')} in ")


async def test_a_resource_that_hangs_at_its_exit_is_shown_with_the_line(autojump_clock):
    async def outer() -> AsyncResource[int]:
        yield 1

    async def hanging(value: Annotated[int, use(outer)]) -> AsyncResource[int]:
        try:
            yield 1
        finally:
            await trio.sleep(2)  # here

    async def handler(ws: WebSocket, value: Annotated[int, use(hanging)]) -> None:
        await ws.accept()
        await ws.receive()

    app = serving(handler)
    async with connected(app) as client:
        await client.send("go")
        await trio.sleep(1)
        seen = only(tree(app))
    first, last = seen.resources
    test = test_a_resource_that_hangs_at_its_exit_is_shown_with_the_line
    assert (seen.stage, seen.state, seen.code) == ("end", "closing", 1000)
    assert (first.state, last.state) == ("held", "exiting")
    assert last.at.startswith(f"{place_of(test, 'here')} in ")
    assert "exiting" in str(seen)


async def test_tasks_in_a_resources_nursery_are_shown_with_it(autojump_clock):
    async def background() -> None:
        await trio.sleep_forever()  # here

    async def pool() -> AsyncResource[int]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(background)
            yield 1
            nursery.cancel_scope.cancel()

    async def handler(ws: WebSocket, value: Annotated[int, use(pool)]) -> None:
        await ws.accept()
        await trio.sleep_forever()

    app = serving(handler)
    async with connected(app):
        await wait_all_tasks_blocked()
        seen = only(tree(app))
    (resource,) = seen.resources
    (task,) = resource.nurseries[0].tasks
    test = test_tasks_in_a_resources_nursery_are_shown_with_it
    assert task.where.startswith(f"{place_of(test, 'here')} in ")
    assert "background" in str(resource)
    # The connection's tasks don't include the resource's host.
    assert not any("<resource" in one.name for one in seen.tasks)


async def test_resources_of_the_application_are_shown_as_such(autojump_clock):
    async def database() -> AsyncResource[int]:
        yield 1  # here

    async def lifespan(app: Triows):
        yield

    async def handler(ws: WebSocket, value: Annotated[int, use(database, scope="app")]) -> None:
        await ws.accept()
        await trio.sleep_forever()

    app = serving(handler, lifespan=lifespan)
    async with connected(app):
        seen = tree(app)
    names = [one.name.rpartition(".")[2] for one in seen.resources]
    test = test_resources_of_the_application_are_shown_as_such
    assert names == ["lifespan", "database"]
    assert seen.resources[1].at.startswith(f"{place_of(test, 'here')} in ")
    assert only(seen).resources == ()
    assert "application" in str(seen)
    assert tree(app).resources == ()


async def test_a_shutdown_that_hangs_is_shown_with_the_resource_that_does(autojump_clock):
    async def lifespan(app: Triows):
        yield
        await trio.sleep(2)  # here

    app = Triows(lifespan=lifespan, timeouts=Timeouts(teardown=5))
    seen = []

    async def look() -> None:
        await trio.sleep(1)
        seen.append(tree(app))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        async with app.running():
            pass
    (resource,) = seen[0].resources
    test = test_a_shutdown_that_hangs_is_shown_with_the_resource_that_does
    assert (seen[0].running, seen[0].draining, resource.state) == (True, True, "exiting")
    assert resource.at.startswith(f"{place_of(test, 'here')} in ")


async def test_a_host_forgets_its_task_when_the_resource_is_exited(autojump_clock):
    app = serving(stay)
    async with connected(app):
        (lifetime,) = (exchange.lifetime for exchange in live(app))
        hosts = lifetime.hosts
        assert all(host.task and host.manager for host in hosts)
    assert [(host.task, host.manager) for host in hosts] == [(None, None)] * 4
