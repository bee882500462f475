"""Resources are entered, held and exited, each in a task, and learn how the handler ended."""

import contextvars
import functools
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Annotated, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.connecting import connect
from triows import (
    DependencyError,
    HandlerCancelled,
    ResourceExpired,
    TeardownTimeout,
    Triows,
    WebSocket,
    WebSocketDisconnect,
    WebSocketRoute,
    use,
)
from triows._injection.factories import Factory
from triows._injection.hosts import Host, ResourceStack
from triows._where import where
from triows.testing import open_app


class Stack:
    """A stack for factories without arguments. It notes which resources have failed."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.expired: list[Host] = []
        self.inner = ResourceStack(nursery, self.expired.append)

    async def enter(self, factory: Callable[[], Any], patience: float = 1) -> Any:
        return await self.inner.enter(Factory.of(factory), {}, patience)

    async def aclose(self, seconds: float = 6, **how: Any) -> list[BaseException]:
        return await self.inner.aclose(seconds=seconds, **how)


@asynccontextmanager
async def opened(*factories: Callable[[], Any]) -> AsyncIterator[Stack]:
    """Enter resources. The end of the block closes the stack."""
    async with trio.open_nursery() as nursery:
        stack = Stack(nursery)
        for factory in factories:
            await stack.enter(factory)
        try:
            yield stack
        finally:
            # If the test has failed, the nursery would wait forever without this.
            await stack.aclose()


async def exits(*factories: Callable[[], Any], **how: Any) -> list[BaseException]:
    """Enter resources and exit them. Return what went wrong."""
    async with opened(*factories) as stack:
        return await stack.aclose(**how)


class Watcher:
    """Makes factories of every kind, and notes what they see at their yield."""

    def __init__(self) -> None:
        self.saw: Any = "nothing yet"
        self.resumed = False

    async def bare(self):
        yield
        await trio.lowlevel.checkpoint()
        self.resumed = True

    def sync_bare(self):
        yield
        self.resumed = True

    async def guarded(self):
        try:
            yield
        except BaseException as exc:
            await trio.lowlevel.checkpoint()
            self.saw = exc
            raise
        else:
            self.resumed = True

    def sync_guarded(self):
        try:
            yield
        except BaseException as exc:
            self.saw = exc
            raise
        else:
            self.resumed = True

    def manager(self):
        watcher = self

        class Manager:
            async def __aenter__(self):
                pass

            async def __aexit__(self, _type, exc, _tb):
                await trio.lowlevel.checkpoint()
                watcher.saw = exc
                watcher.resumed = exc is None

        return Manager

    def sync_manager(self):
        watcher = self

        class Manager:
            def __enter__(self):
                pass

            def __exit__(self, _type, exc, _tb):
                watcher.saw = exc
                watcher.resumed = exc is None

        return Manager

    def decorated(self):
        return asynccontextmanager(self.guarded)

    def sync_decorated(self):
        return contextmanager(self.sync_guarded)


BARE = [lambda one: one.bare, lambda one: one.sync_bare]
GUARDED = [
    lambda one: one.guarded,
    lambda one: one.sync_guarded,
    lambda one: one.manager(),
    lambda one: one.sync_manager(),
    lambda one: one.decorated(),
    lambda one: one.sync_decorated(),
]
BARE_IDS = ["async generator", "generator"]
GUARDED_IDS = [*BARE_IDS, "async class", "class", "asynccontextmanager", "contextmanager"]
bare = pytest.mark.parametrize("write", BARE, ids=BARE_IDS)
guarded = pytest.mark.parametrize("write", GUARDED, ids=GUARDED_IDS)
both = pytest.mark.parametrize(
    "write", [*BARE, *GUARDED], ids=[*(f"bare {name}" for name in BARE_IDS), *GUARDED_IDS]
)


# What is raised at a yield.


@both
async def test_after_a_handler_that_returned_a_resource_resumes(write):
    watcher = Watcher()
    assert await exits(write(watcher)) == []
    assert watcher.resumed


@guarded
async def test_what_the_handler_raised_is_raised_at_a_guarded_yield(write):
    watcher, error = Watcher(), ValueError()
    assert await exits(write(watcher), error=error) == []
    assert watcher.saw is error


@bare
async def test_what_the_handler_raised_is_raised_at_a_bare_yield(write):
    watcher = Watcher()
    assert await exits(write(watcher), error=ValueError()) == []
    assert not watcher.resumed


@guarded
async def test_a_guarded_resource_is_told_why_the_handler_was_cancelled(write):
    watcher = Watcher()
    assert await exits(write(watcher), cancelled="peer gone") == []
    assert isinstance(watcher.saw, HandlerCancelled)
    assert watcher.saw.reason == "peer gone"


@bare
async def test_a_bare_resource_resumes_when_the_handler_was_cancelled(write):
    watcher = Watcher()
    assert await exits(write(watcher), cancelled="shutdown") == []
    assert watcher.resumed


LEFT = [
    WebSocketDisconnect(1006),
    ExceptionGroup("", [WebSocketDisconnect(), ExceptionGroup("", [WebSocketDisconnect()])]),
]


@bare
@pytest.mark.parametrize("error", LEFT, ids=["alone", "grouped"])
async def test_a_bare_resource_resumes_when_the_peer_has_left(write, error: Exception):
    watcher = Watcher()
    assert await exits(write(watcher), error=error, is_end=True) == []
    assert watcher.resumed


@bare
@pytest.mark.parametrize("error", LEFT, ids=["alone", "grouped"])
async def test_that_the_peer_of_another_exchange_has_left_is_raised_at_a_bare_yield(
    write, error: Exception
):
    watcher = Watcher()
    assert await exits(write(watcher), error=error) == []
    assert not watcher.resumed


@guarded
@pytest.mark.parametrize("error", LEFT, ids=["alone", "grouped"])
async def test_a_guarded_resource_sees_that_the_peer_has_left(write, error: Exception):
    watcher = Watcher()
    assert await exits(write(watcher), error=error, is_end=True) == []
    assert watcher.saw is error


async def test_every_resource_is_told_by_an_exception_of_its_own():
    first, second = Watcher(), Watcher()
    await exits(first.guarded, second.guarded, cancelled="shutdown")
    assert first.saw is not second.saw


async def test_a_transaction_rolls_back_on_exception_when_the_handler_is_cancelled():
    done = []

    async def transaction():
        try:
            yield
        except Exception:
            await trio.lowlevel.checkpoint()
            done.append("rolled back")
            raise
        else:
            done.append("committed")

    assert await exits(transaction, cancelled="peer gone") == []
    assert done == ["rolled back"]


@pytest.mark.parametrize(
    "how", [{"cancelled": "peer gone"}, {"error": WebSocketDisconnect(1006), "is_end": True}]
)
@pytest.mark.parametrize("audited", [True, False])
async def test_of_a_bare_and_a_guarded_yield_in_one_factory_the_one_it_stands_at_counts(
    audited: bool, how: dict[str, Any]
):
    done = []

    async def session():
        if audited:
            try:
                yield
            except Exception as exc:
                done.append(type(exc).__name__)
                raise
        else:
            yield
        await trio.lowlevel.checkpoint()
        done.append("cleaned up")

    assert await exits(session, **how) == []
    raised = "HandlerCancelled" if "cancelled" in how else "WebSocketDisconnect"
    assert done == ([raised] if audited else ["cleaned up"])


async def test_a_bare_resource_that_enters_although_it_was_cancelled_resumes(autojump_clock):
    done = []

    async def stubborn():
        with trio.CancelScope(shield=True):
            await trio.sleep(5)
        yield
        done.append("cleaned up")

    async with opened() as stack:
        with trio.move_on_after(1):
            await stack.enter(stubborn)
        assert await stack.aclose(cancelled="timeout") == []
    assert done == ["cleaned up"]


# What counts as an error.


async def test_the_handlers_error_is_not_a_new_one_when_a_nursery_has_wrapped_it():
    async def pool():
        async with trio.open_nursery() as outer, trio.open_nursery() as nursery:
            outer.start_soon(trio.sleep_forever)
            yield nursery

    assert await exits(pool, error=ValueError()) == []
    assert await exits(pool, error=ExceptionGroup("", [ValueError(), KeyError()])) == []
    assert await exits(pool, cancelled="shutdown") == []


async def test_of_a_group_only_what_is_new_is_reported(autojump_clock):
    error, new = ValueError(), KeyError()

    async def fail_when_cancelled():
        try:
            await trio.sleep_forever()
        finally:
            raise new

    async def pool():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail_when_cancelled)
            await wait_all_tasks_blocked()
            yield nursery

    (reported,) = await exits(pool, error=error)
    assert isinstance(reported, ExceptionGroup)
    assert reported.exceptions == (new,)


async def test_an_error_that_a_resource_suppresses_is_not_reported_again():
    async def forgiving():
        with pytest.raises(ValueError, match="bad"):
            yield

    assert await exits(forgiving, error=ValueError("bad")) == []


def failing(error: Exception, log: list[str], name: str) -> Callable[[], Any]:
    async def resource():
        try:
            yield
        finally:
            await trio.lowlevel.checkpoint()
            log.append(name)
            raise error

    return resource


async def test_an_exit_that_fails_does_not_skip_the_others():
    log: list[str] = []
    errors = [KeyError("a"), KeyError("b"), KeyError("c")]
    factories = [failing(error, log, error.args[0]) for error in errors]
    assert await exits(*factories, error=ValueError()) == errors[::-1]
    assert log == ["c", "b", "a"]


async def test_a_factory_that_yields_twice_is_reported():
    log = []

    async def first():
        yield
        log.append("exited")

    async def twice():
        yield
        yield

    def twice_sync():
        yield
        yield

    errors = await exits(first, twice, twice_sync)
    assert [str(error) for error in errors] == [
        f"{factory.__qualname__} yielded a second time: let it yield once, and end after that\n"
        f"  at {where(factory)}"
        for factory in (twice_sync, twice)
    ]
    assert log == ["exited"]


# Entering.


async def test_resources_exit_in_the_reverse_order_of_their_entry():
    log = []

    def logging(name: str):
        async def resource():
            log.append(f"enter {name}")
            yield
            log.append(f"exit {name}")

        return resource

    await exits(logging("a"), logging("b"))
    assert log == ["enter a", "enter b", "exit b", "exit a"]


async def test_entering_returns_the_value():
    async def number():
        yield 7

    async with opened() as stack:
        assert await stack.enter(number) == 7
        await stack.aclose()


async def test_a_factory_that_fails_raises_where_it_is_entered():
    watcher, error = Watcher(), ValueError()

    async def broken():
        raise error
        yield

    async with opened(watcher.bare) as stack:
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - it is compared below
            await stack.enter(broken)
        assert caught.value is error
        assert await stack.aclose() == []
    assert watcher.resumed


async def test_a_factory_that_never_yields_raises_where_it_is_entered():
    async def empty():
        return
        yield

    async with opened() as stack:
        with pytest.raises(RuntimeError, match="empty ended without a yield: let it yield"):
            await stack.enter(empty)
        assert await stack.aclose() == []


def returns_no_manager() -> AbstractAsyncContextManager[int]:
    return 7


async def async_returns_no_manager():
    yield 7


def through_a_list(function):
    @functools.wraps(function)
    def decorated():
        return [function]

    return decorated


@pytest.mark.parametrize(
    ("factory", "told"),
    [
        (returns_no_manager, "an instance of int, where a context manager is expected: return one"),
        (
            through_a_list(async_returns_no_manager),
            "an instance of list, where a generator is expected: let its decorators return what",
        ),
    ],
)
async def test_a_factory_that_returns_nothing_to_enter_is_named(factory, told):
    async with opened() as stack:
        with pytest.raises(DependencyError, match=f"{factory.__name__} returned {told}") as caught:
            await stack.enter(factory)
        assert str(caught.value).endswith(f"\n  at {where(factory)}")


class NotAsync:
    def __aenter__(self):
        return 7

    async def __aexit__(self, *_):
        pass


async def test_a_resource_that_python_refuses_is_named_in_a_note():
    async with opened() as stack:
        with pytest.raises(TypeError) as caught:
            await stack.enter(NotAsync)
        (note,) = caught.value.__notes__
        assert note == f"this is about the resource NotAsync\n  at {where(NotAsync)}"


async def test_an_error_of_the_factorys_own_has_no_note():
    async def broken():
        raise TypeError
        yield

    async with opened() as stack:
        with pytest.raises(TypeError) as caught:
            await stack.enter(broken)
        assert not hasattr(caught.value, "__notes__")


async def test_cancelling_an_entry_cancels_the_factory(autojump_clock):
    log = []

    async def slow():
        try:
            await trio.sleep_forever()
        finally:
            log.append("cancelled")
        yield

    async with opened() as stack:
        with trio.move_on_after(1) as scope:
            await stack.enter(slow)
        assert scope.cancelled_caught
        assert log == ["cancelled"]
        assert await stack.aclose() == []
    assert trio.current_time() == 1


async def test_a_factory_that_is_cancelled_may_clean_up(autojump_clock):
    log = []

    async def slow():
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(2)
            log.append("clean")
        yield

    async with opened() as stack:
        with trio.move_on_after(1):
            await stack.enter(slow, patience=3)
        assert trio.current_time() == 3
        assert log == ["clean"]
        await stack.aclose()


async def test_the_patience_with_a_factory_that_does_not_heed_its_cancellation_is_bounded(
    autojump_clock,
):
    async def stubborn():
        with trio.CancelScope(shield=True):
            await trio.sleep(10)
        yield

    async with opened() as stack:
        with trio.move_on_after(1):
            await stack.enter(stubborn, patience=2)
        assert trio.current_time() == 3
        await stack.aclose()


async def test_a_factory_that_enters_in_spite_of_its_cancellation_exits_too(autojump_clock):
    watcher = Watcher()

    async def stubborn():
        with trio.CancelScope(shield=True):
            await trio.sleep(2)
        async with asynccontextmanager(watcher.bare)():
            yield

    async with opened() as stack:
        with trio.move_on_after(1):
            await stack.enter(stubborn)
        assert await stack.aclose() == []
    assert watcher.resumed


async def test_a_factory_that_enters_after_its_release_still_has_a_deadline(autojump_clock):
    async def stubborn():
        with trio.CancelScope(shield=True):
            await trio.sleep(4)
        try:
            yield
        finally:
            await trio.sleep_forever()

    async with opened() as stack:
        with trio.move_on_after(1):
            await stack.enter(stubborn, patience=1)
        (error,) = await stack.aclose(seconds=5)
        assert isinstance(error, TeardownTimeout)
        assert str(error).endswith(f"\n  at {where(stubborn)}")
    assert trio.current_time() == 7


async def test_an_error_of_a_factory_whose_entry_was_cancelled_is_not_lost(autojump_clock):
    async def broken():
        try:
            await trio.sleep_forever()
        finally:
            raise KeyError("broken")
        yield

    async with opened() as stack:
        with trio.move_on_after(1):
            await stack.enter(broken)
        (error,) = await stack.aclose()
        assert isinstance(error, KeyError)


async def test_an_entry_that_is_cancelled_in_the_tick_in_which_it_completes_exits_well():
    entered = 0
    # Trio runs the tasks of a tick in random order. In 20 turns, both orders come up.
    for _ in range(20):
        watcher, ready = Watcher(), trio.Event()

        async def resource(watcher=watcher, ready=ready):
            nonlocal entered
            await ready.wait()
            entered += 1
            async with asynccontextmanager(watcher.bare)():
                yield

        async with opened() as stack:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stack.enter, resource)
                await wait_all_tasks_blocked()
                ready.set()
                nursery.cancel_scope.cancel()
            assert await stack.aclose() == []
        assert watcher.resumed
    assert entered == 20


# Failing while in use.


async def test_a_resource_whose_task_dies_tells_once_and_waits_for_its_release(autojump_clock):
    log = []

    async def die():
        await trio.sleep(1)
        raise KeyError("died")

    async def pool():
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(die)
                nursery.start_soon(die)
                yield nursery
        finally:
            await trio.lowlevel.checkpoint()
            log.append(trio.current_time())

    async with opened(pool) as stack:
        await trio.sleep(2)
        assert [host.factory.call for host in stack.expired] == [pool]
        assert log == []
        (error,) = await stack.aclose()
    assert log == [2]
    assert isinstance(error, ExceptionGroup)
    assert {type(leaf) for leaf in error.exceptions} == {KeyError}


async def test_a_timeout_around_a_yield_that_fires_is_reported(autojump_clock):
    async def in_a_second():
        with trio.move_on_after(1):
            yield

    async with opened(in_a_second) as stack:
        await trio.sleep(2)
        assert len(stack.expired) == 1
        (error,) = await stack.aclose()
    assert isinstance(error, ResourceExpired)
    assert "in_a_second" in str(error)


async def test_a_timeout_around_the_yield_of_a_sync_generator_is_reported(autojump_clock):
    def in_a_second():
        with trio.move_on_after(1):
            yield

    async with opened(in_a_second) as stack:
        await trio.sleep(2)
        (error,) = await stack.aclose()
    assert isinstance(error, ResourceExpired)


async def test_a_timeout_that_raises_is_reported_as_what_it_raises(autojump_clock):
    async def in_a_second():
        with trio.fail_after(1):
            yield

    async with opened(in_a_second) as stack:
        await trio.sleep(2)
        (error,) = await stack.aclose()
    assert isinstance(error, trio.TooSlowError)


async def test_a_timeout_around_a_yield_that_does_not_fire_is_no_error(autojump_clock):
    async def in_an_hour():
        with trio.move_on_after(3600):
            yield

    def in_an_hour_sync():
        with trio.move_on_after(3600):
            yield

    assert await exits(in_an_hour, in_an_hour_sync) == []
    assert await exits(in_an_hour, in_an_hour_sync, cancelled="shutdown") == []
    assert await exits(in_an_hour, in_an_hour_sync, error=ValueError()) == []


async def own_nursery():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        yield nursery.cancel_scope
    await trio.lowlevel.checkpoint()


async def own_scope():
    with trio.CancelScope() as scope:
        yield scope
    await trio.lowlevel.checkpoint()


def own_sync_scope():
    with trio.CancelScope() as scope:
        yield scope


async def own_deadline():
    with trio.move_on_after(1) as scope:
        yield scope


async def inner_scope():
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            nursery.start_soon(trio.sleep_forever)
            yield scope
        nursery.cancel_scope.cancel()


OWN = [own_nursery, own_scope, own_sync_scope, own_deadline, inner_scope]


@pytest.mark.parametrize("factory", OWN)
async def test_whoever_cancels_a_resources_own_scope_on_purpose_goes_on(autojump_clock, factory):
    watcher = Watcher()
    async with opened(watcher.guarded, factory) as stack:
        stack.inner.hosts[-1].value.cancel()
        await trio.sleep(10)
        assert stack.expired == []
        assert len(stack.inner.hosts) == 2
        assert await stack.aclose() == []
    assert watcher.resumed


async def test_a_handlers_error_is_raised_at_a_yield_in_a_cancelled_scope_too():
    error = LookupError()
    seen = []

    async def resource():
        with trio.CancelScope() as scope:
            try:
                yield scope
            except LookupError as exc:
                seen.append(exc)
                raise

    async with opened(resource) as stack:
        stack.inner.hosts[-1].value.cancel()
        await wait_all_tasks_blocked()
        assert await stack.aclose(error=error) == []
    assert seen == [error]


async def test_a_task_that_dies_in_a_nursery_that_was_cancelled_on_purpose_is_reported():
    async def die():
        try:
            await trio.sleep_forever()
        finally:
            raise KeyError("died")

    async def pool():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(die)
            yield nursery.cancel_scope

    async with opened(pool) as stack:
        stack.inner.hosts[-1].value.cancel()
        await wait_all_tasks_blocked()
        (error,) = await stack.aclose()
    assert isinstance(error, ExceptionGroup)


async def test_what_awaits_in_a_cancelled_scope_at_its_exit_is_cancelled_as_in_trio(
    autojump_clock,
):
    log = []

    async def resource():
        with trio.CancelScope() as scope:
            try:
                yield scope
                await trio.sleep(1)
                log.append("saved")
            except trio.Cancelled:
                log.append("cancelled")
                raise
        await trio.sleep(1)
        log.append("cleaned up")

    async with opened(resource) as stack:
        stack.inner.hosts[-1].value.cancel()
        await trio.sleep(1)
        assert log == []
        assert await stack.aclose() == []
    assert log == ["cancelled", "cleaned up"]


async def test_what_is_nested_in_a_resource_that_gave_way_exits_before_it(autojump_clock):
    log = []

    async def pool():
        with trio.move_on_after(1):
            yield
        log.append("pool")

    async def connection():
        try:
            yield
        finally:
            await trio.sleep(1)
            log.append("connection")

    async with opened(pool, connection) as stack:
        await trio.sleep(2)
        await stack.aclose(cancelled="resource failed")
    assert log == ["connection", "pool"]


# The time that exits take.


def hanging(log: list[float]) -> Callable[[], Any]:
    async def resource():
        try:
            yield
        finally:
            try:
                await trio.sleep_forever()
            finally:
                log.append(trio.current_time())

    return resource


def taking(seconds: float, log: list[float]) -> Callable[[], Any]:
    async def resource():
        yield
        await trio.sleep(seconds)
        log.append(trio.current_time())

    return resource


async def test_resources_that_hang_get_equal_shares_of_the_time(autojump_clock):
    log: list[float] = []
    errors = await exits(hanging(log), hanging(log), hanging(log), seconds=6)
    assert log == [2, 4, 6]
    assert [type(error) for error in errors] == [TeardownTimeout] * 3


async def test_what_one_does_not_need_is_left_for_the_others(autojump_clock):
    log: list[float] = []
    await exits(hanging(log), hanging(log), taking(0, log), seconds=6)
    assert log == [0, 3, 6]


async def test_one_that_hangs_leaves_the_others_their_turn(autojump_clock):
    log: list[float] = []
    (error,) = await exits(taking(2, log), hanging(log), taking(1, log), seconds=6)
    assert log == [1, 3.5, 5.5]
    assert isinstance(error, TeardownTimeout)


async def test_a_timeout_names_the_factory_and_where_it_waited(autojump_clock):
    async def send():
        await trio.sleep_forever()

    async def flush():
        async with trio.open_nursery() as nursery:
            yield
            nursery.start_soon(send)
            await trio.sleep_forever()

    (error,) = await exits(flush)
    line = flush.__code__.co_firstlineno
    assert str(error).endswith(f"\n  at {__file__}:{line} ({flush.__qualname__})")
    notes = "\n".join(error.__notes__)
    assert notes.startswith("It waited at\n")
    assert f"{flush.__qualname__}  async with trio.open_nursery() as nursery:" in notes


async def test_a_timeout_shows_the_error_that_was_on_its_way(autojump_clock):
    async def die():
        raise KeyError("died")

    async def pool():
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(die)
                yield nursery
        finally:
            await trio.sleep_forever()

    (error,) = await exits(pool)
    assert isinstance(error, TeardownTimeout)
    assert isinstance(error.__context__, trio.Cancelled)
    assert isinstance(error.__context__.__context__, ExceptionGroup)
    assert isinstance(error.__context__.__context__.exceptions[0], KeyError)


async def test_one_that_shields_itself_past_its_deadline_does_not_eat_the_others_time(
    autojump_clock,
):
    log: list[float] = []

    async def shielded():
        yield
        with trio.CancelScope(shield=True):
            await trio.sleep(20)
        log.append(trio.current_time())

    await exits(hanging(log), taking(1, log), shielded, seconds=6)
    assert log == [20, 21, 22 + 1]


async def test_closing_can_not_be_cancelled(autojump_clock):
    log: list[float] = []
    async with opened(taking(1, log), taking(1, log)) as stack:
        with trio.CancelScope() as scope:
            scope.cancel()
            assert await stack.aclose() == []
    assert log == [1, 2]


# In a connection.


def application(**resources: Any) -> Triows:
    """An application with one route, whose handler accepts and then sleeps."""
    route = WebSocketRoute("/")

    async def handler(ws: WebSocket, **_: object):
        await ws.accept()
        await trio.sleep_forever()

    annotate(handler, ws=WebSocket, **resources)
    route.ws_handler(handler)
    return Triows(route)


def annotate(handler: Any, **annotations: Any) -> None:
    """Give a handler these parameters instead of its own."""
    handler.__signature__ = inspect.Signature(
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
        for name, annotation in annotations.items()
    )


async def connect_for(seconds: float, app: Triows, *, code: int) -> None:
    """Connect for a while. The connection has to end with this code."""
    async with connect(app, "/") as client:
        await trio.sleep(seconds)
        assert client.close_code == code


async def test_a_resource_whose_task_dies_ends_its_connection(autojump_clock):
    watcher = Watcher()

    async def die():
        await trio.sleep(1)
        raise KeyError("died")

    async def pool():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(die)
            yield nursery

    app = application(
        first=Annotated[object, use(watcher.guarded)], second=Annotated[object, use(pool)]
    )
    with pytest.raises(ExceptionGroup) as caught:
        await connect_for(2, app, code=1011)
    assert caught.group_contains(KeyError, match="died")
    assert isinstance(watcher.saw, HandlerCancelled)
    assert watcher.saw.reason == "resource failed"


async def test_a_resource_that_expires_ends_its_connection(autojump_clock):
    async def in_a_second():
        with trio.move_on_after(1):
            yield

    app = application(session=Annotated[object, use(in_a_second)])
    with pytest.raises(ResourceExpired):
        await connect_for(2, app, code=1011)


@pytest.mark.parametrize("factory", OWN)
async def test_a_handler_that_cancels_a_resources_own_scope_ends_as_any_other(
    autojump_clock, factory
):
    watcher = Watcher()
    route = WebSocketRoute("/")

    async def handler(ws: WebSocket, outer: object, scope: trio.CancelScope):
        await ws.accept()
        scope.cancel()
        await trio.sleep(5)
        await ws.send("still here")

    annotate(
        handler,
        ws=WebSocket,
        outer=Annotated[object, use(watcher.guarded)],
        scope=Annotated[trio.CancelScope, use(factory)],
    )
    route.ws_handler(handler)
    async with connect(Triows(route), "/") as client:
        assert await client.receive(timeout=10) == "still here"
        await client.expect_close(1000)
    assert watcher.resumed


async def test_an_application_goes_on_when_a_handler_cancels_one_of_its_resources(autojump_clock):
    route = WebSocketRoute("/")

    async def handler(ws: WebSocket, scope: trio.CancelScope):
        await ws.accept()
        scope.cancel()
        await trio.sleep(5)

    annotate(
        handler, ws=WebSocket, scope=Annotated[trio.CancelScope, use(own_nursery, scope="app")]
    )
    route.ws_handler(handler)
    async with open_app(Triows(route)) as client:
        for _ in range(2):
            async with client.websocket_connect("/") as session:
                await session.expect_close(1000, timeout=10)


async def test_what_handler_and_exits_raise_is_raised_together(autojump_clock):
    log: list[str] = []
    errors = [ValueError("handler"), KeyError("a"), KeyError("b")]
    route = WebSocketRoute("/")

    async def handler(ws: WebSocket, **_: object):
        await ws.accept()
        raise errors[0]

    annotate(
        handler,
        ws=WebSocket,
        a=Annotated[None, use(failing(errors[1], log, "a"))],
        hangs=Annotated[None, use(hanging([]))],
        b=Annotated[None, use(failing(errors[2], log, "b"))],
    )
    route.ws_handler(handler)
    with pytest.raises(ExceptionGroup) as caught:
        await connect_for(10, Triows(route), code=1011)
    raised, *from_exits = caught.value.exceptions
    assert raised is errors[0]
    assert [type(error) for error in from_exits] == [KeyError, TeardownTimeout, KeyError]
    assert log == ["b", "a"]


user: contextvars.ContextVar[str] = contextvars.ContextVar("user")


async def test_factories_and_handler_share_their_context_variables():
    seen = []

    async def identified():
        user.set("ada")
        yield
        seen.append(user.get())

    def logged():
        seen.append(user.get())
        yield
        seen.append(user.get())

    route = WebSocketRoute("/")

    async def handler(ws: WebSocket, **_: object):
        seen.append(user.get())
        user.set("grace")
        await ws.accept()

    annotate(
        handler,
        ws=WebSocket,
        first=Annotated[object, use(identified)],
        second=Annotated[object, use(logged)],
    )
    route.ws_handler(handler)
    async with connect(Triows(route), "/"):
        pass
    assert seen == ["ada", "ada", "grace", "grace"]


async def test_a_resource_that_closes_the_connection_does_not_hide_the_true_code(autojump_clock):
    async def accepted(ws: WebSocket):
        try:
            yield ws
        finally:
            await ws.close(1000)

    route = WebSocketRoute("/")

    @route.ws_handler
    async def handler(ws: Annotated[WebSocket, use(accepted)]):
        await ws.accept()
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await connect_for(1, Triows(route), code=1011)
