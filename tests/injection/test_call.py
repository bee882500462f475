"""Carrying out a plan: factories are called in order, and their values are passed on."""

import contextlib
import functools
from typing import Annotated, Any

import attrs
import pytest
import trio

from tests.injection.kinds import WEBSOCKETS
from triows import AsyncResource, WebSocket, use
from triows._injection.call import make_arguments
from triows._injection.hosts import ResourceStack
from triows._injection.planner import Planner
from triows._injection.providers import providers


@attrs.define
class Ground:
    """Calls plans for a test, as a connection does."""

    stack: ResourceStack
    log: list[str]

    async def make(self, handler, *values, deps=()):
        """Make the arguments of *handler*. *values* are the plan's parameters and givens."""
        planner = Planner(WEBSOCKETS, providers(deps))
        return await make_arguments(planner.plan(handler).body, [*values], self.stack, patience=1)

    async def close(self, **how):
        return await self.stack.aclose(seconds=1, **how)


@pytest.fixture
async def ground(nursery):
    made = Ground(ResourceStack(nursery, lambda host: None), [])
    yield made
    await made.close()


@pytest.fixture
def log(ground):
    return ground.log


# Values


async def test_every_kind_of_factory_makes_its_value(ground):
    def function():
        return "function"

    async def coroutine():
        await trio.lowlevel.checkpoint()
        return "coroutine"

    def generator():
        yield "generator"

    async def async_generator():
        yield "async generator"

    @contextlib.contextmanager
    def manager():
        yield "manager"

    @contextlib.asynccontextmanager
    async def async_manager():
        yield "async manager"

    async def handler(
        *,
        a: Annotated[str, use(function)],
        b: Annotated[str, use(coroutine)],
        c: Annotated[str, use(generator)],
        d: Annotated[str, use(async_generator)],
        e: Annotated[str, use(manager)],
        f: Annotated[str, use(async_manager)],
    ): ...

    assert await ground.make(handler) == {
        "a": "function",
        "b": "coroutine",
        "c": "generator",
        "d": "async generator",
        "e": "manager",
        "f": "async manager",
    }


async def test_a_class_makes_an_instance_and_is_entered_if_it_can_be(ground):
    class Plain:
        pass

    class Entered:
        async def __aenter__(self):
            return "entered"

        async def __aexit__(self, *exc_info):
            pass

    async def handler(a: Annotated[Any, use(Plain)], b: Annotated[Any, use(Entered)]): ...

    made = await ground.make(handler)
    assert isinstance(made["a"], Plain)
    assert made["b"] == "entered"


async def test_a_function_that_returns_an_awaitable_is_awaited(ground):
    async def coroutine(name: str):
        return name.upper()

    def function(name: str):
        return coroutine(name)

    async def handler(value: Annotated[str, use(function)]): ...

    assert await ground.make(handler, "ada") == {"value": "ADA"}


async def test_what_a_function_returns_is_not_entered(ground, log):
    class Lock:
        def __enter__(self):
            log.append("entered")

        def __exit__(self, *exc_info): ...

    def make_lock():
        return Lock()

    async def handler(lock: Annotated[Any, use(make_lock)]): ...

    assert isinstance((await ground.make(handler))["lock"], Lock)
    assert log == []


async def test_parameters_and_givens_reach_the_factories_and_the_handler(ground):
    def greeting(name: str, ws: WebSocket):
        return f"{ws} says hello to {name}"

    async def handler(ws: WebSocket, text: Annotated[str, use(greeting)], name: str): ...

    made = await ground.make(handler, "ada", "the socket")
    assert made == {"ws": "the socket", "text": "the socket says hello to ada", "name": "ada"}


async def test_what_a_partial_has_bound_is_kept(ground):
    def add(a: int, b: int, c: int):
        return [a, b, c]

    async def handler(
        x: Annotated[list, use(functools.partial(add, 10, b=20))],
        y: Annotated[list, use(functools.partial(add, a=1, c=3))],
    ): ...

    assert await ground.make(handler, 7, 8) == {"x": [10, 20, 7], "y": [1, 8, 3]}


async def test_methods_and_callable_objects_are_called_on_their_object(ground):
    class Greeter:
        def __init__(self, word):
            self.word = word

        async def greet(self, name: str):
            return f"{self.word} {name}"

        async def __call__(self, name: str):
            yield f"{self.word}, {name}!"

    async def handler(
        a: Annotated[str, use(Greeter("hello").greet)], b: Annotated[str, use(Greeter("bye"))]
    ): ...

    assert await ground.make(handler, "ada") == {"a": "hello ada", "b": "bye, ada!"}


async def test_an_instance_is_shared_by_those_who_reuse_it_and_by_no_one_else(ground):
    class Database:
        pass

    def session(database: Annotated[Database, use(Database, reuse=True)]):
        return database

    async def handler(
        a: Annotated[Database, use(Database, reuse=True)],
        b: Annotated[Database, use(session)],
        c: Annotated[Database, use(Database)],
        d: Annotated[Database, use(Database)],
    ): ...

    made = await ground.make(handler)
    assert made["a"] is made["b"]
    assert len({id(value) for value in made.values()}) == 3


async def test_nothing_is_shared_between_two_connections(ground):
    class Database:
        pass

    async def handler(database: Annotated[Database, use(Database, reuse=True)]): ...

    one, other = await ground.make(handler), await ground.make(handler)
    assert one["database"] is not other["database"]


# Order


async def test_resources_are_entered_in_order_and_exited_in_reverse(ground, log):
    def needed():
        log.append("+needed")
        yield
        log.append("-needed")

    async def needing(value: Annotated[Any, use(needed)]):
        log.append("+needing")
        yield
        log.append("-needing")

    async def last():
        log.append("+last")
        yield
        log.append("-last")

    async def handler(a: Annotated[Any, use(needing)], b: Annotated[Any, use(last)]): ...

    await ground.make(handler)
    assert log == ["+needed", "+needing", "+last"]
    del log[:]
    assert await ground.close() == []
    assert log == ["-last", "-needing", "-needed"]


# Failures


async def test_what_a_factory_raises_is_raised_and_the_rest_is_not_called(ground, log):
    async def first():
        yield log.append("+first")
        log.append("-first")

    async def failing():
        raise ValueError("no luck")
        yield

    def never():
        log.append("never")

    async def handler(
        a: Annotated[Any, use(first)],
        b: Annotated[Any, use(failing)],
        c: Annotated[Any, use(never)],
    ): ...

    with pytest.raises(ValueError, match="no luck"):
        await ground.make(handler)
    assert log == ["+first"]
    await ground.close()
    assert log == ["+first", "-first"]


async def test_a_plain_factory_that_fails_leaves_the_resources_before_it_to_the_stack(ground, log):
    async def first() -> AsyncResource[None]:
        yield log.append("+first")
        log.append("-first")

    def failing():
        raise ValueError("no luck")

    async def handler(a: Annotated[Any, use(first)], b: Annotated[Any, use(failing)]): ...

    with pytest.raises(ValueError, match="no luck"):
        await ground.make(handler)
    await ground.close()
    assert log == ["+first", "-first"]


async def test_cancelled_while_a_factory_enters_the_ones_before_can_be_exited(
    ground, log, autojump_clock
):
    async def first():
        yield log.append("+first")
        await trio.sleep(0.1)
        log.append("-first")

    async def slow():
        log.append("+slow")
        try:
            await trio.sleep_forever()
        finally:
            log.append("cancelled")
        yield

    async def handler(a: Annotated[Any, use(first)], b: Annotated[Any, use(slow)]): ...

    with trio.move_on_after(5) as scope:
        await ground.make(handler)
    assert scope.cancelled_caught
    assert log == ["+first", "+slow", "cancelled"]
    assert await ground.close() == []
    assert log[-1] == "-first"


async def test_cancelled_in_a_coroutine_factory_nothing_more_is_called(ground, log, autojump_clock):
    async def slow():
        await trio.sleep_forever()

    def never():
        log.append("never")

    async def handler(a: Annotated[Any, use(slow)], b: Annotated[Any, use(never)]): ...

    with trio.move_on_after(5) as scope:
        await ground.make(handler)
    assert scope.cancelled_caught
    assert log == []


async def test_a_plan_without_resources_enters_nothing(ground):
    async def handler(a: Annotated[int, use(lambda: 5)], b: int): ...

    body = Planner(WEBSOCKETS).plan(handler).body
    assert await make_arguments(body, [7], ground.stack, patience=1) == {"a": 5, "b": 7}
    assert ground.stack.hosts == []
