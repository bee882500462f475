"""Each yield of a factory is guarded or bare. The source and the frame say which."""

import contextlib
import functools
import inspect
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Annotated, Any

import pytest
import trio
import trio.lowlevel

from triows import Triows, WebSocket, WebSocketRoute, use
from triows._injection.factories import Factory
from triows._injection.yields import unmanageable, waits
from triows._where import where
from triows.exceptions import RouteSetupError


class Connection:
    """The class that the factories here make."""


def yields(call: Callable[..., Any]) -> list[tuple[Any, bool]]:
    """Return what a generator function yields, and whether each yield is guarded."""
    factory = Factory.of(call)
    manager = factory.open()
    seen = []
    while True:
        try:
            value = _next(manager.gen)
        except (StopIteration, StopAsyncIteration):
            return seen
        seen.append((value, factory.is_guarded(manager)))


def _next(generator: Any) -> Any:
    if inspect.isgenerator(generator):
        return next(generator)
    try:
        generator.asend(None).send(None)
    except StopIteration as exc:
        return exc.value
    raise AssertionError("it awaits something")


def guarded(call: Callable[..., Any]) -> list[bool]:
    """Say which of its yields are guarded, in the order in which it reaches them."""
    return [is_guarded for _, is_guarded in yields(call)]


def generator():
    yield Connection()


class Pool:
    async def connections(self):
        yield Connection()

    async def __call__(self):
        yield Connection()


# Guarded yields: a `try` or `with` around the yield would see an exception that is raised there.


async def bare():
    connection = Connection()
    yield connection


async def in_a_loop():
    for _ in range(1):
        yield


async def in_a_branch():
    if sys.platform:
        yield


async def after_a_try():
    try:
        connection = Connection()
    finally:
        pass
    yield connection


async def after_a_with():
    with contextlib.suppress(KeyError):
        pass
    yield


async def beside_a_nested_function():
    def nested():
        try:
            yield
        finally:
            pass

    yield nested


async def beside_a_nested_class():
    class Nested:
        def method(self):
            with contextlib.suppress(KeyError):
                yield

    yield Nested


async def in_the_arguments_of_a_with():
    try:
        pass
    finally:
        with contextlib.nullcontext((yield)):
            pass


async def in_a_match():
    match sys.platform:
        case _:
            yield


async def in_else_of_try_except():
    try:
        pass
    except KeyError:
        pass
    else:
        yield


async def in_except():
    try:
        {}["missing"]
    except KeyError:
        yield


async def in_finally():
    try:
        pass
    finally:
        yield


@pytest.mark.parametrize(
    "call",
    [
        bare,
        generator,
        in_the_arguments_of_a_with,
        in_a_match,
        in_a_loop,
        in_a_branch,
        after_a_try,
        after_a_with,
        beside_a_nested_function,
        beside_a_nested_class,
        in_else_of_try_except,
        in_except,
        in_finally,
        Pool().connections,
        Pool(),
        functools.partial(bare),
    ],
)
def test_a_yield_that_nothing_surrounds_is_bare(call: Callable[..., Any]):
    assert guarded(call) == [False]


async def in_try_finally():
    try:
        yield
    finally:
        pass


async def in_try_except():
    try:
        yield
    except KeyError:
        print("no such key")


async def in_try_star():
    try:
        yield
    except* KeyError:
        pass


async def in_with():
    with contextlib.suppress(KeyError):
        yield


async def in_async_with():
    async with contextlib.AsyncExitStack():
        yield


async def in_a_loop_in_try():
    try:
        for _ in range(1):
            yield
    finally:
        pass


async def in_else_before_finally():
    try:
        pass
    except KeyError:
        pass
    else:
        yield
    finally:
        pass


async def in_except_before_finally():
    try:
        {}["missing"]
    except KeyError:
        yield
    finally:
        pass


async def in_finally_of_an_inner_try():
    try:
        try:
            pass
        finally:
            yield
    finally:
        pass


async def in_one_of_two_branches():
    if not sys.platform:
        yield
    else:
        with contextlib.suppress(KeyError):
            yield


async def with_the_value_assigned():
    try:
        _ = yield
    finally:
        pass


def in_the_arguments_of_the_second_with():
    with contextlib.nullcontext(), contextlib.nullcontext((yield)):
        pass


def delegating():
    yield from generator()


class GuardedPool:
    async def connections(self):
        try:
            yield
        finally:
            pass

    async def __call__(self):
        async with contextlib.AsyncExitStack():
            yield


@pytest.mark.parametrize(
    "call",
    [
        in_try_finally,
        in_try_except,
        in_try_star,
        in_with,
        in_async_with,
        in_a_loop_in_try,
        in_else_before_finally,
        in_except_before_finally,
        in_finally_of_an_inner_try,
        in_one_of_two_branches,
        with_the_value_assigned,
        delegating,
        in_the_arguments_of_the_second_with,
        GuardedPool().connections,
        GuardedPool(),
        functools.partial(in_with),
    ],
)
def test_a_yield_inside_try_or_with_is_guarded(call: Callable[..., Any]):
    assert guarded(call) == [True]


def test_a_generator_whose_source_is_not_there_counts_as_guarded():
    names: dict[str, Any] = {}
    exec("async def typed_in():\n    yield", names)
    assert guarded(names["typed_in"]) == [True]


def test_a_generator_that_is_a_lambda_is_bare_for_nothing_can_surround_its_yields():
    assert guarded(lambda: (yield)) == [False]


def test_the_text_in_a_nested_factory_may_be_indented_less_than_its_code():
    async def nested():
        yield """
        select *
    from connections
"""

    assert guarded(nested) == [False]


# Each yield by itself.


async def bare_then_guarded():
    yield
    try:
        yield
    finally:
        yield


async def by_turns():
    turn = 0
    while turn < 4:
        if turn % 2:
            with contextlib.suppress(KeyError):
                yield
        else:
            yield
        turn += 1


async def within_an_except_and_else():
    try:
        yield
    except KeyError:
        pass
    else:
        yield
    try:
        {}["missing"]
    except KeyError:
        yield


def twice_on_a_line():
    yield; (yield)  # fmt: skip # noqa: E702
    with contextlib.suppress(KeyError): yield; yield  # fmt: skip # noqa: E701, E702


def one_in_another():
    yield (yield)


def over_several_lines():
    yield [
        "bare",
    ]
    with contextlib.suppress(KeyError):
        yield [
            "guarded",
        ]


def delegating_and_not():
    yield
    yield from generator()
    yield


def with_umlauts_before_it():
    _ = "äöü", (yield)
    with contextlib.suppress(KeyError):
        _ = "äöü", (yield)


def in_the_default_of_a_function():
    with contextlib.suppress(KeyError):

        def inner(x=(yield)):
            yield x

    yield


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (bare_then_guarded, [False, True, False]),
        (by_turns, [False, True, False, True]),
        (within_an_except_and_else, [True, False, False]),
        (twice_on_a_line, [False, False, True, True]),
        (one_in_another, [False, False]),
        (over_several_lines, [False, True]),
        (delegating_and_not, [False, True, False]),
        (with_umlauts_before_it, [False, True]),
        (in_the_default_of_a_function, [True, False]),
    ],
)
def test_each_yield_of_a_function_is_guarded_or_bare_by_itself(
    call: Callable[..., Any], expected: list[bool]
):
    assert guarded(call) == expected


# Wrapped functions, and code without source or columns.


def passing_on(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def test_a_decorator_that_passes_the_generator_on_changes_nothing():
    assert guarded(passing_on(bare_then_guarded)) == [False, True, False]
    assert guarded(passing_on(functools.partial(one_in_another))) == [False, False]


def test_of_a_decorator_that_is_a_generator_itself_its_own_yield_counts():
    @functools.wraps(in_try_finally)
    async def bare_wrapper():
        async for value in in_try_finally():
            yield value

    @functools.wraps(bare)
    async def guarded_wrapper():
        with contextlib.suppress(KeyError):
            async for value in bare():
                yield value

    assert guarded(bare_wrapper) == [False]
    assert guarded(guarded_wrapper) == [True]


def test_a_context_manager_is_guarded_whatever_its_yield_is():
    for call in (contextlib.asynccontextmanager(bare), contextlib.contextmanager(generator)):
        factory = Factory.of(call)
        assert factory.is_guarded(factory.open())


PROGRAM = """
import contextlib
from triows._injection.factories import Factory

def mixed():
    yield
    with contextlib.suppress(KeyError):
        yield

factory = Factory.of(mixed)
manager = factory.open()
for _ in manager.gen:
    print(factory.is_guarded(manager))
"""


@pytest.mark.parametrize(
    ("options", "expected"),
    [([], ["False", "True"]), (["-X", "no_debug_ranges"], ["True", "True"])],
)
def test_without_columns_every_yield_counts_as_guarded(tmp_path, options, expected):
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    command = [sys.executable, *options, str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == expected


def test_a_source_that_no_longer_parses_makes_every_yield_guarded(tmp_path):
    file = tmp_path / "changed.py"
    file.write_text("def typed():\n    yield\n")
    names: dict[str, Any] = {}
    exec(compile(file.read_text(), str(file), "exec"), names)
    file.write_text("def typed(:\n")
    assert guarded(names["typed"]) == [True]


def test_a_function_in_a_file_that_is_not_python_is_read_alone(tmp_path):
    lines = ["# A document", "", "    if True:", "        def mixed():", "            yield"]
    file = tmp_path / "document.md"
    file.write_text("\n".join([*lines, "            with suppress(KeyError): yield", "And so on."]))
    code = (
        "\n" * 3 + "def mixed():\n            yield\n            with suppress(KeyError): yield\n"
    )
    names: dict[str, Any] = {"suppress": contextlib.suppress}
    exec(compile(code, str(file), "exec"), names)
    assert guarded(names["mixed"]) == [False, True]


# Functions with a decorator of contextlib have to yield


def _passing_on(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


async def returns() -> Any:
    return Connection()


def returns_constant() -> Any:
    return 1


def returns_nothing() -> Any:
    pass


async def yields_async() -> Any:
    yield 1


def yields_sync() -> Any:
    yield 1


def returns_generator() -> Any:
    return yields_sync()


class Endless:
    """An object that is wrapped around itself."""

    def __init__(self) -> None:
        self.__wrapped__ = self

    def __call__(self) -> int:
        return 1


class Methods:
    async def returns(self) -> Any: ...


FORGOTTEN = [
    (contextlib.asynccontextmanager(returns), "asynccontextmanager and has no `yield`"),
    (contextlib.asynccontextmanager(_passing_on(returns)), "has no `yield`"),
    (_passing_on(contextlib.asynccontextmanager(returns)), "has no `yield`"),
    (functools.partial(contextlib.asynccontextmanager(returns)), "has no `yield`"),
    (contextlib.asynccontextmanager(functools.partial(returns)), "has no `yield`"),
    (contextlib.asynccontextmanager(Methods().returns), "has no `yield`"),
    (contextlib.asynccontextmanager(returns_nothing), "has no `yield`"),
    (contextlib.contextmanager(returns), "@contextmanager and has no `yield`"),
    (contextlib.contextmanager(returns_constant), "@contextmanager and has no `yield`"),
    (contextlib.contextmanager(returns_nothing), "has no `yield`"),
    (contextlib.contextmanager(yields_async), "of the other kind: write `def`"),
    (contextlib.asynccontextmanager(yields_sync), "of the other kind: write `async def`"),
]


@pytest.mark.parametrize(("factory", "problem"), FORGOTTEN)
def test_a_context_manager_whose_yield_was_forgotten_is_refused(factory: Any, problem: str):
    route = WebSocketRoute("a")

    @route.endpoint
    async def handler(ws: WebSocket, made: Annotated[Any, use(factory)]) -> None: ...

    for make in (
        lambda: Triows(route),
        lambda: Triows(deps=[factory]),
        lambda: Triows(lifespan=factory),
    ):
        with pytest.raises(RouteSetupError) as caught:
            make()
        assert problem in caught.value.message
        assert caught.value.where == where(factory)


@pytest.mark.parametrize(
    "factory",
    [
        contextlib.asynccontextmanager(yields_async),
        contextlib.asynccontextmanager(_passing_on(yields_async)),
        contextlib.asynccontextmanager(functools.partial(yields_async)),
        _passing_on(contextlib.contextmanager(yields_sync)),
        contextlib.contextmanager(returns_generator),
        contextlib.contextmanager(functools.lru_cache(yields_sync)),
        contextlib.ExitStack,
        contextlib.AsyncExitStack().pop_all,
    ],
)
def test_a_context_manager_of_what_may_be_a_generator_is_a_factory(factory: Any):
    route = WebSocketRoute("a")

    @route.endpoint
    async def handler(ws: WebSocket, made: Annotated[Any, use(factory)]) -> None: ...

    assert Triows(route).routes


@pytest.mark.parametrize("call", [Endless(), contextlib.ExitStack().close, contextlib.suppress])
def test_what_contextlib_has_not_made_is_none_of_its_context_managers(call: Any):
    assert unmanageable(call) is None


async def _awaits() -> Any:
    yield
    await trio.lowlevel.checkpoint()


async def _iterates() -> Any:
    async for one in _plain():
        yield one


async def _enters() -> Any:
    async with trio.open_nursery():
        yield


async def _plain() -> Any:
    try:
        yield
    finally:
        ""


def _synchronous() -> Any:
    yield


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (_awaits, True),
        (_iterates, True),
        (_enters, True),
        (contextlib.asynccontextmanager(_plain), True),
        (functools.partial(_plain), True),
        (_plain, False),
        (_synchronous, False),
    ],
)
def test_only_what_awaits_nothing_is_known_not_to_wait(call: Any, expected: bool) -> None:
    assert waits(call) is expected
