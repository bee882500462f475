"""Which tasks, frames and nurseries belong to an exchange, in a task that is somebody else's."""

from typing import Annotated

import trio
from trio.testing import wait_all_tasks_blocked

from tests.exchange.noting import NotingLine, entered, lifetime_over
from tests.inspection.looking import connected, named, only, place_of, serving, tasks_below
from triows import WebSocket, use
from triows._inspection.own import inner_nurseries, look_at_own, own_frames
from triows.inspect import tree


async def idle(ws: WebSocket) -> None:
    await ws.accept()
    await trio.sleep_forever()


# Its tasks


async def test_a_handler_in_async_for_is_shown_at_the_loop(autojump_clock):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        async for _ in ws:  # here
            pass

    app = serving(handler)
    async with connected(app):
        await wait_all_tasks_blocked()
        (first, *_) = only(tree(app)).tasks
    assert first.where.startswith(
        f"{place_of(test_a_handler_in_async_for_is_shown_at_the_loop, 'here')} in "
    )


async def test_a_handler_deep_in_functions_of_its_own_is_shown_at_the_innermost(autojump_clock):
    async def ask(ws: WebSocket) -> str:
        return await ws.receive_text()  # here

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ask(ws)

    app = serving(handler)
    async with connected(app):
        await wait_all_tasks_blocked()
        (first, *_) = only(tree(app)).tasks
    test = test_a_handler_deep_in_functions_of_its_own_is_shown_at_the_innermost
    assert first.where.startswith(f"{place_of(test, 'here')} in ")
    functions = [frame.function.rpartition(".")[2] for frame in first.frames]
    assert functions[0] == "run"  # the connection's; the frames around it are the server's
    assert functions.index("handler") < functions.index("ask")


async def test_the_nurseries_of_a_handler_are_its_own_whether_or_not_its_exchange_has_one(
    autojump_clock,
):
    for needs_nursery in (False, True):
        line = NotingLine()
        line.needs_nursery = needs_nursery
        lifetime = lifetime_over(line)

        async def body(stack: object, nursery: object, lifetime=lifetime) -> None:
            assert inner_nurseries(lifetime) == []
            async with trio.open_nursery() as inner:
                await trio.lowlevel.checkpoint()
                assert inner_nurseries(lifetime) == [inner]

        await lifetime.run(body)


async def test_a_handler_may_look_at_itself(autojump_clock):
    seen = []

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        seen.append(tree(app))  # here

    app = serving(handler)
    async with connected(app):
        pass
    (first, *_) = only(seen[0]).tasks
    assert first.where.startswith(f"{place_of(test_a_handler_may_look_at_itself, 'here')} in ")


async def test_tasks_in_a_handlers_nursery_are_below_its_task(autojump_clock):
    async def background() -> None:
        await trio.sleep_forever()  # here

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(background)
            await trio.sleep_forever()

    app = serving(handler)
    async with connected(app):
        await wait_all_tasks_blocked()
        (first, *_) = only(tree(app)).tasks
    (below,) = tasks_below(first)
    here = place_of(test_tasks_in_a_handlers_nursery_are_below_its_task, "here")
    assert below.where.startswith(f"{here} in ")
    assert below.name.endswith(".background")


async def test_tasks_in_the_connections_nursery_are_below_that(autojump_clock):
    async def outer() -> None:
        async with trio.open_nursery() as inner:
            inner.start_soon(leaf)
            await trio.sleep_forever()

    async def leaf() -> None:
        await trio.sleep_forever()  # here

    async def handler(ws: WebSocket, nursery: trio.Nursery) -> None:
        await ws.accept()
        nursery.start_soon(outer)
        await trio.sleep_forever()

    app = serving(handler)
    async with connected(app):
        await wait_all_tasks_blocked()
        seen = only(tree(app))
    (middle,) = tasks_below(named(seen.tasks, "<connection nursery>"))
    (below,) = tasks_below(middle)
    here = place_of(test_tasks_in_the_connections_nursery_are_below_that, "here")
    assert below.where.startswith(f"{here} in ")


async def test_tasks_around_the_connection_are_not_the_connections(autojump_clock):
    """A test client, like a server, runs the application inside nurseries."""
    app = serving(idle)
    async with connected(app):
        seen = only(tree(app))
    assert tasks_below(seen.tasks[0]) == []


async def test_a_connection_that_makes_its_arguments_says_so(autojump_clock):
    seen = []

    async def slow() -> int:
        await trio.sleep(5)  # here
        return 1

    async def handler(ws: WebSocket, value: Annotated[int, use(slow)]) -> None:
        await ws.accept()

    app = serving(handler)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def look() -> None:
            await trio.sleep(1)
            seen.append(only(tree(app)))

        async with connected(app):
            pass
    (first, *_) = seen[0].tasks
    assert seen[0].stage == "arguments"
    here = place_of(test_a_connection_that_makes_its_arguments_says_so, "here")
    assert first.where.startswith(f"{here} in ")
    assert "making arguments" in str(seen[0])


# Over any line


async def test_frames_and_nurseries_around_an_exchange_are_not_its_own(autojump_clock):
    async def body(stack, nursery) -> None:
        async with trio.open_nursery() as inner:
            inner.start_soon(trio.sleep_forever, name="inner")
            await entered(stack, lambda seen: None)
            await trio.sleep_forever()

    async def around() -> None:
        async with trio.open_nursery() as outer:
            outer.start_soon(trio.sleep_forever, name="outer")
            await lifetime.run(body)

    lifetime = lifetime_over(NotingLine())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(around)
        await wait_all_tasks_blocked()
        names = [frame.f_code.co_name for frame, _ in own_frames(lifetime)]
        assert "around" not in names
        assert "body" in names
        (inner,) = inner_nurseries(lifetime)
        assert [task.name for task in inner.child_tasks] == ["inner"]
        # The task of the resource is shown with the resource.
        first, *others = look_at_own(lifetime, "the callee")
        assert first.name == "the callee"
        assert [one.name.rpartition(".")[2] for one in others] == ["_read"]
        nursery.cancel_scope.cancel()


async def test_an_exchange_that_has_not_begun_or_is_over_has_nothing_of_its_own():
    async def body(stack, nursery) -> None: ...

    lifetime = lifetime_over(NotingLine())

    def own() -> list[object]:
        return [
            *own_frames(lifetime),
            *inner_nurseries(lifetime),
            *look_at_own(lifetime, "the callee"),
        ]

    assert own() == []
    await lifetime.run(body)
    assert own() == []
